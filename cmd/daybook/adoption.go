package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

const catalogStream eventstore.Stream = "catalog-main"

// catalogBook holds the history of the catalogs in force and of the prices
// mapped beside them, adopts new catalogs, and records new mappings.
type catalogBook struct {
	store   eventstore.Store
	history atomic.Pointer[aggregate.Catalogs]
	// writing lets one change at a time happen here, so that an older history
	// never takes the place of a newer one; other processes are told by the store.
	writing sync.Mutex
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
	b.writing.Lock()
	defer b.writing.Unlock()
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

// mapPrices records what prices were first matched to by their lookup key,
// unless something that was seen before is recorded of them.
func (b *catalogBook) mapPrices(ctx context.Context, mappings []aggregate.PriceMapping, now time.Time) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	for part := range slices.Chunk(mappings, mappingsAtOnce) {
		if err := b.mapSome(ctx, part, now); err != nil {
			return err
		}
	}
	return nil
}

// mappingsAtOnce bounds an append well below what a store takes.
const mappingsAtOnce = 200

func (b *catalogBook) mapSome(ctx context.Context, mappings []aggregate.PriceMapping, now time.Time) error {
	for {
		history, expected, err := readCatalogs(ctx, b.store)
		if err != nil {
			return err
		}
		events, next, err := newMappings(history, mappings, now)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			b.history.Store(&history)
			return nil
		}
		_, err = b.store.Append(ctx, catalogStream, expected, events...)
		switch {
		case err == nil:
			b.history.Store(&next)
			return nil
		case !eventstore.IsConflict(err): // with a conflict, somebody else wrote: look again
			return fmt.Errorf("record mappings of prices: %w", err)
		}
	}
}

// newMappings makes the events that a history lacks, and the history with them.
// Their IDs follow from the price and the event that showed it.
func newMappings(history aggregate.Catalogs, mappings []aggregate.PriceMapping, now time.Time) ([]eventstore.ProposedEvent, aggregate.Catalogs, error) {
	var events []eventstore.ProposedEvent
	for _, m := range mappings {
		m.MappedAt = now.UTC()
		next := history.WithMapping(m)
		if len(next.Mappings()) == len(history.Mappings()) {
			continue // one that was seen before is recorded
		}
		event, err := ownEvent(aggregate.PriceMappedType, m, now)
		if err != nil {
			return nil, history, err
		}
		event.ID = eventstore.DeriveID(catalogStream, aggregate.PriceMappedType, m.Price, m.StripeEventID)
		events = append(events, event)
		history = next
	}
	return events, history, nil
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
