package projections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// Moments bounds a look into the past. A zero time sets no bound.
type Moments struct {
	// AsOf bounds Stripe's times: what had happened.
	AsOf time.Time
	// KnownAt bounds ours: what had been recorded.
	KnownAt time.Time
}

// Past reports whether there is any bound.
func (m Moments) Past() bool { return m != Moments{} }

// Now is the moment at which access is judged: the one of Stripe's time that was
// asked for, else that of ours, else the present.
func (m Moments) Now(present time.Time) time.Time {
	switch {
	case !m.AsOf.IsZero():
		return m.AsOf
	case !m.KnownAt.IsZero():
		return m.KnownAt
	}
	return present
}

// reach reports whether t lies within both bounds.
func (m Moments) reach(t time.Time) bool {
	return (m.AsOf.IsZero() || !t.After(m.AsOf)) && (m.KnownAt.IsZero() || !t.After(m.KnownAt))
}

// catalogStream holds the catalogs that were adopted.
const catalogStream = eventstore.Stream("catalog-main")

// SubscriptionAt folds a subscription's stream as far as the moments allow, and
// its customer's. It returns what was true then, and from how many facts. A
// stream that is not there gives eventstore.ErrStreamNotFound.
func SubscriptionAt(ctx context.Context, store eventstore.Reader, id string, at Moments) (SubscriptionRecord, int, error) {
	sub, err := factsAt(ctx, store, id, at, everything)
	if err != nil {
		return SubscriptionRecord{}, 0, err
	}
	catalogs, err := CatalogsAt(ctx, store, at)
	if err != nil {
		return SubscriptionRecord{}, 0, err
	}
	truth := sub.Derive(catalogs)
	customer, _, err := objectAt(ctx, store, KindCustomer, customerOf(truth), at)
	return SubscriptionRecord{SubscriptionTruth: truth, Account: accountByClaim(truth.Link, customer.Account)}, sub.Len(), err
}

// everything bounds no position.
const everything uint64 = math.MaxUint64

// factsAt folds a subscription's stream as far as the moments and a position
// allow.
func factsAt(ctx context.Context, store eventstore.Reader, id string, at Moments, upTo uint64) (*aggregate.Subscription, error) {
	sub := aggregate.NewSubscription(id)
	stream := eventstore.NewStream(string(KindSubscription), id)
	err := foldKnown(ctx, store, stream, at.KnownAt, func(e aggregate.Event, place aggregate.Place) {
		if place.Position <= upTo {
			sub.Evolve(e, place)
		}
	})
	if err != nil {
		return nil, err
	}
	if !at.AsOf.IsZero() {
		sub = sub.AsOf(at.AsOf)
	}
	return sub, nil
}

// objectAt folds the stream of anything but a subscription as far as the moments
// allow, and tells whether anything was known of it then.
func objectAt(ctx context.Context, store eventstore.Reader, kind Kind, id string, at Moments) (row ObjectRow, known bool, err error) {
	f, known, err := foldedAt(ctx, store, kind, id, at)
	if err != nil || !known {
		return row, false, err
	}
	made, err := f.row(aggregate.Catalogs{})
	if err != nil {
		return row, false, err
	}
	return *made.object, true, nil
}

func foldedAt(ctx context.Context, store eventstore.Reader, kind Kind, id string, at Moments) (f *folded, known bool, err error) {
	if id == "" {
		return nil, false, nil
	}
	stream := eventstore.NewStream(string(kind), id)
	f = newFolded(stream)
	err = foldKnown(ctx, store, stream, at.KnownAt, func(e aggregate.Event, place aggregate.Place) {
		if happened := happenedAt(e); at.AsOf.IsZero() || !happened.After(at.AsOf) {
			f.state.Evolve(e, place)
			known = true
		}
	})
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		return f, false, nil
	}
	return f, known, err
}

// happenedAt is when what an event tells of came about: by Stripe's clock, or,
// for a decision, by ours.
func happenedAt(e aggregate.Event) time.Time {
	switch {
	case e.Fact != nil:
		return e.Fact.OccurredAt
	case e.Decision != nil:
		return e.Decision.DecidedAt
	}
	return time.Time{}
}

// foldKnown folds what was known of a stream at a time.
func foldKnown(ctx context.Context, store eventstore.Reader, stream eventstore.Stream, knownAt time.Time, evolve func(aggregate.Event, aggregate.Place)) error {
	recorded, err := readKnown(ctx, store, stream, knownAt)
	if err != nil {
		return err
	}
	for _, ev := range recorded {
		event, err := aggregate.Decode(ev.Type, ev.Data)
		if err != nil {
			return fmt.Errorf("fold %s at revision %d: %w", ev.Stream, ev.Revision, err)
		}
		evolve(event, aggregate.Place{Position: uint64(ev.Position)})
	}
	return nil
}

// readKnown reads a stream as it was known at a time: up to the last event that
// was recorded by then. It bounds events before they are folded, for a later
// correction must not displace what it corrected before it was made.
func readKnown(ctx context.Context, store eventstore.Reader, stream eventstore.Stream, knownAt time.Time) ([]eventstore.RecordedEvent, error) {
	var events []eventstore.RecordedEvent
	known := 0
	for ev, err := range store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		events = append(events, ev)
		if knownAt.IsZero() {
			known = len(events)
			continue
		}
		meta, err := eventstore.DecodeMetadata(ev.Metadata)
		if err != nil {
			return nil, fmt.Errorf("read %s at revision %d: %w", stream, ev.Revision, err)
		}
		if !meta.RecordedAt.After(knownAt) {
			known = len(events)
		}
	}
	return events[:known], nil
}

// CatalogsAt returns the catalogs that had been adopted by both moments, so that
// the past is explained by the catalog of the past. Before the first adoption
// the first catalog stands in; a record without any, the built-in one.
func CatalogsAt(ctx context.Context, store eventstore.Reader, at Moments) (aggregate.Catalogs, error) {
	var catalogs aggregate.Catalogs
	events, err := readKnown(ctx, store, catalogStream, time.Time{})
	if err != nil && !errors.Is(err, eventstore.ErrStreamNotFound) {
		return catalogs, err
	}
	for _, ev := range events {
		next, err := catalogs.Evolve(ev.Type, ev.Data)
		if err != nil {
			return catalogs, fmt.Errorf("read %s at revision %d: %w", ev.Stream, ev.Revision, err)
		}
		if changed, err := catalogChangedAt(&ev); err != nil {
			return catalogs, err
		} else if catalogs.Current() == nil && next.Current() != nil || at.reach(changed) {
			catalogs = next
		}
	}
	return OrBuiltin(catalogs), nil
}

// catalogChangedAt is our clock when an event of the catalogs' stream was recorded.
func catalogChangedAt(e *eventstore.RecordedEvent) (time.Time, error) {
	event, err := aggregate.DecodeCatalogEvent(e.Type, e.Data)
	return event.RecordedAt(), err
}
