package simulate

import "fmt"

// creditNote takes back a part of a paid invoice: by a refund, or as a balance
// for later invoices.
type creditNote struct {
	id, number, reason string
	invoice            *invoice
	refund             *refund
	amount             int64
	created, voided    int64
}

// credit issues a credit note now.
func (s *story) credit(n *creditNote) {
	s.customer.creditNotes++
	n.id, n.created = "cn_1"+s.token(23), s.now
	n.number = fmt.Sprintf("%s-CN-%02d", n.invoice.number, s.customer.creditNotes)
	s.emit("credit_note.created", s.showCreditNote(n), nil, byRequest)
}

// withdraw voids a credit note now.
func (s *story) withdraw(n *creditNote) {
	n.voided = s.now
	s.emit("credit_note.voided", s.showCreditNote(n), nil, byRequest)
}

func (s *story) showCreditNote(n *creditNote) object {
	return creditNoteObject(n, s.generation(), s.options.Livemode)
}

// creditNoteObject renders a credit note. Its refund stands in a list since
// 2025-03-31.basil.
func creditNoteObject(n *creditNote, g generation, live bool) object {
	inv, status := n.invoice, "issued"
	if n.voided != 0 {
		status = "void"
	}
	o := object{
		{"id", n.id}, {"object", "credit_note"}, {"amount", n.amount}, {"amount_shipping", 0}, {"created", n.created},
		{"currency", inv.currency}, {"customer", inv.subscription.customer.id}, {"customer_balance_transaction", nil},
		{"discount_amount", 0}, {"discount_amounts", list{}}, {"invoice", inv.id}, {"lines", creditLines(n, live)},
		{"livemode", live}, {"memo", nil}, {"metadata", object{}}, {"number", n.number}, {"out_of_band_amount", nil},
		{"reason", n.reason},
	}
	o = append(o, creditRefund(n, g)...)
	return o.with(
		field{"shipping_cost", nil}, field{"status", status}, field{"subtotal", n.amount}, field{"total", n.amount},
		field{"total_excluding_tax", n.amount}, field{"type", "post_payment"}, field{"voided_at", moment(n.voided)},
	)
}

func creditLines(n *creditNote, live bool) object {
	data := list{object{
		{"id", "cnli_1" + n.id[4:]}, {"object", "credit_note_line_item"}, {"amount", n.amount},
		{"description", "Goodwill"}, {"livemode", live}, {"quantity", 1}, {"type", "custom_line_item"},
	}}
	return object{
		{"object", "list"}, {"data", data}, {"has_more", false}, {"total_count", 1},
		{"url", "/v1/credit_notes/" + n.id + "/lines"},
	}
}

func creditRefund(n *creditNote, g generation) object {
	switch {
	case !g.modern && n.refund == nil:
		return object{{"refund", nil}}
	case !g.modern:
		return object{{"refund", n.refund.id}}
	case n.refund == nil:
		return object{{"refunds", list{}}}
	}
	return object{{"refunds", list{object{{"amount_refunded", n.refund.amount}, {"refund", n.refund.id}}}}}
}
