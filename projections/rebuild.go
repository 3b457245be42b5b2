package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// RebuildOptions bounds what a rebuild uses.
type RebuildOptions struct {
	// Dir is where events are set aside that do not fit in memory; empty is
	// the system's directory for temporary files.
	Dir string
	// MemoryBytes bounds the events that are held as bytes; 0 means 64 MiB.
	// Decoded facts and the model's own pages come on top.
	MemoryBytes int
	// Readers is how many parts of the log are read at the same time. 0 means one,
	// and is for stores whose positions are opaque; in all others any number up to
	// the head can stand for a position.
	Readers int
	// Folders is how many streams are folded at the same time; 0 means as many
	// as there are processors.
	Folders int
}

// Source is what a rebuild folds.
type Source struct {
	Store    eventstore.Reader
	Epoch    string
	Livemode bool
	Now      func() time.Time
	RebuildOptions
}

// Rebuild folds the log from zero to its present head into an empty model made
// by Model.Beside, which it seals. Progress, if not nil, hears how much of the
// work is done; it is called by one goroutine at a time, a few hundred times.
func Rebuild(ctx context.Context, from Source, into Model, progress func(done, total uint64)) (Checkpoint, error) {
	if from.MemoryBytes <= 0 {
		from.MemoryBytes = 64 << 20
	}
	head, err := from.Store.Head(ctx)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("rebuild: %w", err)
	}
	b := &rebuild{Source: from, into: into, head: head, now: from.Now(), report: progress,
		evaluator: evaluator{epoch: from.Epoch, livemode: from.Livemode, marks: newMarks()}}
	sample, err := b.sample(ctx)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("rebuild: %w", err)
	}
	b.parts = newPartitions(uint64(head), sample, from.MemoryBytes, from.Dir)
	err = b.run(ctx)
	if err = errors.Join(err, b.parts.close()); err != nil {
		return Checkpoint{}, fmt.Errorf("rebuild: %w", err)
	}
	return b.checkpoint(), nil
}

// rebuild is one run of Rebuild. It goes over the log once, setting the events
// apart by stream; then folds every stream, part by part, and evaluates its
// account as if nothing else belonged to it; and last joins, and evaluates again
// the accounts to which more belongs.
type rebuild struct {
	Source
	into  Model
	head  eventstore.Position
	now   time.Time
	parts *partitions

	mu       sync.Mutex // guards what follows
	adopted  []eventstore.RecordedEvent
	report   func(done, total uint64)
	reported uint64
	done     atomic.Uint64

	evaluator
	history []eventstore.RecordedEvent // what the catalogs were folded of
}

func (b *rebuild) run(ctx context.Context) error {
	if err := b.scan(ctx); err != nil {
		return err
	}
	rows, err := b.foldCatalogs()
	if err != nil {
		return err
	}
	if err := b.into.Load(ctx, rows); err != nil {
		return err
	}
	if err := b.foldParts(ctx); err != nil {
		return err
	}
	if err := b.into.Seal(ctx); err != nil {
		return err
	}
	if err := b.join(ctx); err != nil {
		return err
	}
	err = b.into.Update(ctx, func(tx Tx) error {
		for _, e := range b.history {
			if err := tx.AddCatalog(e.Type, e.Data); err != nil {
				return err
			}
		}
		return tx.SetCheckpoint(b.checkpoint())
	})
	b.progress(2*uint64(b.head) - b.done.Load())
	return err
}

func (b *rebuild) checkpoint() Checkpoint {
	return Checkpoint{Position: b.head, Epoch: b.Epoch, Schema: Schema, Filter: Prefixes, At: b.now.UTC()}
}

// progress counts work: half of it is reading the log, half is folding.
func (b *rebuild) progress(more uint64) {
	done, total := b.done.Add(more), 2*uint64(b.head)
	if b.report == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if done >= b.reported+total/200 || done == total {
		b.reported = done
		b.report(min(done, total), total)
	}
}

