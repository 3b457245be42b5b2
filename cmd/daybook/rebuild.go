package main

import (
	"net/http"

	"github.com/spf13/cobra"

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
			"is of no account. With --dry-run everything stays as it is. Exits 1 if there was a difference.",
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
			route := "/rebuild"
			if dryRun {
				route += "?dry_run=true"
			}
			bar := newProgress(cmd, "rebuild", 0)
			var result rebuilt
			err = callControl(cmd.Context(), cfg, newLogger(cfg, cmd.ErrOrStderr()), route, http.NoBody, bar.tell, &result)
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
		cmd.Println("dry run: the model was left as it is")
	}
}

// rebuild is the control route behind the command.
func (n *node) rebuild(r *http.Request, tell func(done, total int64)) (any, error) {
	dryRun := r.URL.Query().Get("dry_run") == "true"
	result, err := n.runner.Rebuild(r.Context(), projections.RebuildPlan{
		Compare: true, Keep: dryRun,
		Progress: func(done, total uint64) { tell(int64(done), int64(total)) },
	})
	if err != nil {
		return nil, err
	}
	differences := result.Differences
	if differences == nil {
		differences = []projections.Difference{}
	}
	done := rebuilt{Position: uint64(result.Checkpoint.Position), Compared: result.Compared,
		Replaced: !dryRun, Differences: differences}
	if !dryRun {
		done.Published = n.republish(r.Context())
	}
	return done, nil
}
