package projections

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// pageOfDues bounds the accounts of one transaction when time passes for many.
const pageOfDues = 500

// The bounds of telling that grace has ended.
const (
	tellTimeout    = 30 * time.Second
	firstTellPause = time.Second
	lastTellPause  = time.Minute
)

// watchDues evaluates entitlements again at the moments at which time changes
// them, and tells of graces that have ended. Due moments are in the model, so
// none is lost by a crash.
func (r *Runner) watchDues(ctx context.Context) error {
	pause := firstTellPause
	for {
		r.ready(ctx)
		// From here on every new due moment rings, until it is known which one
		// to wait for.
		r.arm(time.Time{})
		now := r.opts.Now()
		next, err := r.settleDues(ctx, now)
		if err != nil {
			return r.afterDamage(ctx, err)
		}
		r.passed(watching)
		held, err := r.tellExpiries(ctx, now)
		if next = earliest(next, held); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.trouble(telling, err, pause)
			next = earliest(next, now.Add(pause))
			pause = min(2*pause, lastTellPause)
		} else {
			pause = firstTellPause
			r.passed(telling)
		}
		if err := r.waitDue(ctx, next); err != nil {
			return err
		}
	}
}

// ready waits until the model is loaded, for its catalogs are needed.
func (r *Runner) ready(ctx context.Context) {
	for ctx.Err() == nil {
		r.writing.Lock()
		loaded := r.loaded
		r.writing.Unlock()
		if loaded {
			return
		}
		select {
		case <-r.alarm:
		case <-ctx.Done():
		}
	}
}

// settleDues evaluates what has lapsed by now, and returns the next due moment.
func (r *Runner) settleDues(ctx context.Context, now time.Time) (time.Time, error) {
	for {
		var more bool
		var next time.Time
		err := r.evaluateIn(ctx, func(tx Tx) (rows []EntitlementRow, err error) {
			accounts, err := tx.Lapsed(now, pageOfDues)
			if err != nil {
				return nil, err
			}
			for _, account := range accounts {
				row, err := r.live.evaluate(tx, account, nil, now)
				if err != nil {
					return nil, err
				}
				rows = append(rows, row)
			}
			more = len(accounts) == pageOfDues
			next, err = tx.NextDue(now)
			return rows, err
		})
		if err != nil || !more {
			return next, err
		}
	}
}

// evaluateIn runs one transaction between the batches of events, and feeds on
// the entitlements that it wrote.
func (r *Runner) evaluateIn(ctx context.Context, fn func(Tx) ([]EntitlementRow, error)) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !r.loaded {
		return errNotLoaded
	}
	var rows []EntitlementRow
	err := r.opts.Model.Update(ctx, func(tx Tx) (err error) {
		rows, err = fn(tx)
		return err
	})
	if err == nil {
		r.opts.Feed.put(rows, r.live.checkpoint.Position)
	}
	return err
}

// update runs one transaction between the batches of events.
func (r *Runner) update(ctx context.Context, fn func(Tx) error) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !r.loaded {
		return errNotLoaded
	}
	return r.opts.Model.Update(ctx, fn)
}

// tellExpiries tells of every grace that has ended and was not told of. One
// that cannot be told holds up no other. It returns when the first of those
// ends that operators have extended, zero if there is none.
func (r *Runner) tellExpiries(ctx context.Context, now time.Time) (held time.Time, failed error) {
	if r.opts.OnDue == nil {
		return held, nil
	}
	var after Expiry
	for {
		var page []Expiry
		more := false
		err := r.update(ctx, func(tx Tx) (err error) {
			page, err = tx.Expiries(now, after, pageOfDues)
			if more = len(page) > 0; err != nil || !more {
				return err
			}
			after = page[len(page)-1]
			var until time.Time
			page, until, err = r.live.ended(tx, page, now)
			held = earliest(held, until)
			return err
		})
		if err != nil || !more {
			return held, errors.Join(err, failed)
		}
		failed = errors.Join(failed, r.tellPage(ctx, page, now))
	}
}

// ended leaves out the graces that an operator has extended, and tells when the
// first of them ends; and those of subscriptions on a test clock that has not
// come so far, whose next event wakes the watch.
func (v *evaluator) ended(tx Tx, page []Expiry, now time.Time) (ended []Expiry, held time.Time, err error) {
	l := screened{tx, v.marks}
	for _, e := range page {
		var decisions aggregate.AccountTruth
		var clock aggregate.ClockTruth
		err := errors.Join(decodeObject(l, KindAccount, e.Account, &decisions), decodeObject(l, KindClock, e.Clock, &clock))
		if err != nil {
			return nil, held, err
		}
		switch {
		case !clock.Now.IsZero() && clock.Now.Before(e.At):
		case decisions.GraceUntil.After(now):
			held = earliest(held, decisions.GraceUntil)
		default:
			ended = append(ended, e)
		}
	}
	return ended, held, nil
}

// tellPage tells account by account, and records what was told.
func (r *Runner) tellPage(ctx context.Context, page []Expiry, now time.Time) error {
	byAccount := map[string][]Expiry{}
	for _, e := range page {
		byAccount[e.Account] = append(byAccount[e.Account], e)
	}
	var failures int
	var last error
	var told []Expiry
	for account, expiries := range byAccount {
		if err := r.tell(ctx, account, expiries, now); err != nil {
			failures, last = failures+1, err
			continue
		}
		told = append(told, expiries...)
	}
	err := r.update(ctx, func(tx Tx) error {
		for _, e := range told {
			if err := tx.Told(e); err != nil {
				return err
			}
			// A fact that comes in before the note of it must not make it due again.
			r.live.cache.told(eventstore.NewStream("subscription", e.Subscription), e.At)
		}
		return nil
	})
	if last != nil {
		return errors.Join(fmt.Errorf("%d accounts, the last: %w", failures, last), err)
	}
	return err
}

func (r *Runner) tell(ctx context.Context, account string, expiries []Expiry, now time.Time) (err error) {
	defer recovered(&err)
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	ids := make([]string, len(expiries))
	for i, e := range expiries {
		ids[i] = e.Subscription
	}
	return r.opts.OnDue(ctx, account, ids, now)
}

// waitDue waits until a moment, zero for none, or until the alarm.
func (r *Runner) waitDue(ctx context.Context, due time.Time) error {
	r.arm(due)
	sleeping, wake := context.WithCancel(ctx)
	var listener sync.WaitGroup
	defer listener.Wait()
	defer wake() // before the wait above
	listener.Go(func() {
		select {
		case <-r.alarm:
			wake()
		case <-sleeping.Done():
		}
	})
	if due.IsZero() {
		<-sleeping.Done()
	} else if err := r.opts.Sleep(sleeping, due); err != nil && sleeping.Err() == nil {
		return err
	}
	return ctx.Err()
}

func (r *Runner) arm(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = due
}

// ring wakes the watch over due times.
func (r *Runner) ring() {
	select {
	case r.alarm <- struct{}{}:
	default: // it is ringing
	}
}

// ringAt wakes the watch if a new due moment comes before the one it waits for.
func (r *Runner) ringAt(due time.Time) {
	r.mu.Lock()
	early := !due.IsZero() && (r.armed.IsZero() || due.Before(r.armed))
	r.mu.Unlock()
	if early {
		r.ring()
	}
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
