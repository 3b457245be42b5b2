package aggregate

import (
	"slices"
	"strings"
)

// TierOfItem maps a priced item to a tier: by price id, then by a recorded
// mapping of it, then product, then lookup key.
func (c *Catalog) TierOfItem(item Item) (Tier, bool) {
	if m := c.match(item); m.tier >= 0 {
		return c.Tiers[m.tier], true
	}
	return Tier{}, false
}

// AddonOfItem maps a priced item to an add-on, in the same way. An item is
// either a tier's or an add-on's: the better way of naming it decides.
func (c *Catalog) AddonOfItem(item Item) (Addon, bool) {
	if m := c.match(item); m.addon >= 0 {
		return c.Addons[m.addon], true
	}
	return Addon{}, false
}

// match is what an item's price stands for: a place among the tiers or among
// the add-ons, the other of the two being -1, and the way in which it was found.
type match struct {
	tier, addon int
	by          int
}

// unmatched is the match of an item that is in no place of the catalog.
var unmatched = match{tier: -1, addon: -1, by: -1}

// The ways in which an item may be named, best first.
const (
	byPrice = iota
	byRecord
	byProduct
	byLookupKey
)

// CatalogLine is what an item's price stands for, and the line of the catalog
// that says so.
type CatalogLine struct {
	Item
	// Tier or Addon is what the price stands for; both are empty where it is in no
	// place of the catalog.
	Tier  string `json:"tier,omitempty"`
	Addon string `json:"addon,omitempty"`
	// By names the way in which the line was found: "price", "recorded" (what the
	// price was first matched to, which counts although the catalog no longer
	// leads there), "product" or "lookup_key".
	By string `json:"by,omitempty"`
	// Line is the entry as the catalog has it, empty for a recorded one.
	Line string `json:"line,omitempty"`
}

// LineOf tells which line of the catalog an item goes by.
func (c *Catalog) LineOf(item Item) CatalogLine {
	line, m := CatalogLine{Item: item}, c.match(item)
	switch {
	case m.tier >= 0:
		line.Tier = c.Tiers[m.tier].ID
	case m.addon >= 0:
		line.Addon = c.Addons[m.addon].ID
	default:
		return line
	}
	switch m.by {
	case byPrice:
		line.By, line.Line = "price", item.Price
	case byRecord:
		line.By = "recorded"
	case byProduct:
		line.By, line.Line = "product", "product:"+item.Product
	default:
		line.By, line.Line = "lookup_key", "lookup:"+item.LookupKey
	}
	return line
}

func (c *Catalog) match(item Item) match {
	if m := c.named(byPrice, "", item.Price); m.by == byPrice {
		return m
	}
	if m := c.asRecorded(item.Price); m.by == byRecord {
		return m
	}
	if m := c.named(byProduct, "product:", item.Product); m.by == byProduct {
		return m
	}
	return c.named(byLookupKey, "lookup:", item.LookupKey)
}

// matchByKeyAlone is the match of an item as if nothing was recorded of its
// price; by its lookup key only where nothing else names it.
func (c *Catalog) matchByKeyAlone(item Item) match {
	if item.LookupKey == "" {
		return unmatched
	}
	bare := *c
	bare.recorded = nil
	return bare.match(item)
}

// named looks for the place whose prices name id in the way that has this prefix.
func (c *Catalog) named(by int, prefix, id string) match {
	if id == "" {
		return unmatched
	}
	for i := range c.Tiers {
		if names(c.Tiers[i].Prices, prefix, id) {
			return match{tier: i, addon: -1, by: by}
		}
	}
	for i := range c.Addons {
		if names(c.Addons[i].Prices, prefix, id) {
			return match{tier: -1, addon: i, by: by}
		}
	}
	return unmatched
}

// names reports whether one of prices is the prefix and the id.
func names(prices []string, prefix, id string) bool {
	for _, p := range prices {
		if named, of := strings.CutPrefix(p, prefix); of && named == id {
			return true
		}
	}
	return false
}

// asRecorded goes by what was recorded of a price. A mapping to what the catalog
// no longer has is as none.
func (c *Catalog) asRecorded(price string) match {
	of := c.recorded[price]
	i := slices.IndexFunc(of, func(m PriceMapping) bool { return c.recordedBy.IsZero() || !m.MappedAt.After(c.recordedBy) })
	if i < 0 {
		return unmatched
	}
	m := of[i]
	if m.Addon != "" {
		for i := range c.Addons {
			if c.Addons[i].ID == m.Addon {
				return match{tier: -1, addon: i, by: byRecord}
			}
		}
		return unmatched
	}
	if rank := c.Rank(m.Tier); rank >= 0 {
		return match{tier: rank, addon: -1, by: byRecord}
	}
	return unmatched
}
