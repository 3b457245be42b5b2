package intake

import (
	"maps"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
)

// The categories of the streams that facts go to.
const (
	SubscriptionCategory = "subscription"
	InvoiceCategory      = "invoice"
	PaymentCategory      = "payment"
	CustomerCategory     = "customer"
	PayoutCategory       = "payout"
	ClockCategory        = "clock"
)

// Categories are all of them.
var Categories = []string{SubscriptionCategory, InvoiceCategory, PaymentCategory, CustomerCategory, PayoutCategory, ClockCategory}

// PostedTypes lists the types of Stripe event that are posted, in order.
func PostedTypes() []string { return slices.Sorted(maps.Keys(translations)) }

// The types of Stripe event in whose name stands what the object need not say.
const (
	checkoutExpired      = "checkout.session.expired"
	clockDeleted         = "test_helpers.test_clock.deleted"
	customerDeleted      = "customer.deleted"
	chargeRefunded       = "charge.refunded"
	intentSucceeded      = "payment_intent.succeeded"
	invoiceDeleted       = "invoice.deleted"
	invoiceUncollectible = "invoice.marked_uncollectible"
	invoiceVoided        = "invoice.voided"
	subscriptionDeleted  = "customer.subscription.deleted"
)

// translation says what a Stripe event of a type is a statement of, and how it
// is read.
type translation struct {
	fact aggregate.FactType
	read reader
}

// The readers, by the object that an event is about.
var (
	subscriptions   = reading((*Translator).subscription)
	checkouts       = reading((*Translator).checkout)
	invoices        = reading((*Translator).invoice)
	invoicePayments = reading((*Translator).invoicePayment)
	charges         = reading((*Translator).charge)
	intents         = reading((*Translator).intent)
	refunds         = reading((*Translator).refund)
	disputes        = reading((*Translator).dispute)
	creditNotes     = reading((*Translator).creditNote)
	customers       = reading((*Translator).customerFacts)
	summaries       = reading((*Translator).entitlements)
	payouts         = reading((*Translator).payout)
	clocks          = reading((*Translator).clock)
)

// translations holds the types of Stripe event that are posted. All others are
// recorded only.
//
// Several types tell of the same money, and Stripe sends any of them or all:
// invoice.paid and invoice.payment_succeeded; charge.refunded, charge.refund.updated
// and refund.*; a charge and its intent. All give facts, and an object counts once.
var translations = map[string]translation{
	"customer.subscription.created":                {aggregate.SubscriptionStarted, subscriptions},
	"customer.subscription.updated":                {aggregate.SubscriptionChanged, subscriptions},
	"customer.subscription.paused":                 {aggregate.SubscriptionPaused, subscriptions},
	"customer.subscription.resumed":                {aggregate.SubscriptionResumed, subscriptions},
	subscriptionDeleted:                            {aggregate.SubscriptionCanceled, subscriptions},
	"customer.subscription.trial_will_end":         {aggregate.TrialEnding, subscriptions},
	"customer.subscription.pending_update_applied": {aggregate.PendingUpdateApplied, subscriptions},
	"customer.subscription.pending_update_expired": {aggregate.PendingUpdateExpired, subscriptions},

	"checkout.session.completed":               {aggregate.CheckoutCompleted, checkouts},
	"checkout.session.async_payment_succeeded": {aggregate.CheckoutPaid, checkouts},
	"checkout.session.async_payment_failed":    {aggregate.CheckoutFailed, checkouts},
	checkoutExpired:                            {aggregate.CheckoutExpired, checkouts},

	"invoice.finalized":               {aggregate.InvoiceFinalized, invoices},
	"invoice.paid":                    {aggregate.PaymentSucceeded, invoices},
	"invoice.payment_succeeded":       {aggregate.PaymentSucceeded, invoices},
	"invoice.payment_failed":          {aggregate.PaymentFailed, invoices},
	"invoice.payment_action_required": {aggregate.PaymentActionRequired, invoices},
	invoiceVoided:                     {aggregate.InvoiceVoided, invoices},
	invoiceUncollectible:              {aggregate.InvoiceUncollectible, invoices},
	invoiceDeleted:                    {aggregate.InvoiceDeleted, invoices},
	"invoice.overpaid":                {aggregate.InvoiceOverpaid, invoices},
	"invoice_payment.paid":            {aggregate.InvoicePaymentPaid, invoicePayments},

	"charge.succeeded":              {aggregate.ChargeSucceeded, charges},
	"charge.failed":                 {aggregate.ChargeFailed, charges},
	chargeRefunded:                  {aggregate.ChargeRefunded, charges},
	intentSucceeded:                 {aggregate.IntentSucceeded, intents},
	"payment_intent.payment_failed": {aggregate.IntentFailed, intents},

	"refund.created":        {aggregate.RefundCreated, refunds},
	"refund.updated":        {aggregate.RefundUpdated, refunds},
	"refund.failed":         {aggregate.RefundFailed, refunds},
	"charge.refund.updated": {aggregate.RefundUpdated, refunds},

	"charge.dispute.created":          {aggregate.DisputeOpened, disputes},
	"charge.dispute.updated":          {aggregate.DisputeUpdated, disputes},
	"charge.dispute.closed":           {aggregate.DisputeClosed, disputes},
	"charge.dispute.funds_withdrawn":  {aggregate.DisputeFundsWithdrawn, disputes},
	"charge.dispute.funds_reinstated": {aggregate.DisputeFundsReturned, disputes},

	"credit_note.created": {aggregate.CreditNoteIssued, creditNotes},
	"credit_note.updated": {aggregate.CreditNoteUpdated, creditNotes},
	"credit_note.voided":  {aggregate.CreditNoteVoided, creditNotes},

	"customer.created": {aggregate.CustomerCreated, customers},
	"customer.updated": {aggregate.CustomerUpdated, customers},
	customerDeleted:    {aggregate.CustomerDeleted, customers},

	"entitlements.active_entitlement_summary.updated": {aggregate.EntitlementsSummarized, summaries},

	"payout.created":                  {aggregate.PayoutTold, payouts},
	"payout.updated":                  {aggregate.PayoutTold, payouts},
	"payout.paid":                     {aggregate.PayoutTold, payouts},
	"payout.failed":                   {aggregate.PayoutTold, payouts},
	"payout.canceled":                 {aggregate.PayoutTold, payouts},
	"payout.reconciliation_completed": {aggregate.PayoutTold, payouts},

	"test_helpers.test_clock.created":          {aggregate.ClockTold, clocks},
	"test_helpers.test_clock.advancing":        {aggregate.ClockTold, clocks},
	"test_helpers.test_clock.ready":            {aggregate.ClockTold, clocks},
	"test_helpers.test_clock.internal_failure": {aggregate.ClockTold, clocks},
	clockDeleted: {aggregate.ClockTold, clocks},
}
