package aggregate

import (
	"slices"
	"time"
)

// changes foretells what would change the answer, by evaluating it as it would
// be then.
func (v *evaluation) changes(c Catalogs) []Change {
	f := foresight{evaluation: v, catalogs: c, found: []Change{}}
	if len(v.candidates) > 0 {
		f.ofSubscription(&v.candidates[0])
	}
	for i := range v.candidates {
		if s := &v.candidates[i]; s.access.InGrace && !s.clocked {
			f.atTime(Change{What: GraceEnds, At: s.access.GraceUntil, Of: s.ID})
		}
	}
	for _, w := range v.holding.Decisions.Waivers {
		if w.InForce(v.now) && !w.ExpiresAt.IsZero() {
			f.atTime(Change{What: WaiverEnds, At: w.ExpiresAt, Of: w.ID})
		}
	}
	if v.holding.Decisions.Block != nil {
		lifted := *v.holding
		lifted.Decisions.Block = nil
		f.suppose(Change{What: BlockIsLifted, By: "operator", Of: v.Account}, &lifted, v.now)
	}
	slices.SortStableFunc(f.found, func(a, b Change) int {
		if a.At.IsZero() != b.At.IsZero() {
			return compareBools(a.At.IsZero(), b.At.IsZero())
		}
		return a.At.Compare(b.At)
	})
	return f.found
}

// foresight gathers changes.
type foresight struct {
	*evaluation
	catalogs Catalogs
	found    []Change
}

// ofSubscription foretells what may happen to the one that decides.
func (f *foresight) ofSubscription(s *candidate) {
	if s.Status == Trialing && s.TrialEnd.After(f.now) {
		f.found = append(f.found, Change{What: TrialEnds, At: s.TrialEnd, By: "stripe", Of: s.ID}) // Stripe's status will tell
	}
	if s.CancelAt.After(f.now) && !s.Status.Terminal() {
		f.suppose(Change{What: Cancellation, At: s.CancelAt, By: "stripe", Of: s.ID}, f.with(s.ID, Canceled), f.now)
	}
	switch s.Status {
	case PastDue, Unpaid, Incomplete:
		of := s.ID
		if s.Delinquency != nil && s.Delinquency.Invoice != "" {
			of = s.Delinquency.Invoice
		}
		f.suppose(Change{What: PaymentComes, By: "customer", Of: of}, f.with(s.ID, Active), f.now)
	case Paused:
		f.suppose(Change{What: PauseEnds, By: "customer", Of: s.ID}, f.with(s.ID, Active), f.now)
	}
}

// with is the holding as it would be if a subscription had another status, and
// owed nothing: it would then count for what its prices are.
func (f *foresight) with(id string, status Status) *Holding {
	h := *f.holding
	h.Subscriptions = slices.Clone(h.Subscriptions)
	for i := range h.Subscriptions {
		if s := &h.Subscriptions[i]; s.ID == id {
			s.Status, s.Delinquency, s.PaymentPending, s.NothingOwed = status, nil, false, false
			if tier, mapped := f.catalog.bestTier(s.Items); mapped {
				s.Tier = tier
			}
		}
	}
	return &h
}

// atTime foretells what time alone brings about.
func (f *foresight) atTime(c Change) {
	c.By = "time"
	f.suppose(c, f.holding, c.At)
}

// suppose evaluates what is held as it would be, and adds the change if it is one.
func (f *foresight) suppose(c Change, h *Holding, now time.Time) {
	then := evaluate(f.Account, h, f.catalogs, now)
	if then.Tier == f.Tier && then.Reason == f.Reason && then.Source == f.Source {
		return
	}
	c.Tier, c.Reason, c.features = then.Tier, then.Reason, then.Features
	f.found = append(f.found, c)
}
