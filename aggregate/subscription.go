package aggregate

import (
	"strings"
	"time"
)

// Subscription is the aggregate: the set of facts that Stripe told of one
// subscription, and the conclusions already noted. It is folded from its
// stream by Evolve; Decide says which events follow; Derive says what is true.
//
// A Subscription is not safe for concurrent use.
type Subscription struct {
	id string
	FactSet
	// notes holds the conclusions made, by what they conclude.
	notes map[string]Note
	// foreseen is the truth that Decide derived for when its facts are in.
	foreseen *foreseen
}

// foreseen saves deriving again what was derived to decide.
type foreseen struct {
	fresh []Fact
	// arrived counts those of fresh that were taken in since, in order, and
	// nothing else with them.
	arrived int
	// catalog is the one, with its mappings, by which truth was derived.
	catalog *Catalog
	truth   SubscriptionTruth
}

// NewSubscription returns the subscription of that Stripe id, with no history.
func NewSubscription(id string) *Subscription { return &Subscription{id: id} }

// Evolve takes in one recorded event. A fact joins the set; of two facts with
// the same key the one with the higher epoch is in force. A note is remembered,
// so that it is not made twice, and changes nothing else.
func (s *Subscription) Evolve(e Event, at Place) {
	if e.Note != nil {
		s.remember(*e.Note)
		return
	}
	if f := s.foreseen; f != nil && (f.arrived == len(f.fresh) || e.Fact != &f.fresh[f.arrived]) {
		s.foreseen = nil
	} else if f != nil {
		f.arrived++
	}
	s.FactSet.Evolve(e, at)
}

func (s *Subscription) remember(n Note) {
	if s.notes == nil {
		s.notes = map[string]Note{}
	}
	s.notes[noteKey(n)] = n
}

// Decide says which events follow when Stripe's facts are taken in at now:
// those facts that the stream does not hold yet, and the notes of what is
// concluded from them. With nothing new it decides nothing, so it may be
// repeated, by anyone, any number of times. Called without facts it concludes
// what time alone has brought about: a grace period that ran out.
func (s *Subscription) Decide(facts []Fact, c Catalogs, now time.Time) []Event {
	fresh := s.unheld(facts)
	before := s.present(c)
	after := before
	if len(fresh) > 0 {
		after = s.with(fresh).Derive(c)
		s.foreseen = &foreseen{fresh: fresh, catalog: c.Current(), truth: after}
	}
	events := factEvents(fresh)
	for _, note := range s.conclude(fresh, before, after, c, now) {
		events = append(events, Event{Note: &note})
	}
	return events
}

// present is the truth now: as it was foreseen, if just that came about.
func (s *Subscription) present(c Catalogs) SubscriptionTruth {
	f := s.foreseen
	if f == nil || f.arrived < len(f.fresh) || f.catalog != c.Current() {
		return s.Derive(c)
	}
	f.truth.Position = s.position
	return f.truth
}

// with returns the subscription as it will be once facts are recorded.
func (s *Subscription) with(facts []Fact) *Subscription {
	next := &Subscription{id: s.id, FactSet: s.clone()}
	for i := range facts {
		next.add(held{Fact: &facts[i]})
	}
	return next
}

// AsOf returns the subscription with the facts that occurred by a time of
// Stripe's. To look at what was known at a time of ours, fold only the events
// recorded by then: a correction must not displace what it corrected before it
// was made.
func (s *Subscription) AsOf(t time.Time) *Subscription {
	past := NewSubscription(s.id)
	for _, f := range s.facts {
		if !f.OccurredAt.After(t) {
			past.add(f)
		}
	}
	return past
}

func noteKey(n Note) string { return strings.Join(n.Concludes(), "\x00") }
