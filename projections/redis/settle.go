package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/projections"
)

// The bounds of a batch.
const (
	firstChunk = 256
	mostChunk  = 512
	moreChunk  = 16
)

// chunks is how many entries go in one batch: fewer as long as batches are not
// answered in time, so that a slow server is served slowly rather than never.
type chunks struct{ size *atomic.Int64 }

func newChunks() chunks {
	c := chunks{new(atomic.Int64)}
	c.size.Store(firstChunk)
	return c
}

func (c chunks) next() int { return int(c.size.Load()) }

func (c chunks) learn(err error) {
	size := c.size.Load()
	switch {
	case err == nil:
		c.size.CompareAndSwap(size, min(size+moreChunk, mostChunk))
	case errors.Is(err, projections.ErrOutletAway):
		c.size.CompareAndSwap(size, max(size/2, 1))
	}
}

// inFlight is how many batches are on their way at once: one is prepared while
// the server works on another.
const inFlight = 2

// task is what is to be settled: n requests, which prepare makes.
type task struct {
	doing   string
	script  *client.Script
	prepare func(i int) (*request, error)
	results []projections.Outcome

	mu     sync.Mutex
	next   int
	failed int
	last   error // of what failed
	ended  bool  // a batch failed as a whole: the rest is not tried
}

// settle makes every request, batch by batch, and puts down what became of each.
// It goes on behind a batch that failed in part, and ends with one that failed as
// a whole.
func (o *Outlet) settle(ctx context.Context, t *task) error {
	var workers sync.WaitGroup
	for range min(inFlight, 1+len(t.results)/firstChunk) {
		workers.Go(func() {
			for {
				from, to := t.take(o.chunks.next())
				if from == to {
					return
				}
				o.settleSome(ctx, t, from, to)
			}
		})
	}
	workers.Wait()
	t.failed += len(t.results) - t.next
	if t.failed == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d of %d failed, the last: %w", t.doing, t.failed, len(t.results), t.last)
}

// take returns the bounds of the next batch, which is empty when there is none.
func (t *task) take(size int) (from, to int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if from = t.next; !t.ended {
		t.next = min(from+size, len(t.results))
	}
	return from, t.next
}

func (o *Outlet) settleSome(ctx context.Context, t *task, from, to int) {
	batch := make([]*request, 0, to-from)
	var invalid error
	for i := from; i < to; i++ {
		r, err := t.prepare(i)
		if err != nil {
			t.results[i], invalid = projections.OutcomeInvalid, err
			continue
		}
		r.place = i
		batch = append(batch, r)
	}
	err := o.batch(ctx, t.script, batch)
	o.chunks.learn(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if invalid != nil {
		t.failed, t.last = t.failed+to-from-len(batch), invalid
	}
	for _, r := range batch {
		if t.results[r.place] = outcomes[r.outcome()]; t.results[r.place] == projections.OutcomeFailed {
			t.failed, t.last = t.failed+1, r.err
		}
	}
	if err != nil {
		t.ended, t.last = true, err
	}
}

// outcome is the script's word, empty if it did not run.
func (r *request) outcome() string {
	if r.err != nil {
		return ""
	}
	return r.word()
}

// batch runs a script for some, and once more for those that met something
// forged. The error is that of a batch none of whose requests came through.
func (o *Outlet) batch(ctx context.Context, script *client.Script, batch []*request) error {
	if len(batch) == 0 {
		return nil
	}
	if err := o.runAll(ctx, script, batch); err != nil {
		return err
	}
	var again []*request
	for _, r := range batch {
		if r.err != nil || !o.forgedBy(r) {
			continue
		}
		switch outcomes[r.word()] {
		case projections.OutcomeWritten, projections.OutcomeRenewed:
			r.reply[0] = "replaced" // it is gone already
		default:
			r.args[r.forged] = r.text(1)
			again = append(again, r)
		}
	}
	if len(again) == 0 {
		return nil
	}
	return o.runAll(ctx, script, again)
}

// forgedBy reports whether what a request met was not signed by us.
func (o *Outlet) forgedBy(r *request) bool {
	there := r.text(1)
	if there == nil {
		return false
	}
	if outcomes[r.word()] == projections.OutcomeRenewed {
		there = append(append(make([]byte, 0, len(r.content)+len(there)), r.content...), there...)
	}
	return o.keys.Load().Verify(r.key, there) != nil
}

// runAll is one round trip for some requests, to each server that has some of
// their keys.
func (o *Outlet) runAll(ctx context.Context, script *client.Script, requests []*request) error {
	calls := make([]*call, len(requests))
	for i, r := range requests {
		calls[i] = &r.call
	}
	err := o.do(ctx, func(ctx context.Context) error {
		runAll(ctx, o.client, script, calls)
		return firstIfAll(calls)
	})
	for _, c := range calls {
		if c.err = explain(c.err); err != nil {
			c.err = err
		}
	}
	return err
}

// firstIfAll is an error if every call failed: one that came through shows that
// there is a server.
func firstIfAll(calls []*call) error {
	for _, c := range calls {
		if c.err == nil {
			return nil
		}
	}
	return calls[0].err
}
