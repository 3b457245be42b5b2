package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/decisions"
	"github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
	"github.com/daybookhq/daybook/projections"
	model "github.com/daybookhq/daybook/projections/sqlite"
)

const secret = "whsec_rig_secret"

// The keys of a rig: one that may do everything, and one bound to team-1.
const (
	opsKey   = "ops-key"
	boundKey = "bound-key"
)

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// stripeKey is that of a rig's Stripe, stripeAttempt how long it may take to answer.
const (
	stripeKey     = "sk_test_rig"
	stripeAttempt = 500 * time.Millisecond
)

// noon is when rigs begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// rig is the whole way of a webhook, from the route to the read model, on real
// files.
type rig struct {
	*testing.T
	clock   *clock
	store   *sqlite.Store
	model   *model.Model
	poster  *posting.Poster
	runner  *projections.Runner
	probe   *Probe
	stripe  *stripetest.Server
	server  *Server
	handler http.Handler // the server, watched
	url     string
	log     *logBuffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, clock: &clock{now: noon}, log: &logBuffer{}}
	logger := logrus.New()
	logger.SetOutput(r.log)
	logger.SetLevel(logrus.DebugLevel)
	ctx := context.Background()
	var err error
	if r.store, err = sqlite.Open(ctx, filepath.Join(t.TempDir(), "events.db"), sqlite.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() })
	if r.model, err = model.Open(ctx, filepath.Join(t.TempDir(), "model.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.model.Close() })
	r.follow(logger)
	r.probe = NewProbe(r.store, r.clock.Now)
	answers := projections.NewAnswers(r.model, "epoch-1", false)
	r.stripe = stripetest.New(stripeKey)
	t.Cleanup(r.stripe.Close)
	r.stripe.SetClock(r.clock.Now)
	r.server, err = New(Config{
		Epoch:    "epoch-1",
		Verifier: intake.NewVerifier([]string{"whsec_other_secret", secret}, r.clock.Now),
		Journal:  intake.NewJournal(r.store, r.clock.Now),
		Store:    r.store, StoreKind: "sqlite", Health: r.probe, Model: r.model,
		Entitlements: answers,
		Decider: decisions.NewBook(decisions.Config{Store: r.store, Catalogs: builtinCatalogs, Now: r.clock.Now,
			AwaitModel: r.runner.WaitFor}),
		Catalog: aggregate.BuiltinCatalog,
		Checkout: checkout.NewDesk(checkout.Config{
			Stripe: stripeapi.New(stripeapi.Config{Key: stripeKey, Base: r.stripe.URL, PerSecond: 1e6, Timeout: stripeAttempt,
				Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}),
			Model: r.model, Entitlements: answers, Moved: r.runner.Moved, Catalog: aggregate.BuiltinCatalog,
			AccountKeys: []string{"account_id"}, Now: r.clock.Now,
			Redirects: checkout.Redirects{Hosts: []checkout.Host{{Name: "app.example.com"}}},
		}),
		Keys: []Key{
			keyFor(opsKey, "", Scopes()...),
			keyFor(boundKey, "team-1", Scopes()...),
		},
		MaxWebhookBytes: 64 << 10, Version: "test", Clock: r.clock.Now, Log: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.handler = described.Handler(t, r.server)
	srv := httptest.NewServer(r.handler)
	t.Cleanup(srv.Close)
	r.url = srv.URL
	r.settle() // until the model is folded, it does not answer
	return r
}

// builtinCatalogs is a history of the built-in catalog alone.
func builtinCatalogs() aggregate.Catalogs {
	builtin := aggregate.BuiltinCatalog()
	return aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Schema: 1, Hash: builtin.Hash(), Catalog: builtin})
}

// follow starts posting and the projection, and stops them with the test.
func (r *rig) follow(logger logrus.FieldLogger) {
	r.poster = posting.New(posting.Config{
		Store: r.store, Translator: &intake.Translator{AccountKeys: []string{"account_id"}},
		Catalogs: builtinCatalogs, Epoch: "epoch-1", Now: r.clock.Now, Log: logger,
	})
	r.runner = projections.NewRunner(projections.Options{
		Store: r.store, Model: r.model, Epoch: "epoch-1", Now: r.clock.Now, Log: logger,
		Sleep: func(ctx context.Context, _ time.Time) error { <-ctx.Done(); return ctx.Err() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.poster.Run(ctx) })
	running.Go(func() { _ = r.runner.Run(ctx) })
	r.Cleanup(func() { cancel(); running.Wait() })
}

// settle waits until everything recorded so far is posted and projected.
func (r *rig) settle() {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, wait := range []func() error{
		func() error { head, err := r.store.Head(ctx); return orElse(err, r.poster.WaitFor(ctx, head)) },
		func() error { head, err := r.store.Head(ctx); return orElse(err, r.runner.WaitFor(ctx, head)) },
	} {
		if err := wait(); err != nil {
			r.Fatal(err)
		}
	}
}

func orElse(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func keyFor(plain, account string, scopes ...Scope) Key {
	keys, err := ParseKeys("k:read:" + hashOf(plain))
	if err != nil {
		panic(err)
	}
	keys[0].Name, keys[0].Scopes, keys[0].Account = plain, scopes, account
	return keys[0]
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// fields decodes the body.
func (r *rig) fields(a answer) map[string]any {
	r.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		r.Fatalf("%s: %v", a, err)
	}
	return m
}

func (r *rig) do(method, path, key string, body []byte, header http.Header) answer {
	r.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.url+path, bytes.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, got}
}

// get asks with the key that may do everything, and wants 200.
func (r *rig) get(path string) map[string]any {
	r.Helper()
	a := r.do(http.MethodGet, path, opsKey, nil, nil)
	if a.status != http.StatusOK {
		r.Fatalf("GET %s: %s", path, a)
	}
	return r.fields(a)
}

// signed is the header for a body, signed at a time.
func signed(body []byte, secret string, at time.Time) http.Header {
	p := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at})
	return http.Header{"Stripe-Signature": {p.Header}}
}

// post sends a body as Stripe would.
func (r *rig) post(body []byte) answer {
	r.Helper()
	return r.do(http.MethodPost, "/webhooks/stripe", "", body, signed(body, secret, r.clock.Now()))
}

// send posts a body, and wants it recorded.
func (r *rig) send(body []byte) {
	r.Helper()
	if a := r.post(body); a.status != http.StatusOK {
		r.Fatalf("webhook: %s", a)
	}
}

// subscriptionEvent is a Stripe event about a subscription.
func subscriptionEvent(id, kind string, created time.Time, sub, account, status, price string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2025-03-31.basil","created":%d,"livemode":false,`+
		`"pending_webhooks":1,"request":null,"type":%q,"data":{"object":{"id":%q,"object":"subscription","created":%d,`+
		`"customer":%q,"status":%q,"metadata":{"account_id":%q},"cancel_at_period_end":false,"items":{"object":"list","data":[`+
		`{"id":"si_1","object":"subscription_item","quantity":1,"current_period_start":%d,"current_period_end":%d,`+
		`"price":{"id":%q,"object":"price","lookup_key":null,"product":"prod_x"}}]}}}}`,
		id, created.Unix(), kind, sub, created.Unix(), "cus_"+sub, status, account, created.Unix(), created.AddDate(0, 1, 0).Unix(), price)
}

const (
	subCreated = "customer.subscription.created"
	subUpdated = "customer.subscription.updated"
	subDeleted = "customer.subscription.deleted"
)
