package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

const catalogStream eventstore.Stream = "catalog-main"

// catalogBook holds the history of the catalogs in force, and adopts new ones.
type catalogBook struct {
	store   eventstore.Store
	history atomic.Pointer[aggregate.Catalogs]
}

// History returns the catalogs that were in force, up to the present one.
func (b *catalogBook) History() aggregate.Catalogs { return *b.history.Load() }

// Current returns the catalog in force.
func (b *catalogBook) Current() *aggregate.Catalog { return b.History().Current() }

// load reads the history, and reports whether it has a catalog at all.
func (b *catalogBook) load(ctx context.Context) (bool, error) {
	history, _, err := readCatalogs(ctx, b.store)
	if err != nil {
		return false, err
	}
	b.history.Store(&history)
	return history.Current() != nil, nil
}

// adopt puts a catalog in force, by recording it, unless it is already.
func (b *catalogBook) adopt(ctx context.Context, catalog *aggregate.Catalog, now time.Time) (adopted bool, err error) {
	for {
		history, expected, err := readCatalogs(ctx, b.store)
		if err != nil {
			return false, err
		}
		b.history.Store(&history)
		if history.CurrentHash() == catalog.Hash() {
			return false, nil
		}
		adoption := aggregate.CatalogAdopted{Schema: aggregate.Schema, Hash: catalog.Hash(), Catalog: catalog,
			AdoptedAt: history.NextAdoption(now).UTC()}
		event, err := ownEvent(aggregate.CatalogAdoptedType, adoption, now)
		if err != nil {
			return false, err
		}
		_, err = b.store.Append(ctx, catalogStream, expected, event)
		switch {
		case err == nil:
			history = history.With(adoption)
			b.history.Store(&history)
			return true, nil
		case !eventstore.IsConflict(err): // with a conflict, somebody else adopted one
			return false, fmt.Errorf("adopt the catalog: %w", err)
		}
	}
}

func readCatalogs(ctx context.Context, store eventstore.Reader) (aggregate.Catalogs, eventstore.ExpectedRevision, error) {
	var history aggregate.Catalogs
	expected := eventstore.NoStream
	for e, err := range store.ReadStream(ctx, catalogStream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return history, expected, fmt.Errorf("read the catalogs: %w", err)
		}
		expected = eventstore.Exactly(e.Revision)
		if history, err = history.Evolve(e.Type, e.Data); err != nil {
			return history, expected, fmt.Errorf("read the catalogs: revision %d: %w", e.Revision, err)
		}
	}
	return history, expected, nil
}
