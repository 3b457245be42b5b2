package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
	"github.com/daybookhq/daybook/recent"
)

// epoch names the store of every test.
const epoch = "store-of-the-test"

// begin is when every test begins.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that moves when told to.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	moved chan struct{}
	// asleep tells how many wait for each moment.
	asleep map[time.Time]int
}

func newClock() *clock {
	return &clock{now: begin, moved: make(chan struct{}), asleep: map[time.Time]int{}}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock, and everything that waits for it.
func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *clock) Sleep(ctx context.Context, t time.Time) error {
	for {
		c.mu.Lock()
		there, moved := !c.now.Before(t), c.moved
		c.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rig is a real store, a real model and a runner between them.
type rig struct {
	t     *testing.T
	dir   string
	clock *clock
	store *storesqlite.Store
	model *sqlite.Model

	runner *projections.Runner
	stop   func()

	mu   sync.Mutex
	told []string
	// hook stands in for the posting of notes where it is set.
	hook func(ctx context.Context, account string, subscriptions []string, now time.Time) error
	n    int // makes Stripe event ids
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), clock: newClock(), stop: func() {}}
	var err error
	if r.store, err = storesqlite.Open(t.Context(), filepath.Join(r.dir, "events.db"), storesqlite.Options{}); err != nil {
		t.Fatal(err)
	}
	r.openModel()
	t.Cleanup(r.close)
	return r
}

// close lets go of everything; a second close does nothing.
func (r *rig) close() {
	r.stop()
	if err := errors.Join(r.model.Close(), r.store.Close()); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) modelPath() string { return filepath.Join(r.dir, "model.db") }

func (r *rig) openModel() {
	r.t.Helper()
	var err error
	if r.model, err = sqlite.Open(r.t.Context(), r.modelPath()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) options() projections.Options {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return projections.Options{
		Store: r.store, Model: r.model, Epoch: epoch, Now: r.clock.Now, Sleep: r.clock.Sleep, Log: log,
		OnDue: r.onDue, BatchEvents: 10, CachedStreams: 10, Recent: recent.New(r.store, 8<<10),
	}
}

func (r *rig) onDue(ctx context.Context, account string, subscriptions []string, now time.Time) error {
	r.mu.Lock()
	hook := r.hook
	r.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, account, subscriptions, now); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range subscriptions {
		r.told = append(r.told, account+"/"+id)
	}
	return nil
}

// start runs a new runner until the end of the test, or until stop.
func (r *rig) start() {
	r.t.Helper()
	r.startWith(r.options())
}

func (r *rig) startWith(opts projections.Options) {
	r.t.Helper()
	r.stop()
	r.runner = projections.NewRunner(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.runner.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				r.t.Errorf("Run returned %v", err)
			}
		})
	}
}

// settle waits until everything that was appended is in the model.
func (r *rig) settle() {
	r.t.Helper()
	head, err := r.store.Head(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	if err := r.runner.WaitFor(ctx, head); err != nil {
		r.t.Fatalf("the model did not come to %d: %v; status %+v", head, err, r.runner.Status(ctx))
	}
}

// eventually waits for a condition that another goroutine brings about.
func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("never came true: %s", what)
		}
	}
}

// appendRaw appends one event as it is.
func (r *rig) appendRaw(stream eventstore.Stream, eventType string, data []byte) {
	r.t.Helper()
	meta, err := json.Marshal(eventstore.Metadata{RecordedAt: r.clock.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.store.Append(r.t.Context(), stream, eventstore.Any,
		eventstore.ProposedEvent{ID: uuid.New(), Type: eventType, Data: data, Metadata: meta})
	if err != nil {
		r.t.Fatal(err)
	}
}

// appendEvent appends a fact or a note to a subscription.
func (r *rig) appendEvent(subscription string, e aggregate.Event) {
	r.t.Helper()
	data, err := aggregate.Encode(e)
	if err != nil {
		r.t.Fatal(err)
	}
	r.appendRaw(eventstore.NewStream("subscription", subscription), e.Type(), data)
}

func (r *rig) key() aggregate.FactKey {
	r.n++
	return aggregate.FactKey{StripeEventID: fmt.Sprintf("evt_%06d", r.n)}
}

// subscribed records what Stripe says of a subscription.
func (r *rig) subscribed(id, account string, status aggregate.Status, price string, at time.Time) {
	r.t.Helper()
	kind := aggregate.SubscriptionChanged
	if status == aggregate.Canceled {
		kind = aggregate.SubscriptionCanceled
	}
	r.appendEvent(id, aggregate.Event{Fact: &aggregate.Fact{
		Type: kind, Key: r.key(), OccurredAt: at,
		Subscription: &aggregate.SubscriptionSnapshot{
			ID: id, Customer: "cus_" + id, Status: status, Account: account, CreatedAt: begin.Add(-time.Hour),
			Items: []aggregate.Item{{Price: price, Quantity: 1, PeriodEnd: at.Add(30 * 24 * time.Hour)}},
		},
	}})
}

// paymentFailed records that an invoice's payment failed.
func (r *rig) paymentFailed(id, account string, at time.Time) {
	r.t.Helper()
	r.appendEvent(id, aggregate.Event{Fact: &aggregate.Fact{
		Type: aggregate.PaymentFailed, Key: r.key(), OccurredAt: at,
		Invoice: &aggregate.InvoiceSnapshot{
			ID: "in_" + id, Subscription: id, Customer: "cus_" + id, Account: account, Status: "open",
			BillingReason: "subscription_cycle", Currency: "usd", AmountDue: 2900, AmountRemaining: 2900,
			Total: 2900, AttemptCount: 1, CreatedAt: at, FinalizedAt: at,
		},
	}})
}

// inGrace makes a subscription whose grace ends a day after begin.
func (r *rig) inGrace(id, account string) {
	r.t.Helper()
	r.subscribed(id, account, aggregate.Active, "price_premium", begin.Add(-48*time.Hour))
	r.paymentFailed(id, account, begin)
	r.subscribed(id, account, aggregate.PastDue, "price_premium", begin)
}

// adopt records a catalog.
func (r *rig) adopt(catalog *aggregate.Catalog) {
	r.t.Helper()
	data, err := json.Marshal(aggregate.CatalogAdopted{
		Schema: aggregate.Schema, Hash: catalog.Hash(), AdoptedAt: r.clock.Now(), Catalog: catalog,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.appendRaw("catalog-main", aggregate.CatalogAdoptedType, data)
}

// entitlement asks as a request does.
func (r *rig) entitlement(account string) aggregate.Entitlement {
	r.t.Helper()
	e, err := projections.NewAnswers(r.model, epoch, false).Entitlement(r.t.Context(), account, r.clock.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// wantTier wants an account to have a tier.
func (r *rig) wantTier(account, tier, when string) {
	r.t.Helper()
	if e := r.entitlement(account); e.Tier != tier {
		r.t.Errorf("%s: want %s, got %+v", when, tier, e)
	}
}

// sameAsRebuilt compares the model with one folded from zero.
func (r *rig) sameAsRebuilt() {
	r.t.Helper()
	rebuilt, err := r.runner.Rebuild(r.t.Context(), projections.RebuildPlan{Compare: true, Keep: true})
	if err != nil {
		r.t.Fatal(err)
	}
	if !rebuilt.Compared {
		r.t.Fatal("the models were not compared")
	}
	for _, d := range rebuilt.Differences {
		r.t.Errorf("%s %s\nlive    %s\nrebuilt %s", d.Kind, d.Key, d.A, d.B)
	}
}
