package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/eventstore"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
)

// backedUp is what backup has done.
type backedUp struct {
	File string `json:"file"`
	// Position is that of the last event in it.
	Position eventstore.Position `json:"position"`
	// BegunAt is the moment up to which everything that was acknowledged is in it.
	BegunAt time.Time `json:"begun_at"`
}

func backupCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy the embedded store to a new file, while serving", Args: exactArgs("FILE"),
		Long: "Copies the embedded store, as it is at one moment, to a file that is not there yet, beside a running server or\n" +
			"without one. When it ends well, the copy is on disk and was read from beginning to end; everything that was\n" +
			"acknowledged before it began is in it. To restore it, put it into an empty data dir as daybook.db: the read\n" +
			"model is folded from it. It holds payloads as Stripe sent them, so keep it as secret as the data dir.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			done, err := backup(cmd, args[0])
			if err != nil {
				return err
			}
			if output == outputJSON {
				return writeJSON(cmd.OutOrStdout(), done)
			}
			cmd.Printf("%s: all events up to position %d, and everything that was acknowledged before %s; checked\n", done.File, done.Position, moment(done.BegunAt))
			return nil
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func backup(cmd *cobra.Command, file string) (backedUp, error) {
	done := backedUp{File: file, BegunAt: systemClock().UTC()}
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return done, err
	}
	if storeKind(cfg) == clusterKind {
		return done, errors.New("the events are in EventStoreDB: back up one of its nodes, see docs/EVENTSTOREDB.md")
	}
	if err := embeddedExists(cfg.DataDir); err != nil {
		return done, err
	}
	bar := newProgress(cmd, "backup", 0)
	defer bar.finish()
	done.Position, err = storesqlite.Copy(cmd.Context(), storePath(cfg.DataDir), file,
		func(at, head eventstore.Position) { bar.tell(int64(at), int64(head)) })
	return done, err
}
