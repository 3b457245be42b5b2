package aggregate

import (
	"maps"
	"reflect"
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
	id    string
	facts []held
	// index finds a fact by its key once there are too many to look through.
	index map[FactKey]int
	// notes holds the conclusions made, by what they conclude.
	notes map[string]Note
	// position is the highest among the facts.
	position uint64
}

// indexedFrom is the number of facts from which an index pays: below it, and
// most subscriptions stay below, looking through them is faster and smaller.
const indexedFrom = 24

// NewSubscription returns the subscription of that Stripe id, with no history.
func NewSubscription(id string) *Subscription { return &Subscription{id: id} }

// ID is the subscription's Stripe id.
func (s *Subscription) ID() string { return s.id }

// Len is the number of facts in force.
func (s *Subscription) Len() int { return len(s.facts) }

// Evolve takes in one recorded event. A fact joins the set; of two facts with
// the same key the one with the higher epoch is in force. A note is remembered,
// so that it is not made twice, and changes nothing else.
func (s *Subscription) Evolve(e Event, at Place) {
	switch {
	case e.Note != nil:
		s.remember(*e.Note)
	case e.Fact != nil:
		s.add(held{Fact: e.Fact, Place: at})
	}
}

func (s *Subscription) remember(n Note) {
	if s.notes == nil {
		s.notes = map[string]Note{}
	}
	s.notes[noteKey(n)] = n
}

func (s *Subscription) add(f held) {
	i, found := s.find(f.Key)
	switch {
	case !found:
		s.facts = append(s.facts, f)
		s.indexFact(f.Key, len(s.facts)-1)
	case f.Epoch > s.facts[i].Epoch:
		s.facts[i] = f
	default:
		return
	}
	s.position = max(s.position, f.Position)
}

func (s *Subscription) find(key FactKey) (int, bool) {
	if s.index != nil {
		i, found := s.index[key]
		return i, found
	}
	i := slices.IndexFunc(s.facts, func(f held) bool { return f.Key == key })
	return i, i >= 0
}

func (s *Subscription) indexFact(key FactKey, i int) {
	switch {
	case s.index != nil:
		s.index[key] = i
	case len(s.facts) >= indexedFrom:
		s.index = make(map[FactKey]int, 2*indexedFrom)
		for i, f := range s.facts {
			s.index[f.Key] = i
		}
	}
}

// Decide says which events follow when Stripe's facts are taken in at now:
// those facts that the stream does not hold yet, and the notes of what is
// concluded from them. With nothing new it decides nothing, so it may be
// repeated, by anyone, any number of times. Called without facts it concludes
// what time alone has brought about: a grace period that ran out.
func (s *Subscription) Decide(facts []Fact, c Catalogs, now time.Time) []Event {
	fresh := s.unheld(facts)
	before := s.Derive(c)
	after := before
	if len(fresh) > 0 {
		after = s.with(fresh).Derive(c)
	}
	events := make([]Event, 0, len(fresh)+1)
	for i := range fresh {
		events = append(events, Event{Fact: &fresh[i]})
	}
	for _, note := range s.conclude(fresh, before, after, c, now) {
		events = append(events, Event{Note: &note})
	}
	return events
}

// unheld returns the facts that would change the set, each key once.
func (s *Subscription) unheld(facts []Fact) []Fact {
	var fresh []Fact
	for _, f := range facts {
		if i, found := s.find(f.Key); found && (f.Epoch <= s.facts[i].Epoch || sameStatement(f, *s.facts[i].Fact)) {
			continue
		}
		if slices.ContainsFunc(fresh, func(g Fact) bool { return g.Key == f.Key && g.Epoch == f.Epoch }) {
			continue
		}
		fresh = append(fresh, f)
	}
	return fresh
}

// sameStatement reports whether two facts of one key say the same, whatever
// their epochs.
func sameStatement(a, b Fact) bool {
	a.Epoch = b.Epoch
	return reflect.DeepEqual(a, b)
}

// with returns the subscription as it will be once facts are recorded.
func (s *Subscription) with(facts []Fact) *Subscription {
	next := &Subscription{id: s.id, facts: slices.Clone(s.facts), position: s.position}
	if s.index != nil {
		next.index = maps.Clone(s.index)
	}
	for i := range facts {
		next.add(held{Fact: &facts[i]})
	}
	return next
}

// Until returns the subscription as of a Stripe time and as known at a time of
// ours: with the facts that occurred by asOf and were recorded by knownAt. A
// zero time sets no bound.
func (s *Subscription) Until(asOf, knownAt time.Time) *Subscription {
	past := NewSubscription(s.id)
	for _, f := range s.facts {
		if (asOf.IsZero() || !f.OccurredAt.After(asOf)) && (knownAt.IsZero() || !f.RecordedAt.After(knownAt)) {
			past.add(f)
		}
	}
	return past
}

func noteKey(n Note) string { return strings.Join(n.Concludes(), "\x00") }
