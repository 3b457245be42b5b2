package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

func TestEntitlementOfAnUnknownAccount(t *testing.T) {
	r := newRig(t)
	e := r.get("/v1/entitlements/nobody")
	if e["known"] != false || e["tier"] != "starter" || e["source"] != "free" || e["account"] != "nobody" {
		t.Errorf("got %v", e)
	}
	if want := noon.Add(5 * time.Minute).Format(time.RFC3339); e["valid_until"] != want {
		t.Errorf("valid_until %v, want the lease's end %s", e["valid_until"], want)
	}
	if _, stale := e["stale"]; stale {
		t.Error("stale, though the store is there")
	}
}

func TestEntitlementFromTheWebhookOn(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_premium"))
	r.settle()
	e := r.get("/v1/entitlements/team-1")
	if e["known"] != true || e["tier"] != "premium" || e["subscription_id"] != "sub_1" || e["epoch"] != "epoch-1" {
		t.Errorf("got %v", e)
	}
	yes := r.get("/v1/entitlements/team-1/features/custom_nym")
	if yes["allowed"] != true || yes["reason"] != "subscription" || yes["current_tier"] != "premium" || yes["required_tier"] != "basic" {
		t.Errorf("a feature of a lower tier: %v", yes)
	}
	no := r.get("/v1/entitlements/team-1/features/white_label")
	if no["allowed"] != false || no["reason"] != "subscription" || no["required_tier"] != "enterprise" || no["upgrade_url"] == "" {
		t.Errorf("a feature of a higher tier: %v", no)
	}
	if a := r.do(http.MethodGet, "/v1/entitlements/team-1/features/teleport", opsKey, nil, nil); a.status != http.StatusNotFound {
		t.Errorf("a feature that nobody has: %s", a)
	}
	account := r.get("/v1/accounts/team-1")
	if subs := account["subscriptions"].([]any); len(subs) != 1 || account["entitlement"].(map[string]any)["tier"] != "premium" {
		t.Errorf("account %v", account)
	}
	if a := r.do(http.MethodGet, "/v1/accounts/nobody", opsKey, nil, nil); a.status != http.StatusNotFound {
		t.Errorf("unknown account: %s", a)
	}
}

func TestEntitlementSaysWhyItIsRefused(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "unpaid", "price_premium"))
	r.settle()
	if f := r.get("/v1/entitlements/team-1/features/custom_nym"); f["allowed"] != false || f["reason"] != "unpaid" {
		t.Errorf("got %v", f)
	}
}

func TestEntitlementIsStaleWithoutTheStore(t *testing.T) {
	r := newRig(t)
	if err := r.probe.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.clock.Set(noon.Add(90 * time.Second))
	if r.probe.Check(t.Context()) == nil {
		t.Fatal("a closed store answers")
	}
	e := r.get("/v1/entitlements/nobody")
	if e["stale"] != true || e["stale_seconds"] != 90.0 {
		t.Errorf("stale %v, stale_seconds %v", e["stale"], e["stale_seconds"])
	}
	if s := r.get("/v1/status"); s["store"].(map[string]any)["reachable"] != false {
		t.Errorf("status says the store is reachable: %v", s["store"])
	}
}

func TestValidUntilIsTheEarliestEnd(t *testing.T) {
	lease := 5 * time.Minute
	for name, c := range map[string]struct {
		e    aggregate.Entitlement
		want time.Time
	}{
		"lease":               {aggregate.Entitlement{}, noon.Add(lease)},
		"grace":               {aggregate.Entitlement{GraceUntil: noon.Add(time.Minute)}, noon.Add(time.Minute)},
		"cancellation":        {aggregate.Entitlement{GraceUntil: noon.Add(time.Minute), CancelAt: noon.Add(time.Second)}, noon.Add(time.Second)},
		"past ends are over":  {aggregate.Entitlement{GraceUntil: noon.Add(-time.Minute), CancelAt: noon}, noon.Add(lease)},
		"never a period":      {aggregate.Entitlement{CurrentPeriodEnd: noon.Add(time.Second), TrialEnd: noon.Add(time.Second)}, noon.Add(lease)},
		"what the model says": {aggregate.Entitlement{ValidUntil: noon.Add(time.Second)}, noon.Add(time.Second)},
	} {
		if got := validUntil(c.e, noon, lease); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAccountsInPaths(t *testing.T) {
	r := newRig(t)
	for _, account := range []string{"a", "team 42", "ns:team:1", "{braces}", "a/b/c", "a/{b}", "Grüße-世界-🙂", "100%", ".", "..", "a+b", "a?b#c", strings.Repeat("x", 512)} {
		e := r.get("/v1/entitlements/" + url.PathEscape(account))
		if e["account"] != account {
			t.Errorf("asked for %q, was told of %q", account, e["account"])
		}
	}
	// A client that leaves braces as they are, beside an encoded slash.
	a := r.raw("GET /v1/entitlements/{a}%2Fb HTTP/1.1")
	if !strings.Contains(a, `"account":"{a}/b"`) {
		t.Errorf("braces left as they are: %s", a)
	}
	for _, encoded := range []string{"%00", "a%0Ab", "%7F", "%C2%85", "%ff", strings.Repeat("x", 513)} {
		for _, path := range []string{"/v1/entitlements/", "/v1/accounts/"} {
			if a := r.do(http.MethodGet, path+encoded, opsKey, nil, nil); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), `"field":"account"`) {
				t.Errorf("%s%s: %s", path, encoded, a)
			}
		}
	}
}

