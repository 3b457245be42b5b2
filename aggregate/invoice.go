package aggregate

import (
	"slices"
	"time"
)

// invoice is what the facts seen so far, in Stripe's order, tell of one invoice.
type invoice struct {
	id            string
	status        string
	billingReason string
	currency      string
	createdAt     time.Time
	finalizedAt   time.Time
	dueDate       time.Time
	paid, due     int64
	// failedAt is when the first payment attempt failed, and failedBy the
	// Stripe event that told.
	failedAt time.Time
	failedBy string
	// triedInVain says that Stripe, when asked, told of payment attempts and of no
	// payment.
	triedInVain bool
	// settledAt is when it was paid or given up.
	settledAt time.Time
	isPaid    bool
	// voided and deleted invoices never count.
	voided, deleted bool
	// undeleted says that it was told to be there after it was deleted.
	undeleted bool
	// seen numbers the invoices of a walk in the order in which they turned up.
	seen int
}

func newInvoice(f held) *invoice {
	inv := &invoice{id: f.Invoice.ID, createdAt: f.Invoice.CreatedAt}
	if inv.createdAt.IsZero() {
		inv.createdAt = f.OccurredAt
	}
	return inv
}

func (inv *invoice) settled() bool { return !inv.settledAt.IsZero() }

// withdrawn reports that nobody is to pay the invoice, as if it had never been.
func (inv *invoice) withdrawn() bool { return inv.voided || inv.deleted && !inv.isPaid }

// overdue reports that its first payment attempt has failed, or that its due
// date has come by a time.
func (inv *invoice) overdue(by time.Time) bool {
	return !inv.failedAt.IsZero() || !inv.dueDate.IsZero() && !inv.dueDate.After(by)
}

// take folds what one more fact says of the invoice.
func (inv *invoice) take(f held) {
	in := f.Invoice
	inv.due = in.AmountDue
	inv.undeleted = inv.undeleted || inv.deleted && f.Type != InvoiceDeleted
	for _, text := range [][2]*string{{&inv.billingReason, &in.BillingReason}, {&inv.currency, &in.Currency}} {
		if *text[1] != "" {
			*text[0] = *text[1]
		}
	}
	if !in.DueDate.IsZero() {
		inv.dueDate = in.DueDate
	}
	switch {
	case !in.FinalizedAt.IsZero():
		inv.finalizedAt = in.FinalizedAt
	case f.Type == InvoiceFinalized:
		inv.finalizedAt = f.OccurredAt
	}
	inv.takeOutcome(f)
}

// takeOutcome folds what became of the invoice. It is paid once one fact says
// so; which of the events that tell it, or how many, makes no difference.
func (inv *invoice) takeOutcome(f held) {
	in := f.Invoice
	if f.Type == PaymentSucceeded || f.Type == InvoiceOverpaid || in.Status == "paid" {
		inv.paid = max(inv.paid, in.AmountPaid)
		if in.PaidOutOfBand {
			// Until 2025-03-31.basil the amount paid leaves out what came by other
			// means, which settled the rest.
			inv.paid = max(inv.paid, in.AmountDue)
		}
	}
	if f.Type == InvoiceObserved {
		inv.triedInVain = in.Status == "open" && in.AttemptCount > 0
	}
	switch {
	case f.paysInvoice():
		inv.isPaid, inv.status = true, "paid"
		inv.settle(f.sinceWhen(in.PaidAt))
	case f.Type == InvoiceDeleted:
		inv.deleted, inv.status = true, "deleted"
	case f.Type == InvoiceVoided, in.Status == "void":
		inv.voided, inv.status = true, "void"
	case inv.isPaid, inv.voided, inv.deleted:
		// What has ended stays so, whatever a straggler says.
	case f.Type == InvoiceUncollectible, in.Status == "uncollectible":
		inv.status = "uncollectible"
		inv.settle(f.sinceWhen(in.UncollectibleAt))
	case inv.status != "uncollectible" && in.Status != "":
		inv.status = in.Status
	}
	if f.Type == PaymentFailed && inv.failedAt.IsZero() && !inv.settled() && !inv.withdrawn() {
		inv.failedAt, inv.failedBy = inv.firstAttempt(in, f.OccurredAt), f.Key.StripeEventID
	}
}

