package intake_test

import (
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

// statement is a type of event, an object that is just enough for it, and what
// it must become.
type statement struct {
	kind, object, stream string
	fact                 aggregate.FactType
}

// statements has every type of event that matters.
var statements = func() []statement {
	const (
		subscription = `{"object":"subscription","id":"sub_1","status":"active"}`
		checkout     = `{"object":"checkout.session","id":"cs_1","mode":"subscription","subscription":"sub_1"}`
		invoice      = `{"object":"invoice","id":"in_1","status":"open","currency":"usd","amount_due":5,"total":5,"created":1}`
		charge       = `{"object":"charge","id":"ch_1","payment_intent":"pi_1","status":"succeeded","currency":"usd","amount":5,"amount_refunded":0}`
		intent       = `{"object":"payment_intent","id":"pi_1","status":"succeeded","currency":"usd","amount":5,"amount_received":5}`
		refund       = `{"object":"refund","id":"re_1","charge":"ch_1","payment_intent":"pi_1","currency":"usd","amount":5}`
		dispute      = `{"object":"dispute","id":"dp_1","charge":"ch_1","payment_intent":"pi_1","status":"lost","currency":"usd","amount":5}`
		note         = `{"object":"credit_note","id":"cn_1","invoice":"in_1","status":"issued","currency":"usd","amount":5}`
		paying       = `{"object":"invoice_payment","id":"inpay_1","invoice":"in_1","currency":"usd","amount_paid":5,"payment":{"type":"payment_intent","payment_intent":"pi_1"}}`
		customer     = `{"object":"customer","id":"cus_1"}`
		summary      = `{"object":"entitlements.active_entitlement_summary","customer":"cus_1","entitlements":{"data":[]}}`
		payout       = `{"object":"payout","id":"po_1","status":"paid","currency":"usd","amount":5}`
		clock        = `{"object":"test_helpers.test_clock","id":"clock_1","status":"ready","frozen_time":5}`
	)
	var all []statement
	add := func(prefix, object, stream string, suffixed map[string]aggregate.FactType) {
		for suffix, fact := range suffixed {
			all = append(all, statement{prefix + suffix, object, stream, fact})
		}
	}
	add("customer.subscription.", subscription, "subscription-sub_1", map[string]aggregate.FactType{
		"created": "SubscriptionStarted", "updated": "SubscriptionChanged", "deleted": "SubscriptionCanceled",
		"paused": "SubscriptionPaused", "resumed": "SubscriptionResumed", "trial_will_end": "TrialEnding",
		"pending_update_applied": "PendingUpdateApplied", "pending_update_expired": "PendingUpdateExpired"})
	add("checkout.session.", checkout, "subscription-sub_1", map[string]aggregate.FactType{
		"completed": "CheckoutCompleted", "async_payment_succeeded": "CheckoutPaid",
		"async_payment_failed": "CheckoutFailed", "expired": "CheckoutExpired"})
	add("invoice.", invoice, "invoice-in_1", map[string]aggregate.FactType{
		"finalized": "InvoiceFinalized", "paid": "PaymentSucceeded", "payment_succeeded": "PaymentSucceeded",
		"payment_failed": "PaymentFailed", "payment_action_required": "PaymentActionRequired", "voided": "InvoiceVoided",
		"marked_uncollectible": "InvoiceUncollectible", "deleted": "InvoiceDeleted", "overpaid": "InvoiceOverpaid"})
	add("charge.", charge, "payment-pi_1", map[string]aggregate.FactType{
		"succeeded": "ChargeSucceeded", "failed": "ChargeFailed", "refunded": "ChargeRefunded"})
	add("payment_intent.", intent, "payment-pi_1", map[string]aggregate.FactType{
		"succeeded": "IntentSucceeded", "payment_failed": "IntentFailed"})
	add("", refund, "payment-pi_1", map[string]aggregate.FactType{
		"refund.created": "RefundCreated", "refund.updated": "RefundUpdated", "refund.failed": "RefundFailed",
		"charge.refund.updated": "RefundUpdated"})
	add("charge.dispute.", dispute, "payment-pi_1", map[string]aggregate.FactType{
		"created": "DisputeOpened", "updated": "DisputeUpdated", "closed": "DisputeClosed",
		"funds_withdrawn": "DisputeFundsWithdrawn", "funds_reinstated": "DisputeFundsReturned"})
	add("credit_note.", note, "invoice-in_1", map[string]aggregate.FactType{
		"created": "CreditNoteIssued", "updated": "CreditNoteUpdated", "voided": "CreditNoteVoided"})
	add("invoice_payment.", paying, "payment-pi_1", map[string]aggregate.FactType{"paid": "InvoicePaymentPaid"})
	add("customer.", customer, "customer-cus_1", map[string]aggregate.FactType{
		"created": "CustomerCreated", "updated": "CustomerUpdated", "deleted": "CustomerDeleted"})
	add("entitlements.active_entitlement_summary.", summary, "customer-cus_1", map[string]aggregate.FactType{
		"updated": "EntitlementsSummarized"})
	add("payout.", payout, "payout-po_1", map[string]aggregate.FactType{
		"created": "PayoutTold", "updated": "PayoutTold", "paid": "PayoutTold", "failed": "PayoutTold",
		"canceled": "PayoutTold", "reconciliation_completed": "PayoutTold"})
	add("test_helpers.test_clock.", clock, "clock-clock_1", map[string]aggregate.FactType{
		"created": "ClockTold", "advancing": "ClockTold", "ready": "ClockTold", "internal_failure": "ClockTold", "deleted": "ClockTold"})
	return all
}()

func TestEveryEventThatMattersIsPosted(t *testing.T) {
	for _, s := range statements {
		if !intake.Posted(s.kind) {
			t.Errorf("%s is not posted", s.kind)
			continue
		}
		got := one(t, s.kind, s.object)
		if string(got.Stream) != s.stream || got.Fact.Type != s.fact {
			t.Errorf("%s: %s in %s, want %s in %s", s.kind, got.Fact.Type, got.Stream, s.fact, s.stream)
		}
		if got.Fact.Key.StripeEventID != "evt_1" || !got.Fact.OccurredAt.Equal(at(1700000000)) {
			t.Errorf("%s: key %+v at %s", s.kind, got.Fact.Key, got.Fact.OccurredAt)
		}
		readable(t, got.Fact) // its type and its snapshot fit
	}
}

// TestWhatIsNotPosted has neighbours of the types that are: they tell nothing
// that is not told by those, or nothing that concerns us.
func TestWhatIsNotPosted(t *testing.T) {
	for _, kind := range []string{
		"invoice.created", "invoice.updated", "invoice.upcoming", "invoice.sent", "charge.captured", "charge.updated", "charge.pending",
		"charge.expired", "payment_intent.created", "payment_intent.processing", "customer.source.updated", "customer.discount.created",
		"customer.subscription", "customer.subscription.created.v2", "transfer.paid", "balance.available", "subscription_schedule.updated",
		"", "Invoice.paid",
	} {
		if intake.Posted(kind) {
			t.Errorf("%s is posted", kind)
		}
	}
}

// TestEveryObjectIsChecked takes from each object its kind, its id, and all its
// members: what cannot be told apart, or says nothing, is no fact.
func TestEveryObjectIsChecked(t *testing.T) {
	for _, s := range statements {
		end := strings.Index(s.object, ",")
		for name, object := range map[string]string{
			"of another kind": `{"object":"balance"` + s.object[end:],
			"empty":           `{}`,
			"an array":        `[]`,
			"a number":        `7`,
		} {
			facts, err := translator.Translate(s.kind, event(s.kind, object))
			if err == nil || facts != nil {
				t.Errorf("%s: an object that is %s gives %v", s.kind, name, facts)
			}
		}
	}
}
