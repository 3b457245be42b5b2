package aggregate

import "time"

// PaymentSnapshot is a Stripe charge or payment intent as one event showed it.
// A charge made through an intent is a fact of the intent's stream.
type PaymentSnapshot struct {
	// ID is the object's own: ch_…, py_… or pi_….
	ID string `json:"id"`
	// Intent and Charge name the two parts of the payment, as far as told.
	Intent   string `json:"intent,omitempty"`
	Charge   string `json:"charge,omitempty"`
	Customer string `json:"customer,omitempty"`
	// Invoice is the one that was paid, where the object names it: charges and
	// intents do so until 2025-03-31.basil.
	Invoice string `json:"invoice,omitempty"`
	// Status is Stripe's ("succeeded", "failed", "requires_payment_method", …).
	Status string `json:"status,omitempty"`
	// The amounts are in minor units of Currency. AmountReceived is what was
	// taken: of a charge what was captured, 0 while it is only authorised or
	// after it failed. AmountRefunded is a charge's sum of refunds so far, 0 for
	// intents.
	Currency       string `json:"currency,omitempty"`
	Amount         int64  `json:"amount"`
	AmountReceived int64  `json:"amount_received,omitempty"`
	AmountRefunded int64  `json:"amount_refunded,omitempty"`
	// Refunded says that a charge was refunded in full.
	Refunded bool `json:"refunded,omitempty"`
	// Disputed says that a charge was disputed.
	Disputed bool `json:"disputed,omitempty"`
	// FailureCode is Stripe's code of the failure, never its message.
	FailureCode string    `json:"failure_code,omitempty"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	Flags       []string  `json:"flags,omitempty"`
}

// InvoicePaymentSnapshot is a Stripe invoice payment: since 2025-03-31.basil
// what leads from a payment to its invoice.
type InvoicePaymentSnapshot struct {
	ID         string    `json:"id"`
	Invoice    string    `json:"invoice"`
	Intent     string    `json:"intent,omitempty"`
	Charge     string    `json:"charge,omitempty"`
	Status     string    `json:"status,omitempty"`
	Currency   string    `json:"currency,omitempty"`
	AmountPaid int64     `json:"amount_paid"`
	PaidAt     time.Time `json:"paid_at,omitzero"`
	Flags      []string  `json:"flags,omitempty"`
}

// RefundSnapshot is a Stripe refund as one event showed it.
type RefundSnapshot struct {
	ID     string `json:"id"`
	Intent string `json:"intent,omitempty"`
	Charge string `json:"charge,omitempty"`
	// Status is Stripe's; a refund counts unless it is "failed" or "canceled".
	Status    string    `json:"status,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Currency  string    `json:"currency,omitempty"`
	Amount    int64     `json:"amount"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Flags     []string  `json:"flags,omitempty"`
}

// DisputeSnapshot is a Stripe dispute as one event showed it.
type DisputeSnapshot struct {
	// ID is the dispute's own: the oldest have none, and bear their charge's.
	ID     string `json:"id"`
	Intent string `json:"intent,omitempty"`
	Charge string `json:"charge,omitempty"`
	// Status is Stripe's: "won", "lost", "needs_response", "under_review",
	// "warning_needs_response", "warning_closed", …
	Status    string    `json:"status,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Currency  string    `json:"currency,omitempty"`
	Amount    int64     `json:"amount"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Flags     []string  `json:"flags,omitempty"`
}

// CreditNoteSnapshot is a Stripe credit note as one event showed it; it is a
// fact of its invoice's stream.
type CreditNoteSnapshot struct {
	ID       string `json:"id"`
	Invoice  string `json:"invoice"`
	Customer string `json:"customer,omitempty"`
	// Status is "issued" or "void".
	Status   string `json:"status,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Currency string `json:"currency,omitempty"`
	// Amount is the note's total. Refunds are the refunds that it led to.
	Amount    int64     `json:"amount"`
	Refunds   []string  `json:"refunds,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	VoidedAt  time.Time `json:"voided_at,omitzero"`
	Flags     []string  `json:"flags,omitempty"`
}

// PayoutSnapshot is a Stripe payout as one event showed it. It concerns the
// merchant's bank, and no account.
type PayoutSnapshot struct {
	ID          string    `json:"id"`
	Status      string    `json:"status,omitempty"`
	Currency    string    `json:"currency,omitempty"`
	Amount      int64     `json:"amount"`
	FailureCode string    `json:"failure_code,omitempty"`
	ArrivesAt   time.Time `json:"arrives_at,omitzero"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	Flags       []string  `json:"flags,omitempty"`
}
