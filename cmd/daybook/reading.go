package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/projections"
	modelsqlite "github.com/daybookhq/daybook/projections/sqlite"
)

// record is the data dir opened for reading, beside a server or without one.
type record struct {
	cfg     *config.Config
	store   *storesqlite.Reader
	model   *modelsqlite.Model
	about   founded
	answers *projections.Answers
}

// openRecord opens the data dir of a command that only looks.
func openRecord(cmd *cobra.Command) (r *record, err error) {
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return nil, err
	}
	if err := storeExists(cfg.DataDir); err != nil {
		return nil, err
	}
	r = &record{cfg: cfg}
	opened := r // a return of nil must not lose what is open already
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	ctx := cmd.Context()
	if r.store, err = storesqlite.OpenReader(ctx, storePath(cfg.DataDir)); err != nil {
		return nil, err
	}
	return r, r.openModel(ctx)
}

// storeExists refuses a data dir without a store, for commands that would make
// nothing of a new one.
func storeExists(dir string) error {
	if _, err := os.Stat(storePath(dir)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no store in %s yet: run daybook serve, or name another --data-dir", dir)
	}
	return nil
}

func (r *record) openModel(ctx context.Context) (err error) {
	if r.about, err = readFounding(ctx, r.store); err != nil {
		return err
	}
	if r.model, err = modelsqlite.OpenReader(ctx, modelPath(r.cfg.DataDir)); err != nil {
		return err
	}
	r.answers = projections.NewAnswers(r.model, r.about.Epoch, r.about.Livemode)
	return nil
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
