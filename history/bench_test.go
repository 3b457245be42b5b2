package history_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

// The benchmarks make a record first; one of a million events takes minutes:
//
//	go test -run - -bench . -benchtime 1x ./history -args -events 1000000
var benchEvents = flag.Int("events", 20_000, "events of the record that the benchmarks make")

// perSubscription is how many facts a subscription of the benchmarks has, each
// with its entry in the journal.
const perSubscription = 10

// benchRecord makes a record of facts and of the journal's entries behind them.
func benchRecord(b *testing.B) (*history.Record, int) {
	b.Helper()
	dir := b.TempDir()
	store, err := storesqlite.Open(b.Context(), filepath.Join(dir, "events.db"), storesqlite.Options{SkipCheck: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	model, err := sqlite.Open(b.Context(), filepath.Join(dir, "model.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = model.Close() })
	subscriptions := *benchEvents / (2 * perSubscription)
	next := make(chan int)
	var writing sync.WaitGroup
	for range 64 {
		writing.Go(func() {
			for n := range next {
				benchSubscription(b, store, n)
			}
		})
	}
	for n := range subscriptions {
		next <- n
	}
	close(next)
	writing.Wait()
	foldModel(b, store, model)
	return &history.Record{Store: store, Model: model, Epoch: "e"}, subscriptions * 2 * perSubscription
}

func foldModel(b *testing.B, store eventstore.Store, model *sqlite.Model) {
	b.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	runner := projections.NewRunner(projections.Options{Store: store, Model: model, Epoch: "e", Now: time.Now, Log: log,
		Rebuild: projections.RebuildOptions{Dir: b.TempDir(), Readers: 2}})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = runner.Run(ctx) })
	defer running.Wait()
	defer cancel()
	head, err := store.Head(ctx)
	if err == nil {
		err = runner.WaitFor(ctx, head)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func benchSubscription(b *testing.B, store eventstore.Store, n int) {
	id, account := fmt.Sprintf("sub_%07d", n), fmt.Sprintf("team-%d", n)
	var facts []eventstore.ProposedEvent
	for i := range perSubscription {
		event := fmt.Sprintf("evt_%07d_%d", n, i)
		when := time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC)
		meta, _ := json.Marshal(eventstore.Metadata{RecordedAt: when, CorrelationID: event, CausationID: event})
		entry := eventstore.ProposedEvent{ID: uuid.New(), Type: "customer.subscription.updated",
			Data: []byte(`{"filler":"` + strings.Repeat("x", 1500) + `"}`), Metadata: meta}
		if _, err := store.Append(b.Context(), eventstore.NewStream("stripeEvent", event), eventstore.NoStream, entry); err != nil {
			b.Error(err)
			return
		}
		data, _ := aggregate.Encode(aggregate.Event{Fact: &aggregate.Fact{Type: aggregate.SubscriptionChanged,
			Key: aggregate.FactKey{StripeEventID: event}, OccurredAt: when,
			Subscription: &aggregate.SubscriptionSnapshot{ID: id, Customer: "cus_" + id, Status: aggregate.Active, Account: account,
				CreatedAt: when, Items: []aggregate.Item{{Price: "price_basic", Quantity: 1}}}}})
		facts = append(facts, eventstore.ProposedEvent{ID: uuid.New(), Type: "SubscriptionChanged", Data: data, Metadata: meta})
	}
	if _, err := store.Append(b.Context(), eventstore.NewStream("subscription", id), eventstore.NoStream, facts...); err != nil {
		b.Error(err)
	}
}

// cpuTime is the processor time used so far: what a machine that does other work
// besides can be judged by.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecord reads a record: a target of 100,000 events looked at a second
// for scans, and of 10 ms for a page of a timeline and for an explanation.
func BenchmarkRecord(b *testing.B) {
	record, events := benchRecord(b)
	scan := func(name string, q history.Query) {
		b.Run("scan/"+name, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu := cpuTime(b)
			for b.Loop() {
				for _, err := range record.Events(b.Context(), q) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			cpu = cpuTime(b) - cpu
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(events)/float64(b.N)/1000, "cpu-µs/event")
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric((float64(after.HeapSys)-float64(before.HeapSys))/1e6, "MB-more")
		})
	}
	scan("type of Stripe's", history.Query{Types: []string{"invoice.paid"}})
	scan("type of ours", history.Query{Types: []string{"GracePeriodStarted"}})
	scan("time", history.Query{Since: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	scan("everything", history.Query{})
	b.Run("timeline", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			owner := projections.Owner{Account: fmt.Sprintf("team-%d", i*7919%(events/2/perSubscription))}
			page, err := record.List(b.Context(), history.Query{Owner: owner, Limit: 100})
			if err != nil || len(page.Events) != perSubscription {
				b.Fatal(len(page.Events), err)
			}
		}
	})
	b.Run("timeline/occurred", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			owner := projections.Owner{Account: fmt.Sprintf("team-%d", i*7919%(events/2/perSubscription))}
			page, _, err := record.Timeline(b.Context(), history.Query{Owner: owner, Limit: 100}, history.Place{})
			if err != nil || len(page) != perSubscription {
				b.Fatal(len(page), err)
			}
		}
	})
	b.Run("explain", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			q := projections.Question{Account: fmt.Sprintf("team-%d", i*7919%(events/2/perSubscription)), Feature: "custom_nym"}
			x, err := projections.Explain(b.Context(), record.Store, record.Model, q, time.Now())
			if err != nil || !*x.Allowed {
				b.Fatal(err)
			}
		}
	})
}
