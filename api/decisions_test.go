package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const why = "agreed with the customer"

// decide sends a decision as JSON.
func (r *rig) decide(method, path, key, body string, header ...string) answer {
	r.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return r.do(method, path, key, []byte(body), h)
}

// faultsOf lists the fields at fault in a problem.
func (r *rig) faultsOf(a answer) []string {
	r.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		r.Fatalf("%s: %v", a, err)
	}
	var fields []string
	for _, f := range p.Errors {
		fields = append(fields, f.Field)
		if f.Reason == "" {
			r.Errorf("no reason for %s: %s", f.Field, a)
		}
	}
	slices.Sort(fields)
	return fields
}

func TestWaiversAreGrantedListedAndRevoked(t *testing.T) {
	r := newRig(t)
	a := r.decide(http.MethodPost, "/v1/accounts/team%2F1/waivers", opsKey, `{"tier":"premium","reason":"`+why+`","expires_at":"2026-03-09T13:00:00+01:00"}`)
	granted := r.fields(a)
	id, _ := granted["id"].(string)
	if a.status != http.StatusCreated || id == "" || granted["account"] != "team/1" || granted["granted_by"] != opsKey ||
		granted["expires_at"] != "2026-03-09T12:00:00Z" || granted["in_force"] != true {
		t.Fatalf("%s", a)
	}
	r.decide(http.MethodPost, "/v1/accounts/team-2/waivers", opsKey, `{"tier":"basic","reason":"`+why+`"}`)
	if list := r.get("/v1/waivers")["waivers"].([]any); len(list) != 2 || list[0].(map[string]any)["account"] != "team-2" {
		t.Errorf("listed %v", list)
	}
	if list := r.get("/v1/waivers?account=team%2F1")["waivers"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != id {
		t.Errorf("listed %v", list)
	}
	path := "/v1/accounts/team%2F1/waivers/" + id
	if a := r.do(http.MethodDelete, path, opsKey, nil, nil); a.status != http.StatusBadRequest || !slices.Equal(r.faultsOf(a), []string{"reason"}) {
		t.Errorf("revoked without a reason: %s", a)
	}
	for range 2 {
		if a := r.decide(http.MethodDelete, path, opsKey, `{"reason":"the agreement has ended"}`); a.status != http.StatusOK || r.fields(a)["in_force"] != false {
			t.Errorf("%s", a)
		}
	}
	if a := r.do(http.MethodDelete, "/v1/accounts/team-2/waivers/wvr_none?reason=the+agreement+has+ended", opsKey, nil, nil); a.status != http.StatusNotFound {
		t.Errorf("revoked nothing: %s", a)
	}
	if list := r.get("/v1/waivers?in_force=true")["waivers"].([]any); len(list) != 1 {
		t.Errorf("in force %v", list)
	}
	r.clock.Set(noon.Add(time.Hour))
	if waivers := r.get("/v1/waivers?limit=1"); waivers["next"] == nil {
		t.Errorf("%v", waivers)
	} else if rest := r.get("/v1/waivers?limit=1&from=" + waivers["next"].(string)); rest["next"] != nil || len(rest["waivers"].([]any)) != 1 {
		t.Errorf("%v", rest)
	}
}

func TestAnIdempotencyKeyGrantsOnce(t *testing.T) {
	r := newRig(t)
	grant := func(key, account, body string) answer {
		return r.decide(http.MethodPost, "/v1/accounts/"+account+"/waivers", opsKey, body, "Idempotency-Key", key)
	}
	body := `{"tier":"premium","reason":"` + why + `","expires_at":"2026-03-02T13:00:00Z"}`
	first := grant("k-1", "team-1", body)
	r.clock.Set(noon.Add(2 * time.Hour)) // the waiver has ended by the time of the repeat
	again := grant("k-1", "team-1", body)
	if first.status != http.StatusCreated || again.status != http.StatusCreated || r.fields(again)["id"] != r.fields(first)["id"] {
		t.Errorf("%s, then %s", first, again)
	}
	if a := grant("k-1", "team-1", `{"tier":"basic","reason":"`+why+`"}`); a.status != http.StatusConflict {
		t.Errorf("with other content: %s", a)
	}
	if a := grant("k-1", "team-2", `{"tier":"basic","reason":"`+why+`"}`); a.status != http.StatusCreated {
		t.Errorf("for another account: %s", a)
	}
	if a := grant(strings.Repeat("k", 256), "team-1", body); a.status != http.StatusBadRequest || !slices.Contains(r.faultsOf(a), "Idempotency-Key") {
		t.Errorf("a key too long: %s", a)
	}
	if list := r.get("/v1/waivers")["waivers"].([]any); len(list) != 2 {
		t.Errorf("granted %v", list)
	}
}

func TestBlocksAndGraceAreDecided(t *testing.T) {
	r := newRig(t)
	decide := func(what, body string) map[string]any {
		t.Helper()
		a := r.decide(http.MethodPost, "/v1/accounts/team-1/"+what, opsKey, body)
		if a.status != http.StatusOK {
			t.Fatalf("%s: %s", what, a)
		}
		return r.fields(a)
	}
	reason := `"reason":"` + why + `"`
	if b := decide("block", `{`+reason+`}`)["block"].(map[string]any); b["blocked_by"] != opsKey || b["reason"] != why {
		t.Errorf("%v", b)
	}
	if b := decide("unblock", `{`+reason+`}`); b["block"] != nil {
		t.Errorf("%v", b)
	}
	if g := decide("grace", `{"until":"2026-03-05T12:00:00Z",`+reason+`}`); g["grace_until"] != "2026-03-05T12:00:00Z" {
		t.Errorf("%v", g)
	}
	a := r.decide(http.MethodPost, "/v1/accounts/team-1/grace", opsKey, `{"until":"2026-03-04T12:00:00Z",`+reason+`}`)
	if a.status != http.StatusBadRequest || !slices.Equal(r.faultsOf(a), []string{"until"}) {
		t.Errorf("grace that ends earlier: %s", a)
	}
}

func TestDecisionsTellEveryFaultAtOnce(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("x", 501)
	for _, c := range []struct {
		method, path, body string
		status             int
		fields             []string
	}{
		{http.MethodPost, "/v1/accounts/a/waivers", `{"tier":"nosuch","reason":"short","expires_at":"2020-01-01T00:00:00Z","teir":1}`, 400, []string{"expires_at", "reason", "teir", "tier"}},
		{http.MethodPost, "/v1/accounts/a/waivers", `{"tier":3,"reason":null,"expires_at":"tomorrow"}`, 400, []string{"expires_at", "reason", "tier"}},
		{http.MethodPost, "/v1/accounts/a/waivers", `{}`, 400, []string{"reason", "tier"}},
		{http.MethodPost, "/v1/accounts/a/waivers", `{"tier":"basic","tier":"elite","reason":"` + why + `"}`, 400, []string{"tier"}},
		{http.MethodPost, "/v1/accounts/a%00b/waivers?dry=1", `{"tier":"basic","reason":"` + long + `"}`, 400, []string{"account", "dry", "reason"}},
		{http.MethodPost, "/v1/accounts/a/block", `{"reason":"` + why + `","until":"2026-03-05T12:00:00Z"}`, 400, []string{"until"}},
		{http.MethodPost, "/v1/accounts/a/grace", `{"reason":"` + why + `"}`, 400, []string{"until"}},
		{http.MethodPost, "/v1/accounts/a/block", `[]`, 400, []string{"body"}},
		{http.MethodPost, "/v1/accounts/a/block", `null`, 400, []string{"body"}},
		{http.MethodPost, "/v1/accounts/a/block", ``, 400, []string{"body"}},
		{http.MethodPost, "/v1/accounts/a/block", `{"reason":"` + why + `"} {}`, 400, []string{"body"}},
		{http.MethodPost, "/v1/accounts/a/block", `{"reason":"` + strings.Repeat("x", maxRequestBytes) + `"}`, 413, nil},
		{http.MethodDelete, "/v1/accounts/a/waivers/w", `{"reason":7}`, 400, []string{"reason"}},
	} {
		a := r.decide(c.method, c.path, opsKey, c.body)
		if a.status != c.status || !slices.Equal(r.faultsOf(a), c.fields) {
			t.Errorf("%s %.80s: %s", c.path, c.body, a)
		}
	}
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"} {
		if a := r.decide(http.MethodPost, "/v1/accounts/a/block", opsKey, `{"reason":"`+why+`"}`, "Content-Type", media); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("content type %q: %s", media, a)
		}
	}
	for _, path := range []string{"/v1/waivers?acount=x", "/v1/waivers?in_force=maybe", "/v1/waivers?from=nowhere"} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", path, a)
		}
	}
	if list := r.get("/v1/waivers")["waivers"].([]any); len(list) != 0 {
		t.Errorf("what was refused was recorded: %v", list)
	}
}

func TestABoundKeyDecidesOnItsAccountOnly(t *testing.T) {
	r := newRig(t)
	body := `{"tier":"basic","reason":"` + why + `"}`
	if a := r.decide(http.MethodPost, "/v1/accounts/team-1/waivers", boundKey, body); a.status != http.StatusCreated {
		t.Errorf("its own: %s", a)
	}
	r.decide(http.MethodPost, "/v1/accounts/team-2/waivers", opsKey, body)
	for _, path := range []string{"/v1/accounts/team-2/waivers", "/v1/accounts/team-2/block", "/v1/accounts/team-2/grace"} {
		if a := r.decide(http.MethodPost, path, boundKey, `{}`); a.status != http.StatusForbidden {
			t.Errorf("another's %s: %s", path, a)
		}
	}
	a := r.do(http.MethodGet, "/v1/waivers", boundKey, nil, nil)
	if list := r.fields(a)["waivers"].([]any); len(list) != 1 || list[0].(map[string]any)["account"] != "team-1" {
		t.Errorf("sees %s", a)
	}
	if a := r.do(http.MethodGet, "/v1/waivers?account=team-2", boundKey, nil, nil); a.status != http.StatusForbidden {
		t.Errorf("asks for another's: %s", a)
	}
}
