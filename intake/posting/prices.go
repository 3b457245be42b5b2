package posting

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// pricing settles what readings show of prices, before their facts are in. Prices
// that nothing but their lookup key maps are recorded: Stripe can move a lookup key
// to another price, and what was sold under it keeps its place. And what an event
// showed as it was read before, and does not show now, counts no more. So, of every
// price, what a fact in force showed first stands.
type pricing struct {
	*Poster
	readings []reading
	manner   manner
	// showings are by Stripe event, of those of which it was worth finding out.
	showings map[string]*showing
	// remapped are the vacancies that were filled, as far as anything fills them.
	remapped map[vacancy]bool
}

// vacancy is what is left by what an event showed of a price.
type vacancy struct{ price, stripeEventID string }

// showing is what a Stripe event shows of prices: what it showed by earlier facts
// and entries, and what it shows once the readings are posted.
type showing struct {
	was, is []aggregate.Sighting
	// epochs are those of its latest fact then in each stream.
	epochs map[string]int
}

// settle records what follows from the readings for prices. A record that cannot be
// written for good holds up no posting: until a key is moved, its price maps
// without it.
func (p *pricing) settle(ctx context.Context) error {
	if p.MapPrices == nil {
		return nil
	}
	err := p.record(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, eventstore.ErrUnavailable), errors.Is(err, eventstore.ErrOutcomeUnknown), errors.Is(err, eventstore.ErrClosed):
		return fmt.Errorf("record mappings of prices: %w", err)
	}
	p.Log.WithError(err).Error("mappings of prices could not be recorded")
	return nil
}

func (p *pricing) record(ctx context.Context) error {
	todo, err := p.decide(ctx)
	if err != nil {
		return err
	}
	if len(todo.withdrawals)+len(todo.vacant()) > 0 {
		if todo, err = p.withdraw(ctx); err != nil {
			return err
		}
	}
	if len(todo.mappings) == 0 {
		return nil
	}
	return p.MapPrices(ctx, todo.mappings)
}

// withdraw records the withdrawals that follow, and what takes their place. What
// follows is decided anew once nobody else here withdraws anything.
func (p *pricing) withdraw(ctx context.Context) (repricing, error) {
	if err := p.withdrawing.Acquire(ctx, 1); err != nil {
		return repricing{}, err
	}
	defer p.withdrawing.Release(1)
	todo, err := p.decide(ctx)
	if err != nil {
		return todo, err
	}
	if err := p.fill(ctx, todo); err != nil {
		return todo, err
	}
	for _, w := range todo.withdrawals {
		p.remapped[vacancy{w.Price, w.StripeEventID}] = true
	}
	for _, v := range todo.gone {
		p.remapped[v] = true
	}
	return todo, nil
}

// fill withdraws mappings, together with what takes their place.
func (p *pricing) fill(ctx context.Context, todo repricing) error {
	vacant := todo.vacant()
	if len(vacant) == 0 {
		return p.WithdrawPrices(ctx, todo.withdrawals, todo.mappings)
	}
	also := beside{categories: []string{intake.SubscriptionCategory},
		note: func(eventstore.Stream, *aggregate.Fact) {}, tell: func(_, _ eventstore.Position) {}}
	search := newPriceSearch(todo.after, "", vacant)
	searched, err := p.searchPrices(ctx, search, 0, also)
	if err != nil {
		return err
	}
	return p.remap(ctx, todo.withdrawals, todo.mappings, search, searched, also)
}

// repricing is what is to be recorded of prices.
type repricing struct {
	before, after aggregate.Catalogs
	mappings      []aggregate.PriceMapping
	withdrawals   []aggregate.MappingWithdrawal
	// gone are vacancies from before. Whoever made them may not have got to the end
	// of it.
	gone []vacancy
}

// vacant are the prices for which something must be searched that takes the place
// of what is withdrawn: nothing that is at hand was seen as early.
func (r repricing) vacant() []string {
	var prices []string
	for _, w := range r.withdrawals {
		stood, found := r.before.MappingOf(w.Price)
		if stands, instead := r.after.MappingOf(w.Price); found && (!instead || stands.CompareSeen(stood) > 0) {
			prices = append(prices, w.Price)
		}
	}
	for _, v := range r.gone {
		if stands, instead := r.after.MappingOf(v.price); !instead || stands.StripeEventID != v.stripeEventID {
			prices = append(prices, v.price)
		}
	}
	return prices
}

