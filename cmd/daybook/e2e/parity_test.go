package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// The tests of these files go through what the reference system offered, row by
// row of docs/PARITY.md, as a user would: TestParityWebhook for the row Webhook.

// paidInvoice says that the invoice of failedInvoice was paid.
func paidInvoice(id, sub string, at time.Time) []byte {
	paid := failedInvoice(id, sub, at)
	for old, now := range map[string]string{`"invoice.payment_failed"`: `"invoice.paid"`, `"status":"open"`: `"status":"paid"`,
		`"paid":false`: `"paid":true`, `"amount_paid":0`: `"amount_paid":2900`, `"amount_remaining":2900`: `"amount_remaining":0`} {
		paid = bytes.Replace(paid, []byte(old), []byte(now), 1)
	}
	return paid
}

// completedCheckout says that an account has bought a subscription.
func completedCheckout(id, sub, account string, at time.Time) []byte {
	return moneyEvent(id, "checkout.session.completed", at, fmt.Sprintf(`"object":"checkout.session","id":"cs_%s","mode":"subscription","status":"complete",
"payment_status":"paid","subscription":%q,"customer":"cus_%s","client_reference_id":%q,"metadata":{},"currency":"usd","amount_total":2900`, sub, sub, sub, account))
}

// owing is what Stripe sends where a subscription was bought and its renewal was
// not paid at a moment.
func owing(prefix, sub, account string, failed time.Time) [][]byte {
	return [][]byte{
		subscriptionEvent(prefix+"1", "customer.subscription.created", sub, account, "active", failed.Add(-720*time.Hour), ""),
		failedInvoice(prefix+"2", sub, failed),
		subscriptionEvent(prefix+"3", "customer.subscription.updated", sub, account, "past_due", failed, `,"previous_attributes":{"status":"active"}`),
	}
}

// mustTake delivers new events, and waits until they have taken effect.
func (s *server) mustTake(bodies ...[]byte) {
	s.t.Helper()
	for _, body := range bodies {
		s.mustDeliver(body, "recorded")
	}
	s.settle()
}

// TestParityWebhook: the five types of event and others, each answered with what
// became of it, kept byte by byte; a bad signature is 400; nothing is logged that
// is secret.
func TestParityWebhook(t *testing.T) {
	t.Parallel()
	s := start(t, development("", "--log-level", "trace"))
	at := quietTime()
	sent := map[string][]byte{
		"evt_w1": completedCheckout("evt_w1", "sub_w", "acme", at),
		"evt_w2": paidInvoice("evt_w2", "sub_w", at),
		"evt_w3": failedInvoice("evt_w3", "sub_w", at.Add(time.Hour)),
		"evt_w4": subscriptionEvent("evt_w4", "customer.subscription.updated", "sub_w", "acme", "active", at, ""),
		"evt_w5": subscriptionEvent("evt_w5", "customer.subscription.deleted", "sub_w", "acme", "canceled", at.Add(2*time.Hour), ""),
		"evt_w6": moneyEvent("evt_w6", "price.created", at, `"object":"price","id":"price_w"`), // recorded, and no more
	}
	for _, body := range sent {
		s.mustDeliver(body, "recorded")
		s.mustDeliver(body, "duplicate")
	}
	kept := journal(t, s.dir)
	for id, body := range sent {
		if len(kept[id]) != 1 || !bytes.Equal(kept[id][0].Data, body) {
			t.Errorf("%s is not kept as it was sent", id)
		}
	}
	forged := sign(sent["evt_w1"], "whsec_somebody_elses", time.Now())
	for _, header := range []string{"", "v1=00", forged} {
		if a, err := s.post(client, sent["evt_w1"], header); err != nil || a.status != http.StatusBadRequest {
			t.Errorf("signed with %q: %d %s %v", header, a.status, a.body, err)
		}
	}
	wantNothingFailed(t, s)
	s.stop()
	wantUnsaid(t, s.log.String(), []string{devSecret, forged, "client_reference_id"})
}

