package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

func newStripe(t *testing.T) *stripetest.Server {
	t.Helper()
	s := stripetest.New(stripeKey)
	t.Cleanup(s.Close)
	return s
}

// wantSaid wants a command to end with a code and to say something.
func wantSaid(t *testing.T, o outcome, code int, says ...string) {
	t.Helper()
	for _, want := range says {
		if !strings.Contains(o.stdout+o.stderr, want) {
			t.Errorf("does not say %q:\n%s%s", want, o.stdout, o.stderr)
		}
	}
	if o.code != code {
		t.Errorf("ended with %d: want %d\n%s%s", o.code, code, o.stdout, o.stderr)
	}
}

// TestWithoutTheRightKeyNothingIsBegun: each reason is a sentence, and there is
// not even a store afterwards.
func TestWithoutTheRightKeyNothingIsBegun(t *testing.T) {
	t.Parallel()
	stripe := newStripe(t)
	stripe.Allow("rk_test_few", "/v1/invoices")
	dir := filepath.Join(dataDir(t), "data")
	with := func(key string) []string { return []string{"STRIPE_API_KEY=" + key, "STRIPE_API_BASE=" + stripe.URL} }
	for _, name := range []string{"backfill", "reconcile"} {
		wantSaid(t, command(t, nil, name, "--dev", "--data-dir", dir), 1, "STRIPE_API_KEY is not set")
		wantSaid(t, command(t, with("sk_live_abcdef"), name, "--dev", "--data-dir", dir), 2, "a key of live mode, and this is test mode")
		wantSaid(t, command(t, with("pk_test_abcdef"), name, "--dev", "--data-dir", dir), 2, "publishable key")
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%s founded a store", name)
		}
	}
	for _, name := range []string{"backfill", "reconcile"} {
		wantSaid(t, command(t, with("rk_test_few"), name, "--dev", "--data-dir", dir), 1, "cannot list invoices", "rak_invoice_read")
		wantSaid(t, command(t, with("sk_test_unknown"), name, "--dev", "--data-dir", dir), 1, "does not accept the API key")
	}
	if n := len(journal(t, dir)); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// TestAServerSweepsAndCommandsGoThroughIt: a server with a key compares at its
// start, says so in its status, and carries out the commands.
func TestAServerSweepsAndCommandsGoThroughIt(t *testing.T) {
	t.Parallel()
	stripe := newStripe(t)
	at := time.Now().Add(-2 * time.Hour).Unix()
	object := fmt.Sprintf(`{"id": "sub_1", "object": "subscription", "created": %d, "livemode": false, "status": "active", "customer": "cus_1", "metadata": {"account_id": "team-1"}, "items": {"object": "list", "data": [{"price": {"id": "price_elite"}, "quantity": 1}]}}`, at)
	stripe.Put("/v1/subscriptions", []byte(object))
	stripe.Put("/v1/events", fmt.Appendf(nil, `{"id": "evt_lost", "object": "event", "type": "customer.subscription.created", "created": %d, "livemode": false, "pending_webhooks": 0, "data": {"object": %s}}`, at, object))
	s := start(t, launch{args: []string{"--dev"}, env: withStripe(stripe)})
	var status struct {
		Reconciliation struct {
			Configured, Backfilled bool
			Sweeps                 int
			Alerts                 []string
		}
	}
	eventually(t, "the first sweep is over", func() bool {
		s.get("/v1/status", &status)
		return status.Reconciliation.Sweeps > 0
	})
	var e struct{ Tier string }
	if s.get("/v1/entitlements/team-1", &e); e.Tier != "elite" || !status.Reconciliation.Configured || status.Reconciliation.Backfilled {
		t.Errorf("tier %q, %+v", e.Tier, status.Reconciliation)
	}
	changed := strings.Replace(object, `"active"`, `"past_due"`, 1)
	stripe.Put("/v1/subscriptions", []byte(changed))
	wantSaid(t, command(t, withStripe(stripe), "verify", "--stripe", "--dev", "--data-dir", s.dir), 1, "sub_1", `"past_due"`, "1 subscriptions compared: 1 differ")
	wantSaid(t, command(t, nil, "reconcile", "--dev", "--data-dir", s.dir, "--since", "24h"), 1, "sub_1", "status", "api_sub_1_", "1 objects: 1 differ, 1 answers recorded")
	wantSaid(t, command(t, withStripe(stripe), "verify", "--stripe", "--dev", "--data-dir", s.dir, "--sample", "5"), 0, "1 subscriptions compared: 0 differ")
	wantSaid(t, command(t, nil, "backfill", "--dev", "--data-dir", s.dir), 0, "1 objects", "1 events")
	if s.get("/v1/status", &status); !status.Reconciliation.Backfilled {
		t.Errorf("%+v", status.Reconciliation)
	}
	wantSaid(t, command(t, nil, "events", "--dev", "--data-dir", s.dir), 0, "BackfillCompleted")
	wantUnsaid(t, s.log.String(), []string{stripeKey})
	s.stop()
}

