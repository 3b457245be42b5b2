package aggregate

import "time"

// SubscriptionTruth is what is true of a subscription: a pure function of its
// facts and the catalogs. It does not depend on now; Access does.
type SubscriptionTruth struct {
	ID       string `json:"id"`
	Customer string `json:"customer,omitempty"`
	// Status is Stripe's, empty while no snapshot of the subscription itself
	// has been seen.
	Status Status `json:"status,omitempty"`
	// Tier is the id of the tier that the subscription pays for, empty if no
	// price of it ever mapped. While delinquent it is the lower of the present
	// tier and the last in good standing.
	Tier string `json:"tier,omitempty"`
	// Items are the latest snapshot's.
	Items []Item `json:"items,omitempty"`
	// CurrentPeriodEnd is the latest end among the items' periods.
	CurrentPeriodEnd time.Time `json:"current_period_end,omitzero"`
	TrialEnd         time.Time `json:"trial_end,omitzero"`
	// CancelAt is when the subscription is scheduled to end: where Stripe says
	// only that it ends with its period, the earliest end among the items'.
	CancelAt          time.Time `json:"cancel_at,omitzero"`
	CancelAtPeriodEnd bool      `json:"cancel_at_period_end,omitempty"`
	CanceledAt        time.Time `json:"canceled_at,omitzero"`
	EndedAt           time.Time `json:"ended_at,omitzero"`
	CreatedAt         time.Time `json:"created_at,omitzero"`
	// PausedFor says why a paused subscription is paused, where Stripe tells.
	PausedFor string `json:"paused_for,omitempty"`
	// PauseCollection is the behavior of a pause of collection in force, empty
	// if there is none.
	PauseCollection string `json:"pause_collection,omitempty"`
	// TestClock is the Stripe test clock by which the subscription lives.
	TestClock string `json:"test_clock,omitempty"`
	// PaymentPending says that the checkout's payment is still on its way: the
	// latest session was completed unpaid, and neither its payment nor that of an
	// invoice was told since.
	PaymentPending bool `json:"payment_pending,omitempty"`
	// Delinquency is nil while nothing is owed that grace depends on.
	Delinquency *Delinquency `json:"delinquency,omitempty"`
	// NothingOwed says that the status tells of a debt that is settled.
	NothingOwed bool `json:"nothing_owed,omitempty"`
	// Link is the best claim on the account that the subscription belongs to;
	// the zero Link if not even a customer is known.
	Link Link `json:"link,omitzero"`
	// Invoices are those seen, oldest first.
	Invoices []InvoiceTruth `json:"invoices,omitempty"`
	// Paid sums what the invoices brought in, each counted once, by currency; what
	// was paid out of band too, which Stripe includes in an invoice's amount paid
	// only since 2025-03-31.basil.
	Paid []Money `json:"paid,omitempty"`
	// Flags name what a person should look at; sorted.
	Flags []string `json:"flags,omitempty"`
	// Sources are the Stripe events on which status, tier and delinquency rest.
	Sources []string `json:"sources,omitempty"`
	// LastOccurredAt is Stripe's time of the latest fact.
	LastOccurredAt time.Time `json:"last_occurred_at,omitzero"`
	// Position is the highest log position among the facts.
	Position uint64 `json:"position"`
}

