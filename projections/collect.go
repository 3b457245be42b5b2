package projections

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// errSubscriptionEnded is of a store that breaks its contract.
var errSubscriptionEnded = errors.New("the subscription ended without an error")

// collector takes events over from a subscription while the runner writes those
// before, or lets them gather: so they are had from the store while it still
// holds them in memory. It is bounded.
type collector struct {
	bound int

	mu     sync.Mutex
	got    collected
	told   bool // a message came since the last take
	wanted bool // somebody waits for the first
	err    error
	ended  bool

	came  chan struct{} // has a token when there may be something to take
	taken chan struct{} // has a token when there may be room again
}

// collected is what came since the last time.
type collected struct {
	events []eventstore.RecordedEvent
	// position is how far the log was delivered, caughtUp that this was all.
	position eventstore.Position
	caughtUp bool
}

func newCollector(bound int) *collector {
	return &collector{bound: bound, came: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// run collects until the subscription or ctx ends.
func (c *collector) run(ctx context.Context, messages iter.Seq2[eventstore.Message, error]) {
	for m, err := range messages {
		if err == nil {
			err = c.put(ctx, m)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
	c.end(cmp.Or(ctx.Err(), errSubscriptionEnded))
}

// put takes one message in, and waits for room behind it.
func (c *collector) put(ctx context.Context, m eventstore.Message) error {
	c.mu.Lock()
	if m.Event != nil {
		c.got.events = append(c.got.events, *m.Event)
	}
	c.got.position, c.got.caughtUp, c.told = m.Position, m.CaughtUp, true
	full := c.full()
	if full || m.CaughtUp && c.wanted {
		signal(c.came)
	}
	c.mu.Unlock()
	for full {
		select {
		case <-c.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
		full = c.full()
		c.mu.Unlock()
	}
	return nil
}

func (c *collector) full() bool { return len(c.got.events) >= c.bound }

func (c *collector) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.err = true, err
	signal(c.came)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // there is a token
	}
}

// take waits until the subscriber has been told that there is no more, then
// until a moment if there is something to write, and returns what was collected
// by then. A full collector ends every wait. An error is the subscription's, or
// ctx's; what was collected before it is given up.
func (c *collector) take(ctx context.Context, until time.Time) (collected, error) {
	if err := c.await(ctx, nil, func() bool { return c.told && c.got.caughtUp }); err != nil {
		return collected{}, err
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	if err := c.await(ctx, timer.C, func() bool { return len(c.got.events) == 0 }); err != nil {
		return collected{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got, c.told = collected{}, false
	signal(c.taken)
	return got, nil
}

// await waits until a condition is met, a moment has come, or the collector is
// full.
func (c *collector) await(ctx context.Context, moment <-chan time.Time, met func() bool) error {
	for {
		c.mu.Lock()
		done, err := c.full() || met(), c.err
		if c.ended {
			c.mu.Unlock()
			return err
		}
		c.wanted = !done && moment == nil
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-c.came:
		case <-moment:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
