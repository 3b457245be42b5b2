package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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
	if err := b.seal(ctx); err != nil {
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

// seal ends the loading, while what was set aside goes: both keep the system busy.
func (b *rebuild) seal(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(b.parts.close)
	group.Go(func() error { return b.into.Seal(ctx) })
	return group.Wait()
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
	wanted := filter()
	wanted.DataOnly = true
	group, ctx := errgroup.WithContext(ctx)
	for r := range b.Readers {
		group.Go(func() error {
			for i := r; i < size; i += b.Readers {
				from := b.head * eventstore.Position(i) / eventstore.Position(size)
				for e, err := range b.Store.ReadAll(ctx, from, eventstore.Forwards, wanted, 1) {
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
