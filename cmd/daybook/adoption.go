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
	// news says that the stream may have grown, by this node or another; told
	// counts the events that it has at least.
	news chan struct{}
	told atomic.Uint64
	// writing lets one change at a time happen here; other nodes are told by the
	// store. What follows is used under it.
	writing sync.Mutex
	// events counts those of the stream that the history is made of, so that an
	// older one, of a node that lags, never takes the place of a newer one.
	events uint64
	// configured is the hash of the catalog that this node was told to adopt,
	// noticed that of the one last known to be in force.
	configured, noticed string
}

func newCatalogBook(store eventstore.Store) *catalogBook {
	return &catalogBook{store: store, news: make(chan struct{}, 1)}
}

// keep takes a history of so many events, unless it is older than the one held.
func (b *catalogBook) keep(history aggregate.Catalogs, events uint64) {
	if events >= b.events {
		b.history.Store(&history)
		b.events = events
	}
}

// History returns the catalogs that were in force, up to the present one.
func (b *catalogBook) History() aggregate.Catalogs { return *b.history.Load() }

// Current returns the catalog in force.
func (b *catalogBook) Current() *aggregate.Catalog { return b.History().Current() }

// load reads the history, and reports whether it has a catalog at all.
func (b *catalogBook) load(ctx context.Context) (bool, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	history, events, err := readCatalogs(ctx, b.store)
	if err != nil {
		return false, err
	}
	b.keep(history, events)
	if b.noticed == "" {
		b.noticed = history.CurrentHash()
	}
	return history.Current() != nil, nil
}

// adopt puts a catalog in force, by recording it, unless it is already.
func (b *catalogBook) adopt(ctx context.Context, catalog *aggregate.Catalog, now time.Time) (adopted bool, err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	for {
		history, events, err := readCatalogs(ctx, b.store)
		if err != nil {
			return false, err
		}
		b.keep(history, events)
		if history.CurrentHash() == catalog.Hash() {
			b.configured, b.noticed = catalog.Hash(), catalog.Hash()
			return false, nil
		}
		adoption := aggregate.CatalogAdopted{Schema: aggregate.Schema, Hash: catalog.Hash(), Catalog: catalog,
			AdoptedAt: history.NextAdoption(now).UTC()}
		event, err := ownEvent(aggregate.CatalogAdoptedType, adoption, now)
		if err != nil {
			return false, err
		}
		_, err = b.store.Append(ctx, catalogStream, behind(events), event)
		switch {
		case err == nil:
			b.keep(history.With(adoption), events+1)
			b.configured, b.noticed = catalog.Hash(), catalog.Hash()
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
		history, there, err := readCatalogs(ctx, b.store)
		if err != nil {
			return err
		}
		events, next, err := newMappings(history, mappings, now)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			b.keep(history, there)
			return nil
		}
		_, err = b.store.Append(ctx, catalogStream, behind(there), events...)
		switch {
		case err == nil:
			b.keep(next, there+uint64(len(events)))
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

// readCatalogs returns the history, and of how many events it is made.
func readCatalogs(ctx context.Context, store eventstore.Reader) (history aggregate.Catalogs, events uint64, err error) {
	for e, err := range store.ReadStream(ctx, catalogStream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return history, events, fmt.Errorf("read the catalogs: %w", err)
		}
		events = uint64(e.Revision) + 1
		if history, err = history.Evolve(e.Type, e.Data); err != nil {
			return history, events, fmt.Errorf("read the catalogs: revision %d: %w", e.Revision, err)
		}
	}
	return history, events, nil
}

// behind expects a stream of so many events.
func behind(events uint64) eventstore.ExpectedRevision {
	if events == 0 {
		return eventstore.NoStream
	}
	return eventstore.Exactly(eventstore.Revision(events - 1))
}
