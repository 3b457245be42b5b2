package aggregate

import "time"

// takeInvoice folds what an invoice's fact says.
func (w *walk) takeInvoice(f held) {
	inv := w.invoices.take(f)
	w.flagMoney(f.Invoice.Currency, f.Invoice.AmountDue, f.Invoice.AmountPaid)
	if last := w.invoices.latest(); inv.withdrawn() && (last == nil || compareInvoices(inv, last) > 0) {
		w.fellBackAt = f.sinceWhen(f.Invoice.VoidedAt)
	}
	if f.paysInvoice() {
		w.paymentPending, w.checkoutFailed = false, false
	}
}

// owed reports whether an invoice can open a delinquency. A first invoice never
// does: nothing was granted yet that grace could keep. Nor does one over which a
// delinquency was closed by the subscription's status.
func (w *walk) owed(inv *invoice) bool {
	return inv != nil && !inv.settled() && !inv.withdrawn() && inv.seen > w.forgiven && inv.billingReason != "subscription_create"
}

// settleDelinquency opens or closes the delinquency after a fact was taken in;
// before is the snapshot that was the present one until then.
//
// It opens at the earliest of the latest non-void invoice's first failed
// attempt or due date, and the first past_due snapshot. Of an attempt that only
// an answer of Stripe's told, the status must say that it failed. It closes when the
// status leaves past_due, or when that invoice is paid or given up; paying an
// older one does not close it, and neither retries nor further invoices
// restart it.
func (w *walk) settleDelinquency(f held, before *SubscriptionSnapshot) {
	if w.snapshot == nil {
		return
	}
	wasOwing, isOwing := owing(before), owing(w.snapshot)
	last := w.invoices.latest()
	switch {
	case w.recovered(before), w.open != nil && !isOwing && (wasOwing || !good(w.snapshot.Status)):
		w.forgive()
	case w.open != nil && isOwing && !wasOwing && w.outlived(last):
		w.forgive()
		w.invoices.seeAnew(last)
		w.openAt(f, last)
	case w.open != nil:
		w.closeIfSettled(f, last)
		w.learnOfOwed(f, last)
	case !w.wasGood || !good(w.snapshot.Status) && !isOwing:
	case w.owed(last) && (last.overdue(f.OccurredAt) || isOwing && last.triedInVain), isOwing && !wasOwing:
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
	w.forgiven = w.invoices.seen
	w.open, w.failedBy, w.settled = nil, "", false
}

// outlived reports, when the status becomes past_due, that the open delinquency
// is over another invoice, whose failure the status had outlived: it was still
// good after that. The status speaks of the latest invoice.
func (w *walk) outlived(last *invoice) bool {
	return w.owed(last) && w.open.Invoice != last.id && w.goodAt.After(w.open.Anchor)
}

// closeIfSettled closes the delinquency once the invoice that the status rests
// on is settled. An invoice that was settled before the delinquency opened is
// not the one that is owed, unless a void has made it the latest again; nor is
// any that we know, if the subscription names one that we have not seen. While
// the status is good, a void that leaves nothing overdue is enough.
func (w *walk) closeIfSettled(f held, last *invoice) {
	if w.nothingOverdue(f, last) || last != nil && last.settled() && !w.owesUnseen(last) && w.decides(last) {
		w.open, w.failedBy, w.settled = nil, "", true
	}
}

// nothingOverdue reports that the invoice that was owed is void, and neither the
// status nor the invoice before it tells of a debt.
func (w *walk) nothingOverdue(f held, last *invoice) bool {
	return w.owedWithdrawn() && !owing(w.snapshot) && (!w.owed(last) || !last.overdue(f.OccurredAt))
}

func (w *walk) owedWithdrawn() bool {
	owed := w.invoices.find(w.open.Invoice)
	return owed != nil && owed.withdrawn()
}

// decides reports whether settling the latest invoice settles the delinquency.
func (w *walk) decides(last *invoice) bool {
	return last.id == w.open.Invoice || last.settledAt.After(w.open.Anchor) || !w.fellBackAt.Before(w.open.Anchor)
}

// owesUnseen reports that the subscription's latest invoice was never told of,
// and that the latest one we know is no newer than that statement.
func (w *walk) owesUnseen(last *invoice) bool {
	named := w.snapshot.LatestInvoice
	return named != "" && !last.createdAt.After(w.latest.OccurredAt) && w.invoices.find(named) == nil
}

// learnOfOwed names the invoice that is owed where the status told of the debt
// before the invoice did, or where a void leads back to an older one; and moves
// the anchor back if that invoice was overdue before. It never moves it later.
func (w *walk) learnOfOwed(f held, last *invoice) {
	if w.open == nil || !w.owed(last) || last.createdAt.After(w.open.Anchor) || w.owesUnseen(last) {
		return
	}
	if w.open.Invoice == "" || w.owedWithdrawn() {
		w.open.Invoice = last.id
	}
	if w.open.Invoice != last.id {
		return
	}
	if anchor, by := last.overdueSince(f); !anchor.IsZero() && anchor.Before(w.open.Anchor) {
		w.failedBy = by
		w.anchorAt(anchor)
	}
}

// overdueSince is the earlier of the first failed attempt and a due date that
// has come by the time of f, with the Stripe event that told; zero if neither
// is so. An attempt of which no more is known than that there was one was made
// when the invoice was finalised.
func (inv *invoice) overdueSince(f held) (time.Time, string) {
	due := inv.dueDate
	if inv.failedAt.IsZero() && inv.triedInVain && due.IsZero() {
		return inv.finalizedAt, f.Key.StripeEventID
	}
	if due.IsZero() || due.After(f.OccurredAt) || !inv.failedAt.IsZero() && !due.Before(inv.failedAt) {
		return inv.failedAt, inv.failedBy
	}
	return due, f.Key.StripeEventID
}

func (w *walk) openAt(f held, last *invoice) {
	w.open = &Delinquency{}
	var anchor time.Time
	if w.owed(last) {
		w.open.Invoice = last.id
		anchor, w.failedBy = last.overdueSince(f)
	}
	if owing(w.snapshot) && (anchor.IsZero() || w.latest.OccurredAt.Before(anchor)) {
		anchor, w.failedBy = w.latest.OccurredAt, w.latest.Key.StripeEventID
	}
	w.anchorAt(anchor)
}

// anchorAt lets the open delinquency begin at a time, with the grace period of
// the catalog in force then.
func (w *walk) anchorAt(t time.Time) {
	w.open.Anchor, w.open.GraceUntil, w.open.Catalog = t, t, ""
	if catalog, hash := w.catalogs.At(t); catalog != nil {
		w.open.GraceUntil, w.open.Catalog = t.Add(time.Duration(catalog.GracePeriod)), hash
	}
}

// finishInvoices tells of every invoice but those that were deleted as drafts.
func (w *walk) finishInvoices(t *SubscriptionTruth) {
	if n := len(w.invoices.byAge); n > 0 {
		t.Invoices = make([]InvoiceTruth, 0, n)
	}
	for _, inv := range w.invoices.byAge {
		w.flag(inv.contradictions()...)
		if !inv.deleted || inv.isPaid {
			t.Invoices = append(t.Invoices, inv.truth())
		}
	}
	t.Paid = sumPaid(t.Invoices)
}
