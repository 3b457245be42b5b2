package api

import (
	"net/http"
	"strings"
	"testing"
)

// TestEveryRouteAsksForItsScope walks the table: every route, with every scope,
// without a key, and with keys that nobody has.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	r := newRig(t)
	for _, rt := range r.server.routes() {
		path := strings.NewReplacer("{account}", "team-9", "{feature}", "custom_nym", "{subscription}", "sub_9",
			"{event}", "evt_9", "{stream}", "subscription-sub_9", "{waiver}", "wvr_9", "{session}", "cs_9").Replace(rt.path)
		if rt.path == tailPath {
			path += "?from=!" // one that is well would not end
		}
		if rt.scope == open {
			if a := r.do(rt.method, path, "", nil, nil); a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
				t.Errorf("%s %s is open, but answers %d", rt.method, rt.path, a.status)
			}
			continue
		}
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer nobody", "Basic " + opsKey, opsKey, "Bearer " + hashOf(opsKey)} {
			a := r.do(rt.method, path, "", nil, http.Header{"Authorization": {header}})
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s with Authorization %q: %s", rt.path, header, a)
			}
		}
		for _, scope := range Scopes() {
			r.server.SetKeys([]Key{keyFor("only-"+string(scope), "", scope), keyFor("bound-"+string(scope), "team-1", scope)})
			a := r.do(rt.method, path, "only-"+string(scope), nil, nil)
			if refused := a.status == http.StatusForbidden; refused != (scope != rt.scope) || a.status == http.StatusUnauthorized {
				t.Errorf("%s with scope %s: %s", rt.path, scope, a)
			}
			a = r.do(rt.method, path, "bound-"+string(scope), []byte(`{"account":"team-9","features":["custom_nym"]}`),
				http.Header{"Content-Type": {"application/json"}})
			list := path == "/v1/subscriptions" || path == "/v1/events" || path == "/v1/waivers" ||
				path == "/v1/events/statistics" || rt.path == tailPath
			if refused := a.status == http.StatusForbidden; refused != (scope != rt.scope || !list) || a.status == http.StatusUnauthorized {
				t.Errorf("%s with scope %s, bound to another account: %s", rt.path, scope, a)
			}
		}
	}
}

func TestWithoutKeysNothingIsRead(t *testing.T) {
	r := newRig(t)
	r.server.SetKeys(nil)
	for _, rt := range r.server.routes() {
		if rt.scope == open {
			continue
		}
		if a := r.do(rt.method, rt.path, opsKey, nil, nil); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %s", rt.path, a)
		}
	}
	if a := r.post(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")); a.status != http.StatusOK {
		t.Errorf("webhook: %s", a)
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/", "/v1", "/v1/entitlements/", "/v1/entitlements/a/b", "/v1/accounts/a/timelines",
		"//webhooks/stripe", "/webhooks/stripe/", "/metrics/"} {
		a := r.do(http.MethodGet, path, opsKey, nil, nil)
		if a.status != http.StatusNotFound || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", path, a)
		}
	}
	for _, rt := range r.server.routes() {
		if rt.method != http.MethodGet || rt.path == "/v1/entitlements/check" {
			continue // the one path that takes both
		}
		a := r.do(http.MethodPost, strings.NewReplacer("{", "", "}", "").Replace(rt.path), opsKey, nil, nil)
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %s, Allow %q", rt.path, a, a.header.Get("Allow"))
		}
	}
}

func TestEveryAnswerHasTheSameHeaders(t *testing.T) {
	r := newRig(t)
	seen := map[string]bool{}
	for _, path := range []string{"/livez", "/nowhere", "/v1/status", "/v1/entitlements/a"} {
		a := r.do(http.MethodGet, path, opsKey, nil, nil)
		id := a.header.Get("X-Request-Id")
		if id == "" || seen[id] || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, a.header)
		}
		seen[id] = true
	}
}

func TestAPanicIsAnswered(t *testing.T) {
	r := newRig(t)
	r.server.Catalog = nil
	a := r.do(http.MethodGet, "/v1/entitlements/a/features/custom_nym", opsKey, nil, nil)
	if a.status != http.StatusInternalServerError || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s", a)
	}
	if log := r.log.String(); !strings.Contains(log, "request panicked") || !strings.Contains(log, a.header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

func TestNewListsWhatIsMissing(t *testing.T) {
	_, err := New(Config{})
	if err == nil {
		t.Fatal("made of nothing")
	}
	for _, field := range []string{"Epoch", "Verifier", "Journal", "Store", "Health", "Model", "Entitlements", "Decider", "Catalog", "Log"} {
		if !strings.Contains(err.Error(), "Config."+field+" ") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
