package aggregate_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a type that was never stored")

// samples has one event of every stored type, with every field set.
func samples() []aggregate.Event {
	subscription := &aggregate.SubscriptionSnapshot{
		ID: "sub_1", Customer: "cus_1", Status: aggregate.Active, Account: "team-42",
		Items: []aggregate.Item{{Price: "price_basic", LookupKey: "basic", Product: "prod_basic", Quantity: 3,
			PeriodStart: day0, PeriodEnd: at(30 * day)}},
		CreatedAt: day0, TrialEnd: at(7 * day), CancelAt: at(30 * day), CancelAtPeriodEnd: true, CanceledAt: at(day),
		EndedAt: at(30 * day), CollectionMethod: "charge_automatically", LatestInvoice: "in_1", PauseCollection: "void",
		PausedFor: "first_payment_failure", TestClock: "clock_1", Before: "0123456789abcdef", Flags: []string{"no_price"},
	}
	invoice := &aggregate.InvoiceSnapshot{
		ID: "in_1", Subscription: "sub_1", Customer: "cus_1", Account: "team-42", Status: "open",
		BillingReason: "subscription_cycle", CollectionMethod: "charge_automatically", Currency: "usd",
		AmountDue: 2900, AmountPaid: 1, AmountRemaining: 2899, Total: 2900, AttemptCount: 2, CreatedAt: day0,
		DueDate: at(day), FinalizedAt: day0, PaidAt: at(day), VoidedAt: at(day), UncollectibleAt: at(day),
		NextPaymentAttempt: at(3 * day), PaidOutOfBand: true, PaymentIntent: "pi_1", Charge: "ch_1", Flags: []string{"odd"},
	}
	checkout := &aggregate.CheckoutSnapshot{ID: "cs_1", Subscription: "sub_1", Customer: "cus_1", Account: "team-42",
		ClientReference: "ref", Mode: "subscription", Status: "complete", PaymentStatus: "paid", Currency: "usd",
		AmountTotal: 2900, Flags: []string{"odd"}}
	fact := func(f aggregate.Fact) aggregate.Event {
		f.Key, f.Epoch, f.OccurredAt = aggregate.FactKey{StripeEventID: "evt_1", Ordinal: 1}, 2, day0
		return aggregate.Event{Fact: &f}
	}
	note := func(t aggregate.NoteType) aggregate.Event {
		return aggregate.Event{Note: &aggregate.Note{Type: t, StripeEventID: "evt_1", ConcludedAt: at(time.Second),
			Anchor: day0, Until: at(day), Invoice: "in_1", Catalog: "c0ffee", FromTier: "basic", ToTier: "premium",
			FromStatus: aggregate.Active, ToStatus: aggregate.PastDue}}
	}
	decision := func(t aggregate.DecisionType) aggregate.Event {
		return aggregate.Event{Decision: &aggregate.Decision{Type: t, DecidedAt: at(time.Second), Actor: "ops",
			Reason: "a partner of ours", Waiver: "w_1", Tier: "premium", Until: at(30 * day)}}
	}
	events := []aggregate.Event{
		fact(aggregate.Fact{Type: aggregate.SubscriptionStarted, Subscription: subscription}),
		fact(aggregate.Fact{Type: aggregate.SubscriptionChanged, Subscription: subscription}),
		fact(aggregate.Fact{Type: aggregate.SubscriptionCanceled, Subscription: subscription}),
		fact(aggregate.Fact{Type: aggregate.PaymentSucceeded, Invoice: invoice}),
		fact(aggregate.Fact{Type: aggregate.PaymentFailed, Invoice: invoice}),
		fact(aggregate.Fact{Type: aggregate.CheckoutCompleted, Checkout: checkout}),
		note(aggregate.GracePeriodStarted), note(aggregate.GracePeriodCleared), note(aggregate.GracePeriodExpired),
		note(aggregate.TierChanged), note(aggregate.SubscriptionRestated),
		decision(aggregate.WaiverGranted), decision(aggregate.WaiverRevoked), decision(aggregate.AccountBlocked),
		decision(aggregate.AccountUnblocked), decision(aggregate.GraceExtended),
	}
	for _, f := range factSamples(subscription, invoice, checkout) {
		events = append(events, fact(f))
	}
	return events
}

// TestStoredBytesAreReadForEver: what an earlier build stored, in these files,
// must mean today what it meant then, and must be written the same.
func TestStoredBytesAreReadForEver(t *testing.T) {
	for _, want := range append(samples(), decisionSamples()...) {
		t.Run(want.Type(), func(t *testing.T) {
			golden := filepath.Join("testdata", "stored", want.Type()+".json")
			encoded, err := aggregate.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(golden, append(encoded, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			stored, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			stored = bytes.TrimSpace(stored)
			if !bytes.Equal(stored, encoded) {
				t.Errorf("encoded\n%s\nwant\n%s", encoded, stored)
			}
			got, err := aggregate.Decode(want.Type(), stored)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("decoded %+v, %v", got, err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, test := range map[string]struct{ eventType, data string }{
		"another snapshot":   {"SubscriptionStarted", `{"schema":1,"stripe_event_id":"evt_1","invoice":{}}`},
		"no snapshot":        {"PaymentFailed", `{"schema":1,"stripe_event_id":"evt_1"}`},
		"no Stripe event":    {"PaymentFailed", `{"schema":1,"invoice":{"id":"in_1"}}`},
		"a newer schema":     {"TierChanged", `{"schema":2}`},
		"no schema":          {"TierChanged", `{}`},
		"no waiver":          {"WaiverRevoked", `{"schema":1,"decided_at":"2026-03-01T12:00:00Z"}`},
		"no tier":            {"WaiverGranted", `{"schema":1,"decided_at":"2026-03-01T12:00:00Z","waiver":"w"}`},
		"no end":             {"GraceExtended", `{"schema":1,"decided_at":"2026-03-01T12:00:00Z"}`},
		"no time":            {"AccountBlocked", `{"schema":1}`},
		"a newer decision":   {"AccountBlocked", `{"schema":2,"decided_at":"2026-03-01T12:00:00Z"}`},
		"truncated":          {"TierChanged", `{"schema":1`},
		"not even an object": {"PaymentFailed", `[]`},
	} {
		if e, err := aggregate.Decode(test.eventType, []byte(test.data)); err == nil {
			t.Errorf("%s: decoded %+v", name, e)
		}
	}
	if b, err := aggregate.Encode(aggregate.Event{Note: &aggregate.Note{}, Decision: &aggregate.Decision{}}); err == nil {
		t.Errorf("two in one: encoded %s", b)
	}
	if _, err := aggregate.Decode("SomethingNewer", []byte(`{}`)); !errors.Is(err, aggregate.ErrUnknownType) {
		t.Errorf("error %v, want ErrUnknownType", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range append(samples(), decisionSamples()...) {
		data, err := aggregate.Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Type(), data)
	}
	f.Fuzz(func(t *testing.T, eventType string, data []byte) {
		e, err := aggregate.Decode(eventType, data)
		if err != nil {
			return
		}
		again, err := aggregate.Encode(e)
		if err != nil {
			// A time that JSON cannot hold came in as one it can.
			if strings.Contains(err.Error(), "year outside of range") {
				return
			}
			t.Fatalf("decoded, but not encoded: %v", err)
		}
		if _, err := aggregate.Decode(eventType, again); err != nil {
			t.Fatalf("encoded %s, but not decoded: %v", again, err)
		}
	})
}
