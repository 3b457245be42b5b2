package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// PriceMappedType is the stored name of the event that records a PriceMapping.
const PriceMappedType = "PriceMapped"

// PriceMapping records what a price was first matched to by its lookup key.
// Stripe can move a lookup key to another price; what was sold under the first
// one keeps its place.
type PriceMapping struct {
	Schema int    `json:"schema"`
	Price  string `json:"price"`
	// Tier or Addon is the id of what the price stands for; the other is empty.
	Tier      string `json:"tier,omitempty"`
	Addon     string `json:"addon,omitempty"`
	LookupKey string `json:"lookup_key"`
	// StripeEventID is the event that showed the match, SeenAt Stripe's time of it.
	StripeEventID string    `json:"stripe_event_id,omitempty"`
	SeenAt        time.Time `json:"seen_at,omitzero"`
	// Stream has the fact in which the event showed it, and Epoch is that of the
	// fact: a later reading of the event may show something else, or elsewhere. What
	// an earlier build recorded has neither.
	Stream string `json:"stream,omitempty"`
	Epoch  int    `json:"epoch,omitempty"`
	// MappedAt is our clock when the match was recorded.
	MappedAt time.Time `json:"mapped_at"`
}

// CompareSeen puts the mapping first that Stripe's event showed first. It does
// not depend on which of them arrived, and was recorded, first.
func (m PriceMapping) CompareSeen(other PriceMapping) int {
	return cmp.Or(m.SeenAt.Compare(other.SeenAt), strings.Compare(m.StripeEventID, other.StripeEventID))
}

// Sighting is a priced item in a Stripe event.
type Sighting struct {
	Item
	StripeEventID string
	// SeenAt is Stripe's time of the event.
	SeenAt time.Time
	// Stream has the fact that has the item, and Epoch is that of the fact.
	Stream string
	Epoch  int
}

// Sightings are the items of a fact of a stream that have a lookup key, and so may
// map a price.
func (f *Fact) Sightings(stream string) []Sighting {
	if f.Subscription == nil {
		return nil
	}
	var seen []Sighting
	for _, item := range f.Subscription.Items {
		if item.LookupKey != "" {
			seen = append(seen, Sighting{Item: item, StripeEventID: f.Key.StripeEventID, SeenAt: f.OccurredAt,
				Stream: stream, Epoch: f.Epoch})
		}
	}
	return seen
}

// DecodePriceMapped reads the stored form of a mapping, which is its JSON.
// Another type gives ErrUnknownType; a schema newer than ours, or a mapping of
// nothing or to nothing, an error.
func DecodePriceMapped(eventType string, data []byte) (PriceMapping, error) {
	var m PriceMapping
	if eventType != PriceMappedType {
		return m, fmt.Errorf("decode %q: %w", eventType, ErrUnknownType)
	}
	if err := decodeStored(eventType, data, &m); err != nil {
		return m, err
	}
	if m.Price == "" || (m.Tier == "") == (m.Addon == "") {
		return m, fmt.Errorf("decode %s: want a price, and either a tier or an add-on", eventType)
	}
	return m, checkSchema(eventType, m.Schema)
}

// WithMapping returns the history with one more recorded mapping. Of those of
// one price the one that was seen first stands; one that says nothing new
// changes nothing.
func (h Catalogs) WithMapping(m PriceMapping) Catalogs {
	if !h.precedes(m) {
		return h
	}
	h.mappings = append(slices.Clip(h.mappings), m)
	recorded := make(map[string][]PriceMapping, len(h.recorded)+1)
	maps.Copy(recorded, h.recorded)
	recorded[m.Price] = slices.Insert(slices.Clone(recorded[m.Price]), 0, m)
	h.recorded = recorded
	return h.asOfNow()
}

// precedes reports whether a mapping counts, and was seen before every recorded
// one of its price.
func (h Catalogs) precedes(m PriceMapping) bool {
	of := h.recorded[m.Price]
	return !h.withdrew(m) && (len(of) == 0 || m.CompareSeen(of[0]) < 0)
}

// Mappings returns the mappings that were recorded and not withdrawn, in the
// order of recording.
func (h Catalogs) Mappings() []PriceMapping { return slices.Clone(h.mappings) }

// MappingOf returns the mapping of a price that stands, and whether there is one.
func (h Catalogs) MappingOf(price string) (PriceMapping, bool) {
	if of := h.recorded[price]; len(of) > 0 {
		return of[0], true
	}
	return PriceMapping{}, false
}

// NewMappings says what is to be recorded of items: those that nothing but their
// lookup key matches, and of whose price nothing was recorded yet that was seen
// before. MappedAt is the caller's to set.
func (h Catalogs) NewMappings(seen []Sighting) []PriceMapping {
	if h.current == nil {
		return nil
	}
	var mappings []PriceMapping
	for _, s := range seen {
		if s.Price == "" || !h.precedes(s.unmatched()) {
			continue
		}
		found := h.current.matchByKeyAlone(s.Item)
		if found.by != byLookupKey {
			continue
		}
		m := h.current.mapping(s, found)
		i := slices.IndexFunc(mappings, func(other PriceMapping) bool { return other.Price == m.Price })
		switch {
		case i < 0:
			mappings = append(mappings, m)
		case m.CompareSeen(mappings[i]) < 0:
			mappings[i] = m
		}
	}
	return mappings
}

// unmatched is the mapping of a sighting, but for what it maps to.
func (s Sighting) unmatched() PriceMapping {
	return PriceMapping{Schema: Schema, Price: s.Price, LookupKey: s.LookupKey, StripeEventID: s.StripeEventID, SeenAt: s.SeenAt.UTC(),
		Stream: s.Stream, Epoch: s.Epoch}
}

func (c *Catalog) mapping(s Sighting, found match) PriceMapping {
	m := s.unmatched()
	if found.tier >= 0 {
		m.Tier = c.Tiers[found.tier].ID
	} else {
		m.Addon = c.Addons[found.addon].ID
	}
	return m
}

// asOfNow returns the history with its present catalog made ready.
func (h Catalogs) asOfNow() Catalogs {
	h.current = nil
	if n := len(h.adopted); n > 0 {
		h.current = h.adopted[n-1].Catalog.withRecords(h.recorded, time.Time{})
	}
	return h
}

// withRecords returns the catalog with mappings beside it, of which those count
// that were recorded by t; zero counts all.
func (c *Catalog) withRecords(recorded map[string][]PriceMapping, t time.Time) *Catalog {
	if len(recorded) == 0 {
		return c
	}
	view := *c
	view.recorded, view.recordedBy = recorded, t
	return &view
}
