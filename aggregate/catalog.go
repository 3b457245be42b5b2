package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Catalog maps prices to tiers, and tiers to features and limits. Make one
// with DecodeCatalog or BuiltinCatalog: both validate it.
type Catalog struct {
	GracePeriod Span   `json:"grace_period"`
	FreeTier    string `json:"free_tier"`
	UpgradeURL  string `json:"upgrade_url,omitempty"`
	// The policies say what money and pauses do to access; see the constants.
	// A default is kept as an empty string, however a catalog writes it.
	OnDispute         Policy `json:"on_dispute,omitempty"`
	OnFullRefund      Policy `json:"on_full_refund,omitempty"`
	OnPauseCollection Policy `json:"on_pause_collection,omitempty"`
	AsyncPayment      Policy `json:"async_payment,omitempty"`
	// Tiers are ordered, lowest first; a tier has the features of all below it.
	Tiers []Tier `json:"tiers"`
	// Addons are bought beside a tier.
	Addons []Addon `json:"addons,omitempty"`

	// recorded are the mappings of prices, by price id, of which those count that
	// were recorded by recordedBy; zero counts all. They are history's, not the
	// catalog's: its JSON and its hash know nothing of them.
	recorded   map[string][]PriceMapping
	recordedBy time.Time
}

// Addon is a price that adds to whatever tier it is bought with.
type Addon struct {
	ID       string               `json:"id"`
	Features []string             `json:"features,omitempty"`
	Adds     map[string]Allowance `json:"limits_add,omitempty"`
	// Prices are written as a tier's.
	Prices []string `json:"prices,omitempty"`
}

// Tier is one plan of the catalog.
type Tier struct {
	ID       string               `json:"id"`
	Name     string               `json:"name"`
	Features []string             `json:"features,omitempty"`
	Limits   map[string]Allowance `json:"limits,omitempty"`
	// Prices are price ids, or "lookup:" and a lookup key, or "product:" and a
	// product id.
	Prices []string `json:"prices,omitempty"`
}

// Limit is a count that a tier allows.
type Limit int64

// Unlimited is a Limit without end; it is written as the string "unlimited".
const Unlimited = Limit(math.MaxInt64)

// MarshalJSON writes an integer, or "unlimited".
func (l Limit) MarshalJSON() ([]byte, error) { return l.appendJSON(nil), nil }

func (l Limit) appendJSON(to []byte) []byte {
	if l == Unlimited {
		return append(to, `"unlimited"`...)
	}
	return strconv.AppendInt(to, int64(l), 10)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Limit) UnmarshalJSON(b []byte) error {
	if string(b) == `"unlimited"` {
		*l = Unlimited
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("limit %s: want a whole number from 0, or unlimited", b)
	}
	*l = Limit(n)
	return nil
}

// Allowance is a limit as a catalog writes it: a count, "unlimited", or
// {"per_unit": n}, which is n times the quantity that is paid for.
type Allowance struct {
	Fixed   Limit
	PerUnit int64
}

// Of is the limit for a quantity.
func (a Allowance) Of(quantity int64) Limit {
	if a.PerUnit == 0 {
		return a.Fixed
	}
	if quantity > int64(Unlimited)/a.PerUnit {
		return Unlimited
	}
	return Limit(a.PerUnit * max(quantity, 0))
}

// MarshalJSON writes the form that the catalog has.
func (a Allowance) MarshalJSON() ([]byte, error) {
	if a.PerUnit != 0 {
		return fmt.Appendf(nil, `{"per_unit":%d}`, a.PerUnit), nil
	}
	return a.Fixed.MarshalJSON()
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Allowance) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		a.PerUnit = 0
		return a.Fixed.UnmarshalJSON(b)
	}
	var perUnit map[string]int64
	if err := json.Unmarshal(b, &perUnit); err != nil || len(perUnit) != 1 || perUnit["per_unit"] < 1 {
		return fmt.Errorf("limit %s: want {per_unit: N} with N of at least 1", b)
	}
	*a = Allowance{PerUnit: perUnit["per_unit"]}
	return nil
}

// plus adds two limits; unlimited stays so.
func (l Limit) plus(m Limit) Limit {
	if l > Unlimited-m {
		return Unlimited
	}
	return l + m
}

// Span is a duration that is written as text, like "24h0m0s".
type Span time.Duration

// MarshalText writes the duration as time.Duration does.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads what time.ParseDuration reads, and whole days, as in "7d".
func (s *Span) UnmarshalText(b []byte) error {
	d, err := parseSpan(string(b))
	*s = Span(d)
	return err
}

// Hash identifies the catalog's content: SHA-256, in hex, of its JSON.
func (c *Catalog) Hash() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("a catalog is plain data: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Rank is a tier's place in the catalog, 0 the lowest; -1 if it has none.
func (c *Catalog) Rank(tier string) int {
	return slices.IndexFunc(c.Tiers, func(t Tier) bool { return t.ID == tier })
}

// Tier returns the tier of that id, and whether there is one.
func (c *Catalog) Tier(id string) (Tier, bool) {
	if i := c.Rank(id); i >= 0 {
		return c.Tiers[i], true
	}
	return Tier{}, false
}

// FeaturesOf lists the features of a tier and of all below it, in catalog order.
func (c *Catalog) FeaturesOf(tier string) []string {
	features := []string{}
	for _, t := range c.Tiers[:c.Rank(tier)+1] {
		for _, f := range t.Features {
			if !slices.Contains(features, f) {
				features = append(features, f)
			}
		}
	}
	return features
}

// TierOfFeature returns the lowest tier that has a feature.
func (c *Catalog) TierOfFeature(feature string) (Tier, bool) {
	for _, t := range c.Tiers {
		if slices.Contains(t.Features, feature) {
			return t, true
		}
	}
	return Tier{}, false
}

// addonHas reports whether an add-on brings a feature.
func (c *Catalog) addonHas(feature string) bool {
	return slices.ContainsFunc(c.Addons, func(a Addon) bool { return slices.Contains(a.Features, feature) })
}

// LimitsOf returns the limits of a tier for a quantity; one that the tier does
// not set is that of the nearest tier below which does.
func (c *Catalog) LimitsOf(tier string, quantity int64) map[string]Limit {
	limits := map[string]Limit{}
	for _, t := range c.Tiers[:c.Rank(tier)+1] {
		for name, limit := range t.Limits {
			limits[name] = limit.Of(quantity)
		}
	}
	return limits
}
