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

// continuation are events that a history lacks, and the history with them.
type continuation struct {
	history aggregate.Catalogs
	events  []eventstore.ProposedEvent
}

// change records what decide adds to the history that it is shown, if anything.
// With a conflict, somebody else wrote, and it is decided anew.
func (b *catalogBook) change(ctx context.Context, decide func(*continuation) error) (changed bool, err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	for {
		history, expected, err := readCatalogs(ctx, b.store)
		if err != nil {
			return false, err
		}
		b.history.Store(&history)
		c := &continuation{history: history}
		if err := decide(c); err != nil || len(c.events) == 0 {
			return false, err
		}
		_, err = b.store.Append(ctx, catalogStream, expected, c.events...)
		switch {
		case err == nil:
			b.history.Store(&c.history)
			return true, nil
		case !eventstore.IsConflict(err):
			return false, fmt.Errorf("record in %s: %w", catalogStream, err)
		}
	}
}

// adopt puts a catalog in force, by recording it, unless it is already.
func (b *catalogBook) adopt(ctx context.Context, catalog *aggregate.Catalog, now time.Time) (adopted bool, err error) {
	return b.change(ctx, func(c *continuation) error {
		if c.history.CurrentHash() == catalog.Hash() {
			return nil
		}
		adoption := aggregate.CatalogAdopted{Schema: aggregate.Schema, Hash: catalog.Hash(), Catalog: catalog,
			AdoptedAt: c.history.NextAdoption(now).UTC()}
		event, err := ownEvent(aggregate.CatalogAdoptedType, adoption, now)
		c.events, c.history = append(c.events, event), c.history.With(adoption)
		return err
	})
}

// mapPrices records what prices were first matched to by their lookup key,
// unless something that was seen before is recorded of them.
func (b *catalogBook) mapPrices(ctx context.Context, mappings []aggregate.PriceMapping, now time.Time) error {
	for part := range slices.Chunk(mappings, mappingsAtOnce) {
		if _, err := b.change(ctx, func(c *continuation) error { return c.mapPrices(part, now) }); err != nil {
			return err
		}
	}
	return nil
}

// mappingsAtOnce bounds an append well below what a store takes.
const mappingsAtOnce = 200

// withdrawPrices records, in one append, that mappings count no more, and those
// that take their place.
func (b *catalogBook) withdrawPrices(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, instead []aggregate.PriceMapping, now time.Time) error {
	_, err := b.change(ctx, func(c *continuation) error {
		return errors.Join(c.withdrawPrices(withdrawals, now), c.mapPrices(instead, now))
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
		if err := c.add(aggregate.PriceMappedType, m.Price, m.StripeEventID, m, now); err != nil {
			return err
		}
	}
	return nil
}

// withdrawPrices adds withdrawals that are not there.
func (c *continuation) withdrawPrices(withdrawals []aggregate.MappingWithdrawal, now time.Time) error {
	for _, w := range withdrawals {
		if slices.Contains(c.history.WithdrawnOf(w.StripeEventID), w.Price) {
			continue
		}
		w.WithdrawnAt = now.UTC()
		c.history = c.history.WithWithdrawal(w)
		if err := c.add(aggregate.MappingWithdrawnType, w.Price, w.StripeEventID, w, now); err != nil {
			return err
		}
	}
	return nil
}

// add adds an event about what a Stripe event showed of a price: its ID follows
// from the two.
func (c *continuation) add(eventType, price, stripeEventID string, content any, now time.Time) error {
	event, err := ownEvent(eventType, content, now)
	event.ID = eventstore.DeriveID(catalogStream, eventType, price, stripeEventID)
	c.events = append(c.events, event)
	return err
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
