package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// nothingYet is what doctor says of a data dir that is not there.
func nothingYet(more map[string]string) map[string]string {
	grades := map[string]string{"data dir": "note", "store": "note", "integrity": "note", "read model": "note", "failures": "note", "catalog": "note"}
	for check, grade := range more {
		grades[check] = grade
	}
	return grades
}

// putEndpoint gives Stripe an endpoint of ours.
func putEndpoint(t *testing.T, stripe *stripetest.Server, status string) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"id": "we_1", "object": "webhook_endpoint", "created": time.Now().Unix(), "livemode": false, "status": status,
		"url": "https://billing.example.com/webhooks/stripe", "api_version": stripeapi.Version, "enabled_events": intake.ToldTypes(false)})
	if err != nil {
		t.Fatal(err)
	}
	stripe.Put("/v1/webhook_endpoints", raw)
}

// TestDoctorLooksAtRedis: at one that is as it should be and published to, and
// at others in every kind of trouble.
func TestDoctorLooksAtRedis(t *testing.T) {
	t.Parallel()
	good := redistest.Start(t)
	s := start(t, publishing("", good))
	s.mustDeliver(pricedEvent("evt_d1", "customer.subscription.created", "sub_d1", "active", quietTime(), "price_basic", "", "prod_x"), "recorded")
	s.awaitPublished()
	env := publishing("", good).env
	d := examined(t, env, "--dev", "--data-dir", s.dir)
	d.want(t, map[string]string{"redis": "ok", "clock": "ok"})
	d.says(t, "redis", "noeviction")
	d.says(t, "clock", "agrees with that of Redis")

	// Another store finds it occupied, and strangers beside it.
	other := start(t, publishing("", redistest.Start(t)))
	good.Do("SET", "session:1", "x")
	d = examined(t, env, "--dev", "--data-dir", other.dir)
	d.want(t, map[string]string{"redis": "fault"})
	d.says(t, "redis", "another store is published there")
	d.says(t, "redis", `"session:1"`)
	other.stop()
	s.stop()

	none := dataDir(t) + "/none"
	ill := redistest.Start(t, redistest.WithArgs("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"))
	for mode, grade := range map[string]string{"test": "note", "live": "fault"} {
		d := examined(t, []string{"REDIS_URL=" + ill.URL(), "STRIPE_WEBHOOK_SECRETS=whsec_5f3c9a0b7d2e4816"}, "--livemode", mode, "--data-dir", none)
		d.want(t, nothingYet(map[string]string{"configuration": "note", "redis": grade}))
		d.says(t, "redis", "allkeys-lru")
	}
	ill.Do("REPLICAOF", "127.0.0.1", "1")
	examined(t, []string{"REDIS_URL=" + ill.URL()}, "--dev", "--data-dir", none).says(t, "redis", "read-only replica")
	closed := redistest.Start(t, redistest.WithPassword())
	examined(t, []string{"REDIS_URL=redis://" + closed.Addr()}, "--dev", "--data-dir", none).says(t, "redis", "the rights that docs/REDIS.md lists")
	closed.Kill()
	d = examined(t, []string{"REDIS_URL=" + closed.URL(), "REDIS_CONNECT_TIMEOUT=200ms"}, "--dev", "--data-dir", none)
	d.want(t, nothingYet(map[string]string{"configuration": "note", "redis": "fault", "clock": "note"}))
	d.says(t, "redis", "see that it is up")
}

// TestDoctorLooksAtStripe: at the key, the endpoint, and the clock.
func TestDoctorLooksAtStripe(t *testing.T) {
	t.Parallel()
	stripe := newStripe(t)
	none := dataDir(t) + "/none"
	with := func(key string) diagnosis {
		t.Helper()
		return examined(t, []string{"STRIPE_API_KEY=" + key, "STRIPE_API_BASE=" + stripe.URL}, "--dev", "--data-dir", none)
	}
	d := with(stripeKey)
	d.want(t, nothingYet(map[string]string{"stripe key": "ok", "endpoint": "note", "clock": "ok"}))
	d.says(t, "endpoint", "daybook endpoint create")
	putEndpoint(t, stripe, "disabled")
	d = with(stripeKey)
	d.want(t, nothingYet(map[string]string{"endpoint": "fault"}))
	d.says(t, "endpoint", "it is disabled")
	putEndpoint(t, stripe, "enabled")
	with(stripeKey).want(t, nothingYet(map[string]string{"endpoint": "ok"}))

	stripe.Allow("rk_test_few", "/v1/invoices", "/v1/webhook_endpoints")
	d = with("rk_test_few")
	d.want(t, nothingYet(map[string]string{"stripe key": "fault", "endpoint": "note", "clock": "ok"}))
	d.says(t, "stripe key", "rak_invoice_read")
	d.says(t, "stripe key", "rak_webhook_endpoint_read")
	stripe.Allow("sk_test_everything")
	d = with("sk_test_everything")
	d.want(t, nothingYet(map[string]string{"stripe key": "note"}))
	d.says(t, "stripe key", "may do everything")
	d = with("rk_test_unknown")
	d.want(t, nothingYet(map[string]string{"stripe key": "fault", "endpoint": "note", "clock": "note"}))
	d.says(t, "stripe key", "does not accept the API key")
	for _, text := range []string{stripeKey, "rk_test_few", "rk_test_unknown"} {
		if strings.Contains(fmt.Sprint(d), text) {
			t.Errorf("doctor says %s", text)
		}
	}
}

// TestDoctorComparesClocks: with one that is somewhat, and one that is much,
// ahead of ours.
func TestDoctorComparesClocks(t *testing.T) {
	t.Parallel()
	for ahead, grade := range map[time.Duration]string{8 * time.Second: "note", time.Hour: "fault"} {
		stripe := stripetest.New(stripeKey)
		defer stripe.Close()
		stripe.SetClock(func() time.Time { return time.Now().Add(ahead) })
		putEndpoint(t, stripe, "enabled")
		d := examined(t, []string{"STRIPE_API_KEY=" + stripeKey, "STRIPE_API_BASE=" + stripe.URL}, "--dev", "--data-dir", dataDir(t)+"/none")
		d.want(t, nothingYet(map[string]string{"clock": grade}))
		d.says(t, "clock", "behind that of Stripe")
	}
}

// TestDoctorHearsTheClockInEvents: without Stripe or Redis, an event that came
// before it was created tells that our clock is behind.
func TestDoctorHearsTheClockInEvents(t *testing.T) {
	t.Parallel()
	const secret = "whsec_clockclockclock"
	live := []string{"DAYBOOK_LIVEMODE=live", "STRIPE_WEBHOOK_SECRETS=" + secret}
	s := start(t, launch{env: live, secret: secret})
	event := func(id string, created time.Time) []byte {
		text := strings.Replace(string(customerEvent(id)), `"livemode":false`, `"livemode":true`, 1)
		return []byte(strings.Replace(text, "1700000000", fmt.Sprint(created.Unix()), 1))
	}
	s.mustDeliver(event("evt_past", time.Now()), "recorded")
	if d := examined(t, live, "--data-dir", s.dir); d["clock"] != nil {
		t.Errorf("no clock was heard: %+v", d["clock"])
	}
	s.mustDeliver(event("evt_future", time.Now().Add(time.Minute)), "recorded")
	examined(t, live, "--data-dir", s.dir).says(t, "clock", "behind that of the events that came")
	s.stop()
}