// decide finds out what is to be recorded. Only of events that lead to a record,
// or did, it finds out what of them will be in force.
func (p *pricing) decide(ctx context.Context) (repricing, error) {
	todo := repricing{before: p.Catalogs()}
	p.showings = map[string]*showing{}
	for doubtful := p.doubtful(todo.before); ; {
		if err := p.rehearse(ctx, todo.before, doubtful); err != nil {
			return todo, err
		}
		p.supersede(&todo)
		todo.mappings = todo.after.NewMappings(p.sightings())
		doubtful = map[string]bool{}
		for _, m := range todo.mappings {
			if p.showings[m.StripeEventID] == nil {
				doubtful[m.StripeEventID] = true
			}
		}
		if len(doubtful) == 0 {
			break
		}
	}
	for _, m := range todo.mappings {
		todo.after = todo.after.WithMapping(m)
	}
	return todo, nil
}

// doubtful are the Stripe events of readings that were known to the history of
// mappings before, or that may be so by what an earlier entry shows.
func (p *pricing) doubtful(history aggregate.Catalogs) map[string]bool {
	doubtful, named := map[string]bool{}, history.Named()
	for i := range p.readings {
		if r := &p.readings[i]; named[r.stripeEventID()] || len(history.NewMappings(r.showed)) > 0 {
			doubtful[r.stripeEventID()] = true
		}
	}
	return doubtful
}

// supersede decides which mappings count no more.
func (p *pricing) supersede(todo *repricing) {
	todo.after, todo.withdrawals, todo.gone = todo.before, nil, nil
	for _, id := range slices.Sorted(maps.Keys(p.showings)) {
		s := p.showings[id]
		todo.withdrawals = append(todo.withdrawals, todo.before.Superseded(id, s.was, s.is, s.epochs)...)
		for _, price := range todo.before.WithdrawnOf(id) {
			if v := (vacancy{price, id}); !p.remapped[v] {
				todo.gone = append(todo.gone, v)
			}
		}
	}
	for _, w := range todo.withdrawals {
		todo.after = todo.after.WithWithdrawal(w)
	}
}

// sightings are what the readings show once they are posted: as far as that was
// found out, and otherwise as if all of it came into force.
func (p *pricing) sightings() []aggregate.Sighting {
	var seen []aggregate.Sighting
	for i := range p.readings {
		r := &p.readings[i]
		if p.showings[r.stripeEventID()] != nil {
			continue
		}
		for _, f := range r.facts {
			seen = append(seen, f.Fact.Sightings(string(f.Stream))...)
		}
	}
	for _, s := range p.showings {
		seen = append(seen, s.is...)
	}
	return seen
}

// rehearse finds out what Stripe events show, by posting their readings to
// ledgers that nobody else sees. What cannot be posted shows nothing.
func (p *pricing) rehearse(ctx context.Context, history aggregate.Catalogs, events map[string]bool) error {
	cache := newLedgers(p.Store)
	for _, j := range p.jobsOf(events) {
		j.manner = p.manner
		to, err := cache.load(ctx, j.stream)
		if err == nil {
			p.each(j, to, func(s *showing, f *aggregate.Fact) { s.was = append(s.was, f.Sightings(string(j.stream))...) })
			err = p.decideJob(ctx, cache, j)
		}
		if isUnpostable(err) {
			continue
		}
		if err != nil {
			return err
		}
		p.each(j, to, func(s *showing, f *aggregate.Fact) {
			s.is = append(s.is, f.Sightings(string(j.stream))...)
			s.epochs[string(j.stream)] = max(s.epochs[string(j.stream)], f.Epoch)
		})
	}
	for id := range events {
		for _, m := range history.MappingsOf(id) {
			if err := p.lookInto(ctx, cache, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookInto finds out what the event of a mapping shows in the mapping's stream, if
// no reading leads there.
func (p *pricing) lookInto(ctx context.Context, cache *ledgers, m aggregate.PriceMapping) error {
	s := p.showings[m.StripeEventID]
	if _, known := s.epochs[m.Stream]; known || m.Stream == "" {
		return nil
	}
	to, err := cache.load(ctx, eventstore.Stream(m.Stream))
	if isUnpostable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range to.KeysOf(m.StripeEventID) {
		held, _ := to.Held(key)
		s.is = append(s.is, held.Sightings(m.Stream)...)
		s.epochs[m.Stream] = max(s.epochs[m.Stream], held.Epoch)
	}
	return nil
}

// jobsOf are the jobs to which the readings of Stripe events lead.
func (p *pricing) jobsOf(events map[string]bool) []*job {
	var readings []reading
	for _, r := range p.readings {
		if !events[r.stripeEventID()] {
			continue
		}
		s := p.showings[r.stripeEventID()]
		if s == nil {
			s = &showing{epochs: map[string]int{}}
			p.showings[r.stripeEventID()] = s
		}
		s.was = append(s.was, r.showed...)
		readings = append(readings, r)
	}
	return jobsOf(readings)
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
