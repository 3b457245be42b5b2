package api

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// permission says who may use a route.
type permission struct {
	scope Scope
	// own and other say whether a key may that is bound to the account that the
	// request is about, and one that is bound to another.
	own, other bool
}

// The kinds of permission. Keys that are not bound need the scope alone.
func forAccount(s Scope) permission  { return permission{s, true, false} }  // the account's own part
func narrowed(s Scope) permission    { return permission{s, true, true} }   // a list, of which each key sees its part
func unboundOnly(s Scope) permission { return permission{s, false, false} } // tells of all accounts
func everybody() permission          { return permission{open, true, true} }

// permissions is what every route is expected to demand. A route that is not in
// it, or a row without a route, is a fault.
var permissions = map[string]permission{
	"POST /webhooks/stripe": everybody(), // its signature is its key
	"GET /livez":            everybody(),
	"GET /readyz":           everybody(),
	"GET /metrics":          everybody(), // of the loopback
	"GET /openapi.yaml":     everybody(),
	"GET /v1/status":        unboundOnly(ScopeRead),

	"POST /v1/entitlements/check":                       forAccount(ScopeRead),
	"GET /v1/entitlements/check":                        unboundOnly(ScopeRead), // an account of that name, here nobody's
	"GET /v1/entitlements/{account}":                    forAccount(ScopeRead),
	"GET /v1/entitlements/{account}/explain":            forAccount(ScopeRead),
	"GET /v1/entitlements/{account}/features/{feature}": forAccount(ScopeRead),
	"GET /v1/subscriptions":                             narrowed(ScopeRead),
	"GET /v1/subscriptions/{subscription}":              forAccount(ScopeRead),
	"GET /v1/accounts/{account}":                        forAccount(ScopeRead),
	"GET /v1/accounts/{account}/timeline":               forAccount(ScopeAudit),
	"POST /v1/checkout/sessions":                        forAccount(ScopeBilling),
	"GET /v1/checkout/sessions/{session}":               forAccount(ScopeBilling),
	"POST /v1/portal/sessions":                          forAccount(ScopeBilling),
	"GET /v1/events":                                    narrowed(ScopeAudit),
	"GET /v1/events/statistics":                         narrowed(ScopeAudit),
	"GET /v1/events/stream":                             narrowed(ScopeAudit),
	"GET /v1/events/{event}":                            forAccount(ScopeAudit),
	"GET /v1/streams/{stream}":                          forAccount(ScopeAudit),
	"POST /v1/accounts/{account}/waivers":               forAccount(ScopeAdmin),
	"DELETE /v1/accounts/{account}/waivers/{waiver}":    forAccount(ScopeAdmin),
	"GET /v1/waivers":                                   narrowed(ScopeAdmin),
	"POST /v1/accounts/{account}/block":                 forAccount(ScopeAdmin),
	"POST /v1/accounts/{account}/unblock":               forAccount(ScopeAdmin),
	"POST /v1/accounts/{account}/grace":                 forAccount(ScopeAdmin),
}

// TestEveryRouteAsksForItsScope walks the routes: each with every scope, with keys
// that are bound to nothing, to the account in question, and to another.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.settle()
	r.sells()
	r.stripe.Put(sessionsPath, []byte(`{"id": "cs_test_own", "object": "checkout.session", "created": 1, "livemode": false, "status": "open", "payment_status": "unpaid", "metadata": {"account_id": "team-1"}}`))
	left := maps.Clone(permissions)
	for _, rt := range r.server.routes() {
		name := rt.method + " " + rt.path
		want, there := left[name]
		if !there {
			t.Errorf("%s: nobody has said who may", name)
			continue
		}
		delete(left, name)
		r.walk(rt, want)
	}
	for name := range left {
		t.Errorf("%s: there is no such route", name)
	}
}

// walk asks for a route with every kind of key.
func (r *rig) walk(rt route, want permission) {
	r.Helper()
	for _, scope := range Scopes() {
		for account, allowed := range map[string]bool{"": true, "team-1": want.own, "team-2": want.other} {
			key := fmt.Sprintf("%s of %q", scope, account)
			r.server.SetKeys([]Key{keyFor(key, account, scope)})
			status := http.StatusForbidden
			if want.scope == open || want.scope == scope && allowed {
				status = 0
			}
			r.wantPermitted(rt, key, status)
		}
	}
	if want.scope == open {
		r.wantPermitted(rt, "", 0)
		return
	}
	r.server.SetKeys([]Key{keyFor(opsKey, "", Scopes()...)})
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer nobody", "Basic " + opsKey, opsKey, "Bearer " + hashOf(opsKey), "Bearer " + opsKey + " x"} {
		a := r.ask(rt, http.Header{"Authorization": {header}})
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || a.header.Get("Content-Type") != "application/problem+json" {
			r.Errorf("%s %s with Authorization %q: %.200s", rt.method, rt.path, header, a)
		}
	}
	if a := r.ask(rt, http.Header{"Authorization": {"Bearer " + opsKey, "Bearer " + opsKey}}); a.status != http.StatusBadRequest {
		r.Errorf("%s %s with two keys: %.200s", rt.method, rt.path, a)
	}
}

// ask sends a request about team-1 to a route.
func (r *rig) ask(rt route, header http.Header) answer {
	r.Helper()
	path := strings.NewReplacer("{account}", "team-1", "{feature}", "custom_nym", "{subscription}", "sub_1",
		"{event}", "evt_1", "{stream}", "subscription-sub_1", "{waiver}", "wvr_9", "{session}", "cs_test_own").Replace(rt.path)
	if rt.path == tailPath {
		path += "?from=!" // one that is well would not end
	}
	header.Set("Content-Type", "application/json")
	return r.do(rt.method, path, "", []byte(`{"account":"team-1","features":["custom_nym"]}`), header)
}

// wantPermitted wants a status, 0 for whatever the route says to those who may.
func (r *rig) wantPermitted(rt route, key string, status int) {
	r.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	a := r.ask(rt, header)
	permitted := a.status != http.StatusUnauthorized && a.status != http.StatusForbidden
	if status == 0 && (!permitted || a.status >= 500 && a.status != http.StatusNotImplemented) || status != 0 && a.status != status {
		r.Errorf("%s %s with the key %q: %.200s", rt.method, rt.path, key, a)
	}
	if status == 0 && rt.method == http.MethodGet && rt.path != tailPath && a.status != http.StatusOK && a.status != http.StatusNotImplemented {
		r.Errorf("%s %s with the key %q: %s: want an answer", rt.method, rt.path, key, a)
	}
}
