package aggregate

import (
	"cmp"
	"slices"
)

// DeriveBill says what is true of the invoice of that id, whose own stream the
// set was gathered from, and of its credit notes: a pure function of the facts.
// An invoice that was deleted as a draft is none.
func (s *FactSet) DeriveBill(id string) BillTruth {
	w := billWalk{truth: BillTruth{ID: id, Position: s.position}}
	for _, f := range inStripesOrder(s.facts) {
		w.step(f)
	}
	return w.finish()
}

// billWalk goes through the facts of an invoice's stream in Stripe's order, once.
type billWalk struct {
	truth BillTruth
	bill  *invoice
	flags []string
}

func (w *billWalk) step(f held) {
	if f.OccurredAt.After(w.truth.LastOccurredAt) {
		w.truth.LastOccurredAt = f.OccurredAt
	}
	switch {
	case f.Invoice != nil:
		in := f.Invoice
		w.flags = flagMoney(addFlags(w.flags, in.Flags...), in.Currency, in.AmountDue, in.AmountPaid)
		w.truth.Customer = cmp.Or(in.Customer, w.truth.Customer)
		if w.bill == nil {
			w.bill = newInvoice(f)
		}
		w.bill.take(f)
	case f.CreditNote != nil:
		note := f.CreditNote
		w.flags = flagMoney(addFlags(w.flags, note.Flags...), note.Currency, note.Amount)
		w.truth.Customer = cmp.Or(note.Customer, w.truth.Customer)
		w.takeNote(f)
	}
}

// takeNote makes what a credit note's fact says the present truth of the note.
// What was voided stays so.
func (w *billWalk) takeNote(f held) {
	n := f.CreditNote
	note := CreditNoteTruth{ID: n.ID, Status: n.Status, Currency: n.Currency, Amount: n.Amount, Refunds: n.Refunds}
	i := slices.IndexFunc(w.truth.CreditNotes, func(known CreditNoteTruth) bool { return known.ID == n.ID })
	if f.Type == CreditNoteVoided || i >= 0 && w.truth.CreditNotes[i].Status == "void" {
		note.Status = "void"
	}
	if i < 0 {
		w.truth.CreditNotes = append(w.truth.CreditNotes, note)
		return
	}
	w.truth.CreditNotes[i] = note
}

func (w *billWalk) finish() BillTruth {
	t := &w.truth
	if w.bill != nil {
		w.flags = addFlags(w.flags, w.bill.contradictions()...)
		if !w.bill.deleted || w.bill.isPaid {
			invoice := w.bill.truth()
			t.Invoice = &invoice
		}
	}
	slices.SortFunc(t.CreditNotes, func(a, b CreditNoteTruth) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(w.flags)
	t.Flags = w.flags
	return *t
}
