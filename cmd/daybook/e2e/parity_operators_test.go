package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// TestParityAdmin grants, lists and revokes waivers, and reads subscriptions and
// the record, by a key that may.
func TestParityAdmin(t *testing.T) {
	t.Parallel()
	s := start(t, launch{key: "boss", secret: "whsec_parity_admin", env: []string{"DAYBOOK_LIVEMODE=test", "STRIPE_WEBHOOK_SECRETS=whsec_parity_admin",
		"DAYBOOK_API_KEYS=boss:admin+read+audit:" + sha256Hex("boss") + ",product:read:" + sha256Hex("product")}})
	s.mustTake(subscriptionEvent("evt_a1", "customer.subscription.created", "sub_a", "acme", "active", quietTime(), ""))
	const waivers = "/v1/accounts/acme/waivers"
	grant := func(key, reason string, status int) answer {
		t.Helper()
		body := fmt.Sprintf(`{"tier":"elite","reason":%q,"expires_at":%q}`, reason, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		a := s.send(http.MethodPost, waivers, key, body)
		if a.status != status {
			t.Errorf("a reason of %d characters by %s: %d %s", len(reason), key, a.status, a.body)
		}
		return a
	}
	for key, status := range map[string]int{"product": http.StatusForbidden, "nobody": http.StatusUnauthorized} {
		grant(key, why, status)
	}
	for length, status := range map[int]int{9: 400, 10: 201, 500: 201, 501: 400} {
		grant("boss", strings.Repeat("x", length), status)
	}
	var granted struct{ ID string }
	if err := json.Unmarshal(grant("boss", why, http.StatusCreated).body, &granted); err != nil {
		t.Fatal(err)
	}
	if a := s.send(http.MethodDelete, waivers+"/"+granted.ID+"?reason=it+has+served+its+purpose", "boss", ""); a.status != http.StatusOK {
		t.Errorf("revoked: %d %s", a.status, a.body)
	}
	var list struct {
		Waivers []struct {
			Tier      string
			GrantedBy string    `json:"granted_by"`
			ExpiresAt time.Time `json:"expires_at"`
		}
	}
	if s.get("/v1/waivers?account=acme&in_force=true", &list); len(list.Waivers) != 2 || list.Waivers[0].Tier != "elite" || list.Waivers[0].GrantedBy != "boss" || list.Waivers[0].ExpiresAt.IsZero() {
		t.Errorf("in force: %+v", list)
	}
	if s.get("/v1/waivers", &list); len(list.Waivers) != 3 {
		t.Errorf("all that ever were: %+v", list)
	}
	var subs struct{ Subscriptions []struct{ ID string } }
	if s.get("/v1/subscriptions?account=acme&status=active&tier=basic", &subs); len(subs.Subscriptions) != 1 {
		t.Errorf("%+v", subs)
	}
	since := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	var events struct{ Events []recordedEvent }
	if s.get("/v1/events?account=acme&type=WaiverGranted,WaiverRevoked&since="+since, &events); len(events.Events) != 4 {
		t.Errorf("%+v", events)
	}
	var counted struct {
		Types []struct {
			Type   string
			Events int
		}
	}
	if s.get("/v1/events/statistics?account=acme&type=WaiverGranted", &counted); len(counted.Types) != 1 || counted.Types[0].Events != 3 {
		t.Errorf("%+v", counted)
	}
	s.stop()
}

// TestParityAuditLog: whatever the audit log had a word for is in the record, on
// the timeline of the account where it has one.
func TestParityAuditLog(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	at := time.Now().Add(-100 * time.Hour).Truncate(time.Second)
	paid := at.Add(time.Hour)
	s.mustTake(owing("evt_l", "sub_l", "acme", at)...)
	s.mustTake(paidInvoice("evt_l4", "sub_l", paid),
		subscriptionEvent("evt_l5", "customer.subscription.updated", "sub_l", "acme", "active", paid, `,"previous_attributes":{"status":"past_due"}`),
		subscriptionEvent("evt_l6", "customer.subscription.deleted", "sub_l", "acme", "canceled", paid.Add(time.Hour), ""))
	s.mustTake(owing("evt_m", "sub_m", "acme", at)...) // and it is never paid
	granted := decide(t, s.dir, "waiver", "grant", "acme", "--tier", "basic", "--reason", why)
	decide(t, s.dir, "waiver", "revoke", "acme", granted.Waivers[0].ID, "--reason", why)
	var line struct{ Events []recordedEvent }
	eventually(t, "everything is on the timeline", func() bool {
		s.get("/v1/accounts/acme/timeline", &line)
		for _, word := range strings.Fields("SubscriptionStarted SubscriptionChanged SubscriptionCanceled PaymentSucceeded PaymentFailed " +
			"GracePeriodStarted GracePeriodCleared GracePeriodExpired WaiverGranted WaiverRevoked") {
			if !slices.ContainsFunc(line.Events, func(e recordedEvent) bool { return e.Type == word }) {
				return false
			}
		}
		return true
	})
	broken := bytes.Replace(failedInvoice("evt_l7", "sub_l", at), []byte(`"status":"open"`), []byte(`"status":17`), 1)
	s.mustDeliver(broken, "recorded")
	eventually(t, "what could not be posted is told", func() bool {
		o := command(t, nil, "failures", "--data-dir", s.dir)
		return o.code == 1 && strings.Contains(o.stdout, "evt_l7 (invoice.payment_failed)")
	})
	var failed struct{ Events []recordedEvent }
	if s.get("/v1/events?type=PostingFailed", &failed); len(failed.Events) != 1 {
		t.Errorf("%+v", failed)
	}
	s.stop()
}

// TestParityOperations: what is configured is checked, and who asks too often
// turned away; a Redis with TLS comes, goes and comes back, and the status tells;
// a secret is rolled by a file.
func TestParityOperations(t *testing.T) {
	t.Parallel()
	refused(t, spawn(t, launch{env: []string{"DAYBOOK_LIVEMODE=false", "REDIS_CONNECT_TIMEOUT=1m"}}), 2,
		"DAYBOOK_LIVEMODE: ", "REDIS_CONNECT_TIMEOUT: ", "STRIPE_WEBHOOK_SECRETS: not set")
	if out := strings.Join(strings.Fields(mustRun(t, "config", "--dev")), " "); !strings.Contains(out, "REDIS_CONNECT_TIMEOUT 5s default") {
		t.Errorf("config says %s", out)
	}
	wantRateLimits(t)
	redis := redistest.Start(t, redistest.WithTLS(), redistest.WithPassword())
	secrets := filepath.Join(t.TempDir(), "secrets")
	writeFile(t, secrets, "whsec_parity_old")
	s := start(t, launch{key: "k", secret: "whsec_parity_old", env: []string{"DAYBOOK_LIVEMODE=test", "STRIPE_WEBHOOK_SECRETS_FILE=" + secrets,
		"DAYBOOK_API_KEYS=k:read+audit:" + sha256Hex("k"), "DAYBOOK_ENTITLEMENT_KEY=" + base64.StdEncoding.EncodeToString(entitlementKey),
		"REDIS_URL=" + redis.URL(), "SSL_CERT_FILE=" + redis.CertFile()}})
	s.mustTake(subscriptionEvent("evt_o1", "customer.subscription.created", "sub_o", "acme", "active", quietTime(), ""))
	there := func() bool { _, found := inRedis(t, redis, "acme"); return found }
	eventually(t, "it is published by TLS", there)

	redis.Kill()
	eventually(t, "the status shows it", func() bool { p := s.publisher(); return p.LastError != "" && p.Outlet.Breaker != "closed" })
	wantUnimpressed(t, s, "evt_o2")
	redis.Start()
	eventually(t, "it is published again", there)
	eventually(t, "the status shows it", func() bool { p := s.publisher(); return p.LastError == "" && p.Outlet.Breaker == "closed" })

	writeFile(t, secrets, "whsec_parity_new,whsec_parity_old")
	s.hangup("configuration reloaded")
	s.mustDeliver(customerEvent("evt_o3"), "recorded")
	s.secret = "whsec_parity_new"
	s.mustDeliver(customerEvent("evt_o4"), "recorded")
	s.stop()
}

// TestParitySuggested: what was only suggested there. The rest of the row is not
// for a server to show: docs/PARITY.md tells of it.
func TestParitySuggested(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := start(t, publishing("", redis, "DAYBOOK_ENTITLEMENT_TTL=60s"))
	s.mustTake(subscriptionEvent("evt_z1", "customer.subscription.created", "sub_z", "acme", "active", quietTime(), ""))
	s.awaitPublished()
	metric := func(line string) func() bool {
		return func() bool { _, body := askMetrics(t, s.base, ""); return strings.Contains(body, "\n"+line+"\n") }
	}
	// A circuit breaker, and the alert on Redis.
	redis.Kill()
	eventually(t, "the breaker is open", metric(`daybook_redis_breaker{state="open"} 1`))
	eventually(t, "the metric of the alert tells", metric("daybook_redis_up 0"))
	rules, err := os.ReadFile("../../../deploy/prometheus/alerts.yml")
	if err != nil || !strings.Contains(string(rules), "expr: 'daybook_redis_up == 0'\n        for: 5m\n") {
		t.Errorf("no alert on five minutes without Redis: %v", err)
	}
	// A cache that is warm before anybody asks, and refreshed before it expires.
	redis.Start()
	eventually(t, "a Redis that is empty is filled", func() bool { _, found := inRedis(t, redis, "acme"); return found })
	first, _ := inRedis(t, redis, "acme")
	eventually(t, "the entry is renewed before it lapses", func() bool {
		now, found := inRedis(t, redis, "acme")
		if !found {
			t.Fatalf("it lapsed at %s", first.ValidUntil)
		}
		return now.ValidUntil.After(first.ValidUntil)
	})
	s.stop()
}

// wantRateLimits wants whoever asks too often to be told when to ask again, and
// webhooks not to be held up by it.
func wantRateLimits(t *testing.T) {
	t.Helper()
	s := start(t, launch{args: []string{"--dev"}, env: []string{"DAYBOOK_RATE_PER_KEY=1:20"}})
	eventually(t, "a key that asks too often is turned away", func() bool {
		a := s.ask("/v1/entitlements/acme", s.key)
		return a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != ""
	})
	s.mustDeliver(customerEvent("evt_o5"), "recorded")
	s.stop()
}
