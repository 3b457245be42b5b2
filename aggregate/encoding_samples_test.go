package aggregate_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
)

// factSamples has one fact of every type that a subscription's first snapshots,
// payments and sessions do not show, with every field set.
func factSamples(subscription *aggregate.SubscriptionSnapshot, invoice *aggregate.InvoiceSnapshot, checkout *aggregate.CheckoutSnapshot) []aggregate.Fact {
	var facts []aggregate.Fact
	each := func(sample aggregate.Fact, types ...aggregate.FactType) {
		for _, t := range types {
			sample.Type = t
			facts = append(facts, sample)
		}
	}
	each(aggregate.Fact{Subscription: subscription}, aggregate.SubscriptionPaused, aggregate.SubscriptionResumed,
		aggregate.TrialEnding, aggregate.PendingUpdateApplied, aggregate.PendingUpdateExpired)
	each(aggregate.Fact{Checkout: checkout}, aggregate.CheckoutPaid, aggregate.CheckoutFailed, aggregate.CheckoutExpired)
	each(aggregate.Fact{Invoice: invoice}, aggregate.InvoiceFinalized, aggregate.PaymentActionRequired, aggregate.InvoiceVoided,
		aggregate.InvoiceUncollectible, aggregate.InvoiceDeleted, aggregate.InvoiceOverpaid)
	each(aggregate.Fact{Payment: &aggregate.PaymentSnapshot{ID: "ch_1", Intent: "pi_1", Charge: "ch_1", Customer: "cus_1", Invoice: "in_1",
		Status: "succeeded", Currency: "usd", Amount: 2900, AmountReceived: 2800, AmountRefunded: 100, Refunded: true, Disputed: true,
		FailureCode: "card_declined", CreatedAt: day0, Flags: []string{"odd"}}},
		aggregate.ChargeSucceeded, aggregate.ChargeFailed, aggregate.ChargeRefunded, aggregate.IntentSucceeded, aggregate.IntentFailed)
	each(aggregate.Fact{InvoicePayment: &aggregate.InvoicePaymentSnapshot{ID: "inpay_1", Invoice: "in_1", Intent: "pi_1", Charge: "ch_1",
		Status: "paid", Currency: "usd", AmountPaid: 2900, PaidAt: day0, Flags: []string{"odd"}}}, aggregate.InvoicePaymentPaid)
	each(aggregate.Fact{Refund: &aggregate.RefundSnapshot{ID: "re_1", Intent: "pi_1", Charge: "ch_1", Status: "succeeded",
		Reason: "requested_by_customer", Currency: "usd", Amount: 100, CreatedAt: day0, Flags: []string{"odd"}}},
		aggregate.RefundCreated, aggregate.RefundUpdated, aggregate.RefundFailed)
	each(aggregate.Fact{Dispute: &aggregate.DisputeSnapshot{ID: "dp_1", Intent: "pi_1", Charge: "ch_1", Status: "lost",
		Reason: "fraudulent", Currency: "usd", Amount: 2900, CreatedAt: day0, Flags: []string{"odd"}}},
		aggregate.DisputeOpened, aggregate.DisputeUpdated, aggregate.DisputeClosed, aggregate.DisputeFundsWithdrawn, aggregate.DisputeFundsReturned)
	each(aggregate.Fact{CreditNote: &aggregate.CreditNoteSnapshot{ID: "cn_1", Invoice: "in_1", Customer: "cus_1", Status: "void",
		Reason: "duplicate", Currency: "usd", Amount: 100, Refunds: []string{"re_1"}, CreatedAt: day0, VoidedAt: at(day), Flags: []string{"odd"}}},
		aggregate.CreditNoteIssued, aggregate.CreditNoteUpdated, aggregate.CreditNoteVoided)
	each(aggregate.Fact{Customer: &aggregate.CustomerSnapshot{ID: "cus_1", Account: "team-42", Deleted: true, TestClock: "clock_1",
		CreatedAt: day0, Flags: []string{"odd"}}}, aggregate.CustomerCreated, aggregate.CustomerUpdated, aggregate.CustomerDeleted)
	each(aggregate.Fact{Entitlements: &aggregate.EntitlementsSnapshot{Customer: "cus_1", Features: []string{"api", "sso"},
		Flags: []string{"odd"}}}, aggregate.EntitlementsSummarized)
	each(aggregate.Fact{Payout: &aggregate.PayoutSnapshot{ID: "po_1", Status: "failed", Currency: "usd", Amount: 2900,
		FailureCode: "account_closed", ArrivesAt: at(day), CreatedAt: day0, Flags: []string{"odd"}}}, aggregate.PayoutTold)
	each(aggregate.Fact{Clock: &aggregate.ClockSnapshot{ID: "clock_1", Status: "ready", FrozenAt: at(30 * day), Deleted: true,
		Flags: []string{"odd"}}}, aggregate.ClockTold)
	each(aggregate.Fact{Subscription: subscription}, aggregate.SubscriptionObserved)
	each(aggregate.Fact{Invoice: invoice}, aggregate.InvoiceObserved)
	each(aggregate.Fact{Checkout: checkout}, aggregate.CheckoutObserved)
	each(aggregate.Fact{Customer: &aggregate.CustomerSnapshot{ID: "cus_1", Account: "team-42", Deleted: true, TestClock: "clock_1",
		CreatedAt: day0, Flags: []string{"odd"}}}, aggregate.CustomerObserved)
	each(aggregate.Fact{Repudiation: &aggregate.Repudiation{Actor: "ops", Reason: "forged"}}, aggregate.Repudiated)
	each(aggregate.Fact{Retraction: &aggregate.Retraction{Streams: []string{"payment-pi_1"}}}, aggregate.Retracted)
	return facts
}

// TestEveryTypeOfFactIsStoredInAGoldenFile: a type that none shows could change
// its shape unseen.
func TestEveryTypeOfFactIsStoredInAGoldenFile(t *testing.T) {
	source, err := os.ReadFile("fact.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, e := range samples() {
		shown[e.Type()] = true
	}
	declared := regexp.MustCompile(`FactType = "(\w+)"`).FindAllSubmatch(source, -1)
	if len(declared) < 40 {
		t.Fatalf("found only %d types of fact", len(declared))
	}
	for _, name := range declared {
		if !shown[string(name[1])] {
			t.Errorf("no sample of %s", name[1])
		}
	}
}