// InvoiceTruth is what is true of one invoice of a subscription.
type InvoiceTruth struct {
	ID     string `json:"id"`
	Status string `json:"status,omitempty"`
	// Paid and Due are in minor units of Currency. Paid is the most that a
	// successful payment told.
	Paid      int64     `json:"paid"`
	Due       int64     `json:"due"`
	Currency  string    `json:"currency,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	// FirstFailedAt is when the first payment attempt failed, zero if none did.
	FirstFailedAt time.Time `json:"first_failed_at,omitzero"`
}

// Delinquency is a span in which a subscription owes a payment.
type Delinquency struct {
	// Anchor is when it opened; grace counts from here and never moves later.
	Anchor time.Time `json:"anchor"`
	// GraceUntil is the anchor plus the grace period of the catalog in force
	// at the anchor.
	GraceUntil time.Time `json:"grace_until"`
	// Invoice is the one that is owed, empty if only a past_due status told.
	Invoice string `json:"invoice,omitempty"`
	// Catalog is the hash of the catalog whose grace period applies.
	Catalog string `json:"catalog,omitempty"`
}

// LinkRank orders the claims on the account of a subscription: lower is better.
type LinkRank int

// The ranks, best first. A lower one never moves a link that a better one made.
const (
	LinkNone LinkRank = iota
	LinkSubscription
	LinkSession
	LinkInvoice
	LinkCustomer
	LinkClientReference
	LinkCustomerID
)

// Link is a claim that a subscription belongs to an account.
type Link struct {
	Account string   `json:"account"`
	Rank    LinkRank `json:"rank"`
	// StripeEventID is the event that made the claim.
	StripeEventID string `json:"stripe_event_id,omitempty"`
	// OccurredAt is Stripe's time of that event: within a rank the newest wins.
	OccurredAt time.Time `json:"occurred_at,omitzero"`
	// ConflictsWith is the other account that was named at the same rank, the one
	// named last of several, where the two contradict each other: see
	// FlagAccountConflict.
	ConflictsWith string `json:"conflicts_with,omitempty"`
}

// The flags of subscriptions, payments, bills, customers and entitlements.
const (
	// FlagAmbiguous: within one second, the events do not tell which came last.
	FlagAmbiguous = "ambiguous_order"
	// FlagUnmappedPrice: a price is in no catalog entry.
	FlagUnmappedPrice = "unmapped_price"
	// FlagPastDueNothingOwed: past_due, or paused for a failed payment, though
	// the invoice was settled.
	FlagPastDueNothingOwed = "past_due_nothing_owed"
	// FlagUnknownStatus: a status that this build does not know; access is denied.
	FlagUnknownStatus = "unknown_status"
	// FlagNoSnapshot: payments or sessions are known, the subscription itself
	// is not yet.
	FlagNoSnapshot = "no_snapshot"
	// FlagAccountInvalid: metadata names an account that cannot be one.
	FlagAccountInvalid = "account_invalid"
	// FlagAccountConflict: two accounts were named at the same rank, neither of
	// which took the other's place. The link tells the other one.
	FlagAccountConflict = "account_conflict"
	// FlagNoPrice: an item names no price and no plan.
	FlagNoPrice = "no_price"
	// FlagStatusContradicted: an object says both that it was paid and that it
	// was not.
	FlagStatusContradicted = "status_contradicted"
	// FlagPeriodOverdue: granted, though all periods ended 72 hours ago.
	FlagPeriodOverdue = "period_overdue"
	// FlagPaymentOverdue: grace has run out, but the status still grants.
	FlagPaymentOverdue = "payment_overdue"
	// FlagPaidAfterVoid: an invoice was voided and paid.
	FlagPaidAfterVoid = "paid_after_void"
	// FlagCheckoutFailed: the delayed payment of a checkout failed, and no invoice
	// was paid since.
	FlagCheckoutFailed = "checkout_failed"
	// FlagNegativeAmount: an amount that cannot be negative is.
	FlagNegativeAmount = "negative_amount"
	// FlagUnknownCurrency: a currency is not three letters from a to z.
	FlagUnknownCurrency = "unknown_currency"
	// FlagCurrencyMismatch: a refund or a dispute is in another currency than its
	// payment; it is left out of the payment's sums.
	FlagCurrencyMismatch = "currency_mismatch"
	// FlagRefundExceedsCharge: more was given back than was received.
	FlagRefundExceedsCharge = "refund_exceeds_charge"
	// FlagDisputeWonAndLost: one dispute was told to be won and to be lost.
	FlagDisputeWonAndLost = "dispute_won_and_lost"
	// FlagDeletedBeforeCreated: an object was deleted before Stripe told of it as
	// being there.
	FlagDeletedBeforeCreated = "deleted_before_created"
)

// MaxAccountBytes bounds an account's name.
const MaxAccountBytes = 512

// ValidAccount reports whether name can name an account: not empty, valid
// UTF-8 of at most MaxAccountBytes, without control characters.
func ValidAccount(name string) bool {
	return name != "" && len(name) <= MaxAccountBytes && cleanText(name)
}
