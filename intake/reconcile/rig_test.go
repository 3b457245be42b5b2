package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

const testKey = "sk_test_rig"

// rig is a store that is posted, a small Stripe, and what reconciles the two.
type rig struct {
	t       *testing.T
	stripe  *stripetest.Server
	store   eventstore.Store
	journal *intake.Journal
	poster  *posting.Poster
	*reconcile.Reconciler

	mu  sync.Mutex
	now time.Time
}

var translator = &intake.Translator{AccountKeys: []string{"account_id"}}

func builtin() aggregate.Catalogs {
	c := aggregate.BuiltinCatalog()
	return aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Schema: 1, Hash: c.Hash(), Catalog: c})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, stripe: stripetest.New(testKey), now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	t.Cleanup(r.stripe.Close)
	r.stripe.SetClock(r.clock)
	r.stripe.SetLag(30 * time.Second)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.store, r.journal = store, intake.NewJournal(store, r.clock)
	log := logrus.New()
	log.SetOutput(io.Discard)
	r.poster = posting.New(posting.Config{Store: store, Translator: translator, Catalogs: builtin, Epoch: "e", Now: r.clock, Log: log})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var posting sync.WaitGroup
	posting.Go(func() {
		if err := r.poster.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		posting.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Reconciler = r.with(testKey)
	return r
}

// with is a reconciler of the rig with a key.
func (r *rig) with(key string) *reconcile.Reconciler {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return reconcile.New(reconcile.Config{
		API: stripeapi.New(stripeapi.Config{Key: key, Base: r.stripe.URL, PerSecond: 1e6,
			Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}),
		Store: r.store, Journal: r.journal, Translator: translator, Catalogs: builtin,
		Ours: r, Settle: r.settle, Now: r.clock, Log: log,
	})
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) ago(d time.Duration) int64 { return r.clock().Add(-d).Unix() }

func (r *rig) settle(ctx context.Context) error {
	last := eventstore.Position(0)
	for e, err := range r.store.ReadAll(ctx, eventstore.End, eventstore.Backwards, eventstore.Filter{Prefixes: []string{"stripeEvent-"}}, 1) {
		if err != nil {
			return err
		}
		last = e.Position
	}
	return r.poster.WaitFor(ctx, last)
}

// truth is what is true of a subscription.
func (r *rig) truth(id string) aggregate.SubscriptionTruth {
	r.t.Helper()
	if err := r.settle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	truth, err := r.derive(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return truth
}

func (r *rig) derive(ctx context.Context, id string) (aggregate.SubscriptionTruth, error) {
	sub := aggregate.NewSubscription(id)
	for e, err := range r.store.ReadStream(ctx, eventstore.NewStream("subscription", id), 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return aggregate.SubscriptionTruth{}, err
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			return aggregate.SubscriptionTruth{}, err
		}
		sub.Evolve(event, aggregate.Place{Position: uint64(e.Position)})
	}
	return sub.Derive(builtin()), nil
}

// Doubtful and Live implement reconcile.Ours.
func (r *rig) Doubtful(ctx context.Context) ([]string, error) {
	return r.choose(ctx, func(t aggregate.SubscriptionTruth) bool {
		return t.Status == aggregate.PastDue || slices.Contains(t.Flags, aggregate.FlagAmbiguous)
	})
}

func (r *rig) Live(ctx context.Context) ([]string, error) {
	return r.choose(ctx, func(t aggregate.SubscriptionTruth) bool { return !t.Status.Terminal() })
}

func (r *rig) choose(ctx context.Context, wanted func(aggregate.SubscriptionTruth) bool) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	for e, err := range r.store.ReadAll(ctx, 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"subscription-"}}, 0) {
		if err != nil {
			return nil, err
		}
		id := e.Stream.ID()
		if seen[id] {
			continue
		}
		seen[id] = true
		truth, err := r.derive(ctx, id)
		if err != nil {
			return nil, err
		}
		if wanted(truth) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// subscription is one as Stripe renders it.
func subscription(id string, created int64, status string) []byte {
	return fmt.Appendf(nil, `{"id": %q, "object": "subscription", "created": %d, "livemode": false, "status": %q, "customer": "cus_1", "metadata": {"account_id": "team-1"}, "items": {"object": "list", "data": [{"price": {"id": "price_basic"}, "quantity": 1}]}}`,
		id, created, status)
}

// event is one about a subscription.
func event(id, kind string, created int64, object []byte) []byte {
	return fmt.Appendf(nil, `{"id": %q, "object": "event", "type": %q, "created": %d, "livemode": false, "pending_webhooks": 0, "data": {"object": %s}}`, id, kind, created, object)
}

const updated = "customer.subscription.updated"

// happen has a subscription change at Stripe, with an event.
func (r *rig) happen(evt, sub, status string, at int64) []byte {
	object := subscription(sub, r.ago(60*24*time.Hour), status)
	r.stripe.Put("/v1/subscriptions", object)
	body := event(evt, updated, at, object)
	r.stripe.Put("/v1/events", body)
	return body
}

// deliver records an event as a webhook does.
func (r *rig) deliver(body []byte) {
	r.t.Helper()
	envelope, err := intake.ParseEnvelope(body)
	if err == nil {
		_, err = r.journal.Record(r.t.Context(), intake.Entry{Body: body, Envelope: envelope, Source: intake.SourceWebhook, Secret: "0123abcd"})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// sweep reconciles, which must not fail.
func (r *rig) sweep(plan reconcile.Plan) *reconcile.Report {
	r.t.Helper()
	report, err := r.Reconcile(r.t.Context(), plan)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// entries counts the journal's entries of a source, all of them if it is empty.
func (r *rig) entries(source string) int {
	r.t.Helper()
	n := 0
	for e, err := range r.store.ReadAll(r.t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"stripeEvent-"}}, 0) {
		if err != nil {
			r.t.Fatal(err)
		}
		receipt, err := intake.DecodeReceipt(e.Metadata)
		if err != nil {
			r.t.Fatal(err)
		}
		if source == "" || receipt.Source == source {
			n++
		}
	}
	return n
}
