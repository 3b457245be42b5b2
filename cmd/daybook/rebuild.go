package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/projections"
)

// rebuilt is what became of a rebuild.
type rebuilt struct {
	Position    uint64                   `json:"position"`
	Compared    bool                     `json:"compared"`
	Replaced    bool                     `json:"replaced"`
	Differences []projections.Difference `json:"differences"`
	// Published tells what came of it in Redis, empty where nothing is published.
	Published string `json:"published,omitempty"`
}

func rebuildCommand() *cobra.Command {
	var dryRun bool
	var output string
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Fold the read model anew from history, while serving", Args: noArgs,
		Long: "Folds the whole history from zero beside the read model, compares the two, and replaces it.\n" +
			"A server that publishes entitlements then publishes all of them again, and removes what\n" +
			"is of no account. Where no server runs nothing else is done: what is not posted yet waits for one.\n" +
			"With --dry-run everything stays as it is. Exits 1 if there was a difference.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			cfg, err := loadConfig(cmd, false)
			if err != nil {
				return err
			}
			if err := storeExists(cmd.Context(), cfg); err != nil {
				return err
			}
			log := newLogger(cfg, cmd.ErrOrStderr())
			bar := newProgress(cmd, "rebuild", 0)
			result, err := rebuild(cmd.Context(), cfg, log, dryRun, bar.tell)
			bar.finish()
			if err != nil {
				return err
			}
			return result.report(cmd, output)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only report what would change")
	addOutputFlag(cmd, &output)
	return cmd
}

// rebuild is done by the server that runs, and here where none does.
func rebuild(ctx context.Context, cfg *config.Config, log *logrus.Logger, dryRun bool, tell func(done, total int64)) (rebuilt, error) {
	if !socketAnswers(ctx, cfg.DataDir) {
		return rebuildHere(ctx, cfg, log, dryRun, tell)
	}
	var result rebuilt
	route := fmt.Sprintf("/rebuild?dry_run=%t", dryRun)
	err := postControl(ctx, cfg.DataDir, route, http.NoBody, tell, &result)
	return result, err
}

// rebuildHere has a node rebuild that does nothing else. One that follows the log
// begins by folding a model that is missing, or far behind, from zero: there would
// be nothing left to compare with, and the log would be gone over twice.
func rebuildHere(ctx context.Context, cfg *config.Config, log *logrus.Logger, dryRun bool, tell func(done, total int64)) (rebuilt, error) {
	n, err := openNode(ctx, cfg, log, nil)
	if err != nil {
		return rebuilt{}, err
	}
	defer n.close()
	var beside sync.WaitGroup
	defer beside.Wait()
	working, stop := context.WithCancel(ctx)
	defer stop()
	beside.Go(func() { keepGarbageRoom(working, n.garbageRoom) })
	return n.rebuild(ctx, dryRun, tell)
}

func (r rebuilt) report(cmd *cobra.Command, output string) error {
	if output == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else {
		r.print(cmd)
	}
	if len(r.Differences) > 0 {
		return errReported
	}
	return nil
}

func (r rebuilt) print(cmd *cobra.Command) {
	for _, d := range r.Differences {
		cmd.Println(d)
	}
	switch {
	case !r.Compared:
		cmd.Printf("rebuilt up to position %d; there was no model to compare with\n", r.Position)
	case len(r.Differences) == 0:
		cmd.Printf("rebuilt up to position %d: the same as the live model\n", r.Position)
	default:
		cmd.Printf("rebuilt up to position %d: %s\n", r.Position, counted(len(r.Differences), "difference"))
	}
	if r.Published != "" {
		cmd.Println(r.Published)
	}
	if !r.Replaced {
		cmd.Println("dry run: everything was left as it is")
	}
}

// rebuildCall is the control route behind the command.
func (n *node) rebuildCall(r *http.Request, tell func(done, total int64)) (any, error) {
	done, err := n.rebuild(r.Context(), r.URL.Query().Get("dry_run") == "true", tell)
	if err == nil && done.Replaced {
		done.Published = n.republish(r.Context())
	}
	return done, err
}

func (n *node) rebuild(ctx context.Context, dryRun bool, tell func(done, total int64)) (rebuilt, error) {
	result, err := n.runner.Rebuild(ctx, projections.RebuildPlan{
		Compare: true, Keep: dryRun,
		Progress: func(done, total uint64) { tell(int64(done), int64(total)) },
	})
	if err != nil {
		return rebuilt{}, err
	}
	differences := result.Differences
	if differences == nil {
		differences = []projections.Difference{}
	}
	return rebuilt{Position: uint64(result.Checkpoint.Position), Compared: result.Compared,
		Replaced: !dryRun, Differences: differences}, nil
}
