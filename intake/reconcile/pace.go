package reconcile

import (
	"context"
	"time"
)

// The pace of a sweep.
const (
	// restsFor is how many times as long as it works a sweep rests: it has a
	// quarter of one processor's time at most, and where webhooks keep the store
	// busy, so that its work takes longer, it does less.
	restsFor = 3
	// leastRest is the least worth resting for, and mostRest the most: a store
	// that stands still does not hold up a sweep beyond that.
	leastRest, mostRest = time.Millisecond, time.Second
)

// pace spreads the work of a sweep while webhooks are coming, so that they do not
// wait for all of a page, and what follows from its records does not come all at
// once.
type pace struct {
	busy  func() bool // whether webhooks are coming
	ended time.Time   // the last piece of work
	owed  time.Duration
}

// keep does a piece of work and rests behind it; without a pace it does the work.
// One goroutine at a time may call it.
func (p *pace) keep(ctx context.Context, work func() error) error {
	if p == nil {
		return work()
	}
	began := time.Now()
	if err := work(); err != nil {
		return err
	}
	rest := p.worked(began, time.Now())
	if rest > 0 && p.busy() && !pause(ctx, rest) {
		return ctx.Err()
	}
	return nil
}

// worked tells of a piece of work, and returns how long to rest before the next
// one. Whatever passed since the last one, as in waiting for Stripe, was a rest.
func (p *pace) worked(began, ended time.Time) time.Duration {
	p.owed = max(0, p.owed-began.Sub(p.ended)) + restsFor*ended.Sub(began)
	p.owed, p.ended = min(p.owed, mostRest), ended
	if p.owed < leastRest {
		return 0
	}
	return p.owed
}