// sinceWhen is when that came about which a fact tells: when Stripe told, or, if
// it only answered a question, the time that the object itself gives.
func (f *Fact) sinceWhen(given time.Time) time.Time {
	if f.Type.Observed() && !given.IsZero() && given.Before(f.OccurredAt) {
		return given
	}
	return f.OccurredAt
}

// paysInvoice reports whether the fact tells that its invoice is paid, in full
// or by other means than Stripe. A part of it may be paid while it stays open.
func (f *Fact) paysInvoice() bool {
	in := f.Invoice
	switch f.Type {
	case PaymentSucceeded:
		return in.Status != "open" || in.AmountRemaining <= 0
	case InvoiceVoided, InvoiceUncollectible, InvoiceDeleted:
		return false
	}
	return in.Status == "paid"
}

// firstAttempt is when the first payment attempt failed. If the first failure
// that was seen is not the first attempt, that one was made when the invoice
// was finalised.
func (inv *invoice) firstAttempt(in *InvoiceSnapshot, seen time.Time) time.Time {
	if in.AttemptCount > 1 && !inv.finalizedAt.IsZero() && inv.finalizedAt.Before(seen) {
		return inv.finalizedAt
	}
	return seen
}

func (inv *invoice) settle(at time.Time) {
	if inv.settledAt.IsZero() {
		inv.settledAt = at
	}
}

// truth is what is true of the invoice after all its facts.
func (inv *invoice) truth() InvoiceTruth {
	return InvoiceTruth{ID: inv.id, Status: inv.status, Paid: inv.paid, Due: inv.due,
		Currency: inv.currency, CreatedAt: inv.createdAt, FirstFailedAt: inv.failedAt}
}

// contradictions names what cannot be true together.
func (inv *invoice) contradictions() []string {
	var flags []string
	if inv.isPaid && inv.voided {
		flags = append(flags, FlagPaidAfterVoid)
	}
	if inv.undeleted {
		flags = append(flags, FlagDeletedBeforeCreated)
	}
	return flags
}

// invoices are those of one subscription, oldest first.
type invoices struct {
	byAge []*invoice
	// byID finds one once there are too many to look through.
	byID map[string]*invoice
	// seen counts how many turned up, or were brought to mind again.
	seen int
}

// find returns the invoice of that id, nil if it has not been seen.
func (v *invoices) find(id string) *invoice {
	if v.byID != nil {
		return v.byID[id]
	}
	for _, inv := range slices.Backward(v.byAge) {
		if inv.id == id {
			return inv
		}
	}
	return nil
}

// take folds a fact of an invoice, and returns that invoice.
func (v *invoices) take(f held) *invoice {
	inv := v.find(f.Invoice.ID)
	if inv == nil {
		inv = newInvoice(f)
		v.add(inv)
	}
	inv.take(f)
	return inv
}

func (v *invoices) add(inv *invoice) {
	i, _ := slices.BinarySearchFunc(v.byAge, inv, compareInvoices)
	v.byAge = slices.Insert(v.byAge, i, inv)
	v.seeAnew(inv)
	switch {
	case v.byID != nil:
		v.byID[inv.id] = inv
	case len(v.byAge) >= indexedFrom:
		v.byID = make(map[string]*invoice, 2*indexedFrom)
		for _, inv := range v.byAge {
			v.byID[inv.id] = inv
		}
	}
}

func (v *invoices) anyPaid() bool {
	return slices.ContainsFunc(v.byAge, func(inv *invoice) bool { return inv.isPaid })
}

// seeAnew makes the invoice the last that turned up.
func (v *invoices) seeAnew(inv *invoice) {
	v.seen++
	inv.seen = v.seen
}

// latest is the most recent one that was neither voided nor deleted: the one on
// which Stripe's status rests. It is nil if there is none.
func (v *invoices) latest() *invoice {
	for _, inv := range slices.Backward(v.byAge) {
		if !inv.withdrawn() {
			return inv
		}
	}
	return nil
}
