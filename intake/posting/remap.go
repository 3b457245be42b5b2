package posting

import (
	"context"
	"fmt"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// beside is what else is done while the log is looked through for prices.
type beside struct {
	// categories are those of further streams to look at, of whose facts note is told.
	categories []string
	note       func(stream eventstore.Stream, f *aggregate.Fact)
	tell       func(at, end eventstore.Position)
}

// searchPrices takes the log behind a place into a search, up to its present end,
// which it returns.
func (p *Poster) searchPrices(ctx context.Context, s *priceSearch, from eventstore.Position, also beside) (end eventstore.Position, err error) {
	if end, err = p.Store.Head(ctx); err != nil {
		return 0, fmt.Errorf("read the log's end: %w", err)
	}
	between := func(from eventstore.Position) error {
		return p.look(ctx, from, end, append([]string{catalogCategory}, also.categories...), func(e *eventstore.RecordedEvent) {
			f := factIn(e)
			also.note(e.Stream, f)
			s.take(e, f)
		}, func(at eventstore.Position) { also.tell(at, end) })
	}
	err = between(from)
	for err == nil && s.again() {
		err = between(0)
	}
	return end, err
}

// remap withdraws mappings, together with what takes their place, so that there
// is no moment without either: the caller's own, or what a search found that has
// taken in the log up to a place. A fact that was recorded since may show a price
// earlier than all that was found, and yet not have been mapped, for what is
// withdrawn stood in its way; or it may have superseded what was found. So these
// facts are searched too. And what was found may have been withdrawn elsewhere
// before this withdrew what was in its place, which is known once this has written:
// then what comes next is found. Of two that withdraw from one price, the later
// knows of the earlier. What is posted from now on is mapped as it comes.
func (p *Poster) remap(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, own []aggregate.PriceMapping,
	s *priceSearch, searched eventstore.Position, also beside) (err error) {
	for lost := true; lost; lost = s.heed(p.Catalogs()) {
		for first := true; first || len(withdrawals) > 0; first = false {
			instead := slices.SortedStableFunc(slices.Values(slices.Concat(own, s.found())), aggregate.PriceMapping.CompareSeen)
			if err = p.WithdrawPrices(ctx, withdrawals, instead); err != nil {
				return fmt.Errorf("withdraw mappings of prices: %w", err)
			}
			s.heed(p.Catalogs())
			if searched, err = p.searchPrices(ctx, s, searched, also); err != nil {
				return err
			}
			withdrawals = s.overtaken()
		}
		if err = p.MapPrices(ctx, s.found()); err != nil {
			return fmt.Errorf("record mappings of prices: %w", err)
		}
	}
	return nil
}

// Remapped is a price of which a mapping was withdrawn.
type Remapped struct {
	Price string `json:"price"`
	// Mapping is the one that stands instead; nil if the price was not seen with a
	// lookup key of the catalog otherwise.
	Mapping *aggregate.PriceMapping `json:"mapping"`
}

// lookThrough tells which mappings are to count no more, and takes the log into a
// search for what takes their place; also in the place of those withdrawn already,
// for a crash may have come in between. What the event showed as an earlier build
// read it, only the log tells: where that is of more prices, the search begins anew.
func (r *repudiating) lookThrough(ctx context.Context) (withdrawals []aggregate.MappingWithdrawal, searched eventstore.Position, err error) {
	for _, f := range r.given {
		r.showed = append(r.showed, f.Fact.Sightings(string(f.Stream))...)
	}
	for {
		withdrawals = r.beginPrices()
		if searched, err = r.searchPrices(ctx, r.prices, 0, r.beside()); err != nil {
			return nil, 0, err
		}
		if len(r.withdrawals()) == len(withdrawals) {
			return withdrawals, searched, nil
		}
	}
}

// withdrawals withdraw all that the event is known to have shown.
func (r *repudiating) withdrawals() []aggregate.MappingWithdrawal {
	if r.WithdrawPrices == nil {
		return nil
	}
	return r.history.Withdrawals(r.plan.StripeEventID, r.showed)
}

// beginPrices begins the search of prices.
func (r *repudiating) beginPrices() []aggregate.MappingWithdrawal {
	withdrawals := r.withdrawals()
	after, prices := r.history, r.history.WithdrawnOf(r.plan.StripeEventID)
	for _, w := range withdrawals {
		after, prices = after.WithWithdrawal(w), append(prices, w.Price)
	}
	r.prices = newPriceSearch(after, r.plan.StripeEventID, prices)
	return withdrawals
}

// remapPrices withdraws mappings, and tells what takes their place.
func (r *repudiating) remapPrices(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, searched eventstore.Position) error {
	if r.WithdrawPrices == nil || len(r.prices.of) == 0 {
		return nil
	}
	led := r.Catalogs().MappingsOf(r.plan.StripeEventID)
	if err := r.remap(ctx, withdrawals, nil, r.prices, searched, r.beside()); err != nil {
		return err
	}
	for _, w := range withdrawals {
		if !slices.ContainsFunc(led, func(m aggregate.PriceMapping) bool { return m.Price == w.Price }) {
			continue
		}
		remapped := Remapped{Price: w.Price}
		if m, found := r.Catalogs().MappingOf(w.Price); found {
			remapped.Mapping = &m
		}
		r.result.Prices = append(r.result.Prices, remapped)
	}
	return nil
}