// TestParityIdempotency: of many deliveries at once one is recorded; one that is
// stuck holds up no other; and what was seen stays seen, beyond a kill, with no
// Redis at all.
func TestParityIdempotency(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	body := customerEvent("evt_i1")
	stuck, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := fmt.Fprintf(stuck, "POST %s HTTP/1.1\r\nHost: x\r\nStripe-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		webhookPath, sign(body, devSecret, time.Now()), len(body), body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	var recorded, duplicate atomic.Int32
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			a, err := s.deliver(body)
			switch {
			case err == nil && a.status == http.StatusOK && bytes.Contains(a.body, []byte(`"status":"recorded"`)):
				recorded.Add(1)
			case err == nil && a.status == http.StatusOK && bytes.Contains(a.body, []byte(`"status":"duplicate"`)):
				duplicate.Add(1)
			default:
				t.Errorf("%d %s %v", a.status, a.body, err)
			}
		})
	}
	senders.Wait()
	if recorded.Load() != 1 || duplicate.Load() != 15 || len(journal(t, s.dir)["evt_i1"]) != 1 {
		t.Errorf("%d recorded, %d duplicates, %d entries", recorded.Load(), duplicate.Load(), len(journal(t, s.dir)["evt_i1"]))
	}
	s.kill()
	again := start(t, development(s.dir))
	again.mustDeliver(body, "duplicate")
	again.stop()
}

// TestParitySubscriptionState: all that was kept of a subscription can be asked for.
func TestParitySubscriptionState(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	failed := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	s.mustTake(owing("evt_s", "sub_s", "acme", failed)...)
	var sub struct {
		ID, Status, Tier, Customer, Account string
		Items                               []struct {
			PeriodStart time.Time `json:"period_start"`
			PeriodEnd   time.Time `json:"period_end"`
		}
		Delinquency struct {
			GraceUntil time.Time `json:"grace_until"`
		}
	}
	s.get("/v1/subscriptions/sub_s", &sub)
	if sub.ID != "sub_s" || sub.Status != "past_due" || sub.Tier != "basic" || sub.Customer != "cus_sub_s" || sub.Account != "acme" || len(sub.Items) != 1 ||
		!sub.Items[0].PeriodStart.Equal(failed) || !sub.Items[0].PeriodEnd.Equal(failed.Add(720*time.Hour)) || !sub.Delinquency.GraceUntil.Equal(failed.Add(24*time.Hour)) {
		t.Errorf("%+v", sub)
	}
	s.stop()
}

// TestParityGrace: 24 hours from the failed payment, which no retry and no other
// setting moves, and which a payment ends.
func TestParityGrace(t *testing.T) {
	t.Parallel()
	tiers := "free_tier: starter\ntiers:\n- {id: starter, name: Starter}\n- {id: basic, name: Basic, prices: [price_basic]}\n"
	catalog := writeCatalog(t, "grace_period: 24h\n"+tiers)
	s := start(t, development("", "--catalog", catalog))
	failed := time.Now().Add(-20 * time.Hour).Truncate(time.Second).UTC()
	want := func(when string) {
		t.Helper()
		if e := s.entitlement("acme"); !e.InGrace || e.Tier != "basic" || e.Reason != "grace" || !e.GraceUntil.Equal(failed.Add(24*time.Hour)) {
			t.Errorf("%s: %+v", when, e)
		}
	}
	s.mustTake(owing("evt_g", "sub_g", "acme", failed)...)
	want("after the failure")
	retry := bytes.Replace(failedInvoice("evt_g4", "sub_g", failed.Add(10*time.Hour)), []byte(`"attempt_count":1`), []byte(`"attempt_count":2`), 1)
	s.mustTake(retry)
	want("after a retry")
	writeFile(t, catalog, "grace_period: 0s\n"+tiers)
	s.hangup("catalog adopted")
	s.settle()
	want("after another setting")
	s.mustTake(paidInvoice("evt_g5", "sub_g", failed.Add(11*time.Hour)),
		subscriptionEvent("evt_g6", "customer.subscription.updated", "sub_g", "acme", "active", failed.Add(11*time.Hour), `,"previous_attributes":{"status":"past_due"}`))
	if e := s.entitlement("acme"); e.InGrace || !e.GraceUntil.IsZero() || e.Tier != "basic" || e.Reason != "subscription" {
		t.Errorf("after the payment: %+v", e)
	}
	s.stop()
}

