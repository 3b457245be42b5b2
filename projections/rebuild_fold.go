package projections

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// foldParts folds the parts in parallel; one goroutine loads the rows.
func (b *rebuild) foldParts(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	// Loading keeps up with folding; the buffer only evens it out.
	loads := make(chan Rows, 2)
	group.Go(func() error {
		for rows := range loads {
			if err := b.into.Load(ctx, rows); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(loads)
		return b.foldInto(ctx, loads)
	})
	return group.Wait()
}

// foldInto has folders fold the parts, each the next that nobody has begun.
func (b *rebuild) foldInto(ctx context.Context, loads chan<- Rows) error {
	var begun atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range cmp.Or(b.Folders, runtime.GOMAXPROCS(0)) {
		group.Go(func() error {
			f := &folder{rebuild: b, loads: loads}
			for {
				part := int(begun.Add(1)) - 1
				if part >= len(b.parts.parts) {
					return nil
				}
				if err := f.foldPart(ctx, part); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// folder folds one part after the other. What it works with is used again.
type folder struct {
	*rebuild
	loads   chan<- Rows
	sorter  sorter
	decoder aggregate.Decoder
	rows    Rows
}

func (f *folder) foldPart(ctx context.Context, i int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	streams, err := f.parts.streams(i, &f.sorter)
	if err != nil {
		return err
	}
	f.rows = roomFor(streams)
	// In the order of their keys, rows come to lie side by side that will be
	// read one after the other, and indexes are filled from one end to the other.
	for _, s := range streams {
		byRevision := func(x, y eventstore.RecordedEvent) int { return cmp.Compare(x.Revision, y.Revision) }
		if !slices.IsSortedFunc(s.events, byRevision) { // several readers come in any order
			slices.SortFunc(s.events, byRevision)
		}
		if err := f.foldStream(s); err != nil {
			return err
		}
	}
	slices.SortFunc(f.rows.Entitlements, func(x, y EntitlementRow) int { return cmp.Compare(x.Account, y.Account) })
	select {
	case f.loads <- f.rows:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.progress(uint64(f.head) / uint64(len(f.parts.parts)))
	return nil
}

// roomFor makes room for the rows of streams.
func roomFor(streams []streamEvents) Rows {
	n := 0
	for _, s := range streams {
		if Kind(s.stream.Category()) == KindSubscription {
			n++
		}
	}
	return Rows{Subscriptions: make([]SubscriptionRow, 0, n), Entitlements: make([]EntitlementRow, 0, n), Prices: map[string]bool{}}
}

func (f *folder) foldStream(s streamEvents) error {
	stream, events := s.stream, s.events
	fresh := func() *folded {
		begun := newFolded(stream)
		begun.decoder = &f.decoder
		begun.state.Grow(len(events))
		return begun
	}
	var found *fault
	switch {
	case makesRows(stream):
		row, fault, err := foldStream(fresh(), events, f.catalogs, func() (*folded, []eventstore.RecordedEvent, error) {
			return fresh(), events, nil
		})
		if err != nil {
			return err
		}
		if err := f.addRow(row); err != nil {
			return err
		}
		found = fault
	case stream.Category() == "posting":
		out := foldPosting(stream, events)
		if found = out.fault; out.failure != nil {
			f.rows.Failures = append(f.rows.Failures, *out.failure)
		}
	default:
		found = checkOther(events)
	}
	if found != nil {
		f.rows.Parked = append(f.rows.Parked, found.park(stream, f.now))
	}
	return nil
}

// addRow adds a row, and the entitlement of a subscription's account as it is if
// nothing else belongs to it; the others are seen to at the end.
func (f *folder) addRow(made *row) error {
	switch {
	case made == nil:
		return nil
	case made.object != nil:
		f.rows.Objects = append(f.rows.Objects, *made.object)
		return nil
	}
	s := made.subscription
	f.rows.Subscriptions = append(f.rows.Subscriptions, *s)
	for _, price := range made.prices {
		f.rows.Prices[price] = true
	}
	if s.Account == "" {
		return nil
	}
	alone := &holding{Holding: aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{s.Truth}}}
	e, err := f.row(s.Account, alone, f.now)
	f.rows.Entitlements = append(f.rows.Entitlements, e)
	return err
}
