package aggregate

import (
	"slices"
	"time"
)

// invoice is what the walk knows of one invoice of the subscription so far.
type invoice struct {
	id            string
	status        string
	billingReason string
	currency      string
	createdAt     time.Time
	dueDate       time.Time
	paid, due     int64
	// failedAt is when the first payment attempt failed, and failedBy the
	// Stripe event that told.
	failedAt time.Time
	failedBy string
	// settledAt is when it was paid or given up; voided invoices never count.
	settledAt time.Time
	isPaid    bool
	voided    bool
	// spent says that a delinquency over it was closed by the subscription's
	// status: its old failures open no other.
	spent bool
}

func (inv *invoice) settled() bool { return !inv.settledAt.IsZero() }

// owed reports whether a failure of this invoice can open a delinquency. A
// first invoice never does: nothing was granted yet that grace could keep.
func (inv *invoice) owed() bool {
	return !inv.settled() && !inv.voided && !inv.spent && inv.billingReason != "subscription_create"
}

// takeInvoice folds what an invoice's fact says. An invoice is paid once one
// fact says so; which of the two events that tell it, or both, makes no
// difference.
func (w *walk) takeInvoice(f held) {
	in := f.Invoice
	inv := w.invoice(in, f)
	inv.due = in.AmountDue
	if in.BillingReason != "" {
		inv.billingReason = in.BillingReason
	}
	if !in.DueDate.IsZero() {
		inv.dueDate = in.DueDate
	}
	switch {
	case f.Type == PaymentSucceeded || in.Status == "paid":
		inv.isPaid, inv.status = true, "paid"
		inv.paid = max(inv.paid, in.AmountPaid)
		inv.settle(f.OccurredAt)
	case in.Status == "void":
		inv.voided, inv.status = true, "void"
		w.voidedAt = f.OccurredAt
	case in.Status == "uncollectible":
		inv.status = "uncollectible"
		inv.settle(f.OccurredAt)
	case f.Type == PaymentFailed && inv.failedAt.IsZero():
		inv.failedAt, inv.failedBy = firstAttempt(in, f.OccurredAt), f.Key.StripeEventID
	}
	if inv.status == "" {
		inv.status = in.Status
	}
}

// firstAttempt is when the first payment attempt failed. If the first failure
// that was seen is not the first attempt, that one was made when the invoice
// was finalised.
func firstAttempt(in *InvoiceSnapshot, seen time.Time) time.Time {
	if in.AttemptCount > 1 && !in.FinalizedAt.IsZero() && in.FinalizedAt.Before(seen) {
		return in.FinalizedAt
	}
	return seen
}

func (inv *invoice) settle(at time.Time) {
	if inv.settledAt.IsZero() {
		inv.settledAt = at
	}
}

// invoice finds the invoice of a snapshot among those seen, which are kept
// oldest first.
func (w *walk) invoice(in *InvoiceSnapshot, f held) *invoice {
	for _, inv := range slices.Backward(w.invoices) {
		if inv.id == in.ID {
			return inv
		}
	}
	inv := &invoice{id: in.ID, currency: in.Currency, createdAt: in.CreatedAt}
	if inv.createdAt.IsZero() {
		inv.createdAt = f.OccurredAt
	}
	i, _ := slices.BinarySearchFunc(w.invoices, inv, compareInvoices)
	w.invoices = slices.Insert(w.invoices, i, inv)
	return inv
}

// latestInvoice is the most recent one that was not voided: the one on which
// Stripe's status rests.
func (w *walk) latestInvoice() *invoice {
	for _, inv := range slices.Backward(w.invoices) {
		if !inv.voided {
			return inv
		}
	}
	return nil
}

