package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/intake/stripeapi"
)

// The habits of a backfill.
const (
	// advanceEvery is how much work an interruption may have done again.
	advanceEvery = 5 * time.Second
	// resumable is how old an interrupted backfill may be to be gone on with.
	resumable = 24 * time.Hour
)

// Backfilled is what a backfill did.
type Backfilled struct {
	*Report
	// Resumed says that it went on where an earlier one was interrupted.
	Resumed bool `json:"resumed,omitempty"`
}

// Backfill records every customer, subscription and checkout session, every
// invoice that is open or recent, and every event that Stripe still lists and
// that is not recorded. An answer that says what the latest one about its object
// said, with nothing told in between, adds nothing: so a backfill may be
// repeated. One that was interrupted goes on where it was. tell is told how many
// objects and events were looked at.
func (r *Reconciler) Backfill(ctx context.Context, tell func(done, total int64)) (Backfilled, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return Backfilled{}, err
	}
	defer end()
	now, err := r.API.Check(ctx, Needed...)
	if err != nil {
		return Backfilled{}, err
	}
	b := &backfill{run: &run{Reconciler: r, report: newReport(), everything: true, tell: tell, seen: map[string]bool{}}}
	resumed, err := b.objects(ctx, now)
	if err == nil {
		err = b.events(ctx, now)
	}
	return Backfilled{Report: b.report, Resumed: resumed}, err
}

// backfill is one under way.
type backfill struct {
	*run
	advancedAt time.Time
}

// objects goes through every list from where an earlier backfill stopped.
func (b *backfill) objects(ctx context.Context, now time.Time) (resumed bool, err error) {
	at := backfillState{BegunAt: b.Now().UTC()}
	if before := b.current().Backfill; before != nil && b.Now().Sub(before.BegunAt) < resumable {
		at, resumed = *before, true
	}
	b.advancedAt = b.Now()
	began := at.Looked
	for _, p := range allParts(now) {
		if at.List != "" && at.List != p.name {
			continue // done before the interruption
		}
		from := at.Place
		err := b.goThrough(ctx, p, from, func(next stripeapi.Place) error {
			at.List, at.Place, at.Looked = p.name, next, began+b.report.Objects
			return b.advance(ctx, at, advanceEvery)
		})
		if err != nil {
			return resumed, b.interrupted(ctx, at, err)
		}
		at.List, at.Place = "", stripeapi.Place{}
	}
	return resumed, nil
}

// advance records how far the backfill is, unless that was done just now.
func (b *backfill) advance(ctx context.Context, at backfillState, every time.Duration) error {
	if b.Now().Sub(b.advancedAt) < every {
		return nil
	}
	b.advancedAt = b.Now()
	return b.run.advance(ctx, BackfillAdvancedType, func(s *state) { s.Backfill = &at })
}

// interrupted records where to go on, and returns why.
func (b *backfill) interrupted(ctx context.Context, at backfillState, why error) error {
	if at.List == "" {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), advanceEvery)
	defer cancel()
	if err := b.advance(ctx, at, 0); err != nil {
		return fmt.Errorf("%w; and where to go on could not be recorded: %w", why, err)
	}
	return why
}

// events brings in the events that Stripe still lists: an answer tells what an
// object is, they tell since when.
func (b *backfill) events(ctx context.Context, now time.Time) error {
	until := now.Add(-headLag)
	b.report.From, b.report.Until = now.Add(-Kept), until
	if err := b.sweepEvents(ctx, b.report.From, until); err != nil {
		return err
	}
	return b.run.advance(ctx, BackfillCompletedType, func(s *state) {
		s.Backfill, s.BackfilledAt = nil, b.Now().UTC()
		if s.SweptUntil.Before(until) {
			s.SweptUntil, s.SweptAt = until, b.Now().UTC()
		}
	})
}
