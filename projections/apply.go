package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// applier folds batches of events into a model, each in one transaction with
// its checkpoint. It is for one goroutine at a time.
type applier struct {
	opts  Options
	model Model
	cache *foldedCache

	// What follows is as the model has it.
	evaluator
	checkpoint Checkpoint
	// charges marks those by which streams are named.
	charges *marks
	// parked holds the streams that are, with the event at which each was.
	parked map[eventstore.Stream]eventstore.Revision
}

func newApplier(opts Options, model Model) *applier {
	return &applier{opts: opts, model: model, cache: newFoldedCache(opts.CachedStreams), charges: newMarks(),
		evaluator: evaluator{epoch: opts.Epoch, livemode: opts.Livemode, marks: newMarks()}}
}

// load takes over what the model has.
func (a *applier) load(ctx context.Context) error {
	a.cache.purge()
	checkpoint, err := a.model.Checkpoint(ctx)
	if err != nil {
		return err
	}
	catalogs, err := a.model.Catalogs(ctx)
	if err != nil {
		return err
	}
	parked, err := a.model.Parked(ctx)
	if err != nil {
		return err
	}
	marks, charges := newMarks(), newMarks()
	err = a.model.Update(ctx, func(tx Tx) error { return errors.Join(marks.load(tx), charges.loadCharges(tx)) })
	if err != nil {
		return err
	}
	a.checkpoint, a.catalogs, a.marks, a.charges = checkpoint, OrBuiltin(catalogs), marks, charges
	a.parked = parkedAt(parked)
	return nil
}

// parkedAt tells at which event each stream was parked.
func parkedAt(parked []Parked) map[eventstore.Stream]eventstore.Revision {
	at := make(map[eventstore.Stream]eventstore.Revision, len(parked))
	for _, p := range parked {
		at[p.Stream] = p.Revision
	}
	return at
}

// apply folds a batch that reaches to the position of upTo. Events that are in
// the model are passed over. An error leaves model and applier as they were.
func (a *applier) apply(ctx context.Context, events []eventstore.RecordedEvent, upTo eventstore.Position) (*changes, error) {
	c, err := a.fold(ctx, events)
	if err == nil {
		err = a.write(ctx, c, upTo)
	}
	if err != nil {
		a.cache.purge() // it may be ahead of the model
		return nil, err
	}
	maps.Copy(a.parked, parkedAt(c.parked))
	return c, nil
}

// streamsEach is how many streams are worth another goroutine. What gathers
// while webhooks come in is folded by one: the other processors are for those,
// since somebody is waiting for their answer.
const streamsEach = 2000

// fold makes the changes; those of many streams on all processors.
func (a *applier) fold(ctx context.Context, events []eventstore.RecordedEvent) (*changes, error) {
	parts := a.byStream(events)
	c := &changes{subscriptions: make([]SubscriptionRow, 0, len(parts))}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), 1+len(parts)/streamsEach) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(parts) || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := a.foldStream(ctx, c, parts[i][0].Stream, parts[i]); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// The order of the rows in the file does not depend on the scheduler.
	slices.SortFunc(c.subscriptions, func(x, y SubscriptionRow) int { return strings.Compare(x.Truth.ID, y.Truth.ID) })
	slices.SortFunc(c.objects, func(x, y ObjectRow) int {
		return cmp.Or(strings.Compare(string(x.Kind), string(y.Kind)), strings.Compare(x.ID, y.ID))
	})
	return c, nil
}

// byStream splits a batch into the parts of its streams.
func (a *applier) byStream(events []eventstore.RecordedEvent) [][]eventstore.RecordedEvent {
	var parts [][]eventstore.RecordedEvent
	places := make(map[eventstore.Stream]int, len(events))
	for _, e := range events {
		if _, parked := a.parked[e.Stream]; parked || e.Position <= a.checkpoint.Position {
			continue
		}
		place, seen := places[e.Stream]
		if !seen {
			place = len(parts)
			places[e.Stream] = place
			parts = append(parts, nil)
		}
		parts[place] = append(parts[place], e)
	}
	return parts
}

func (a *applier) foldStream(ctx context.Context, c *changes, stream eventstore.Stream, events []eventstore.RecordedEvent) error {
	if makesRows(stream) {
		return a.foldOne(ctx, c, stream, events)
	}
	switch stream.Category() {
	case "posting":
		out := foldPosting(stream, events)
		c.addPosting(stream, out)
		c.park(stream, out.fault, a.opts.Now())
	case "catalog":
		// One that can be read never comes here: see takeCatalog.
		c.park(stream, &fault{position: events[0].Position, revision: events[0].Revision, err: checkCatalog(&events[0])}, a.opts.Now())
	default:
		c.park(stream, checkOther(events), a.opts.Now())
	}
	return nil
}

