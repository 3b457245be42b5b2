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
// facts are searched too. What is posted from now on is mapped as it comes.
func (p *Poster) remap(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, own []aggregate.PriceMapping,
	s *priceSearch, searched eventstore.Position, also beside) (err error) {
	for first := true; first || len(withdrawals) > 0; first = false {
		instead := slices.SortedStableFunc(slices.Values(slices.Concat(own, s.found())), aggregate.PriceMapping.CompareSeen)
		if err = p.WithdrawPrices(ctx, withdrawals, instead); err != nil {
			return fmt.Errorf("withdraw mappings of prices: %w", err)
		}
		if searched, err = p.searchPrices(ctx, s, searched, also); err != nil {
			return err
		}
		withdrawals = s.overtaken()
	}
	if err = p.MapPrices(ctx, s.found()); err != nil {
		return fmt.Errorf("record mappings of prices: %w", err)
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

// beginPrices tells which mappings are to count no more, and begins the search for
// what takes their place; also in the place of those withdrawn already, for a crash
// may have come in between.
func (r *repudiating) beginPrices() []aggregate.MappingWithdrawal {
	history := r.Catalogs()
	r.prices = newPriceSearch(history, r.plan.StripeEventID, nil)
	if r.WithdrawPrices == nil {
		return nil
	}
	var seen []aggregate.Sighting
	for _, f := range r.given {
		seen = append(seen, f.Fact.Sightings(string(f.Stream))...)
	}
	withdrawals := history.Withdrawals(r.plan.StripeEventID, seen)
	prices := history.WithdrawnOf(r.plan.StripeEventID)
	for _, w := range withdrawals {
		history, prices = history.WithWithdrawal(w), append(prices, w.Price)
	}
	r.prices = newPriceSearch(history, r.plan.StripeEventID, prices)
	return withdrawals
}

// remapPrices withdraws mappings, and tells what takes their place.
func (r *repudiating) remapPrices(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, searched eventstore.Position) error {
	if len(r.prices.of) == 0 {
		return nil
	}
	if err := r.remap(ctx, withdrawals, nil, r.prices, searched, r.beside()); err != nil {
		return err
	}
	for _, w := range withdrawals {
		remapped := Remapped{Price: w.Price}
		if m, found := r.Catalogs().MappingOf(w.Price); found {
			remapped.Mapping = &m
		}
		r.result.Prices = append(r.result.Prices, remapped)
	}
	return nil
}
