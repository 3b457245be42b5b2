package aggregate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// day0 is when the stories begin.
var day0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return day0.Add(d) }

const day = 24 * time.Hour

// story collects facts of one subscription, numbering their Stripe events.
type story struct {
	facts []aggregate.Fact
}

func (s *story) add(f aggregate.Fact, when time.Time) *aggregate.Fact {
	f.OccurredAt = when
	if f.Key.StripeEventID == "" {
		f.Key.StripeEventID = fmt.Sprintf("evt_%02d", len(s.facts)+1)
	}
	s.facts = append(s.facts, f)
	return &s.facts[len(s.facts)-1]
}

func (s *story) snapshot(t aggregate.FactType, when time.Time, status aggregate.Status, price string) *aggregate.SubscriptionSnapshot {
	snap := &aggregate.SubscriptionSnapshot{ID: "sub_1", Customer: "cus_1", Status: status, CreatedAt: day0,
		Items: []aggregate.Item{{Price: price, Quantity: 1}}}
	s.add(aggregate.Fact{Type: t, Subscription: snap}, when)
	return snap
}

func (s *story) started(when time.Time, status aggregate.Status, price string) *aggregate.SubscriptionSnapshot {
	return s.snapshot(aggregate.SubscriptionStarted, when, status, price)
}

func (s *story) changed(when time.Time, status aggregate.Status, price string) *aggregate.SubscriptionSnapshot {
	return s.snapshot(aggregate.SubscriptionChanged, when, status, price)
}

func (s *story) canceled(when time.Time, price string) *aggregate.SubscriptionSnapshot {
	return s.snapshot(aggregate.SubscriptionCanceled, when, aggregate.Canceled, price)
}

func (s *story) invoice(t aggregate.FactType, when time.Time, id string, created time.Time) *aggregate.InvoiceSnapshot {
	inv := &aggregate.InvoiceSnapshot{ID: id, Subscription: "sub_1", Customer: "cus_1", CreatedAt: created,
		BillingReason: "subscription_cycle", Currency: "usd", AmountDue: 2900, Total: 2900, Status: "open"}
	switch t {
	case aggregate.PaymentSucceeded:
		inv.Status, inv.AmountPaid = "paid", 2900
	case aggregate.InvoiceVoided:
		inv.Status = "void"
	case aggregate.InvoiceUncollectible:
		inv.Status = "uncollectible"
	case aggregate.InvoiceDeleted:
		inv.Status = "draft"
	case aggregate.PaymentFailed, aggregate.PaymentActionRequired:
		inv.AttemptCount = 1
	case aggregate.InvoiceFinalized:
		inv.FinalizedAt = when
	}
	s.add(aggregate.Fact{Type: t, Invoice: inv}, when)
	return inv
}

func (s *story) failed(when time.Time, id string, created time.Time) *aggregate.InvoiceSnapshot {
	return s.invoice(aggregate.PaymentFailed, when, id, created)
}

func (s *story) paid(when time.Time, id string, created time.Time) *aggregate.InvoiceSnapshot {
	return s.invoice(aggregate.PaymentSucceeded, when, id, created)
}

func (s *story) checkout(t aggregate.FactType, when time.Time, paymentStatus string) *aggregate.CheckoutSnapshot {
	session := &aggregate.CheckoutSnapshot{ID: "cs_1", Subscription: "sub_1", Customer: "cus_1", Mode: "subscription",
		Status: "complete", PaymentStatus: paymentStatus, Currency: "usd", AmountTotal: 2900}
	s.add(aggregate.Fact{Type: t, Checkout: session}, when)
	return session
}

// fold takes the facts in, in the order given.
func fold(facts []aggregate.Fact) *aggregate.Subscription {
	sub := aggregate.NewSubscription("sub_1")
	for i := range facts {
		sub.Evolve(aggregate.Event{Fact: &facts[i]}, aggregate.Place{Position: 7})
	}
	return sub
}

func (s *story) truth() aggregate.SubscriptionTruth { return fold(s.facts).Derive(builtin()) }

func builtin() aggregate.Catalogs {
	c := aggregate.BuiltinCatalog()
	return aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Schema: 1, Hash: c.Hash(), AdoptedAt: day0, Catalog: c})
}

func wantAnchor(t *testing.T, truth aggregate.SubscriptionTruth, want time.Time) {
	t.Helper()
	switch {
	case truth.Delinquency == nil:
		t.Fatalf("no delinquency, want one anchored at %s", want)
	case !truth.Delinquency.Anchor.Equal(want):
		t.Fatalf("anchored at %s, want %s", truth.Delinquency.Anchor, want)
	case !truth.Delinquency.GraceUntil.Equal(want.Add(day)):
		t.Fatalf("grace until %s, want 24 hours after %s", truth.Delinquency.GraceUntil, want)
	}
}

func wantNoDelinquency(t *testing.T, truth aggregate.SubscriptionTruth) {
	t.Helper()
	if truth.Delinquency != nil {
		t.Fatalf("delinquent since %s, want not", truth.Delinquency.Anchor)
	}
}
