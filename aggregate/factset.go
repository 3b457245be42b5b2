package aggregate

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

// FactSet is the state of any object of which we only gather what Stripe said:
// a set, keyed by Stripe event. What arrives twice is there once, and the order
// of arrival leaves no trace. The zero FactSet is empty.
type FactSet struct {
	facts []held
	// index finds a fact by its key once there are too many to look through.
	index map[FactKey]int
	// position is the highest among the facts.
	position uint64
}

// indexedFrom is the number of facts from which an index pays: below it, and
// most objects stay below, looking through them is faster and smaller.
const indexedFrom = 24

// Len is the number of facts in force.
func (s *FactSet) Len() int { return len(s.facts) }

// Position is the highest among the facts.
func (s *FactSet) Position() uint64 { return s.position }

// Held returns the fact that is in force under a key, and whether there is one.
func (s *FactSet) Held(key FactKey) (Fact, bool) {
	if i, found := s.find(key); found {
		return *s.facts[i].Fact, true
	}
	return Fact{}, false
}

// KeysOf lists the keys under which the set holds facts of a Stripe event, in
// the order of their ordinals.
func (s *FactSet) KeysOf(stripeEventID string) []FactKey {
	var keys []FactKey
	for _, f := range s.facts {
		if f.Key.StripeEventID == stripeEventID {
			keys = append(keys, f.Key)
		}
	}
	slices.SortFunc(keys, func(a, b FactKey) int { return a.Ordinal - b.Ordinal })
	return keys
}

// Grow makes room for n more facts.
func (s *FactSet) Grow(n int) {
	s.facts = slices.Grow(s.facts, n)
	if s.index == nil && len(s.facts)+n >= indexedFrom {
		s.makeIndex(len(s.facts) + n)
	}
}

// Evolve takes in one recorded event, whose fact is the set's from then on. Of
// two facts with the same key the one with the higher epoch is in force; notes
// change nothing.
func (s *FactSet) Evolve(e Event, at Place) {
	if e.Fact != nil {
		s.add(held{Fact: e.Fact, Place: at})
	}
}

// Decide returns those facts that the set does not hold yet.
func (s *FactSet) Decide(facts []Fact, _ Catalogs, _ time.Time) []Event {
	return factEvents(s.unheld(facts))
}

func factEvents(facts []Fact) []Event {
	events := make([]Event, len(facts), len(facts)+1)
	for i := range facts {
		events[i] = Event{Fact: &facts[i]}
	}
	return events
}

func (s *FactSet) add(f held) {
	i, found := s.find(f.Key)
	switch {
	case !found:
		s.facts = append(s.facts, f)
		s.indexLast()
	case f.Epoch > s.facts[i].Epoch:
		s.facts[i] = f
	default:
		return
	}
	s.position = max(s.position, f.Position)
}

func (s *FactSet) find(key FactKey) (int, bool) {
	if s.index != nil {
		i, found := s.index[key]
		return i, found
	}
	i := slices.IndexFunc(s.facts, func(f held) bool { return f.Key == key })
	return i, i >= 0
}

func (s *FactSet) indexLast() {
	switch last := len(s.facts) - 1; {
	case s.index != nil:
		s.index[s.facts[last].Key] = last
	case len(s.facts) >= indexedFrom:
		s.makeIndex(2 * indexedFrom)
	}
}

func (s *FactSet) makeIndex(room int) {
	s.index = make(map[FactKey]int, room)
	for i, f := range s.facts {
		s.index[f.Key] = i
	}
}

// unheld returns the facts that would change the set, each key once.
func (s *FactSet) unheld(facts []Fact) []Fact {
	var fresh []Fact
	for _, f := range facts {
		if i, found := s.find(f.Key); found && (f.Epoch <= s.facts[i].Epoch || f.SaysAs(*s.facts[i].Fact)) {
			continue
		}
		if slices.ContainsFunc(fresh, func(g Fact) bool { return g.Key == f.Key && g.Epoch >= f.Epoch }) {
			continue
		}
		fresh = append(fresh, f)
	}
	return fresh
}

// SaysAs reports whether two facts state the same under the same key, whatever
// their epochs: whether their stored forms are the same but for the epoch.
func (f Fact) SaysAs(g Fact) bool {
	f.Epoch = g.Epoch
	mine, err := encodeFact(f)
	if err != nil {
		return false
	}
	its, err := encodeFact(g)
	return err == nil && f.Type == g.Type && bytes.Equal(mine, its)
}

func (s *FactSet) clone() FactSet {
	return FactSet{facts: slices.Clone(s.facts), index: maps.Clone(s.index), position: s.position}
}
