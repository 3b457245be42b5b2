package aggregate

import (
	"fmt"
	"maps"
	"slices"
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
	// MappedAt is our clock when the match was recorded.
	MappedAt time.Time `json:"mapped_at"`
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

// WithMapping returns the history with one more recorded mapping. The first
// that was recorded of a price stands.
func (h Catalogs) WithMapping(m PriceMapping) Catalogs {
	if _, recorded := h.recorded[m.Price]; recorded {
		return h
	}
	h.mappings = append(slices.Clip(h.mappings), m)
	recorded := make(map[string]PriceMapping, len(h.mappings))
	maps.Copy(recorded, h.recorded)
	recorded[m.Price] = m
	h.recorded = recorded
	return h.asOfNow()
}

// Mappings returns the mappings recorded, in the order of recording.
func (h Catalogs) Mappings() []PriceMapping { return slices.Clone(h.mappings) }

// NewMappings says what is to be recorded of items: those that nothing but their
// lookup key matches, and of whose price nothing was recorded yet. MappedAt is
// the caller's to set.
func (h Catalogs) NewMappings(items []Item) []PriceMapping {
	if h.current == nil {
		return nil
	}
	var mappings []PriceMapping
	for _, item := range items {
		found := h.current.match(item)
		if found.by != byLookupKey || item.Price == "" {
			continue
		}
		if _, recorded := h.recorded[item.Price]; recorded {
			continue
		}
		if slices.ContainsFunc(mappings, func(m PriceMapping) bool { return m.Price == item.Price }) {
			continue
		}
		mappings = append(mappings, h.current.mapping(item, found))
	}
	return mappings
}

func (c *Catalog) mapping(item Item, found match) PriceMapping {
	m := PriceMapping{Schema: Schema, Price: item.Price, LookupKey: item.LookupKey}
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
func (c *Catalog) withRecords(recorded map[string]PriceMapping, t time.Time) *Catalog {
	if len(recorded) == 0 {
		return c
	}
	view := *c
	view.recorded, view.recordedBy = recorded, t
	return &view
}
