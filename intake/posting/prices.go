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

// doubtful are the Stripe events of readings that the history of mappings names,
// or may name where an earlier entry is posted.
func (p *pricing) doubtful(history aggregate.Catalogs) map[string]bool {
	doubtful, named := map[string]bool{}, history.Named()
	for i := range p.readings {
		r := &p.readings[i]
		if r.failure != nil || len(r.facts)+len(r.before) == 0 {
			continue // nothing comes of it
		}
		if named[r.stripeEventID()] || slices.ContainsFunc(r.showed, history.MayMap) {
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
