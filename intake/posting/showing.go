package posting

import (
	"context"
	"maps"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// showing is what a Stripe event shows of prices: what it showed by earlier facts
// and entries, and what it shows once the readings are posted.
type showing struct {
	was, is []aggregate.Sighting
	// epochs are those of its latest fact then in each stream.
	epochs map[string]int
}

// takeFact takes in a fact of the event that will be in force in a stream.
func (s *showing) takeFact(stream string, f *aggregate.Fact) {
	s.is = append(s.is, f.Sightings(stream)...)
	s.epochs[stream] = max(s.epochs[stream], f.Epoch)
}

// sightings are what the readings show once they are posted: as far as that was
// found out, and otherwise as if all of it came into force.
func (p *pricing) sightings() []aggregate.Sighting {
	var seen []aggregate.Sighting
	for i := range p.readings {
		if r := &p.readings[i]; p.showings[r.stripeEventID()] == nil {
			for _, f := range r.facts {
				seen = append(seen, f.Fact.Sightings(string(f.Stream))...)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.showings)) {
		seen = append(seen, p.showings[id].is...)
	}
	return seen
}

// rehearse finds out what Stripe events show, by posting their readings to
// ledgers that nobody else sees. What cannot be posted shows nothing.
func (p *pricing) rehearse(ctx context.Context, history aggregate.Catalogs, events map[string]bool) error {
	var readings []reading
	for _, r := range p.readings {
		id := r.stripeEventID()
		if !events[id] {
			continue
		}
		if p.showings[id] == nil {
			p.showings[id] = &showing{epochs: map[string]int{}}
		}
		p.showings[id].was = append(p.showings[id].was, r.showed...)
		readings = append(readings, r)
	}
	cache := newLedgers(p.Store)
	for _, j := range jobsOf(readings) {
		if err := p.rehearseJob(ctx, cache, j); err != nil && !isUnpostable(err) {
			return err
		}
	}
	for id := range events {
		for _, m := range history.MappingsOf(id) {
			if err := p.lookInto(ctx, cache, m); err != nil && !isUnpostable(err) {
				return err
			}
		}
	}
	return nil
}

// rehearseJob takes in what a job's Stripe events show in its stream, before it
// and after.
func (p *pricing) rehearseJob(ctx context.Context, cache *ledgers, j *job) error {
	to, err := cache.load(ctx, j.stream)
	if err != nil {
		return err
	}
	stream := string(j.stream)
	p.each(j, to, func(s *showing, f *aggregate.Fact) { s.was = append(s.was, f.Sightings(stream)...) })
	j.manner = p.manner
	if to, err = p.decideJob(ctx, cache, j); err != nil {
		return err
	}
	p.each(j, to, func(s *showing, f *aggregate.Fact) { s.takeFact(stream, f) })
	return nil
}

// each goes over the facts in force that a ledger has of a job's Stripe events.
func (p *pricing) each(j *job, to *ledger, visit func(s *showing, f *aggregate.Fact)) {
	visited := map[string]bool{}
	for _, source := range slices.Concat(j.sources, j.swept) {
		id := source.stripeEventID()
		if visited[id] {
			continue
		}
		visited[id] = true
		for _, key := range to.KeysOf(id) {
			if held, found := to.Held(key); found {
				visit(p.showings[id], &held)
			}
		}
	}
}

// lookInto takes in what the event of a mapping shows in the mapping's stream, if
// no reading leads there.
func (p *pricing) lookInto(ctx context.Context, cache *ledgers, m aggregate.PriceMapping) error {
	s := p.showings[m.StripeEventID]
	if _, known := s.epochs[m.Stream]; known || m.Stream == "" {
		return nil
	}
	to, err := cache.load(ctx, eventstore.Stream(m.Stream))
	if err != nil {
		return err
	}
	for _, key := range to.KeysOf(m.StripeEventID) {
		held, _ := to.Held(key)
		s.takeFact(m.Stream, &held)
	}
	return nil
}
