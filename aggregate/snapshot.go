package aggregate

import "time"

// Status is a subscription's status in Stripe's words.
type Status string

// The statuses of https://docs.stripe.com/api/subscriptions/object#subscription_object-status.
const (
	Incomplete        Status = "incomplete"
	IncompleteExpired Status = "incomplete_expired"
	Trialing          Status = "trialing"
	Active            Status = "active"
	PastDue           Status = "past_due"
	Unpaid            Status = "unpaid"
	Paused            Status = "paused"
	Canceled          Status = "canceled"
)

// Terminal reports whether Stripe never leaves this status.
func (s Status) Terminal() bool { return s == Canceled || s == IncompleteExpired }

// Known reports whether the status is one of those above.
func (s Status) Known() bool {
	switch s {
	case Incomplete, IncompleteExpired, Trialing, Active, PastDue, Unpaid, Paused, Canceled:
		return true
	}
	return false
}

// SubscriptionSnapshot is a Stripe subscription as one event showed it,
// whichever API version rendered it.
type SubscriptionSnapshot struct {
	ID       string `json:"id"`
	Customer string `json:"customer,omitempty"`
	Status   Status `json:"status"`
	// Account is the account that the subscription's metadata names.
	Account string `json:"account,omitempty"`
	Items   []Item `json:"items,omitempty"`
	// CreatedAt is when the subscription itself was created.
	CreatedAt         time.Time `json:"created_at,omitzero"`
	TrialEnd          time.Time `json:"trial_end,omitzero"`
	CancelAt          time.Time `json:"cancel_at,omitzero"`
	CancelAtPeriodEnd bool      `json:"cancel_at_period_end,omitempty"`
	CanceledAt        time.Time `json:"canceled_at,omitzero"`
	EndedAt           time.Time `json:"ended_at,omitzero"`
	CollectionMethod  string    `json:"collection_method,omitempty"`
	LatestInvoice     string    `json:"latest_invoice,omitempty"`
	// PauseCollection is the behavior of a pause of collection, empty if there
	// is none. It leaves the status as it is.
	PauseCollection string `json:"pause_collection,omitempty"`
	// PausedFor says why a subscription in status paused is paused, in Stripe's
	// words ("first_payment_failure"), empty before 2026-09-30.endive.
	PausedFor string `json:"paused_for,omitempty"`
	TestClock string `json:"test_clock,omitempty"`
	// Before is the Digest of the snapshot that this one changed, rebuilt from
	// the event's previous_attributes; empty if the event carried none.
	Before string `json:"before,omitempty"`
	// Flags name what was odd about the object as Stripe sent it.
	Flags []string `json:"flags,omitempty"`
}

// endsAt is when the subscription is scheduled to end, zero if it is not. Where
// no more is said than that it ends with its period, as before cancel_at was,
// the earliest end among the items' periods schedules.
func (s *SubscriptionSnapshot) endsAt() time.Time {
	if !s.CancelAt.IsZero() || !s.CancelAtPeriodEnd || s.Status.Terminal() {
		return s.CancelAt
	}
	var first time.Time
	for _, item := range s.Items {
		if end := item.PeriodEnd; !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}

// Item is one priced part of a subscription.
type Item struct {
	Price     string `json:"price"`
	LookupKey string `json:"lookup_key,omitempty"`
	Product   string `json:"product,omitempty"`
	Quantity  int64  `json:"quantity"`
	// PeriodStart and PeriodEnd are the item's own where Stripe gives them,
	// else the subscription's.
	PeriodStart time.Time `json:"period_start,omitzero"`
	PeriodEnd   time.Time `json:"period_end,omitzero"`
}

// InvoiceSnapshot is a Stripe invoice as one event showed it.
type InvoiceSnapshot struct {
	ID           string `json:"id"`
	Subscription string `json:"subscription,omitempty"`
	Customer     string `json:"customer,omitempty"`
	// Account is the account that the invoice's copy of the subscription's
	// metadata names.
	Account string `json:"account,omitempty"`
	// Status is Stripe's, or "deleted".
	Status           string `json:"status,omitempty"`
	BillingReason    string `json:"billing_reason,omitempty"`
	CollectionMethod string `json:"collection_method,omitempty"`
	Currency         string `json:"currency,omitempty"`
	AmountDue        int64  `json:"amount_due"`
	AmountPaid       int64  `json:"amount_paid"`
	AmountRemaining  int64  `json:"amount_remaining"`
	Total            int64  `json:"total"`
	AttemptCount     int64  `json:"attempt_count,omitempty"`
	// CreatedAt orders the invoices of a subscription.
	CreatedAt          time.Time `json:"created_at,omitzero"`
	DueDate            time.Time `json:"due_date,omitzero"`
	FinalizedAt        time.Time `json:"finalized_at,omitzero"`
	PaidAt             time.Time `json:"paid_at,omitzero"`
	VoidedAt           time.Time `json:"voided_at,omitzero"`
	UncollectibleAt    time.Time `json:"uncollectible_at,omitzero"`
	NextPaymentAttempt time.Time `json:"next_payment_attempt,omitzero"`
	PaidOutOfBand      bool      `json:"paid_out_of_band,omitempty"`
	PaymentIntent      string    `json:"payment_intent,omitempty"`
	Charge             string    `json:"charge,omitempty"`
	Flags              []string  `json:"flags,omitempty"`
}

// CheckoutSnapshot is a Stripe checkout session as one event showed it.
type CheckoutSnapshot struct {
	ID           string `json:"id"`
	Subscription string `json:"subscription,omitempty"`
	Customer     string `json:"customer,omitempty"`
	// Account is the account that the session's metadata names.
	Account string `json:"account,omitempty"`
	// ClientReference is the session's client_reference_id; on a payment link
	// the buyer can edit it.
	ClientReference string   `json:"client_reference,omitempty"`
	Mode            string   `json:"mode,omitempty"`
	Status          string   `json:"status,omitempty"`
	PaymentStatus   string   `json:"payment_status,omitempty"`
	Currency        string   `json:"currency,omitempty"`
	AmountTotal     int64    `json:"amount_total,omitempty"`
	Flags           []string `json:"flags,omitempty"`
}
