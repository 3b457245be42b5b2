package aggregate

import (
	"slices"
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
	before, after := s.findings(fresh, c)
	events := factEvents(fresh)
	for _, note := range s.conclude(fresh, before, after, now) {
		events = append(events, Event{Note: &note})
	}
	return events
}

// findings are what notes tell of, before facts are taken in and after.
func (s *Subscription) findings(fresh []Fact, c Catalogs) (before, after finding) {
	w := s.walk(c)
	before = w.found()
	switch {
	case len(fresh) == 0:
		return before, before
	case len(fresh) == 1 && s.follows(&fresh[0]):
		w.step(held{Fact: &fresh[0]}) // as most come
		return before, w.found()
	}
	return before, s.with(fresh).walk(c).found()
}

// follows reports a fact from a later second than any of those held: it comes
// behind them, and leaves their order as it is.
func (s *Subscription) follows(fresh *Fact) bool {
	_, found := s.find(fresh.Key)
	return !found && !fresh.Type.Silent() &&
		!slices.ContainsFunc(s.facts, func(f held) bool { return !f.OccurredAt.Before(fresh.OccurredAt) })
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
