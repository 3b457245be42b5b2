package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/daybookhq/daybook/aggregate"
)

// The bounds of one check.
const (
	maxChecked = 200
	// mostWanted is the largest number that every reader of JSON takes as it is.
	mostWanted = 1<<53 - 1
)

// checkAnswer says of many features and limits whether an account has them.
type checkAnswer struct {
	Account string `json:"account"`
	// Allowed says that all that was asked for is.
	Allowed  bool                   `json:"allowed"`
	Known    bool                   `json:"known"`
	Tier     string                 `json:"tier"`
	Reason   aggregate.Reason       `json:"reason"`
	Features []aggregate.Feature    `json:"features"`
	Limits   []aggregate.LimitCheck `json:"limits"`

	Stale        bool   `json:"stale,omitempty"`
	StaleSeconds *int64 `json:"stale_seconds,omitempty"`
}

// check answers POST /v1/entitlements/check: many features and limits at once. A
// feature or limit that the catalog has not is a fault, and then nothing is
// answered: who asks for a name that does not exist should not go on as if it
// were denied. Fields of the body that nothing asks for are left alone.
func (s *Server) check(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	b, err := readBodyOf(w, r)
	if err != nil {
		return err
	}
	account := b.account()
	wanted := b.checks()
	if p.err() != nil {
		b.faults = append(p.faults, b.faults...)
	}
	var e entitlementAnswer
	if !b.has("account") { // else there is nobody to ask about, but what else is wrong is told too
		if e, err = s.entitlementOf(r.Context(), account); err != nil {
			return err
		}
	}
	answer := checkAnswer{Account: e.Account, Allowed: true, Known: e.Known, Tier: e.Tier, Reason: e.Reason,
		Features: []aggregate.Feature{}, Limits: []aggregate.LimitCheck{}, Stale: e.Stale, StaleSeconds: e.StaleSeconds}
	answer.fill(b, wanted, e.Entitlement, s.Catalog())
	if len(b.faults) > 0 {
		return badRequest(b.faults...)
	}
	return writeJSON(w, answer)
}

// checks is what a check asks for.
type checks struct {
	features []string
	limits   []wantedLimit
}

type wantedLimit struct {
	name   string
	wanted aggregate.Limit
}

// checks reads the features and the limits that are asked for.
func (b *body) checks() (c checks) {
	var features []json.RawMessage
	var limits map[string]json.RawMessage
	hasFeatures := b.field("features", &features, "wants a list of names")
	hasLimits := b.field("limits", &limits, `wants an object of numbers, like {"members": 412}`)
	switch {
	case b.has("features") || b.has("limits"):
	case !hasFeatures && !hasLimits || len(features)+len(limits) == 0:
		b.fault("features", "is missing, and so is limits: ask for at least one of either")
	case len(features)+len(limits) > maxChecked:
		b.fault("features", fmt.Sprintf("wants at most %d features and limits together", maxChecked))
		return c
	}
	for i, raw := range features {
		var name string
		if json.Unmarshal(raw, &name) != nil || name == "" {
			b.fault(fmt.Sprintf("features[%d]", i), "wants the name of a feature")
			name = ""
		}
		c.features = append(c.features, name)
	}
	if hasLimits {
		if name, twice := repeated(b.fields["limits"]); twice {
			b.fault("limits."+printable(name), "is there more than once")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		wanted, ok := limitIn(limits[name])
		if !ok {
			b.fault("limits."+printable(name), fmt.Sprintf(`wants a whole number from 0 to %d, or "unlimited"`, int64(mostWanted)))
		}
		c.limits = append(c.limits, wantedLimit{name, wanted})
	}
	return c
}

// limitIn reads a whole number, or "unlimited".
func limitIn(raw json.RawMessage) (aggregate.Limit, bool) {
	if string(raw) == `"unlimited"` {
		return aggregate.Unlimited, true
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return aggregate.Limit(n), err == nil && n >= 0 && n <= mostWanted && !strings.HasPrefix(string(raw), "+")
}

// fill answers what is asked for, and adds a fault for each name that the catalog
// has not.
func (a *checkAnswer) fill(b *body, c checks, e aggregate.Entitlement, catalog *aggregate.Catalog) {
	for i, name := range c.features {
		answer, exists := e.Feature(name, catalog)
		if !exists && name != "" {
			b.fault(fmt.Sprintf("features[%d]", i), "is no feature of the catalog")
		}
		a.Allowed = a.Allowed && answer.Allowed
		a.Features = append(a.Features, answer)
	}
	for _, l := range c.limits {
		field := "limits." + printable(l.name)
		answer, exists := e.CheckLimit(l.name, l.wanted, catalog)
		if !exists && !b.has(field) {
			b.fault(field, "is no limit of the catalog")
		}
		a.Allowed = a.Allowed && answer.Allowed
		a.Limits = append(a.Limits, answer)
	}
}

// ofAccount answers a path that is also the name of a route for the account of
// that name.
func ofAccount(account string, handle handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return handle(w, mux.SetURLVars(r, map[string]string{"account": account}))
	}
}
