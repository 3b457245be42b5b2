package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// MappingWithdrawnType is the stored name of the event that records a
// MappingWithdrawal.
const MappingWithdrawnType = "PriceMappingWithdrawn"

// MappingWithdrawal records that what a Stripe event showed of a price counts no
// more, because the event was repudiated. It holds whether the mapping was
// recorded before it or is recorded after it.
type MappingWithdrawal struct {
	Schema int    `json:"schema"`
	Price  string `json:"price"`
	// StripeEventID is the event that showed what is withdrawn.
	StripeEventID string `json:"stripe_event_id"`
	// WithdrawnAt is our clock when the withdrawal was recorded.
	WithdrawnAt time.Time `json:"withdrawn_at"`
}

// shown identifies a mapping: what an event shows of a price.
type shown struct{ price, stripeEventID string }

func (m PriceMapping) shown() shown      { return shown{m.Price, m.StripeEventID} }
func (w MappingWithdrawal) shown() shown { return shown{w.Price, w.StripeEventID} }

// DecodeMappingWithdrawn reads the stored form of a withdrawal, which is its
// JSON. Another type gives ErrUnknownType; a schema newer than ours, or a
// withdrawal of nothing, an error.
func DecodeMappingWithdrawn(eventType string, data []byte) (MappingWithdrawal, error) {
	var w MappingWithdrawal
	if eventType != MappingWithdrawnType {
		return w, fmt.Errorf("decode %q: %w", eventType, ErrUnknownType)
	}
	if err := decodeStored(eventType, data, &w); err != nil {
		return w, err
	}
	if w.Price == "" || w.StripeEventID == "" {
		return w, fmt.Errorf("decode %s: want a price, and the event that showed it", eventType)
	}
	return w, checkSchema(eventType, w.Schema)
}

// WithWithdrawal returns the history with a mapping out of force, for ever. What
// was seen next of its price, among what is recorded, stands from then on.
func (h Catalogs) WithWithdrawal(w MappingWithdrawal) Catalogs {
	gone := w.shown()
	if h.withdrawn[gone] {
		return h
	}
	withdrawn := make(map[shown]bool, len(h.withdrawn)+1)
	maps.Copy(withdrawn, h.withdrawn)
	withdrawn[gone] = true
	h.withdrawn = withdrawn
	isGone := func(m PriceMapping) bool { return m.shown() == gone }
	if !slices.ContainsFunc(h.mappings, isGone) {
		return h
	}
	h.mappings = slices.DeleteFunc(slices.Clone(h.mappings), isGone)
	recorded := maps.Clone(h.recorded)
	if recorded[w.Price] = slices.DeleteFunc(slices.Clone(recorded[w.Price]), isGone); len(recorded[w.Price]) == 0 {
		delete(recorded, w.Price)
	}
	h.recorded = recorded
	return h.asOfNow()
}

// Withdrawals says what is to be recorded when a Stripe event is repudiated: that
// its mappings count no more. They are those that are recorded, and those that
// would be if the event, which shows seen, were posted now, as somebody may be
// doing. WithdrawnAt is the caller's to set.
func (h Catalogs) Withdrawals(stripeEventID string, seen []Sighting) []MappingWithdrawal {
	var withdrawals []MappingWithdrawal
	for _, m := range slices.Concat(h.mappings, h.NewMappings(seen)) {
		if m.StripeEventID == stripeEventID {
			withdrawals = append(withdrawals, MappingWithdrawal{Schema: Schema, Price: m.Price, StripeEventID: stripeEventID})
		}
	}
	return withdrawals
}

// WithdrawnOf lists the prices of which a Stripe event's mapping is withdrawn, in
// order.
func (h Catalogs) WithdrawnOf(stripeEventID string) []string {
	var prices []string
	for w := range h.withdrawn {
		if w.stripeEventID == stripeEventID {
			prices = append(prices, w.price)
		}
	}
	slices.Sort(prices)
	return prices
}
