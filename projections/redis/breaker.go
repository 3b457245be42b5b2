package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/daybookhq/daybook/projections"
)

// How the breaker works: after tripAfter failures in a row nobody asks the
// server for restTime, then one tries.
const (
	tripAfter = 5
	restTime  = time.Second
)

// guard keeps calls from a server that has failed repeatedly, and remembers
// what is wrong with it.
type guard struct {
	breaker *gobreaker.TwoStepCircuitBreaker[any]
	now     func() time.Time

	mu    sync.Mutex
	last  error
	since time.Time
}

func newGuard(now func() time.Time) *guard {
	return &guard{now: now, breaker: gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     restTime,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		// A caller who gives up says nothing about the server.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
	})}
}

// do makes a call, unless the server is left alone.
func (g *guard) do(ctx context.Context, fn func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done, err := g.breaker.Allow()
	if err != nil {
		return &fault{kind: projections.ErrOutletResting, said: g.said()}
	}
	err = fn(ctx)
	if gaveUp := over(ctx); err != nil && gaveUp != nil {
		done(context.Canceled)
		return gaveUp // whatever the client made of it
	}
	err = explain(err)
	done(err)
	g.note(err)
	return err
}

// over is ctx.Err, and does not wait for a timer that is late: a connection can
// know before it that the time is up.
func over(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

func (g *guard) note(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && g.last == nil {
		g.since = g.now()
	}
	g.last = err
}

func (g *guard) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last == nil {
		return ""
	}
	return g.last.Error()
}

func (g *guard) health() projections.OutletHealth {
	h := projections.OutletHealth{Breaker: g.breaker.State().String(), LastError: g.said()}
	if h.LastError != "" {
		g.mu.Lock()
		h.Since = g.since
		g.mu.Unlock()
	}
	return h
}
