package posting

import (
	"context"
	"fmt"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

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
	r.prices = newPriceSearch(r.plan.StripeEventID, nil)
	if r.WithdrawPrices == nil {
		return nil
	}
	var seen []aggregate.Sighting
	for i := range r.given {
		seen = append(seen, r.given[i].Fact.Sightings()...)
	}
	history := r.Catalogs()
	withdrawals := history.Withdrawals(r.plan.StripeEventID, seen)
	prices := history.WithdrawnOf(r.plan.StripeEventID)
	for _, w := range withdrawals {
		prices = append(prices, w.Price)
	}
	r.prices = newPriceSearch(r.plan.StripeEventID, prices)
	return withdrawals
}

// remap withdraws mappings, together with what takes their place, so that there
// is no moment without either. A fact that was recorded since the search may show
// a price earlier than all that was found, and yet not have been mapped, for what
// is withdrawn stood in its way: so these are searched too. What is posted from
// now on is mapped as it comes.
func (r *repudiating) remap(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, searched eventstore.Position) error {
	if len(r.prices.of) == 0 {
		return nil
	}
	if err := r.WithdrawPrices(ctx, withdrawals, r.prices.found()); err != nil {
		return fmt.Errorf("withdraw mappings of prices: %w", err)
	}
	if _, err := r.search(ctx, searched); err != nil {
		return err
	}
	if err := r.MapPrices(ctx, r.prices.found()); err != nil {
		return fmt.Errorf("record mappings of prices: %w", err)
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
