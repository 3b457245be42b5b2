package posting

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// mapPrices has the prices recorded that entries bring and that nothing but
// their lookup key maps, before the facts are in: Stripe can move a lookup key to
// another price, and what was sold under it keeps its place. A record that
// cannot be written for good holds up no posting: until the key is moved, the
// price maps without it.
func (p *Poster) mapPrices(ctx context.Context, readings []reading) error {
	if p.MapPrices == nil {
		return nil
	}
	var seen []aggregate.Sighting
	for i := range readings {
		for j := range readings[i].facts {
			seen = append(seen, readings[i].facts[j].Fact.Sightings()...)
		}
	}
	mappings := p.Catalogs().NewMappings(seen)
	if len(mappings) == 0 {
		return nil
	}
	err := p.MapPrices(ctx, mappings)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, eventstore.ErrUnavailable), errors.Is(err, eventstore.ErrOutcomeUnknown), errors.Is(err, eventstore.ErrClosed):
		return fmt.Errorf("record mappings of prices: %w", err)
	}
	p.Log.WithError(err).Error("mappings of prices could not be recorded")
	return nil
}
