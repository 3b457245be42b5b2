package simulate

import "strings"

// chargeObject renders a charge. Until 2025-03-31.basil it names its invoice.
func chargeObject(p *payment, g generation, live bool) object {
	c, paid := p.customer, p.status == "succeeded"
	captured, failure, balance := int64(0), any("card_declined"), any(nil)
	if paid {
		captured, failure, balance = p.amount, nil, "txn_"+p.charge[3:]
	}
	o := object{
		{"id", p.charge}, {"object", "charge"}, {"amount", p.amount}, {"amount_captured", captured},
		{"amount_refunded", p.shownRefunded}, {"application", nil}, {"application_fee", nil}, {"balance_transaction", balance},
		{"billing_details", billingDetails(c)}, {"calculated_statement_descriptor", "SIMULATED SOFTWORKS"},
		{"captured", paid}, {"created", p.attempted}, {"currency", p.currency}, {"customer", c.id},
		{"description", "Subscription update"}, {"destination", nil}, {"dispute", nil}, {"disputed", p.disputed},
		{"failure_balance_transaction", nil}, {"failure_code", failure}, {"failure_message", nil}, {"fraud_details", object{}},
	}
	if !g.modern {
		o = o.with(field{"invoice", text(p.invoiceID())})
	}
	o = o.with(
		field{"livemode", live}, field{"metadata", object{}}, field{"on_behalf_of", nil}, field{"outcome", outcomeObject(paid)},
		field{"paid", paid}, field{"payment_intent", p.intent}, field{"payment_method", c.paymentMethod},
		field{"receipt_email", c.email}, field{"receipt_number", nil}, field{"refunded", p.shownRefunded == p.amount && paid},
	)
	if g.inlineRefunds {
		o = o.with(field{"refunds", refundList(p, live)})
	}
	return o.with(field{"review", nil}, field{"shipping", nil}, field{"source", nil}, field{"statement_descriptor", nil},
		field{"status", p.status}, field{"transfer_data", nil}, field{"transfer_group", nil})
}

func outcomeObject(paid bool) object {
	if paid {
		return object{{"network_status", "approved_by_network"}, {"reason", nil}, {"risk_level", "normal"}, {"type", "authorized"}}
	}
	return object{{"network_status", "declined_by_network"}, {"reason", "generic_decline"}, {"risk_level", "normal"}, {"type", "issuer_declined"}}
}

func (p *payment) invoiceID() string {
	if p.invoice == nil {
		return ""
	}
	return p.invoice.id
}

// refundList is a charge's refunds, the newest first.
func refundList(p *payment, live bool) object {
	data := list{}
	for i := range p.refunds {
		data = append(data, refundObject(p.refunds[len(p.refunds)-1-i], live))
	}
	return object{
		{"object", "list"}, {"data", data}, {"has_more", false}, {"total_count", len(data)},
		{"url", "/v1/charges/" + p.charge + "/refunds"},
	}
}

// intentObject renders a payment intent. Until 2025-03-31.basil it names its
// invoice.
func intentObject(p *payment, g generation, live bool) object {
	status, received, lastError := "processing", int64(0), any(nil)
	switch p.status {
	case "succeeded":
		status, received = "succeeded", p.amount
	case "failed":
		status = "requires_payment_method"
		lastError = object{
			{"charge", p.charge}, {"code", "card_declined"}, {"decline_code", "generic_decline"},
			{"message", "Your card was declined."}, {"type", "card_error"},
		}
	}
	o := object{
		{"id", p.intent}, {"object", "payment_intent"}, {"amount", p.amount}, {"amount_capturable", 0},
		{"amount_details", object{{"tip", object{}}}}, {"amount_received", received}, {"application", nil},
		{"application_fee_amount", nil}, {"automatic_payment_methods", nil}, {"canceled_at", nil},
		{"cancellation_reason", nil}, {"capture_method", "automatic"}, {"client_secret", "redacted"},
		{"confirmation_method", "automatic"}, {"created", p.created}, {"currency", p.currency},
		{"customer", p.customer.id}, {"description", "Subscription update"},
	}
	if !g.modern {
		o = o.with(field{"invoice", text(p.invoiceID())})
	}
	return o.with(
		field{"last_payment_error", lastError}, field{"latest_charge", text(p.charge)}, field{"livemode", live},
		field{"metadata", object{}}, field{"next_action", nil}, field{"on_behalf_of", nil},
		field{"payment_method", p.customer.paymentMethod}, field{"payment_method_types", list{"card"}},
		field{"processing", nil}, field{"receipt_email", p.customer.email}, field{"review", nil},
		field{"setup_future_usage", "off_session"}, field{"shipping", nil}, field{"source", nil},
		field{"statement_descriptor", nil}, field{"status", status}, field{"transfer_data", nil}, field{"transfer_group", nil},
	)
}

