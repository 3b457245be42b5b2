package posting_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
)

// now is the tests' clock.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// delivery is one Stripe event as a test sends it.
type delivery struct {
	id, eventType string
	livemode      bool
	account       string
	unsigned      bool
	created       time.Time
	object        map[string]any
}

func subscriptionEvent(id, eventType, status, price string, created time.Time) delivery {
	return delivery{id: id, eventType: eventType, created: created, object: map[string]any{
		"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": status, "created": now.Unix(),
		"metadata": map[string]string{"account_id": "team-1"},
		"items": map[string]any{"data": []any{map[string]any{"id": "si_1", "quantity": 1,
			"current_period_start": now.Unix(), "current_period_end": now.AddDate(0, 1, 0).Unix(),
			"price": map[string]any{"id": price, "product": "prod_1"}}}},
	}}
}

func failedInvoice(id string, created time.Time) delivery {
	return delivery{id: id, eventType: "invoice.payment_failed", created: created, object: map[string]any{
		"id": "in_2", "object": "invoice", "customer": "cus_1", "subscription": "sub_1", "status": "open", "currency": "usd",
		"amount_due": 2900, "amount_paid": 0, "amount_remaining": 2900, "total": 2900, "attempt_count": 1,
		"billing_reason": "subscription_cycle", "created": created.Unix(),
	}}
}

func (d delivery) body() []byte {
	envelope := map[string]any{"id": d.id, "object": "event", "type": d.eventType, "created": d.created.Unix(),
		"livemode": d.livemode, "api_version": "2023-10-16", "data": map[string]any{"object": d.object}}
	if d.account != "" {
		envelope["account"] = d.account
	}
	b, err := json.Marshal(envelope)
	if err != nil {
		panic(err)
	}
	return b
}

func record(t *testing.T, store eventstore.Store, deliveries ...delivery) eventstore.Position {
	t.Helper()
	journal := intake.NewJournal(store, clock)
	var last eventstore.Position
	for _, d := range deliveries {
		body := d.body()
		envelope, err := intake.ParseEnvelope(body)
		if err != nil {
			t.Fatal(err)
		}
		entry := intake.Entry{Body: body, Envelope: envelope, Source: intake.SourceWebhook, Secret: "0a1b2c3d"}
		if d.unsigned {
			entry.Source, entry.Secret = "import", ""
		}
		outcome, err := journal.Record(t.Context(), entry)
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, outcome.Position)
	}
	return last
}

func newPoster(store eventstore.Store) *posting.Poster {
	log := logrus.New()
	log.SetOutput(io.Discard)
	catalog := aggregate.BuiltinCatalog()
	catalogs := aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), AdoptedAt: now, Catalog: catalog})
	return posting.New(posting.Config{
		Store: store, Translator: &intake.Translator{AccountKeys: []string{"account_id"}},
		Catalogs:        func() aggregate.Catalogs { return catalogs },
		ConnectAccounts: []string{"acct_listed"}, Epoch: "epoch-1", Now: clock, Log: log,
	})
}

// postUpTo runs a poster until it has posted everything up to a position.
func postUpTo(t *testing.T, p *posting.Poster, position eventstore.Position) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	wait, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if err := p.WaitFor(wait, position); err != nil {
		t.Errorf("waiting for position %d: %v (%+v)", position, err, p.Progress())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("posting ended with %v", err)
	}
}

func typesOf(t *testing.T, store eventstore.Reader, stream eventstore.Stream) []string {
	t.Helper()
	var types []string
	for e, err := range store.ReadStream(t.Context(), stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return types
}

func wantTypes(t *testing.T, store eventstore.Reader, stream eventstore.Stream, want ...string) {
	t.Helper()
	if got := typesOf(t, store, stream); !slices.Equal(got, want) {
		t.Fatalf("%s holds %v, want %v", stream, got, want)
	}
}

func story() []delivery {
	return []delivery{
		subscriptionEvent("evt_1", "customer.subscription.created", "active", "price_basic", now),
		failedInvoice("evt_2", now.Add(time.Hour)),
		subscriptionEvent("evt_3", "customer.subscription.updated", "past_due", "price_basic", now.Add(time.Hour)),
	}
}

func TestEntriesBecomeFactsAndNotes(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, newPoster(store), record(t, store, story()...))
	got := typesOf(t, store, "subscription-sub_1")
	slices.Sort(got)
	want := []string{"GracePeriodStarted", "PaymentFailed", "SubscriptionChanged", "SubscriptionStarted", "TierChanged"}
	if !slices.Equal(got, want) {
		t.Fatalf("the stream holds %v, want %v", got, want)
	}
	entries := map[string]intake.Receipt{}
	for e := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"stripeEvent-"}}, 0) {
		receipt, err := intake.DecodeReceipt(e.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		entries[e.ID.String()] = receipt
	}
	for e := range store.ReadStream(t.Context(), "subscription-sub_1", 0, eventstore.Forwards, 0) {
		meta, err := eventstore.DecodeMetadata(e.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		if receipt, found := entries[meta.CausationID]; !found || meta.CorrelationID != receipt.CorrelationID {
			t.Errorf("%s does not lead back to its delivery: %+v", e.Type, meta)
		}
	}
}

func TestPostingAgainPostsNothing(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()...)
	postUpTo(t, newPoster(store), last)
	before := typesOf(t, store, "subscription-sub_1")
	again := newPoster(store)
	again.Epoch = "another" // so that the checkpoint does not count, and everything is done again
	postUpTo(t, again, last)
	wantTypes(t, store, "subscription-sub_1", before...)
	if n := again.Progress().Posted; n != 3 {
		t.Errorf("went through %d entries again, want 3", n)
	}
}

