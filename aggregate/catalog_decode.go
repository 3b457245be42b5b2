package aggregate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The range of a grace period.
const maxGracePeriod = 30 * 24 * time.Hour

// CatalogFaults lists everything that is wrong with a catalog.
type CatalogFaults []string

func (f CatalogFaults) Error() string {
	return "catalog: " + strings.Join(f, "; ")
}

// DecodeCatalog reads a catalog from JSON and validates it. The error is
// CatalogFaults, with every fault, each beginning with the path to its place.
func DecodeCatalog(data []byte) (*Catalog, error) {
	faults := unknownKeys(data)
	c := &Catalog{GracePeriod: Span(24 * time.Hour)}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, append(faults, decodeFault(err))
	}
	faults = append(faults, c.faults()...)
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

func decodeFault(err error) string {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return fmt.Sprintf("%s: a %s does not fit here", wrongType.Field, wrongType.Value)
	}
	return err.Error()
}

// unknownKeys lists keys that no catalog has: a misspelt one would otherwise be
// a limit or a price silently dropped.
func unknownKeys(data []byte) CatalogFaults {
	var faults CatalogFaults
	var top map[string]json.RawMessage
	if json.Unmarshal(data, &top) != nil {
		return nil // the decoder says it better
	}
	check := func(path string, m map[string]json.RawMessage, known ...string) {
		for _, key := range sortedKeys(m) {
			if !slices.Contains(known, key) {
				faults = append(faults, fmt.Sprintf("%s%s: unknown key", path, key))
			}
		}
	}
	check("", top, "grace_period", "free_tier", "upgrade_url", "tiers")
	var tiers []map[string]json.RawMessage
	if json.Unmarshal(top["tiers"], &tiers) == nil {
		for i, tier := range tiers {
			check(fmt.Sprintf("tiers[%d].", i), tier, "id", "name", "features", "limits", "prices")
		}
	}
	return faults
}

// faults checks everything that the types do not.
func (c *Catalog) faults() CatalogFaults {
	var faults CatalogFaults
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if g := time.Duration(c.GracePeriod); g < 0 || g > maxGracePeriod {
		add("grace_period: %s is outside 0s to 30d", g)
	}
	if len(c.Tiers) == 0 {
		add("tiers: want at least one")
	}
	if c.Rank(c.FreeTier) < 0 {
		add("free_tier: %q is no tier", c.FreeTier)
	}
	seenTier := map[string]bool{}
	seenPrice := map[string]string{}
	limits := map[string]Limit{}
	for i, t := range c.Tiers {
		path := fmt.Sprintf("tiers[%d]", i)
		if t.ID == "" {
			add("%s.id: missing", path)
		}
		if seenTier[t.ID] {
			add("%s.id: %q is there twice", path, t.ID)
		}
		seenTier[t.ID] = true
		for _, p := range t.Prices {
			if kind, id, found := strings.Cut(p, ":"); p == "" || found && (id == "" || kind != "lookup" && kind != "product") {
				add("%s.prices: %q is neither a price id, lookup:KEY nor product:ID", path, p)
			}
			if other, twice := seenPrice[p]; twice {
				add("%s.prices: %q is already in tier %q", path, p, other)
			}
			seenPrice[p] = t.ID
		}
		for _, name := range sortedKeys(t.Limits) {
			if below, set := limits[name]; set && t.Limits[name] < below {
				add("%s.limits.%s: shrinks from the tier below", path, name)
			}
			limits[name] = t.Limits[name]
		}
	}
	return faults
}

func parseSpan(s string) (time.Duration, error) {
	if days, found := strings.CutSuffix(s, "d"); found {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("duration %q: want one like 24h or 7d", s)
	}
	return d, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// cleanText reports valid UTF-8 without control characters.
func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
