package aggregate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// MappingWithdrawnType is the stored name of the event that records a
// MappingWithdrawal.
const MappingWithdrawnType = "PriceMappingWithdrawn"

// MappingWithdrawal records that what a Stripe event showed of a price counts no
// more: because the event was repudiated, or because a later reading of it shows
// something else. It holds whether the mapping was recorded before it or is
// recorded after it.
type MappingWithdrawal struct {
	Schema int    `json:"schema"`
	Price  string `json:"price"`
	// StripeEventID is the event that showed what is withdrawn.
	StripeEventID string `json:"stripe_event_id"`
	// SupersededBy is the epoch of the fact that took the place of the one which
	// showed it, in Stream: what the event's facts of earlier epochs showed in that
	// stream is withdrawn, and nothing else. 0 withdraws whatever the event shows.
	SupersededBy int `json:"superseded_by,omitempty"`
	// Stream is empty for mappings that tell of none.
	Stream string `json:"stream,omitempty"`
	// WithdrawnAt is our clock when the withdrawal was recorded.
	WithdrawnAt time.Time `json:"withdrawn_at"`
}

// shown identifies what an event shows of a price in a stream, by a fact of
// whichever epoch.
type shown struct{ price, stripeEventID, stream string }

func (m PriceMapping) shown() shown      { return shown{m.Price, m.StripeEventID, m.Stream} }
func (w MappingWithdrawal) shown() shown { return shown{w.Price, w.StripeEventID, w.Stream} }

// always is later than the epoch of any fact.
const always = math.MaxInt

// until is the epoch from which on mappings are not withdrawn.
func (w MappingWithdrawal) until() int {
	if w.SupersededBy == 0 {
		return always
	}
	return w.SupersededBy
}

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
	if w.SupersededBy < 0 || w.SupersededBy == 0 && w.Stream != "" {
		return w, fmt.Errorf("decode %s: want the epoch that supersedes what is in a stream", eventType)
	}
	return w, checkSchema(eventType, w.Schema)
}

// WithWithdrawal returns the history with mappings out of force, for ever. What
// was seen next of their price, among what is recorded, stands from then on.
func (h Catalogs) WithWithdrawal(w MappingWithdrawal) Catalogs {
	if h.Holds(w) {
		return h
	}
	withdrawn := make(map[shown]int, len(h.withdrawn)+1)
	maps.Copy(withdrawn, h.withdrawn)
	withdrawn[w.shown()] = w.until()
	h.withdrawn = withdrawn
	if !slices.ContainsFunc(h.mappings, h.withdrew) {
		return h
	}
	h.mappings = slices.DeleteFunc(slices.Clone(h.mappings), h.withdrew)
	recorded := maps.Clone(h.recorded)
	if recorded[w.Price] = slices.DeleteFunc(slices.Clone(recorded[w.Price]), h.withdrew); len(recorded[w.Price]) == 0 {
		delete(recorded, w.Price)
	}
	h.recorded = recorded
	return h.asOfNow()
}

// Holds reports whether a withdrawal, or one that says more, is recorded.
func (h Catalogs) Holds(w MappingWithdrawal) bool { return h.withdrawn[w.shown()] >= w.until() }

// withdrew reports whether a mapping counts no more, or never will.
func (h Catalogs) withdrew(m PriceMapping) bool {
	return m.Epoch < h.withdrawn[m.shown()] || h.withdrawn[shown{price: m.Price, stripeEventID: m.StripeEventID}] == always
}

// Withdrawals says what is to be recorded when a Stripe event is repudiated: that
// nothing counts that it showed of prices. These are the prices of its mappings, and
// all that what it shows, which is seen, may ever map: whether it would be recorded
// does not depend on this history alone, for somebody may be posting the event by an
// older or a newer one. WithdrawnAt is the caller's to set.
func (h Catalogs) Withdrawals(stripeEventID string, seen []Sighting) []MappingWithdrawal {
	var withdrawals []MappingWithdrawal
	for _, m := range h.ledTo(stripeEventID, seen) {
		w := MappingWithdrawal{Schema: Schema, Price: m.Price, StripeEventID: stripeEventID}
		if !h.Holds(w) && !slices.Contains(withdrawals, w) {
			withdrawals = append(withdrawals, w)
		}
	}
	return withdrawals
}