func TestPostingGoesOnFromItsCheckpoint(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, newPoster(store), record(t, store, story()...))
	next := newPoster(store)
	postUpTo(t, next, record(t, store, subscriptionEvent("evt_4", "customer.subscription.deleted", "canceled", "price_basic", now.Add(2*time.Hour))))
	if n := next.Progress().Posted; n != 1 {
		t.Errorf("posted %d entries, want only the new one", n)
	}
}

func TestOnlyWhatConcernsUsIsPosted(t *testing.T) {
	store := sqlitetest.Open(t)
	skipped := []delivery{
		{id: "evt_live", eventType: "customer.subscription.created", livemode: true},
		{id: "evt_connect", eventType: "customer.subscription.created", account: "acct_other"},
		{id: "evt_type", eventType: "price.created"},
	}
	for i := range skipped {
		skipped[i].created = now
		skipped[i].object = subscriptionEvent("", "", "active", "price_basic", now).object
	}
	p := newPoster(store)
	postUpTo(t, p, record(t, store, skipped...))
	wantTypes(t, store, "subscription-sub_1")
	if g := p.Progress(); g.Skipped != 3 || g.Posted+g.Failed != 0 {
		t.Errorf("progress %+v, want 3 skipped", g)
	}
}

func TestWhatCannotBeReadIsRecordedAndTheFlowGoesOn(t *testing.T) {
	store := sqlitetest.Open(t)
	bad := subscriptionEvent("evt_bad", "customer.subscription.updated", "active", "price_basic", now)
	delete(bad.object, "status")
	last := record(t, store, append([]delivery{bad}, story()...)...)
	p := newPoster(store)
	postUpTo(t, p, last)
	wantTypes(t, store, "posting-evt_bad", posting.FailedType)
	if g := p.Progress(); g.Failed != 1 || g.Posted != 3 {
		t.Errorf("progress %+v, want 1 failed, 3 posted", g)
	}
	again := newPoster(store)
	again.Epoch = "another"
	postUpTo(t, again, last)
	wantTypes(t, store, "posting-evt_bad", posting.FailedType) // told once
}

func TestAnUnreadableStreamHoldsUpNoOther(t *testing.T) {
	store := sqlitetest.Open(t)
	poison := eventstore.ProposedEvent{ID: eventstore.DeriveID("x-1"), Type: "FromTheFuture", Data: []byte(`{}`), Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), "subscription-sub_1", eventstore.NoStream, poison); err != nil {
		t.Fatal(err)
	}
	other := subscriptionEvent("evt_9", "customer.subscription.created", "active", "price_basic", now)
	other.object["id"] = "sub_2"
	p := newPoster(store)
	postUpTo(t, p, record(t, store, append(story(), other)...))
	wantTypes(t, store, "subscription-sub_1", "FromTheFuture")
	wantTypes(t, store, "posting-evt_1", posting.FailedType)
	if len(typesOf(t, store, "subscription-sub_2")) == 0 {
		t.Error("the other subscription was held up")
	}
}

func TestASignedVariantSupersedesAnUnsignedEntry(t *testing.T) {
	store := sqlitetest.Open(t)
	forged := subscriptionEvent("evt_1", "customer.subscription.created", "active", "price_enterprise", now)
	forged.unsigned = true
	genuine := subscriptionEvent("evt_1", "customer.subscription.created", "active", "price_basic", now)
	postUpTo(t, newPoster(store), record(t, store, forged))
	postUpTo(t, newPoster(store), record(t, store, genuine))
	sub := aggregate.NewSubscription("sub_1")
	for e, err := range store.ReadStream(t.Context(), "subscription-sub_1", 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			t.Fatal(err)
		}
		sub.Evolve(event, aggregate.Place{})
	}
	catalog := aggregate.BuiltinCatalog()
	truth := sub.Derive(aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), Catalog: catalog}))
	if truth.Tier != "basic" {
		t.Errorf("tier %q, want that of the signed entry", truth.Tier)
	}
}

