package aggregate

import (
	"slices"
	"sort"
)

// Needs says which streams have the evidence of an explanation.
type Needs struct {
	// Subscription is the one that decides, or would without a waiver; empty if
	// there is none.
	Subscription string
	// Payments are those on which a policy's denial rests.
	Payments []string
	// Clock is the test clock by whose time the subscription was judged.
	Clock string
	// Decisions says that operators' decisions count.
	Decisions bool
}

// Needs tells what evidence is to be cited. A block rests on itself alone.
func (x *Explanation) Needs() Needs {
	v := x.evaluation
	if v.Source == FromBlocked {
		return Needs{Decisions: true}
	}
	n := Needs{Decisions: v.Source == FromWaiver}
	if len(v.candidates) == 0 {
		return n
	}
	s := &v.candidates[0]
	n.Subscription = s.ID
	n.Decisions = n.Decisions || v.graceExtended()
	if s.clocked {
		n.Clock = s.TestClock
	}
	for i := range v.holding.Payments {
		h := *v.holding
		h.Payments = slices.Delete(slices.Clone(h.Payments), i, i+1)
		if without := evaluate(v.Account, &h, x.catalogs, v.now); !sameAnswer(without.Entitlement, v.Entitlement) {
			n.Payments = append(n.Payments, v.holding.Payments[i].ID)
		}
	}
	return n
}

// graceExtended reports whether the grace of the subscription that decides ends
// when an operator said.
func (v *evaluation) graceExtended() bool {
	extended := v.holding.Decisions.GraceUntil
	return !extended.IsZero() && len(v.candidates) > 0 && v.candidates[0].access.GraceUntil.Equal(extended)
}

// CiteSubscription cites, of the facts of the subscription that is needed, those
// that suffice. It is to have the same facts as what was explained.
func (x *Explanation) CiteSubscription(s *Subscription, stream string) {
	answer := func(t SubscriptionTruth) Entitlement {
		h := *x.evaluation.holding
		h.Subscriptions = slices.Clone(h.Subscriptions)
		for i := range h.Subscriptions {
			if h.Subscriptions[i].ID == t.ID {
				h.Subscriptions[i] = t
			}
		}
		return evaluate(x.Account, &h, x.catalogs, x.evaluation.now).Entitlement
	}
	whole := s.Derive(x.catalogs)
	want := answer(whole)
	facts := s.sufficient(x.catalogs, func(t SubscriptionTruth) bool {
		return t.Link.Account == whole.Link.Account && t.Link.Rank == whole.Link.Rank && sameAnswer(answer(t), want)
	})
	roles := s.roles(x.catalogs)
	for _, f := range facts {
		of := roles[f.Key.StripeEventID]
		if len(of) == 0 {
			of = []string{"history"}
		}
		x.cite(f, stream, of...)
	}
}

// CiteFacts cites all facts of a set, or only those that a Stripe event told.
func (x *Explanation) CiteFacts(s *FactSet, stream, role, stripeEventID string) {
	for _, f := range inStripesOrder(s.facts) {
		if stripeEventID == "" || f.Key.StripeEventID == stripeEventID {
			x.cite(f, stream, role)
		}
	}
}

// CiteClock cites the fact that told a test clock's time.
func (x *Explanation) CiteClock(s *FactSet, stream string) {
	var latest held
	for _, f := range inStripesOrder(s.facts) {
		if f.Clock != nil && (latest.Fact == nil || f.Clock.FrozenAt.After(latest.Clock.FrozenAt)) {
			latest = f
		}
	}
	if latest.Fact != nil {
		x.cite(latest, stream, "clock")
	}
}

func (x *Explanation) cite(f held, stream string, roles ...string) {
	x.Evidence = append(x.Evidence, Evidence{For: roles, StripeEventID: f.Key.StripeEventID, Type: string(f.Type),
		Stream: stream, Position: f.Position, OccurredAt: f.OccurredAt})
}

// CiteDecision cites a decision, if the answer rests on it.
func (x *Explanation) CiteDecision(d *Decision, stream string, at Place) {
	v := x.evaluation
	decided := &v.holding.Decisions
	var role string
	switch {
	case d.Type == AccountBlocked && decided.Block != nil && d.DecidedAt.Equal(decided.Block.BlockedAt):
		role = "block"
	case d.Type == WaiverGranted && v.Source == FromWaiver && d.Waiver == v.waiver.ID:
		role = "waiver"
	case d.Type == GraceExtended && v.Source != FromBlocked && v.graceExtended() && d.Until.Equal(decided.GraceUntil):
		role = "grace"
	default:
		return
	}
	x.Evidence = append(x.Evidence, Evidence{For: []string{role}, Type: string(d.Type), Stream: stream,
		Position: at.Position, OccurredAt: d.DecidedAt})
}

// roles says what Stripe events show of the subscription: its status, its
// delinquency, its account.
func (s *Subscription) roles(c Catalogs) map[string][]string {
	w := s.walk(c)
	roles := map[string][]string{}
	for _, r := range []struct{ id, role string }{
		{w.latestID(), "status"}, {w.failedBy, "delinquency"}, {w.links.best.StripeEventID, "account"},
	} {
		if r.id != "" {
			roles[r.id] = append(roles[r.id], r.role)
		}
	}
	return roles
}

// mostAdded bounds the search for facts that suffice.
const mostAdded = 16

// sufficient returns few of the facts, in Stripe's order, from which alone what
// is derived passes. It begins with those that decide and, while they do not
// suffice, adds the newest without which they never would; of those added it then
// leaves out what is not needed after all. Where that does not get there, it is
// all facts.
func (s *Subscription) sufficient(c Catalogs, passes func(SubscriptionTruth) bool) []held {
	ordered := inStripesOrder(s.facts)
	chosen := make([]bool, len(ordered))
	suffices := func() bool {
		part := NewSubscription(s.id)
		for i, f := range ordered {
			if chosen[i] {
				part.add(f)
			}
		}
		return passes(part.Derive(c))
	}
	roles := s.roles(c)
	decides := func(i int) bool { return roles[ordered[i].Key.StripeEventID] != nil }
	for i := range ordered {
		chosen[i] = decides(i)
	}
	for added := 0; !suffices(); added++ {
		if added == mostAdded || !addNewest(chosen, suffices) {
			return ordered
		}
	}
	for i := range chosen {
		if chosen[i] && !decides(i) {
			chosen[i] = false
			chosen[i] = !suffices()
		}
	}
	var facts []held
	for i, f := range ordered {
		if chosen[i] {
			facts = append(facts, f)
		}
	}
	return facts
}

// addNewest chooses one more: the newest such that with all newer ones the chosen
// would suffice. It is false if nothing does.
func addNewest(chosen []bool, suffices func() bool) bool {
	var rest []int
	for i := range slices.Backward(chosen) {
		if !chosen[i] {
			rest = append(rest, i)
		}
	}
	n := sort.Search(len(rest), func(n int) bool {
		for _, i := range rest[:n+1] {
			chosen[i] = true
		}
		enough := suffices()
		for _, i := range rest[:n+1] {
			chosen[i] = false
		}
		return enough
	})
	if n == len(rest) {
		return false
	}
	chosen[rest[n]] = true
	return true
}