// sample returns the streams of events that are spread evenly over the log, none
// where positions are opaque.
func (b *rebuild) sample(ctx context.Context) ([]eventstore.Stream, error) {
	size := samplePerPart * partsFor(uint64(b.head))
	if b.Readers < 1 || b.head < eventstore.Position(size) {
		return nil, nil
	}
	sample := make([]eventstore.Stream, size)
	group, ctx := errgroup.WithContext(ctx)
	for r := range b.Readers {
		group.Go(func() error {
			for i := r; i < size; i += b.Readers {
				from := b.head * eventstore.Position(i) / eventstore.Position(size)
				for e, err := range b.Store.ReadAll(ctx, from, eventstore.Forwards, filter(), 1) {
					if err != nil {
						return err
					}
					sample[i] = e.Stream
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(sample, func(s eventstore.Stream) bool { return s == "" }), err
}

// scan sets the events of the log apart.
func (b *rebuild) scan(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	readers := eventstore.Position(max(1, b.Readers))
	for i := range readers {
		from, to := b.head*i/readers, b.head*(i+1)/readers
		group.Go(func() error { return b.scanRange(ctx, from, to) })
	}
	return group.Wait()
}

func (b *rebuild) scanRange(ctx context.Context, from, to eventstore.Position) error {
	const step = 1000
	at := from
	wanted := filter()
	wanted.DataOnly = true
	for e, err := range b.Store.ReadAll(ctx, from, eventstore.Forwards, wanted, 0) {
		if err != nil {
			return err
		}
		if e.Position > to {
			break
		}
		if e.Stream.Category() == "catalog" {
			b.mu.Lock()
			b.adopted = append(b.adopted, e)
			b.mu.Unlock()
		} else if err := b.parts.add(&e); err != nil {
			return err
		}
		if e.Position >= at+step {
			b.progress(uint64(e.Position - at))
			at = e.Position
		}
	}
	b.progress(uint64(to - at))
	return nil
}

// foldCatalogs makes the history of catalogs.
func (b *rebuild) foldCatalogs() (Rows, error) {
	slices.SortFunc(b.adopted, func(x, y eventstore.RecordedEvent) int { return cmp.Compare(x.Position, y.Position) })
	var rows Rows
	parked := map[eventstore.Stream]bool{}
	for i := range b.adopted {
		e := &b.adopted[i]
		if parked[e.Stream] {
			continue
		}
		next, err := b.catalogs.Evolve(e.Type, e.Data)
		if err != nil {
			parked[e.Stream] = true
			f := fault{position: e.Position, revision: e.Revision, err: err}
			rows.Parked = append(rows.Parked, f.park(e.Stream, b.now))
			continue
		}
		b.history = append(b.history, *e)
		b.catalogs = next
	}
	b.catalogs = OrBuiltin(b.catalogs)
	return rows, nil
}

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
		folders, ctx := errgroup.WithContext(ctx)
		folders.SetLimit(cmp.Or(b.Folders, runtime.GOMAXPROCS(0)))
		for i := range b.parts.parts {
			folders.Go(func() error { return b.foldPart(ctx, i, loads) })
		}
		return folders.Wait()
	})
	return group.Wait()
}

func (b *rebuild) foldPart(ctx context.Context, i int, loads chan<- Rows) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	streams, err := b.parts.streams(i)
	if err != nil {
		return err
	}
	rows := Rows{Prices: map[string]bool{}}
	decoder := &aggregate.Decoder{}
	// In the order of their keys, rows come to lie side by side that will be
	// read one after the other, and indexes are filled from one end to the other.
	for _, s := range streams {
		byRevision := func(x, y eventstore.RecordedEvent) int { return cmp.Compare(x.Revision, y.Revision) }
		if !slices.IsSortedFunc(s.events, byRevision) { // several readers come in any order
			slices.SortFunc(s.events, byRevision)
		}
		if err := b.foldStream(&rows, decoder, s); err != nil {
			return err
		}
	}
	slices.SortFunc(rows.Entitlements, func(x, y EntitlementRow) int { return cmp.Compare(x.Account, y.Account) })
	select {
	case loads <- rows:
	case <-ctx.Done():
		return ctx.Err()
	}
	b.progress(uint64(b.head) / uint64(len(b.parts.parts)))
	return nil
}

func (b *rebuild) foldStream(rows *Rows, decoder *aggregate.Decoder, s streamEvents) error {
	stream, events := s.stream, s.events
	fresh := func() *folded {
		f := newFolded(stream)
		f.decoder = decoder
		return f
	}
	var found *fault
	switch {
	case makesRows(stream):
		row, fault, err := foldStream(fresh(), events, b.catalogs, func() (*folded, []eventstore.RecordedEvent, error) {
			return fresh(), events, nil
		})
		if err != nil {
			return err
		}
		if err := b.addRow(rows, row); err != nil {
			return err
		}
		found = fault
	case stream.Category() == "posting":
		out := foldPosting(stream, events)
		if found = out.fault; out.failure != nil {
			rows.Failures = append(rows.Failures, *out.failure)
		}
	default:
		found = checkOther(events)
	}
	if found != nil {
		rows.Parked = append(rows.Parked, found.park(stream, b.now))
	}
	return nil
}

// addRow adds a row, and the entitlement of a subscription's account as it is if
// nothing else belongs to it; the others are seen to at the end.
func (b *rebuild) addRow(rows *Rows, made *row) error {
	switch {
	case made == nil:
		return nil
	case made.object != nil:
		rows.Objects = append(rows.Objects, *made.object)
		return nil
	}
	s := *made.subscription
	rows.Subscriptions = append(rows.Subscriptions, s)
	for _, price := range made.prices {
		rows.Prices[price] = true
	}
	if s.Account == "" {
		return nil
	}
	alone := &holding{Holding: aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{s.Truth}}}
	e, err := b.row(s.Account, alone, b.now)
	rows.Entitlements = append(rows.Entitlements, e)
	return err
}
