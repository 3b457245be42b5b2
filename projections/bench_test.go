package projections_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

// The rebuild is measured over DAYBOOK_BENCH_ACCOUNTS accounts, 10,000 if it is
// not set, of ten events each. DAYBOOK_BENCH_LOG names a file for the log, to
// be kept and used again; it must have been made with the same number.
const (
	benchAccountsVariable = "DAYBOOK_BENCH_ACCOUNTS"
	benchLogVariable      = "DAYBOOK_BENCH_LOG"
	benchEventsEach       = 10
)

func benchAccounts(b *testing.B) int {
	text := os.Getenv(benchAccountsVariable)
	if text == "" {
		return 10_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s=%q: want a number from 1", benchAccountsVariable, text)
	}
	return n
}

func BenchmarkRebuild(b *testing.B) {
	accounts := benchAccounts(b)
	store := benchStore(b, accounts)
	model, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "model.db"))
	if err != nil {
		b.Fatal(err)
	}
	source := projections.Source{
		Store: store, Epoch: epoch, Now: func() time.Time { return begin.Add(time.Hour) },
		RebuildOptions: projections.RebuildOptions{Dir: b.TempDir(), Readers: 2},
	}
	b.ReportAllocs()
	for b.Loop() {
		beside, err := model.Beside(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := projections.Rebuild(b.Context(), source, beside, nil); err != nil {
			b.Fatal(err)
		}
		if err := model.Adopt(b.Context(), beside); err != nil {
			b.Fatal(err)
		}
		if err := beside.Discard(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	counts, err := model.Counts(b.Context())
	if err != nil || counts["accounts"] != int64(accounts) {
		b.Fatalf("counts %v, %v", counts, err)
	}
	b.ReportMetric(float64(accounts*benchEventsEach*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(peakRSS(b))/1024, "peak-MB")
	if err := model.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLive follows a log that is there already: what the live path costs
// per event, in batches as large as they come. With objects, every account also
// has a payment, a claim and a waiver.
func BenchmarkLive(b *testing.B) {
	for _, objects := range []bool{false, true} {
		b.Run(fmt.Sprintf("objects=%v", objects), func(b *testing.B) { benchmarkLive(b, objects) })
	}
}

func benchmarkLive(b *testing.B, objects bool) {
	const accounts = 2000
	store := benchStore(b, accounts)
	if objects {
		fillBenchObjects(b, store, accounts)
	}
	head, err := store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	for b.Loop() {
		model, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "model.db"))
		if err != nil {
			b.Fatal(err)
		}
		// A model that claims to be up with the log's beginning is followed, not rebuilt.
		err = model.Update(b.Context(), func(tx projections.Tx) error {
			return tx.SetCheckpoint(projections.Checkpoint{Epoch: epoch, Schema: projections.Schema, Filter: projections.Prefixes})
		})
		if err != nil {
			b.Fatal(err)
		}
		runner := projections.NewRunner(projections.Options{Store: store, Model: model, Epoch: epoch, Log: log,
			Now: func() time.Time { return begin.Add(time.Hour) }, RefoldFrom: math.MaxInt})
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- runner.Run(ctx) }()
		if err := runner.WaitFor(ctx, head); err != nil {
			b.Fatal(err)
		}
		cancel()
		<-done
		if err := model.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(uint64(head)*uint64(b.N))/b.Elapsed().Seconds(), "events/s")
}

// fillBenchObjects gives every account a payment, a claim and a waiver.
func fillBenchObjects(b *testing.B, store *storesqlite.Store, accounts int) {
	put := func(kind projections.Kind, id string, e aggregate.Event) {
		data, err := aggregate.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		_, err = store.Append(b.Context(), eventstore.NewStream(string(kind), id), eventstore.Any,
			eventstore.ProposedEvent{ID: uuid.New(), Type: e.Type(), Data: data, Metadata: []byte(`{}`)})
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := range accounts {
		account, customer := fmt.Sprintf("community-%07d", i), fmt.Sprintf("cus_NSoQ%07d", i)
		key := func(what string) aggregate.FactKey {
			return aggregate.FactKey{StripeEventID: fmt.Sprintf("evt_%s%07d", what, i)}
		}
		put(projections.KindCustomer, customer, aggregate.Event{Fact: &aggregate.Fact{Type: aggregate.CustomerCreated, Key: key("c"),
			OccurredAt: begin, Customer: &aggregate.CustomerSnapshot{ID: customer, Account: account}}})
		put(projections.KindPayment, fmt.Sprintf("pi_%07d", i), aggregate.Event{Fact: &aggregate.Fact{Type: aggregate.ChargeSucceeded,
			Key: key("p"), OccurredAt: begin, Payment: &aggregate.PaymentSnapshot{ID: fmt.Sprintf("ch_%07d", i), Customer: customer,
				Invoice: fmt.Sprintf("in_%d_8", i), Status: "succeeded", Currency: "usd", Amount: 9900, AmountReceived: 9900}}})
		put(projections.KindAccount, account, aggregate.Event{Decision: &aggregate.Decision{Type: aggregate.WaiverGranted,
			DecidedAt: begin, Actor: "ann", Reason: "as agreed", Waiver: "wv_1", Tier: "elite"}})
	}
}

// peakRSS is the most memory that the process ever had, in KiB; 0 where the
// system does not say.
func peakRSS(b *testing.B) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	text, _, _ := strings.Cut(rest, "kB")
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// benchStore returns a log of so many accounts, interleaved as live ones are.
func benchStore(b *testing.B, accounts int) *storesqlite.Store {
	path := os.Getenv(benchLogVariable)
	if path == "" {
		path = filepath.Join(b.TempDir(), "events.db")
	}
	store, err := storesqlite.Open(b.Context(), path, storesqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	head, err := store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if head == 0 {
		fillBenchStore(b, store, accounts)
	}
	return store
}

func fillBenchStore(b *testing.B, store *storesqlite.Store, accounts int) {
	const atOnce = 256
	for n := range benchEventsEach {
		group, ctx := errgroup.WithContext(b.Context())
		group.SetLimit(atOnce)
		for account := range accounts {
			group.Go(func() error { return appendBenchEvent(ctx, store, account, n) })
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

// appendBenchEvent appends the nth event of an account: a life of renewals,
// half of them invoices.
func appendBenchEvent(ctx context.Context, store *storesqlite.Store, account, n int) error {
	id := fmt.Sprintf("sub_1MhUT5LkdIwHu7ix%07d", account)
	at := begin.Add(time.Duration(n-benchEventsEach) * 240 * time.Hour)
	f := aggregate.Fact{OccurredAt: at, Key: aggregate.FactKey{StripeEventID: fmt.Sprintf("evt_1MhUT5LkdIwHu7ix%07d%02d", account, n)}}
	if n%2 == 0 {
		f.Type = aggregate.SubscriptionChanged
		f.Subscription = &aggregate.SubscriptionSnapshot{
			ID: id, Customer: fmt.Sprintf("cus_NSoQ%07d", account), Status: aggregate.Active,
			Account: fmt.Sprintf("community-%07d", account), CreatedAt: begin.Add(-5000 * time.Hour),
			LatestInvoice: fmt.Sprintf("in_%d_%d", account, n), CollectionMethod: "charge_automatically",
			Items: []aggregate.Item{{Price: "price_premium", LookupKey: "premium", Product: "prod_premium", Quantity: 1,
				PeriodStart: at, PeriodEnd: at.Add(720 * time.Hour)}},
		}
	} else {
		f.Type = aggregate.PaymentSucceeded
		f.Invoice = &aggregate.InvoiceSnapshot{
			ID: fmt.Sprintf("in_%d_%d", account, n-1), Subscription: id, Customer: fmt.Sprintf("cus_NSoQ%07d", account),
			Account: fmt.Sprintf("community-%07d", account), Status: "paid", BillingReason: "subscription_cycle",
			Currency: "usd", AmountDue: 9900, AmountPaid: 9900, Total: 9900, AttemptCount: 1,
			CreatedAt: at, FinalizedAt: at, PaidAt: at,
		}
	}
	e := aggregate.Event{Fact: &f}
	data, err := aggregate.Encode(e)
	if err != nil {
		return err
	}
	meta, err := json.Marshal(eventstore.Metadata{RecordedAt: at, CorrelationID: f.Key.StripeEventID, CausationID: f.Key.StripeEventID})
	if err != nil {
		return err
	}
	_, err = store.Append(ctx, eventstore.NewStream("subscription", id), eventstore.Any,
		eventstore.ProposedEvent{ID: uuid.New(), Type: e.Type(), Data: data, Metadata: meta})
	return err
}
