package intake_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/daybookhq/daybook/aggregate"
)

// benchFixtures are payloads of ordinary size, about 5 KB.
var benchFixtures = []struct{ name, kind, path string }{
	{"subscription", created, "events/2022-11-15/customer.subscription.created--hookdeck_webhook-samples--1.json"},
	{"updated", updated, "events/2020-08-27/customer.subscription.updated--stripe-ruby-mock_stripe-ruby-mock--1.json"},
	{"invoice", paid, "events/2022-11-15/invoice.paid--hookdeck_webhook-samples--1.json"},
	{"charge", "charge.succeeded", "events/2020-08-27/charge.succeeded--stripe-ruby-mock_stripe-ruby-mock--1.json"},
}

func BenchmarkTranslate(b *testing.B) {
	for _, f := range benchFixtures {
		body := readFixture(b, "testdata/fixtures/"+f.path)
		b.Run(f.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := translator.Translate(f.kind, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// translateAndDecide returns what one event costs before it is appended: to
// read it, and to decide what follows for a subscription that holds a fact
// already.
func translateAndDecide(tb testing.TB, kind string, body []byte) func() {
	tb.Helper()
	catalog := aggregate.BuiltinCatalog()
	catalogs := aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), Catalog: catalog})
	facts, err := translator.Translate(kind, body)
	if err != nil {
		tb.Fatal(err)
	}
	held := facts[0].Fact
	held.Key.StripeEventID = "evt_before"
	sub := aggregate.NewSubscription(facts[0].Stream.ID())
	sub.Evolve(aggregate.Event{Fact: &held}, aggregate.Place{Position: 1})
	now := held.OccurredAt.Add(time.Second)
	return func() {
		facts, err := translator.Translate(kind, body)
		if err != nil {
			tb.Fatal(err)
		}
		if events := sub.Decide([]aggregate.Fact{facts[0].Fact}, catalogs, now); len(events) == 0 {
			tb.Fatal("nothing follows")
		}
	}
}

// TestTranslateAndDecideAllocates bounds what an event of ordinary size leaves
// to the garbage collector.
func TestTranslateAndDecideAllocates(t *testing.T) {
	const most = 150
	for _, f := range benchFixtures[:3] {
		step := translateAndDecide(t, f.kind, readFixture(t, "testdata/fixtures/"+f.path))
		if got := testing.AllocsPerRun(100, step); got > most {
			t.Errorf("%s: %v allocations, want at most %d", f.name, got, most)
		}
	}
}

// BenchmarkTranslateAndDecide measures one event up to its append. The plain
// sub-benchmarks read the same bytes into a struct of a few members, without any
// of the translation, to compare machines by.
func BenchmarkTranslateAndDecide(b *testing.B) {
	for _, f := range benchFixtures[:3] {
		body := readFixture(b, "testdata/fixtures/"+f.path)
		b.Run(f.name, func(b *testing.B) {
			step := translateAndDecide(b, f.kind, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
		b.Run(f.name+"/plain", func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				readPlainly(b, body)
			}
		})
	}
}

func readPlainly(b *testing.B, body []byte) {
	b.Helper()
	var event struct {
		ID   string `json:"id"`
		Data struct {
			Object struct {
				ID     string `json:"id"`
				Status string `json:"status"`
			} `json:"object"`
		} `json:"data"`
	}
	err := json.Unmarshal(body, &event, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil || event.Data.Object.Status == "" {
		b.Fatal(err)
	}
}
