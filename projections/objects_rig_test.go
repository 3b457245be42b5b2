package projections_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// fact appends a fact to the stream of an object.
func (r *rig) fact(kind projections.Kind, id string, f aggregate.Fact) {
	r.t.Helper()
	if f.Key.StripeEventID == "" {
		f.Key = r.key()
	}
	if f.OccurredAt.IsZero() {
		f.OccurredAt = begin
	}
	r.event(kind, id, aggregate.Event{Fact: &f})
}

func (r *rig) event(kind projections.Kind, id string, e aggregate.Event) {
	r.t.Helper()
	data, err := aggregate.Encode(e)
	if err != nil {
		r.t.Fatal(err)
	}
	r.appendRaw(eventstore.NewStream(string(kind), id), e.Type(), data)
}

// decided records what an operator decided on an account.
func (r *rig) decided(account string, d aggregate.Decision) {
	r.t.Helper()
	d.DecidedAt, d.Actor = r.clock.Now(), "ann"
	if d.Reason == "" {
		d.Reason = "as agreed"
	}
	r.event(projections.KindAccount, account, aggregate.Event{Decision: &d})
}

// lastKey is the Stripe event of the latest fact.
func (r *rig) lastKey() string { return fmt.Sprintf("evt_%06d", r.n) }

// customer records what a customer's metadata claims.
func (r *rig) customer(id, account string, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindCustomer, id, aggregate.Fact{Type: aggregate.CustomerUpdated, OccurredAt: at,
		Customer: &aggregate.CustomerSnapshot{ID: id, Account: account}})
}

// invoicePaid records an invoice of a subscription, and that it was paid.
func (r *rig) invoicePaid(subscription, invoice string, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindSubscription, subscription, aggregate.Fact{Type: aggregate.PaymentSucceeded, OccurredAt: at,
		Invoice: &aggregate.InvoiceSnapshot{ID: invoice, Subscription: subscription, Customer: "cus_" + subscription,
			Status: "paid", BillingReason: "subscription_cycle", Currency: "usd", AmountDue: 2900, AmountPaid: 2900,
			Total: 2900, CreatedAt: at, PaidAt: at}})
}

// charged records that a payment came in; the customer and the invoice may be empty.
func (r *rig) charged(payment, customer, invoice string, amount int64, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindPayment, payment, aggregate.Fact{Type: aggregate.ChargeSucceeded, OccurredAt: at,
		Payment: &aggregate.PaymentSnapshot{ID: "ch_" + payment, Intent: payment, Customer: customer, Invoice: invoice,
			Status: "succeeded", Currency: "usd", Amount: amount, AmountReceived: amount, CreatedAt: at}})
}

// intentSucceeded records that an intent brought money in by a charge.
func (r *rig) intentSucceeded(payment, charge, customer, invoice string, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindPayment, payment, aggregate.Fact{Type: aggregate.IntentSucceeded, OccurredAt: at,
		Payment: &aggregate.PaymentSnapshot{ID: payment, Intent: payment, Charge: charge, Customer: customer, Invoice: invoice,
			Status: "succeeded", Currency: "usd", Amount: 2900, AmountReceived: 2900, CreatedAt: at}})
}

// paysFor records which invoice a payment pays.
func (r *rig) paysFor(payment, invoice string, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindPayment, payment, aggregate.Fact{Type: aggregate.InvoicePaymentPaid, OccurredAt: at,
		InvoicePayment: &aggregate.InvoicePaymentSnapshot{ID: "inpay_" + payment, Invoice: invoice, Intent: payment,
			Status: "paid", Currency: "usd", AmountPaid: 2900, PaidAt: at}})
}

func (r *rig) disputed(payment, status string, at time.Time) {
	r.t.Helper()
	kind := aggregate.DisputeOpened
	if status == "won" || status == "lost" {
		kind = aggregate.DisputeClosed
	}
	r.fact(projections.KindPayment, payment, aggregate.Fact{Type: kind, OccurredAt: at,
		Dispute: &aggregate.DisputeSnapshot{ID: "dp_" + payment, Intent: payment, Status: status, Currency: "usd", Amount: 2900, CreatedAt: at}})
}

func (r *rig) refunded(payment string, amount int64, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindPayment, payment, aggregate.Fact{Type: aggregate.RefundCreated, OccurredAt: at,
		Refund: &aggregate.RefundSnapshot{ID: "re_" + payment, Intent: payment, Status: "succeeded", Currency: "usd", Amount: amount, CreatedAt: at}})
}

// credited records what a credit note takes off an invoice.
func (r *rig) credited(invoice, note, status string, amount int64, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindBill, invoice, aggregate.Fact{Type: aggregate.CreditNoteUpdated, OccurredAt: at,
		CreditNote: &aggregate.CreditNoteSnapshot{ID: note, Invoice: invoice, Status: status, Currency: "usd", Amount: amount, CreatedAt: begin}})
}

func (r *rig) frozen(clock string, now, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindClock, clock, aggregate.Fact{Type: aggregate.ClockTold, OccurredAt: at,
		Clock: &aggregate.ClockSnapshot{ID: clock, Status: "ready", FrozenAt: now}})
}

// onClock makes a subscription that lives by a test clock.
func (r *rig) onClock(id, account, clock string, status aggregate.Status, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindSubscription, id, aggregate.Fact{Type: aggregate.SubscriptionChanged, OccurredAt: at,
		Subscription: &aggregate.SubscriptionSnapshot{ID: id, Customer: "cus_" + id, Status: status, Account: account, TestClock: clock,
			CreatedAt: begin.Add(-time.Hour), Items: []aggregate.Item{{Price: "price_premium", Quantity: 1, PeriodEnd: at.Add(720 * time.Hour)}}}})
}

// strict is a catalog in which money decides.
func strict() *aggregate.Catalog {
	c := aggregate.BuiltinCatalog()
	c.OnDispute, c.OnFullRefund = aggregate.PolicyDeny, aggregate.PolicyDeny
	return c
}

func (r *rig) account(account string) projections.AccountRecord {
	r.t.Helper()
	a, known, err := r.model.Account(r.t.Context(), account)
	if err != nil || !known {
		r.t.Fatalf("account %s: %v, %v", account, known, err)
	}
	return a
}

func decodePayment(t *testing.T, doc []byte) (p aggregate.PaymentTruth) {
	t.Helper()
	if err := json.Unmarshal(doc, &p); err != nil {
		t.Fatal(err)
	}
	return p
}