// refundObject renders a refund.
func refundObject(r *refund, live bool) object {
	p := r.payment
	o := object{
		{"id", r.id}, {"object", "refund"}, {"amount", r.amount}, {"balance_transaction", "txn_" + r.id[3:]},
		{"charge", p.charge}, {"created", r.created}, {"currency", p.currency},
	}
	if r.status == "failed" {
		o = o.with(field{"failure_balance_transaction", "txn_f" + r.id[3:]}, field{"failure_reason", "expired_or_canceled_card"})
	}
	return o.with(
		field{"livemode", live}, field{"metadata", object{}}, field{"payment_intent", p.intentUnless(r.byCharge)}, field{"reason", text(r.reason)},
		field{"receipt_number", nil}, field{"source_transfer_reversal", nil}, field{"status", r.status},
		field{"transfer_reversal", nil},
	)
}

// disputeObject renders a dispute. It names no customer.
func disputeObject(d *dispute, g generation, live bool) object {
	p, submitted := d.payment, 0
	if d.evidence {
		submitted = 1
	}
	moved := list{}
	if !d.inquiry {
		moved = append(moved, disputeMove(d, -p.amount))
	}
	if d.status == "won" {
		moved = append(moved, disputeMove(d, p.amount))
	}
	o := object{
		{"id", d.id}, {"object", "dispute"}, {"amount", p.amount}, {"balance_transactions", moved},
		{"charge", p.charge}, {"created", d.created}, {"currency", p.currency},
	}
	if g.modern {
		o = o.with(field{"enhanced_eligibility_types", list{}})
	}
	return o.with(
		field{"evidence", object{{"access_activity_log", nil}, {"customer_name", p.customer.name}, {"uncategorized_text", nil}}},
		field{"evidence_details", object{
			{"due_by", d.created + span(7*day)}, {"has_evidence", d.evidence}, {"past_due", false}, {"submission_count", submitted},
		}},
		field{"is_charge_refundable", d.inquiry}, field{"livemode", live}, field{"metadata", object{}},
		field{"payment_intent", p.intentUnless(d.byCharge)}, field{"reason", d.reason}, field{"status", d.status},
	)
}

// disputeMove is one movement of a dispute's money.
func disputeMove(d *dispute, amount int64) object {
	return object{
		{"id", "txn_1" + d.id[4:]}, {"object", "balance_transaction"}, {"amount", amount}, {"currency", d.payment.currency},
		{"fee", 0}, {"net", amount}, {"reporting_category", "dispute"}, {"type", "adjustment"},
	}
}

// invoicePaymentObject renders what ties an invoice to its payment since
// 2025-03-31.basil.
func invoicePaymentObject(i *invoice, live bool) object {
	intent := i.payment.intent
	return object{
		{"id", strings.Replace(intent, "pi_3", "inpay_1", 1)}, {"object", "invoice_payment"},
		{"amount_paid", i.total()}, {"amount_requested", i.total()}, {"created", i.paidAt},
		{"currency", i.currency}, {"invoice", i.id}, {"is_default", true}, {"livemode", live},
		{"payment", object{{"payment_intent", intent}, {"type", "payment_intent"}}}, {"status", "paid"},
		{"status_transitions", object{{"canceled_at", nil}, {"paid_at", moment(i.paidAt)}}},
	}
}