// TestParityEntitlementsInRedis reads what a shell would, from a real Redis.
func TestParityEntitlementsInRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := start(t, publishing("", redis))
	failed := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	s.mustTake(owing("evt_e", "sub_e", "graced", failed)...)
	s.mustTake(subscriptionEvent("evt_e4", "customer.subscription.created", "sub_p", "paying", "active", failed, ""),
		subscriptionEvent("evt_e5", "customer.subscription.deleted", "sub_o", "over", "canceled", failed, ""))
	decide(t, s.dir, "waiver", "grant", "waived", "--tier", "enterprise", "--reason", why)
	s.awaitPublished()
	for account, want := range map[string]string{
		"graced": `"tier":"basic" "source":"subscription" "in_grace":true "grace_until":"` + failed.Add(24*time.Hour).Format(time.RFC3339) + `"`,
		"paying": `"tier":"basic" "source":"subscription" "in_grace":false "limits":{"members":500} "custom_nym"`,
		"over":   `"tier":"starter" "source":"free" "in_grace":false "limits":{"members":100}`,
		"waived": `"tier":"enterprise" "source":"waiver" "in_grace":false "limits":{"members":"unlimited"} "white_label"`,
	} {
		key := "entitlement:" + account
		value, _ := redis.Do("GET", key).(string)
		for _, part := range append(strings.Fields(want), `"account":"`+account+`"`, `"features":[`, `"as_of":"`, `"valid_until":"`) {
			if !strings.Contains(value, part) {
				t.Errorf("%s does not say %s: %s", key, part, value)
			}
		}
		if left, _ := redis.Do("PTTL", key).(int64); left <= 0 || left > 300_000 {
			t.Errorf("%s lives for another %d ms, want at most 300 s", key, left)
		}
	}
	s.stop()
	for lease, code := range map[string]int{"59s": 2, "60s": 0, "3600s": 0, "25h": 2} {
		if o := command(t, nil, "config", "--dev", "--entitlement-ttl", lease); o.code != code {
			t.Errorf("a lease of %s: %+v", lease, o)
		}
	}
}

// TestParityGatekeeper asks for features and limits, through the precedence of
// what an account can have.
func TestParityGatekeeper(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	want := func(stage, feature string, allowed bool, members int, room bool, current, required, reason string) {
		t.Helper()
		var f struct {
			Allowed  bool
			Reason   string
			Current  string `json:"current_tier"`
			Required string `json:"required_tier"`
			Upgrade  string `json:"upgrade_url"`
		}
		s.get("/v1/entitlements/acme/features/"+feature, &f)
		if f.Allowed != allowed || f.Current != current || f.Required != required || f.Reason != reason || f.Upgrade != "https://example.com/billing" {
			t.Errorf("%s: %+v", stage, f)
		}
		var both struct{ Limits []struct{ Allowed bool } }
		a := s.send(http.MethodPost, "/v1/entitlements/check", s.key, fmt.Sprintf(`{"account":"acme","limits":{"members":%d}}`, members))
		if err := json.Unmarshal(a.body, &both); err != nil || len(both.Limits) != 1 || both.Limits[0].Allowed != room {
			t.Errorf("%s: %d members: %d %s", stage, members, a.status, a.body)
		}
	}
	failed := time.Now().Add(-time.Hour).Truncate(time.Second)
	want("free", "custom_nym", false, 101, false, "starter", "basic", "free")
	s.mustTake(owing("evt_k", "sub_k", "acme", failed)...)
	want("in grace", "custom_nym", true, 500, true, "basic", "basic", "grace")
	s.mustTake(subscriptionEvent("evt_k4", "customer.subscription.created", "sub_l", "acme", "active", failed, ""))
	want("active beside one in grace", "custom_nym", true, 501, false, "basic", "basic", "subscription")
	granted := decide(t, s.dir, "waiver", "grant", "acme", "--tier", "elite", "--reason", why)
	want("a waiver", "api_access", true, 10000, true, "elite", "elite", "waiver")
	want("a waiver", "white_label", false, 10001, false, "elite", "enterprise", "waiver")
	decide(t, s.dir, "waiver", "revoke", "acme", granted.Waivers[0].ID, "--reason", why)
	want("revoked", "api_access", false, 500, true, "basic", "elite", "subscription")
	if a := s.ask("/v1/entitlements/acme/features/no_such_feature", s.key); a.status != http.StatusNotFound {
		t.Errorf("an unknown feature: %d %s", a.status, a.body)
	}
	s.stop()
}

