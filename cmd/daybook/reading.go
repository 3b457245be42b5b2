package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/projections"
	modelsqlite "github.com/daybookhq/daybook/projections/sqlite"
)

// record is the data dir opened for reading, beside a server or without one.
type record struct {
	cfg     *config.Config
	store   storeReader
	model   *modelsqlite.Model
	about   founded
	answers *projections.Answers
	history *history.Record
}

// openRecord opens the data dir of a command that only looks.
func openRecord(cmd *cobra.Command) (r *record, err error) {
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return nil, err
	}
	ctx := cmd.Context()
	if err := storeExists(ctx, cfg); err != nil {
		return nil, err
	}
	r = &record{cfg: cfg}
	opened := r // a return of nil must not lose what is open already
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if r.store, err = openStoreReader(ctx, cfg); err != nil {
		return nil, err
	}
	return r, r.openModel(ctx)
}

func (r *record) openModel(ctx context.Context) (err error) {
	if r.about, err = readFounding(ctx, r.store); err != nil {
		return err
	}
	if r.model, err = modelsqlite.OpenReader(ctx, modelPath(r.cfg.DataDir)); err != nil {
		return err
	}
	r.history = &history.Record{Store: r.store, Model: r.model, Epoch: r.about.Epoch}
	r.answers = projections.NewAnswers(r.model, r.about.Epoch, r.about.Livemode)
	return nil
}

// folded refuses a read model that was not folded from this store yet: that it
// knows nothing of an account says nothing.
func (r *record) folded(ctx context.Context) error {
	checkpoint, err := r.model.Checkpoint(ctx)
	if err == nil && (checkpoint.Epoch != r.about.Epoch || checkpoint.Schema != projections.Schema) {
		err = fmt.Errorf("%w: run daybook serve, or daybook rebuild", projections.ErrNotFolded)
	}
	return err
}

// close lets go; what was only read needs no ceremony.
func (r *record) close() {
	if r.model != nil {
		_ = r.model.Close()
	}
	if r.store != nil {
		_ = r.store.Close()
	}
}