// Superseded says what is to be recorded when facts of a Stripe event take the
// place of others: that those of its mappings count no more which these showed and
// the present ones do not. Was is what the event showed before, is what it shows
// now, and epochs are those of its latest fact in each stream now. Mappings to which
// the event may lead if it is posted as it was before, as somebody may be doing,
// count as if they were recorded. WithdrawnAt is the caller's to set.
func (h Catalogs) Superseded(stripeEventID string, was, is []Sighting, epochs map[string]int) []MappingWithdrawal {
	latest := 0
	for _, epoch := range epochs {
		latest = max(latest, epoch)
	}
	var withdrawals []MappingWithdrawal
	for _, m := range h.ledTo(stripeEventID, was) {
		by := epochs[m.Stream]
		if m.Stream == "" {
			by = latest
		}
		w := MappingWithdrawal{Schema: Schema, Price: m.Price, StripeEventID: stripeEventID, Stream: m.Stream, SupersededBy: by}
		if m.Epoch < by && !h.withdrew(m) && !m.shownAgain(was, is) && !slices.Contains(withdrawals, w) {
			withdrawals = append(withdrawals, w)
		}
	}
	return withdrawals
}

// ledTo are the mappings to which a Stripe event, which shows seen, led or may lead:
// those that count, and what any catalog of the history would match by its lookup
// key, whatever was seen before of its price.
func (h Catalogs) ledTo(stripeEventID string, seen []Sighting) []PriceMapping {
	mappings := h.MappingsOf(stripeEventID)
	for _, s := range seen {
		if s.StripeEventID == stripeEventID && h.MayMap(s) {
			mappings = append(mappings, s.unmatched())
		}
	}
	return mappings
}

// MayMap reports whether a sighting may map its price: any catalog of the history
// matches it by nothing but its lookup key.
func (h Catalogs) MayMap(s Sighting) bool {
	return s.Price != "" && slices.ContainsFunc(h.adopted, func(a CatalogAdopted) bool {
		return a.Catalog.matchByKeyAlone(s.Item).by == byLookupKey
	})
}

// shownAgain reports whether an event that once showed a mapping shows it still.
// That an item has another product now makes it another match: the mapping itself
// does not tell of the product, but what the event showed before does.
func (m PriceMapping) shownAgain(was, is []Sighting) bool {
	return slices.ContainsFunc(is, func(now Sighting) bool {
		return m.fits(now) && !slices.ContainsFunc(was, func(then Sighting) bool {
			return m.fits(then) && then.Product != now.Product
		})
	})
}

// fits reports whether a sighting of the mapping's event may have led to it.
func (m PriceMapping) fits(s Sighting) bool {
	return s.Price == m.Price && s.LookupKey == m.LookupKey && s.SeenAt.Equal(m.SeenAt)
}

// WithdrawnOf lists the prices of which mappings of a Stripe event are withdrawn,
// in order.
func (h Catalogs) WithdrawnOf(stripeEventID string) []string {
	var prices []string
	for w := range h.withdrawn {
		if w.stripeEventID == stripeEventID {
			prices = append(prices, w.price)
		}
	}
	slices.Sort(prices)
	return slices.Compact(prices)
}

// MappingsOf returns those mappings that count to which a Stripe event led.
func (h Catalogs) MappingsOf(stripeEventID string) []PriceMapping {
	return slices.DeleteFunc(h.Mappings(), func(m PriceMapping) bool { return m.StripeEventID != stripeEventID })
}

// Named are the Stripe events of which a mapping counts, or was withdrawn.
func (h Catalogs) Named() map[string]bool {
	named := make(map[string]bool, len(h.mappings)+len(h.withdrawn))
	for _, m := range h.mappings {
		named[m.StripeEventID] = true
	}
	for w := range h.withdrawn {
		named[w.stripeEventID] = true
	}
	return named
}

// Blank is a history in which nothing has happened yet, but in which what the
// history has withdrawn will never count.
func (h Catalogs) Blank() Catalogs { return Catalogs{withdrawn: h.withdrawn} }

// WithWithdrawalsOf returns the history, which has no mapping, with what another one
// has withdrawn in the place of what it has.
func (h Catalogs) WithWithdrawalsOf(other Catalogs) Catalogs {
	h.withdrawn = other.withdrawn
	return h
}

// Counts reports whether a mapping counts if it is recorded: it is not withdrawn.
func (h Catalogs) Counts(m PriceMapping) bool { return !h.withdrew(m) }