func TestALiveServerWithoutAKeySaysThatItIsNotBackfilled(t *testing.T) {
	t.Parallel()
	s := start(t, launch{key: "reader", secret: "whsec_notbackfilled",
		env: []string{"STRIPE_WEBHOOK_SECRETS=whsec_notbackfilled", "DAYBOOK_API_KEYS=reader:read+audit:" + sha256Hex("reader")}})
	if a := s.ask("/v1/status", s.key); !strings.Contains(string(a.body), "not backfilled") {
		t.Errorf("%s", a.body)
	}
	s.stop()
}

func TestAnEndpointIsMadeAndChecked(t *testing.T) {
	t.Parallel()
	stripe := newStripe(t)
	env := withStripe(stripe)
	const address = "https://billing.example.com/webhooks/stripe"
	wantSaid(t, command(t, env, "endpoint", "check", "--dev"), 1, "none of the 0 endpoints at Stripe is Daybook's")
	wantSaid(t, command(t, env, "endpoint", "create", "billing.example.com", "--dev"), 2, "want a URL")
	stripe.Fail(stripetest.Fault{Status: 503})
	wantSaid(t, command(t, env, "endpoint", "create", address, "--dev"), 0, "whsec_", "2026-09-30.endive")
	wantSaid(t, command(t, env, "endpoint", "create", address, "--dev"), 1, "already")
	wantSaid(t, command(t, env, "endpoint", "check", "--dev"), 0, "all right")
	types := strings.Fields(mustRun(t, "endpoint", "types", "--dev"))
	if !slices.Contains(types, "invoice.paid") || slices.Contains(types, "invoice.created") {
		t.Errorf("%v", types)
	}
	sent, err := json.Marshal(append(slices.Clone(types[1:]), "invoice.created", "product.created"))
	if err != nil {
		t.Fatal(err)
	}
	stripe.Put("/v1/webhook_endpoints", fmt.Appendf(nil, `{"id": "we_1", "object": "webhook_endpoint", "created": 1, "livemode": false, "status": "disabled", "url": "https://a.example/webhooks/stripe", "api_version": null, "enabled_events": %s}`, sent))
	wantSaid(t, command(t, env, "endpoint", "check", "https://a.example/webhooks/stripe", "--dev"), 1,
		"it is disabled", "are missing: "+types[0], "only recorded: product.created", "delays an invoice", "no API version of its own")
	stripe.Put("/v1/webhook_endpoints", []byte(`{"id": "we_1", "object": "webhook_endpoint", "created": 1, "livemode": false, "status": "enabled", "url": "https://a.example/webhooks/stripe", "api_version": "2023-10-16", "enabled_events": ["*"]}`))
	wantSaid(t, command(t, env, "endpoint", "check", "https://a.example/webhooks/stripe", "--dev", "-o", "json"), 1, "all events are sent", "delays an invoice")
}

func TestACatalogIsWrittenFromStripesPrices(t *testing.T) {
	t.Parallel()
	stripe := newStripe(t)
	env := withStripe(stripe)
	wantSaid(t, command(t, env, "catalog", "import", "--dev"), 1, "no recurring prices")
	for i, p := range []string{"Pro: \"all\" of it", "Pro all of it", "Ünïcode", "2 seats"} {
		name, _ := json.Marshal(p)
		stripe.Put("/v1/products", fmt.Appendf(nil, `{"id": "prod_%d", "object": "product", "created": 1, "livemode": false, "active": %t, "name": %s}`, i, i > 0, name))
		stripe.Put("/v1/prices", fmt.Appendf(nil, `{"id": "price_m%d", "object": "price", "created": 1, "livemode": false, "active": true, "type": "recurring", "currency": "usd", "product": "prod_%d", "unit_amount": %d, "lookup_key": "monthly_%d", "recurring": {"interval": "month", "interval_count": 1}}`, i, i, 5000-1000*i, i))
		stripe.Put("/v1/prices", fmt.Appendf(nil, `{"id": "price_y%d", "object": "price", "created": 1, "livemode": false, "active": false, "type": "recurring", "currency": "usd", "product": "prod_%d", "unit_amount": null, "recurring": {"interval": "year", "interval_count": 2}}`, i, i))
	}
	stripe.Put("/v1/prices", []byte(`{"id": "price_once", "object": "price", "created": 1, "livemode": false, "active": true, "type": "one_time", "currency": "usd", "product": "prod_0", "unit_amount": 1}`))
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	wantSaid(t, command(t, env, "catalog", "import", "--out", file, "--dev"), 0)
	wantSaid(t, command(t, env, "catalog", "import", "--out", file, "--dev"), 1, "exists")
	wantSaid(t, command(t, nil, "catalog", "check", file, "--dev", "--data-dir", t.TempDir()), 0)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"- id: pro_all_of_it\n", "- id: pro_all_of_it_2\n", "- id: tier_2_seats\n", `"product:prod_0"`, `"price_y3" # by tiers per 2 years, archived`, `lookup key "monthly_1"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "price_once") {
		t.Error("a price of nothing recurring is in it")
	}
}
