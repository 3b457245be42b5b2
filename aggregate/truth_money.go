package aggregate

import (
	"slices"
	"time"
)

// PaymentTruth is what is true of one payment: a pure function of the facts of
// its stream, which holds the payment's intent, charges, refunds and disputes,
// and of the streams that are named by its charges (see DerivePayments).
// Each of these objects counts once, however many events tell of it.
type PaymentTruth struct {
	// ID is the stream's: the intent's, or the charge's where there is no intent.
	ID string `json:"id"`
	// Charge is the one that made the payment, Charges are all that it is known to
	// have had, in order.
	Charge   string   `json:"charge,omitempty"`
	Charges  []string `json:"charges,omitempty"`
	Customer string   `json:"customer,omitempty"`
	Invoice  string   `json:"invoice,omitempty"`
	// Status is "succeeded", "failed", another of Stripe's words, or empty while
	// only refunds or disputes of it are known.
	Status string `json:"status,omitempty"`
	// The amounts are in minor units of Currency. Refunded sums what was given
	// back by refunds that did not fail; Lost what lost disputes took.
	Currency string `json:"currency,omitempty"`
	Amount   int64  `json:"amount"`
	Received int64  `json:"received"`
	Refunded int64  `json:"refunded"`
	Lost     int64  `json:"lost"`

	Refunds  []RefundTruth  `json:"refunds,omitempty"`
	Disputes []DisputeTruth `json:"disputes,omitempty"`

	CreatedAt time.Time `json:"created_at,omitzero"`
	Flags     []string  `json:"flags,omitempty"`
	// LastOccurredAt is Stripe's time of the latest fact, Position the highest
	// log position among the facts.
	LastOccurredAt time.Time `json:"last_occurred_at,omitzero"`
	Position       uint64    `json:"position"`
}

// OfCharge reports a payment that is named by its charge: no event named its
// intent, if it has one.
func (p PaymentTruth) OfCharge() bool { return slices.Contains(p.Charges, p.ID) }

// FullyRefunded reports whether everything received was given back.
func (p PaymentTruth) FullyRefunded() bool { return p.Received > 0 && p.Refunded >= p.Received }

// Contested reports whether a dispute is open or was lost.
func (p PaymentTruth) Contested() bool {
	for _, d := range p.Disputes {
		if d.Open() || d.Status == "lost" {
			return true
		}
	}
	return false
}

// RefundTruth is what is true of one refund of a payment.
type RefundTruth struct {
	ID       string `json:"id"`
	Status   string `json:"status,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Currency string `json:"currency,omitempty"`
	Amount   int64  `json:"amount"`
}

// DisputeTruth is what is true of one dispute of a payment.
type DisputeTruth struct {
	ID       string `json:"id"`
	Status   string `json:"status,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Currency string `json:"currency,omitempty"`
	Amount   int64  `json:"amount"`
}

// Open reports whether the dispute is still to be decided. An inquiry, whose
// status begins with "warning_", takes no money and is no open dispute.
func (d DisputeTruth) Open() bool { return d.Status == "needs_response" || d.Status == "under_review" }

// CreditNoteTruth is what is true of one credit note of an invoice.
type CreditNoteTruth struct {
	ID       string   `json:"id"`
	Status   string   `json:"status,omitempty"`
	Currency string   `json:"currency,omitempty"`
	Amount   int64    `json:"amount"`
	Refunds  []string `json:"refunds,omitempty"`
}

// BillTruth is what is true of the stream of one invoice: the invoice, if it
// names no subscription (else it is part of the subscription's stream), and its
// credit notes.
type BillTruth struct {
	ID          string            `json:"id"`
	Customer    string            `json:"customer,omitempty"`
	Invoice     *InvoiceTruth     `json:"invoice,omitempty"`
	CreditNotes []CreditNoteTruth `json:"credit_notes,omitempty"`
	Flags       []string          `json:"flags,omitempty"`

	LastOccurredAt time.Time `json:"last_occurred_at,omitzero"`
	Position       uint64    `json:"position"`
}
