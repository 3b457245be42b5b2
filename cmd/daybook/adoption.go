package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// continuation are events that a history lacks, and the history with them.
type continuation struct {
	history aggregate.Catalogs
	events  []eventstore.ProposedEvent
}

// change records what decide adds to the history that it is shown, if anything.
// With a conflict, somebody else wrote, and it is decided anew. It is called
// under writing.
func (b *catalogBook) change(ctx context.Context, decide func(*continuation) error) (changed bool, err error) {
	for {
		history, there, err := readCatalogs(ctx, b.store)
		if err != nil {
			return false, err
		}
		b.keep(history, there)
		c := &continuation{history: history}
		if err := decide(c); err != nil || len(c.events) == 0 {
			return false, err
		}
		there, err = b.append(ctx, there, c.events)
		switch {
		case err == nil:
			b.keep(c.history, there)
			return true, nil
		case !eventstore.IsConflict(err):
			return false, fmt.Errorf("record in %s: %w", catalogStream, err)
		}
	}
}

// eventsAtOnce bounds an append well below what a store takes.
const eventsAtOnce = 200

// append appends events behind so many, and returns how many there are then.
func (b *catalogBook) append(ctx context.Context, there uint64, events []eventstore.ProposedEvent) (uint64, error) {
	for part := range slices.Chunk(events, eventsAtOnce) {
		if _, err := b.store.Append(ctx, catalogStream, behind(there), part...); err != nil {
			return there, err
		}
		there += uint64(len(part))
	}
	return there, nil
}

// adopt puts a catalog in force, by recording it, unless it is already.
func (b *catalogBook) adopt(ctx context.Context, catalog *aggregate.Catalog, now time.Time) (adopted bool, err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	adopted, err = b.change(ctx, func(c *continuation) error {
		if c.history.CurrentHash() == catalog.Hash() {
			return nil
		}
		adoption := aggregate.CatalogAdopted{Schema: aggregate.Schema, Hash: catalog.Hash(), Catalog: catalog,
			AdoptedAt: c.history.NextAdoption(now).UTC()}
		event, err := ownEvent(aggregate.CatalogAdoptedType, adoption, now)
		c.events, c.history = append(c.events, event), c.history.With(adoption)
		return err
	})
	if err == nil {
		b.configured, b.noticed = catalog.Hash(), catalog.Hash()
	}
	return adopted, err
}

// mapPrices records what prices were first matched to by their lookup key,
// unless something that was seen before is recorded of them.
func (b *catalogBook) mapPrices(ctx context.Context, mappings []aggregate.PriceMapping, now time.Time) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	_, err := b.change(ctx, func(c *continuation) error { return c.mapPrices(mappings, now) })
	return err
}

// withdrawPrices records that mappings count no more, and those that take their
// place: those of one price next to each other, and in one append unless they are
// very many.
func (b *catalogBook) withdrawPrices(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, instead []aggregate.PriceMapping, now time.Time) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	of := map[string][]aggregate.PriceMapping{}
	for _, m := range instead {
		of[m.Price] = append(of[m.Price], m)
	}
	withdrawals = slices.SortedStableFunc(slices.Values(withdrawals), func(a, b aggregate.MappingWithdrawal) int { return strings.Compare(a.Price, b.Price) })
	_, err := b.change(ctx, func(c *continuation) error {
		for i, w := range withdrawals {
			if err := c.withdraw(w, now); err != nil {
				return err
			}
			if i+1 < len(withdrawals) && withdrawals[i+1].Price == w.Price {
				continue
			}
			if err := c.mapPrices(of[w.Price], now); err != nil {
				return err
			}
		}
		return c.mapPrices(instead, now) // of prices of which nothing is withdrawn
	})
	return err
}

// mapPrices adds mappings, but for those before which something else was seen.
func (c *continuation) mapPrices(mappings []aggregate.PriceMapping, now time.Time) error {
	for _, m := range mappings {
		m.MappedAt = now.UTC()
		next := c.history.WithMapping(m)
		if len(next.Mappings()) == len(c.history.Mappings()) {
			continue
		}
		c.history = next
		if err := c.add(aggregate.PriceMappedType, m, now, m.Price, m.StripeEventID, m.Stream, strconv.Itoa(m.Epoch)); err != nil {
			return err
		}
	}
	return nil
}

// withdraw adds a withdrawal, unless it is there.
func (c *continuation) withdraw(w aggregate.MappingWithdrawal, now time.Time) error {
	if c.history.Holds(w) {
		return nil
	}
	w.WithdrawnAt = now.UTC()
	c.history = c.history.WithWithdrawal(w)
	return c.add(aggregate.MappingWithdrawnType, w, now, w.Price, w.StripeEventID, w.Stream, strconv.Itoa(w.SupersededBy))
}

// add adds an event about a price: its ID follows from what it is about.
func (c *continuation) add(eventType string, content any, now time.Time, about ...string) error {
	event, err := ownEvent(eventType, content, now)
	event.ID = eventstore.DeriveID(catalogStream, append([]string{eventType}, about...)...)
	c.events = append(c.events, event)
	return err
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
