package aggregate

// MatchRule names the way in which a catalog finds an item's price.
type MatchRule string

// The rules, best first.
const (
	RulePrice     MatchRule = "price"
	RuleRecorded  MatchRule = "recorded"
	RuleProduct   MatchRule = "product"
	RuleLookupKey MatchRule = "lookup_key"
)

// PriceMatch is what an item's price stands for: a tier or an add-on, by its
// id. The zero PriceMatch is that of a price in no place of the catalog.
type PriceMatch struct {
	Tier  string    `json:"tier,omitempty"`
	Addon string    `json:"addon,omitempty"`
	Rule  MatchRule `json:"rule,omitempty"`
}

// Match says what an item's price stands for, and by which rule.
func (c *Catalog) Match(item Item) PriceMatch {
	m := c.match(item)
	switch {
	case m.tier >= 0:
		return PriceMatch{Tier: c.Tiers[m.tier].ID, Rule: m.rule()}
	case m.addon >= 0:
		return PriceMatch{Addon: c.Addons[m.addon].ID, Rule: m.rule()}
	}
	return PriceMatch{}
}

func (m match) rule() MatchRule {
	return map[int]MatchRule{byPrice: RulePrice, byRecord: RuleRecorded, byProduct: RuleProduct, byLookupKey: RuleLookupKey}[m.by]
}
