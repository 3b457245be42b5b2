package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Catalog maps prices to tiers, and tiers to features and limits. Make one
// with DecodeCatalog or BuiltinCatalog: both validate it.
type Catalog struct {
	GracePeriod Span   `json:"grace_period"`
	FreeTier    string `json:"free_tier"`
	UpgradeURL  string `json:"upgrade_url,omitempty"`
	// Tiers are ordered, lowest first; a tier has the features of all below it.
	Tiers []Tier `json:"tiers"`
	// Addons are bought beside a tier.
	Addons []Addon `json:"addons,omitempty"`
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

// TierOfItem maps a priced item to a tier: by price id, then product, then
// lookup key.
func (c *Catalog) TierOfItem(item Item) (Tier, bool) {
	for _, kind := range priceKinds {
		for _, t := range c.Tiers {
			if kind.names(t.Prices, item) {
				return t, true
			}
		}
	}
	return Tier{}, false
}

// AddonOfItem maps a priced item to an add-on, in the same way.
func (c *Catalog) AddonOfItem(item Item) (Addon, bool) {
	for _, kind := range priceKinds {
		for _, a := range c.Addons {
			if kind.names(a.Prices, item) {
				return a, true
			}
		}
	}
	return Addon{}, false
}

// priceKind is one way in which a catalog may name an item's price.
type priceKind struct {
	prefix string
	id     func(Item) string
}

// priceKinds are all ways, best first.
var priceKinds = []priceKind{
	{"", func(item Item) string { return item.Price }},
	{"product:", func(item Item) string { return item.Product }},
	{"lookup:", func(item Item) string { return item.LookupKey }},
}

// names reports whether one of prices names the item in this way.
func (k priceKind) names(prices []string, item Item) bool {
	id := k.id(item)
	if id == "" {
		return false
	}
	for _, p := range prices {
		if named, of := strings.CutPrefix(p, k.prefix); of && named == id {
			return true
		}
	}
	return false
}

// CatalogAdoptedType is the stored name of the event that records a catalog.
const CatalogAdoptedType = "CatalogAdopted"

// CatalogAdopted records that a catalog came into force.
type CatalogAdopted struct {
	Schema    int       `json:"schema"`
	Hash      string    `json:"hash"`
	AdoptedAt time.Time `json:"adopted_at"`
	Catalog   *Catalog  `json:"catalog"`
}

// DecodeCatalogAdopted reads the stored form of an adoption. Another type gives
// ErrUnknownType; a schema newer than ours, or no catalog in it, an error.
func DecodeCatalogAdopted(eventType string, data []byte) (CatalogAdopted, error) {
	var a CatalogAdopted
	if eventType != CatalogAdoptedType {
		return a, fmt.Errorf("decode %q: %w", eventType, ErrUnknownType)
	}
	if err := decodeStored(eventType, data, &a); err != nil {
		return a, err
	}
	if a.Catalog == nil {
		return a, fmt.Errorf("decode %s: no catalog in it", eventType)
	}
	return a, checkSchema(eventType, a.Schema)
}

// Catalogs is the history of the catalogs in force, oldest first. The zero
// value has none; derivation needs at least one.
type Catalogs struct {
	adopted []CatalogAdopted
}

// With returns the history with one more catalog, in order of adoption.
func (h Catalogs) With(a CatalogAdopted) Catalogs {
	next := slices.Clone(h.adopted)
	i := len(next)
	for i > 0 && next[i-1].AdoptedAt.After(a.AdoptedAt) {
		i--
	}
	return Catalogs{adopted: slices.Insert(next, i, a)}
}

// NextAdoption is the time at which a catalog adopted at now counts as adopted:
// never before the latest one, though a clock may have been set back.
func (h Catalogs) NextAdoption(now time.Time) time.Time {
	if n := len(h.adopted); n > 0 && h.adopted[n-1].AdoptedAt.After(now) {
		return h.adopted[n-1].AdoptedAt
	}
	return now
}

// Current is the catalog in force now, nil if none was ever adopted.
func (h Catalogs) Current() *Catalog {
	if len(h.adopted) == 0 {
		return nil
	}
	return h.adopted[len(h.adopted)-1].Catalog
}

// CurrentHash is the hash of the catalog in force now, empty if there is none.
func (h Catalogs) CurrentHash() string {
	if len(h.adopted) == 0 {
		return ""
	}
	return h.adopted[len(h.adopted)-1].Hash
}

// At is the catalog in force at t: the last one adopted by then, or, for a
// time before all of them, the first. Its hash comes with it.
func (h Catalogs) At(t time.Time) (*Catalog, string) {
	if len(h.adopted) == 0 {
		return nil, ""
	}
	in := h.adopted[0]
	for _, a := range h.adopted[1:] {
		if a.AdoptedAt.After(t) {
			break
		}
		in = a
	}
	return in.Catalog, in.Hash
}