// settleDelinquency opens or closes the delinquency after a fact was taken in;
// before is the snapshot that was the present one until then.
//
// It opens at the earliest of the latest non-void invoice's first failed
// attempt or due date, and the first past_due snapshot. It closes when the
// status leaves past_due, or when that invoice is paid or given up; paying an
// older one does not close it, and neither retries nor further invoices
// restart it.
func (w *walk) settleDelinquency(f held, before *SubscriptionSnapshot) {
	if w.snapshot == nil {
		return
	}
	wasOwing, isOwing := owing(before), owing(w.snapshot)
	last := w.latestInvoice()
	switch {
	case w.recovered(before), w.open != nil && !isOwing && (wasOwing || !good(w.snapshot.Status)):
		w.forgive()
	case w.open != nil && isOwing && !wasOwing && w.outlived(last):
		w.forgive()
		last.spent = false
		w.openAt(f, last)
	case w.open != nil:
		w.closeIfSettled(last)
	case !w.wasGood || !good(w.snapshot.Status) && !isOwing:
	case last != nil && last.owed() && !last.failedAt.IsZero(), isOwing && !wasOwing:
		w.openAt(f, last)
	}
}

// recovered reports that the status has just become good again: whatever was
// owed before, Stripe asks for no longer.
func (w *walk) recovered(before *SubscriptionSnapshot) bool {
	return before != nil && before != w.snapshot && !good(before.Status) && good(w.snapshot.Status)
}

// forgive closes the delinquency by the subscription's status. What failed so
// far opens no other.
func (w *walk) forgive() {
	for _, inv := range w.invoices {
		inv.spent = true
	}
	w.open, w.failedBy, w.settled = nil, "", false
}

// outlived reports, when the status becomes past_due, that the open delinquency
// is over another invoice, whose failure the status had outlived: it was still
// good after that. The status speaks of the latest invoice.
func (w *walk) outlived(last *invoice) bool {
	return last != nil && last.owed() && w.open.Invoice != last.id && w.goodAt.After(w.open.Anchor)
}

// closeIfSettled closes the delinquency once the invoice that the status rests
// on is settled. An invoice that was settled before the delinquency opened is
// not the one that is owed, unless a void has made it the latest again; nor is
// any that we know, if the subscription names one that we have not seen.
func (w *walk) closeIfSettled(last *invoice) {
	if last == nil || !last.settled() || w.owesUnseen(last) {
		return
	}
	if last.id == w.open.Invoice || last.settledAt.After(w.open.Anchor) || !w.voidedAt.Before(w.open.Anchor) {
		w.open, w.failedBy, w.settled = nil, "", true
	}
}

// owesUnseen reports that the subscription's latest invoice was never told of,
// and that the latest one we know is no newer than that statement.
func (w *walk) owesUnseen(last *invoice) bool {
	named := w.snapshot.LatestInvoice
	return named != "" && !last.createdAt.After(w.latest.OccurredAt) &&
		!slices.ContainsFunc(w.invoices, func(inv *invoice) bool { return inv.id == named })
}

func (w *walk) openAt(f held, last *invoice) {
	d := Delinquency{}
	earliest := func(t time.Time, by string) {
		if !t.IsZero() && (d.Anchor.IsZero() || t.Before(d.Anchor)) {
			d.Anchor, w.failedBy = t, by
		}
	}
	if last != nil && last.owed() {
		d.Invoice = last.id
		earliest(last.failedAt, last.failedBy)
		if !last.dueDate.After(f.OccurredAt) {
			earliest(last.dueDate, f.Key.StripeEventID)
		}
	}
	if owing(w.snapshot) {
		earliest(w.latest.OccurredAt, w.latest.Key.StripeEventID)
	}
	d.GraceUntil = d.Anchor
	if in, found := w.catalogs.adoptedBy(d.Anchor); found {
		d.GraceUntil, d.Catalog = d.Anchor.Add(time.Duration(in.Catalog.GracePeriod)), in.Hash
	}
	w.open = &d
}

func (w *walk) finishInvoices(t *SubscriptionTruth) {
	for _, inv := range w.invoices {
		if inv.isPaid && inv.voided {
			w.flag(FlagPaidAfterVoid)
		}
		t.Invoices = append(t.Invoices, InvoiceTruth{ID: inv.id, Status: inv.status, Paid: inv.paid, Due: inv.due,
			Currency: inv.currency, CreatedAt: inv.createdAt, FirstFailedAt: inv.failedAt})
	}
	t.Paid = sumPaid(t.Invoices)
}