func TestTwoPostersHaveOneEffect(t *testing.T) {
	store := sqlitetest.Open(t)
	var deliveries []delivery
	for i := range 60 {
		status := []string{"active", "past_due"}[i%2]
		deliveries = append(deliveries, subscriptionEvent(fmt.Sprintf("evt_%02d", i), "customer.subscription.updated",
			status, "price_basic", now.Add(time.Duration(i)*time.Minute)))
	}
	last := record(t, store, deliveries...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		postUpTo(t, newPoster(store), last)
	}()
	postUpTo(t, newPoster(store), last)
	<-done
	seen := map[string]int{}
	for e, err := range store.ReadStream(t.Context(), "subscription-sub_1", 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.ID.String()]++
		if seen[e.ID.String()] > 1 {
			t.Errorf("%s at revision %d was written twice", e.Type, e.Revision)
		}
	}
	if facts := strings.Count(strings.Join(typesOf(t, store, "subscription-sub_1"), " "), "SubscriptionChanged"); facts != 60 {
		t.Errorf("%d facts, want 60", facts)
	}
}

// doubtful persists some appends and says that their outcome is unknown, and
// refuses others.
type doubtful struct {
	eventstore.Store
	calls atomic.Int64
}

func (d *doubtful) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	switch d.calls.Add(1) % 4 {
	case 1:
		if _, err := d.Store.Append(ctx, stream, expected, events...); err != nil {
			return eventstore.AppendResult{}, err
		}
		return eventstore.AppendResult{}, fmt.Errorf("persisted: %w", eventstore.ErrOutcomeUnknown)
	case 2:
		return eventstore.AppendResult{}, fmt.Errorf("not persisted: %w", eventstore.ErrOutcomeUnknown)
	case 3:
		return eventstore.AppendResult{}, eventstore.ErrUnavailable
	}
	return d.Store.Append(ctx, stream, expected, events...)
}

func TestUnknownOutcomesAreAskedAgain(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()...)
	p := newPoster(&doubtful{Store: store})
	postUpTo(t, p, last)
	sound := sqlitetest.Open(t)
	postUpTo(t, newPoster(sound), record(t, sound, story()...))
	wantTypes(t, store, "subscription-sub_1", typesOf(t, sound, "subscription-sub_1")...)
}

func TestGraceThatRanOutIsNotedOnce(t *testing.T) {
	store := sqlitetest.Open(t)
	p := newPoster(store)
	postUpTo(t, p, record(t, store, story()...))
	before := typesOf(t, store, "subscription-sub_1")
	later := newPoster(store)
	later.Now = func() time.Time { return now.Add(25 * time.Hour) }
	for range 2 {
		if err := later.Conclude(t.Context(), "sub_1"); err != nil {
			t.Fatal(err)
		}
	}
	wantTypes(t, store, "subscription-sub_1", append(before, "GracePeriodExpired")...)
}

func TestABatchLargerThanOneAppendIsPosted(t *testing.T) {
	store := sqlitetest.Open(t)
	var deliveries []delivery
	for i := range 120 {
		d := subscriptionEvent(fmt.Sprintf("evt_%03d", i), "customer.subscription.updated", "active", "price_basic", now.Add(time.Duration(i)*time.Minute))
		items := make([]any, 80)
		for n := range items {
			items[n] = map[string]any{"id": fmt.Sprintf("si_%d", n), "quantity": i + 1, "price": map[string]any{
				"id": fmt.Sprintf("price_%d_%s", n, strings.Repeat("x", 60)), "product": "prod_1"}}
		}
		d.object["items"] = map[string]any{"data": items}
		deliveries = append(deliveries, d)
	}
	p := newPoster(store)
	postUpTo(t, p, record(t, store, deliveries...))
	size, facts := 0, 0
	for e, err := range store.ReadStream(t.Context(), "subscription-sub_1", 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		size += len(e.Data)
		if e.Type == "SubscriptionChanged" {
			facts++
		}
	}
	if facts != 120 || size <= eventstore.MaxAppendBytes || p.Progress().Failed != 0 {
		t.Errorf("%d facts of %d bytes, %+v: want 120, more than one append holds, none failed", facts, size, p.Progress())
	}
}

// stubborn refuses one stream's appends for a reason that will not pass.
type stubborn struct{ eventstore.Store }

func (s stubborn) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	if stream == "subscription-sub_1" {
		return eventstore.AppendResult{}, eventstore.ErrTooLarge
	}
	return s.Store.Append(ctx, stream, expected, events...)
}

func TestWhatWillNeverFitFailsAndTheFlowGoesOn(t *testing.T) {
	store := sqlitetest.Open(t)
	other := subscriptionEvent("evt_9", "customer.subscription.created", "active", "price_basic", now)
	other.object["id"] = "sub_2"
	postUpTo(t, newPoster(stubborn{store}), record(t, store, append(story(), other)...))
	wantTypes(t, store, "posting-evt_1", posting.FailedType)
	if len(typesOf(t, store, "subscription-sub_2")) == 0 {
		t.Error("the other subscription was held up")
	}
}

func TestNotesDoNotDependOnBatches(t *testing.T) {
	together, apart := sqlitetest.Open(t), sqlitetest.Open(t)
	postUpTo(t, newPoster(together), record(t, together, story()...))
	p := newPoster(apart)
	for _, d := range story() {
		postUpTo(t, p, record(t, apart, d))
	}
	wantTypes(t, together, "subscription-sub_1", typesOf(t, apart, "subscription-sub_1")...)
}
