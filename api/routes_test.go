package api

import (
	"net/http"
	"strings"
	"testing"
)

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
