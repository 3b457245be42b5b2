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
		return nil, append(faults, misfits(data, err)...)
	}
	c.dropDefaults()
	faults = append(faults, c.faults()...)
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// misfits lists the values of a wrong kind, one of each tier, of each addon and
// of each other key. The decoder stops at the first, and names no place in a
// list; so every part is decoded by itself. Err is the decoder's.
func misfits(data []byte, err error) CatalogFaults {
	var top map[string]json.RawMessage
	_ = json.Unmarshal(data, &top) // what is no object has no parts
	var faults CatalogFaults
	for _, key := range sortedKeys(top) {
		switch key {
		case "tiers":
			faults = append(faults, misfitsIn[Tier](key, top[key])...)
		case "addons":
			faults = append(faults, misfitsIn[Addon](key, top[key])...)
		default:
			alone := map[string]json.RawMessage{key: top[key]}
			faults = append(faults, misfitsOf(key, alone, &Catalog{})...)
		}
	}
	if len(faults) == 0 {
		return CatalogFaults{misfit("", err)}
	}
	return faults
}

func misfitsIn[T any](list string, data json.RawMessage) CatalogFaults {
	var entries []json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return CatalogFaults{misfit(list+": ", err)}
	}
	var faults CatalogFaults
	for i, data := range entries {
		path := fmt.Sprintf("%s[%d]", list, i)
		var entry map[string]json.RawMessage
		if err := json.Unmarshal(data, &entry); err != nil {
			faults = append(faults, misfit(path+": ", err))
			continue
		}
		for _, key := range sortedKeys(entry) {
			alone := map[string]json.RawMessage{key: entry[key]}
			faults = append(faults, misfitsOf(path+"."+key, alone, new(T))...)
		}
	}
	return faults
}

// misfitsOf decodes one member alone, whose place is path.
func misfitsOf(path string, member map[string]json.RawMessage, into any) CatalogFaults {
	data, err := json.Marshal(member)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return CatalogFaults{misfit(path+": ", err)}
	}
	return nil
}

func misfit(path string, err error) string {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return fmt.Sprintf("%swrong kind of value: %s", path, wrongType.Value)
	}
	return path + err.Error()
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
	check("", top, append(policyKeys(), "grace_period", "free_tier", "upgrade_url", "tiers", "addons")...)
	for list, known := range map[string][]string{
		"tiers":  {"id", "name", "features", "limits", "prices"},
		"addons": {"id", "features", "limits_add", "prices"},
	} {
		var entries []map[string]json.RawMessage
		if json.Unmarshal(top[list], &entries) == nil {
			for i, entry := range entries {
				check(fmt.Sprintf("%s[%d].", list, i), entry, known...)
			}
		}
	}
	slices.Sort(faults)
	return append(faults, policyFaults(top)...)
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
	seen := priceBook{}
	ids := map[string]bool{}
	identify := func(path, id string) {
		switch {
		case id == "":
			add("%s.id: missing", path)
		case ids[id]:
			add("%s.id: %q is there twice", path, id)
		}
		ids[id] = true
	}
	limits := map[string]Allowance{}
	for i, t := range c.Tiers {
		path := fmt.Sprintf("tiers[%d]", i)
		identify(path, t.ID)
		faults = append(faults, seen.enter(path, t.ID, t.Prices)...)
		for _, name := range sortedKeys(t.Limits) {
			if below, set := limits[name]; set && t.Limits[name].shrinksFrom(below) {
				add("%s.limits.%s: shrinks from the tier below", path, name)
			}
			limits[name] = t.Limits[name]
		}
	}
	for i, a := range c.Addons {
		path := fmt.Sprintf("addons[%d]", i)
		identify(path, a.ID)
		faults = append(faults, seen.enter(path, a.ID, a.Prices)...)
	}
	return faults
}

// shrinksFrom compares limits of one kind; a count and one per unit cannot be.
func (a Allowance) shrinksFrom(below Allowance) bool {
	if (a.PerUnit == 0) != (below.PerUnit == 0) {
		return false
	}
	return a.Fixed < below.Fixed || a.PerUnit < below.PerUnit
}

// priceBook finds prices that are in two places.
type priceBook map[string]string

func (b priceBook) enter(path, owner string, prices []string) CatalogFaults {
	var faults CatalogFaults
	for _, p := range prices {
		if kind, id, found := strings.Cut(p, ":"); p == "" || found && (id == "" || kind != "lookup" && kind != "product") {
			faults = append(faults, fmt.Sprintf("%s.prices: %q is neither a price id, lookup:KEY nor product:ID", path, p))
		}
		if other, twice := b[p]; twice {
			faults = append(faults, fmt.Sprintf("%s.prices: %q is already in %q", path, p, other))
		}
		b[p] = owner
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
