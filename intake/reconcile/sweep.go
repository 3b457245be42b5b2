package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// Plan says what to reconcile.
type Plan struct {
	// Since is from when on to look through the events; zero goes on where the
	// last sweep ended, with an overlap.
	Since time.Time
	// Everything compares every object, not just those that can change access
	// now.
	Everything bool
	// Progress is told how many objects and events were looked at; nil for not.
	Progress func(done, total int64)
}

// Reconcile records the events that Stripe lists and that are not recorded, and
// then the objects that are not true here as Stripe answers. Those in doubt come
// first.
func (r *Reconciler) Reconcile(ctx context.Context, plan Plan) (*Report, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	report, err := r.reconcile(ctx, plan)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.err, r.last.report = err, report
	return report, err
}

func (r *Reconciler) reconcile(ctx context.Context, plan Plan) (*Report, error) {
	now, err := r.API.Check(ctx, Needed...)
	if err != nil {
		return nil, err
	}
	if plan.Progress == nil {
		plan.Progress = func(done, total int64) {}
	}
	work := &run{Reconciler: r, report: newReport(), pace: r.newPace(), tell: plan.Progress, seen: map[string]bool{}}
	if err := work.missingEvents(ctx, plan.Since, now); err != nil {
		return work.report, err
	}
	if err := work.settle(ctx); err != nil {
		return work.report, err
	}
	parts := liveParts()
	if plan.Everything {
		parts = allParts(now)
	}
	if err := work.compareObjects(ctx, parts); err != nil {
		return work.report, err
	}
	return work.report, r.advance(ctx, SweepCompletedType, func(s *state) {
		s.Sweeps++
		s.Missed += work.report.Missed
		s.Differed += work.report.Differing
		// A sweep of a chosen time leaves a gap before it as it is.
		if plan.Since.IsZero() || !work.report.From.After(s.SweptUntil) {
			s.SweptUntil = work.report.Until
		}
		s.SweptAt = r.Now().UTC()
	})
}

// missingEvents looks through the events from where the last sweep ended, or
// from a time that was chosen, to a minute before now. How far it got is not
// recorded before the whole sweep is over, so that one that fails is repeated.
func (r *run) missingEvents(ctx context.Context, since, now time.Time) error {
	listed := now.Add(-Kept)
	if since.IsZero() {
		if since = r.current().SweptUntil.Add(-Overlap); r.current().SweptUntil.IsZero() {
			since = listed
		}
	}
	if since.Before(listed) {
		r.report.LostFrom = since
		since = listed
	}
	r.report.From, r.report.Until = since, now.Add(-headLag)
	return r.sweepEvents(ctx, since, r.report.Until)
}

// compareObjects compares those that are in doubt, then those that Stripe lists,
// then those that live here and that Stripe did not list. What is recorded is
// posted in the end.
func (r *run) compareObjects(ctx context.Context, parts []part) error {
	doubtful, err := r.Ours.Doubtful(ctx)
	if err != nil {
		return err
	}
	if err := r.fetchAll(ctx, doubtful); err != nil {
		return err
	}
	for _, p := range parts {
		if err := r.goThrough(ctx, p, stripeapi.Place{}, func(stripeapi.Place) error { return nil }); err != nil {
			return err
		}
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	live, err := r.Ours.Live(ctx)
	if err != nil {
		return err
	}
	if err := r.fetchAll(ctx, live); err != nil {
		return err
	}
	return r.settle(ctx)
}

// settle waits until what was recorded can be compared with. Posting that waits
// for its store must not hold up others for ever.
func (r *run) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := r.Settle(ctx); err != nil {
		return fmt.Errorf("what was recorded is not posted yet: %w", err)
	}
	return nil
}

// fetchAll compares subscriptions one by one, those that were seen already left
// out.
func (r *run) fetchAll(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if r.seen[id] {
			continue
		}
		r.seen[id] = true
		o, err := r.API.Fetch(ctx, stripeapi.Subscriptions, id)
		if stripeapi.IsKind(err, stripeapi.NotFound) {
			r.report.note(func(p *Report) { list(&p.Unknown, id) })
			continue
		}
		if err == nil {
			err = r.take(ctx, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Doubts are the flags of subscriptions that are looked at first.
var Doubts = []string{aggregate.FlagAmbiguous, aggregate.FlagNoSnapshot, aggregate.FlagPastDueNothingOwed}