// TestParityTiers sells every tier of the built-in catalog.
func TestParityTiers(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	var all []string // of the tiers so far
	for _, tier := range []struct {
		id       string
		members  any
		features string
	}{
		{"starter", 100., "discord_bot basic_onboarding member_profiles"},
		{"basic", 500., "stats_leaderboard position_alerts custom_nym"},
		{"premium", 1000., "nine_tier_system custom_pfp weekly_digest activity_tracking score_badge"},
		{"exclusive", 2500., "admin_analytics naib_dynamics water_sharer_badge"},
		{"elite", 10000., "custom_branding priority_support api_access"},
		{"enterprise", "unlimited", "white_label dedicated_support custom_integrations"},
	} {
		if tier.id != "starter" { // which is not sold
			s.mustTake(pricedEvent("evt_"+tier.id, "customer.subscription.created", "sub_"+tier.id, "active", quietTime(), "price_"+tier.id, "", "prod_x"))
		}
		all = append(all, strings.Fields(tier.features)...)
		var e struct {
			Tier     string
			Features []string
			Limits   map[string]any
		}
		s.get("/v1/entitlements/acme-sub_"+tier.id, &e)
		slices.Sort(e.Features)
		if e.Tier != tier.id || e.Limits["members"] != tier.members || !slices.Equal(e.Features, slices.Sorted(slices.Values(all))) {
			t.Errorf("%s: %+v", tier.id, e)
		}
	}
	s.stop()
}

// TestParityCheckoutAndPortal sells a tier: Stripe's checkout by its id and address,
// its portal, and nothing without a key that may, or back to a stranger's host.
func TestParityCheckoutAndPortal(t *testing.T) {
	t.Parallel()
	stripe, s := newSeller(t, "DAYBOOK_API_KEYS=reader:read:"+sha256Hex("reader"))
	const checkout, portal = "/v1/checkout/sessions", "/v1/portal/sessions"
	const back = `{"account":"acme","return_url":"https://app.example.com/account"}`
	for key, status := range map[string]int{"nobody": http.StatusUnauthorized, "reader": http.StatusForbidden} {
		for path, body := range map[string]string{checkout: basicOrder, portal: back} {
			if a := s.send(http.MethodPost, path, key, body); a.status != status {
				t.Errorf("%s by %s: %d %s", path, key, a.status, a.body)
			}
		}
	}
	for field, body := range map[string]string{
		"tier":        strings.Replace(basicOrder, `"basic"`, `"gold"`, 1),
		"cancel_url":  strings.Replace(basicOrder, "app.example.com", "evil.example", 1),
		"success_url": strings.Replace(basicOrder, "localhost:3000", "evil.example", 1),
	} {
		if a, _ := s.order(checkout, body); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), `"field":"`+field+`"`) {
			t.Errorf("a wrong %s: %d %s", field, a.status, a.body)
		}
	}
	if a, _ := s.order(portal, strings.Replace(back, "app.example.com", "evil.example", 1)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a portal that leads elsewhere: %d %s", a.status, a.body)
	}

	a, sale := s.order(checkout, basicOrder)
	id := fmt.Sprint(sale["session_id"])
	if sale["kind"] != "checkout" || !strings.HasPrefix(id, "cs_") || !strings.HasPrefix(fmt.Sprint(sale["url"]), "https://") {
		t.Errorf("%d %v", a.status, sale)
	}
	asked := stripe.Posts(checkout)[0].Form
	if asked.Get("mode") != "subscription" || asked.Get("line_items[0][price]") != "price_1Basic" || asked.Get("subscription_data[metadata][account_id]") != "acme" {
		t.Errorf("Stripe was asked for %v", asked)
	}
	bought := subscriptionEvent("evt_c1", "customer.subscription.created", "sub_c", "acme", "active", quietTime(), "")
	s.mustTake(bytes.Replace(bought, []byte("cus_sub_c"), []byte(asked.Get("customer")), 1))
	if a, said := s.order(portal, back); a.status != http.StatusOK || !strings.HasPrefix(fmt.Sprint(said["url"]), "https://") {
		t.Errorf("the portal: %d %v", a.status, said)
	}
	if a, said := s.order(checkout, basicOrder); said["kind"] != "portal" {
		t.Errorf("who has a subscription buys another: %d %v", a.status, said)
	}
	s.stop()
}
