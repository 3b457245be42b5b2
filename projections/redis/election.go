package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/projections"
)

// LeaderKey is the key of the lease that elects. It holds the token of the
// leader, which begins with the name that it gave itself.
const LeaderKey = "daybook:leader"

// The times of an election. A lease that nobody renews is free after the term.
// Who leads renews it every third of that, and who does not asks as often. The
// leader counts from when it began to ask, and stops a fourth of the term early,
// so that it has stopped when the lease ends at the server.
const (
	defaultTerm = 6 * time.Second
	parts       = 3
	early       = 4
)

// Election elects one of the processes that share a server, by a lease on
// LeaderKey. It implements projections.Elector. A lease may be lost, or held
// twice for a moment when a server fails over: nothing may rest on it.
type Election struct {
	outlet *Outlet
	// guard is the election's own: what fails in publishing says nothing here.
	guard  *guard
	name   string
	term   time.Duration
	report func(error)
}

var _ projections.Elector = (*Election)(nil)

// NewElection returns an election on an outlet's server. Name tells operators
// who leads, as a host's name does; term is how long a lease lasts, 0 for 6 s.
// Report is told of trouble, in words without secrets.
func NewElection(outlet *Outlet, name string, term time.Duration, report func(error)) *Election {
	if term <= 0 {
		term = defaultTerm
	}
	return &Election{outlet: outlet, guard: newGuard(outlet.opts.Now), name: name, term: term, report: report}
}

// Lead implements projections.Elector.
func (e *Election) Lead(ctx context.Context, work func(context.Context, projections.Term) error) error {
	answered := time.Now() // when the server last did
	for ctx.Err() == nil {
		t, err := e.campaign(ctx)
		switch {
		case err == nil:
			answered = time.Now()
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(answered) > e.term:
			e.report(fmt.Errorf("elect a leader, and work without one: %w", err))
			t = e.standIn(ctx, work)
		default:
			e.report(fmt.Errorf("elect a leader: %w", err))
		}
		if t != nil {
			e.told(ctx, e.serve(ctx, t, work))
		}
		if err := sleep(ctx, e.pause()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// told reports an error of the work, unless the end of ctx explains it.
func (e *Election) told(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		e.report(fmt.Errorf("work as the leader: %w", err))
	}
}

// standIn works without an election until one can be held, and returns the term
// if that is won.
func (e *Election) standIn(ctx context.Context, work func(context.Context, projections.Term) error) (won *term) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var asking sync.WaitGroup
	asking.Go(func() {
		defer stop()
		for sleep(working, e.pause()) == nil {
			if t, err := e.campaign(working); err == nil {
				won = t
				return
			}
		}
	})
	e.told(working, work(working, unelected{working}))
	stop()
	asking.Wait()
	return won
}

// unelected is the term of whoever works because nobody could be asked.
type unelected struct{ ctx context.Context }

func (unelected) Elected() bool { return false }
func (u unelected) Held() bool  { return u.ctx.Err() == nil }

// do makes one call to the server, within the time that it may take.
func (e *Election) do(ctx context.Context, fn func(context.Context) error) error {
	return e.outlet.within(ctx, e.guard, fn)
}

// pause is a third of the term, give or take a tenth of that.
func (e *Election) pause() time.Duration {
	third := e.term / parts
	return third - third/10 + rand.N(third/5+1)
}

// campaign asks once for the lease; nil if another has it.
func (e *Election) campaign(ctx context.Context) (*term, error) {
	token := e.name + "/" + uuid.NewString()
	asked := time.Now()
	var won bool
	err := e.do(ctx, func(ctx context.Context) error {
		err := e.outlet.client.SetArgs(ctx, LeaderKey, token, client.SetArgs{Mode: "NX", TTL: e.term}).Err()
		if errors.Is(err, client.Nil) {
			return nil
		}
		won = err == nil
		return err
	})
	if !won {
		return nil, err
	}
	t := &term{token: token, length: e.term}
	t.extend(asked)
	return t, nil
}

// serve works for as long as the lease is held, and gives it back.
func (e *Election) serve(ctx context.Context, t *term, work func(context.Context, projections.Term) error) error {
	leading, resign := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		defer resign()
		e.keep(leading, t)
	})
	err := work(leading, t)
	resign()
	renewing.Wait()
	e.release(ctx, t)
	return err
}

// keep renews the lease until it is lost or ctx ends.
func (e *Election) keep(ctx context.Context, t *term) {
	for t.Held() {
		if sleepUntil(ctx, t.next(e.pause())) != nil || !t.Held() {
			return
		}
		asked := time.Now()
		held, err := e.renew(ctx, t)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.report(fmt.Errorf("keep the lease of the leader: %w", err)) // and try until it ends
		case !held:
			t.lose()
			return
		default:
			t.extend(asked)
		}
	}
}

func (e *Election) renew(ctx context.Context, t *term) (held bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, t.deadline())
	defer cancel()
	err = e.do(ctx, func(ctx context.Context) error {
		n, err := renewScript.Run(ctx, e.outlet.client, []string{LeaderKey}, t.token, e.term.Milliseconds()).Int()
		held = n == 1
		return err
	})
	return held, err
}

// release gives the lease back if it is still ours, so that nobody has to wait
// for its end. It is done after the end of ctx too.
func (e *Election) release(ctx context.Context, t *term) {
	if !t.Held() {
		return
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.deadline())
	defer cancel()
	t.lose()
	err := e.do(ctx, func(ctx context.Context) error {
		return releaseScript.Run(ctx, e.outlet.client, []string{LeaderKey}, t.token).Err()
	})
	if err != nil {
		e.report(fmt.Errorf("give back the lease of the leader: %w", err)) // it ends by itself
	}
}

// term is one leadership.
type term struct {
	token  string
	length time.Duration

	mu sync.Mutex
	// until is when it ends, by the monotonic clock and by the wall clock: the
	// one stands still while a machine sleeps, the other can be set back.
	until time.Time
}

// extend counts a lease from when it was asked for.
func (t *term) extend(asked time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = asked.Add(t.length - t.length/early)
}

func (t *term) lose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = time.Time{}
}

func (t *term) deadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until
}

// Elected implements projections.Term.
func (t *term) Elected() bool { return true }

// Held implements projections.Term.
func (t *term) Held() bool {
	now, until := time.Now(), t.deadline()
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

// next is when to renew: after a pause, and never behind the end.
func (t *term) next(pause time.Duration) time.Time {
	at, until := time.Now().Add(pause), t.deadline()
	if until.Before(at) {
		return until
	}
	return at
}

func sleepUntil(ctx context.Context, at time.Time) error { return sleep(ctx, time.Until(at)) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