func TestSubscriptionsAreListedInPages(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		status := []string{"active", "past_due"}[i%2]
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", i), subCreated, noon, fmt.Sprintf("sub_%d", i), fmt.Sprintf("team-%d", i/2), status, "price_basic"))
	}
	r.settle()
	var got []string
	for path, pages := "/v1/subscriptions?limit=2", 0; path != ""; pages++ {
		page := r.get(path)
		for _, s := range page["subscriptions"].([]any) {
			got = append(got, s.(map[string]any)["id"].(string))
		}
		path = ""
		if next, more := page["next"].(string); more {
			path = "/v1/subscriptions?limit=2&from=" + next
		}
		if pages > 3 {
			t.Fatal("pages do not end")
		}
	}
	if want := "sub_0 sub_1 sub_2 sub_3 sub_4"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for query, want := range map[string]int{"status=past_due": 2, "account=team-1": 2, "customer=cus_sub_4": 1, "tier=basic&status=active": 3, "account=nobody": 0} {
		if subs := r.get("/v1/subscriptions?" + query)["subscriptions"].([]any); len(subs) != want {
			t.Errorf("%s: %d, want %d", query, len(subs), want)
		}
	}
	a := r.do(http.MethodGet, "/v1/subscriptions", boundKey, nil, nil)
	if subs := r.fields(a)["subscriptions"].([]any); len(subs) != 2 {
		t.Errorf("a key bound to team-1 sees %d subscriptions, want 2", len(subs))
	}
	for path, want := range map[string]int{
		"/v1/subscriptions?account=team-2": 403, "/v1/subscriptions/sub_4": 403, "/v1/subscriptions/sub_none": 403, "/v1/status": 403,
		"/v1/subscriptions/sub_4?as_of=2026-03-02T13:00:00Z": 403, "/v1/subscriptions/sub_2": 200, "/v1/entitlements/team-1": 200, "/v1/accounts/team-0": 403,
	} {
		if a := r.do(http.MethodGet, path, boundKey, nil, nil); a.status != want {
			t.Errorf("%s with a key bound to team-1: %s, want %d", path, a, want)
		}
	}
}

// Stripe's time says what had happened; ours says what had been recorded. An
// event that arrives late shows the difference.
func TestSubscriptionInThePast(t *testing.T) {
	r := newRig(t)
	at := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	steps := []struct {
		recorded int
		body     []byte
	}{
		{1, subscriptionEvent("evt_1", subCreated, at(0), "sub_1", "team-1", "active", "price_basic")},
		{2, subscriptionEvent("evt_3", subDeleted, at(2), "sub_1", "team-1", "canceled", "price_premium")},
		{5, subscriptionEvent("evt_2", subUpdated, at(1), "sub_1", "team-1", "active", "price_premium")}, // late
	}
	for _, step := range steps {
		r.clock.Set(at(step.recorded))
		r.send(step.body)
		r.settle()
	}
	stamp := func(h int) string { return url.QueryEscape(at(h).Format(time.RFC3339)) }
	for query, want := range map[string]string{
		"":                     "canceled premium",
		"as_of=" + stamp(0):    "active basic",
		"as_of=" + stamp(1):    "active premium",
		"as_of=" + stamp(2):    "canceled premium",
		"known_at=" + stamp(1): "active basic",
		"known_at=" + stamp(4): "canceled premium",
		"as_of=" + stamp(1) + "&known_at=" + stamp(4): "active basic",
		"as_of=" + stamp(1) + "&known_at=" + stamp(5): "active premium",
		"as_of=2026-03-02T14:00:00%2B01:00":           "active premium", // at(1), told in another zone
	} {
		s := r.get("/v1/subscriptions/sub_1?" + query)
		if got := fmt.Sprint(s["status"], " ", s["tier"]); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{"as_of=2026-03-02T11:59:59Z", "known_at=" + stamp(0)} {
		if a := r.do(http.MethodGet, "/v1/subscriptions/sub_1?"+query, opsKey, nil, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", query, a)
		}
	}
	for path, want := range map[string]int{"/v1/subscriptions/sub_none": 404, "/v1/subscriptions/sub_none?as_of=2026-03-02T11:59:59Z": 404} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != want {
			t.Errorf("%s: %s", path, a)
		}
	}
}

type follower Progress

func (f follower) Progress() Progress { return Progress(f) }

func TestStatusTellsWhatHappened(t *testing.T) {
	r := newRig(t)
	r.server.Progress = []Follower{follower{Name: "posting", Position: 1}}
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_nowhere"))
	r.do(http.MethodPost, "/webhooks/stripe", "", nil, nil)
	r.settle()
	s := r.get("/v1/status")
	webhooks := s["webhooks"].(map[string]any)
	if webhooks["recorded"] != 1.0 || webhooks["signature"].(map[string]any)["missing"] != 1.0 {
		t.Errorf("webhooks %v", webhooks)
	}
	if unmapped := s["unmapped"].([]any); len(unmapped) != 1 || unmapped[0].(map[string]any)["price"] != "price_nowhere" {
		t.Errorf("unmapped %v", unmapped)
	}
	if store := s["store"].(map[string]any); store["reachable"] != true || store["head"].(float64) < 2 || store["kind"] != "sqlite" {
		t.Errorf("store %v", store)
	}
	if f := s["followers"].([]any); len(f) != 1 || f[0].(map[string]any)["name"] != "posting" {
		t.Errorf("followers %v", f)
	}
	if a := r.do(http.MethodGet, "/readyz", "", nil, nil); a.status != http.StatusOK {
		t.Errorf("readyz: %s", a)
	}
}