// foldOne folds the events of one stream on top of those before them.
func (a *applier) foldOne(ctx context.Context, c *changes, stream eventstore.Stream, events []eventstore.RecordedEvent) error {
	first, last := events[0].Revision, events[len(events)-1].Revision
	f, err := a.takeKept(ctx, stream, first)
	if err != nil {
		return err
	}
	if f == nil {
		f = newFolded(stream)
		f.rests = true
		if first == 0 {
			f.invoices = []string{}
		}
		before, err := a.read(ctx, stream, first)
		if err != nil {
			return err
		}
		if fault := f.take(before); fault != nil {
			c.park(stream, fault, a.opts.Now())
			return nil
		}
	}
	row, fault, err := foldStream(f, events, a.catalogs, func() (*folded, []eventstore.RecordedEvent, error) {
		all, err := a.read(ctx, stream, last+1)
		return newFolded(stream), all, err
	})
	if err != nil {
		return err
	}
	c.park(stream, fault, a.opts.Now())
	if row != nil {
		c.addRow(*row, f)
	}
	if fault == nil {
		a.keep(stream, f)
	}
	return nil
}

// takeKept returns what is kept of a stream of which all before a revision was
// folded, nil if nothing is.
func (a *applier) takeKept(ctx context.Context, stream eventstore.Stream, first eventstore.Revision) (*folded, error) {
	f := a.cache.take(stream)
	if f == nil || f.next < first {
		return nil, nil
	}
	woken, err := a.wake(ctx, stream, f)
	if !woken {
		return nil, err
	}
	return f, nil
}

// wake gives back its state to what is kept of a stream. It reports false if the
// events that were folded are not there any more.
func (a *applier) wake(ctx context.Context, stream eventstore.Stream, f *folded) (bool, error) {
	events, err := a.opts.Recent.Before(ctx, stream, f.next)
	if errors.Is(err, eventstore.ErrStreamDeleted) {
		return false, nil
	}
	if err != nil || len(events) != f.events {
		return false, err
	}
	f.wake(events)
	return true, nil
}

// keep keeps what was folded of a stream.
func (a *applier) keep(stream eventstore.Stream, f *folded) {
	fresh := f.rest()
	a.opts.Recent.Add(stream, f.next-eventstore.Revision(len(fresh)), fresh...)
	a.cache.put(stream, f)
}

// read returns the events of a stream before a revision. What comes behind it
// is left for its own batch, so that a model never runs ahead of its checkpoint.
func (a *applier) read(ctx context.Context, stream eventstore.Stream, before eventstore.Revision) ([]eventstore.RecordedEvent, error) {
	if before == 0 {
		return nil, nil
	}
	var events []eventstore.RecordedEvent
	for e, err := range a.opts.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, int(before)) {
		if errors.Is(err, eventstore.ErrStreamNotFound) || errors.Is(err, eventstore.ErrStreamDeleted) {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", stream, err)
		}
		if e.Revision >= before {
			break
		}
		events = append(events, e)
	}
	return events, nil
}

// write puts the changes, what follows from them by the join, and the
// checkpoint into the model.
func (a *applier) write(ctx context.Context, c *changes, upTo eventstore.Position) error {
	now := a.opts.Now()
	next := Checkpoint{Position: upTo, Epoch: a.opts.Epoch, Schema: Schema, Filter: Prefixes, At: now.UTC()}
	err := a.model.Update(ctx, func(tx Tx) error {
		c.due, c.evaluated = time.Time{}, nil
		affected, err := c.writeRows(&rejoin{tx: tx, marks: a.marks, charges: a.charges, affected: affected{}, due: c.dueAt,
			forget: a.forgetPlace, facts: func(payment string) (*aggregate.FactSet, error) { return a.factsOf(ctx, c, payment, upTo) }}, now)
		if err != nil {
			return err
		}
		written := c.truths()
		for _, account := range affected.sorted() {
			row, err := a.evaluate(tx, account, written, now)
			if err != nil {
				return err
			}
			c.evaluated = append(c.evaluated, row)
			c.dueAt(row.Until)
		}
		return tx.SetCheckpoint(next)
	})
	if err == nil {
		a.checkpoint = next
	}
	return err
}

// forgetPlace drops what is remembered of where the model has a subscription,
// because something else than its own events has moved it.
func (a *applier) forgetPlace(subscription string) {
	a.cache.moved(eventstore.NewStream(string(KindSubscription), subscription))
}

// factsOf returns the facts of a payment's stream, up to the position that a
// batch reaches to. What is kept has those of the batch.
func (a *applier) factsOf(ctx context.Context, c *changes, payment string, upTo eventstore.Position) (*aggregate.FactSet, error) {
	stream := eventstore.NewStream(string(KindPayment), payment)
	if kept := a.cache.peek(stream); kept != nil {
		f := *kept
		if woken, err := a.wake(ctx, stream, &f); woken || err != nil {
			return f.facts, err
		}
	}
	parked := parkedAt(c.parked)
	maps.Copy(parked, a.parked)
	return paymentFacts(ctx, a.opts.Store, payment, upTo, parked)
}
