package simulate

import (
	"cmp"
	"strconv"
)

// invoiceObject renders an invoice in the shape of a generation.
func invoiceObject(i *invoice, g generation, live bool) object {
	o := object{
		{"id", i.id}, {"object", "invoice"},
		{"account_country", "US"}, {"account_name", "Simulated Softworks"}, {"account_tax_ids", nil},
	}
	o = append(o, invoiceAmounts(i, g)...)
	o = append(o, invoiceBilling(i, g)...)
	o = append(o, invoiceCustomer(i.subscription.customer)...)
	o = append(o, invoiceTerms(i, g)...)
	o = append(o, invoiceLinks(i, live)...)
	o = o.with(field{"lines", invoiceLines(i, g, live)}, field{"livemode", live}, field{"metadata", object{}},
		field{"next_payment_attempt", moment(i.nextAttempt)}, field{"number", text(i.number)}, field{"on_behalf_of", nil})
	o = append(o, invoicePayment(i, g)...)
	return append(o, invoiceTotals(i, g)...)
}

func invoiceAmounts(i *invoice, g generation) object {
	o := object{{"amount_due", i.total()}}
	if g.modern {
		o = o.with(field{"amount_overpaid", 0})
	}
	o = o.with(field{"amount_paid", i.amountPaid(g)}, field{"amount_remaining", i.total() - i.amountPaid(g)},
		field{"amount_shipping", 0}, field{"application", nil})
	if !g.modern {
		o = o.with(field{"application_fee_amount", nil})
	}
	return o.with(field{"attempt_count", i.attempts}, field{"attempted", i.attempts > 0 || i.status == "paid"},
		field{"auto_advance", i.status == "open" && i.nextAttempt != 0})
}

func invoiceBilling(i *invoice, g generation) object {
	o := object{{"automatic_tax", automaticTax(g, true)}}
	if g.modern {
		o = o.with(field{"automatically_finalizes_at", nil})
	}
	o = o.with(field{"billing_reason", i.reason})
	if !g.modern {
		o = o.with(field{"charge", text(i.chargeID())})
	}
	return o.with(
		field{"collection_method", i.subscription.collectionMethod()},
		field{"created", i.created}, field{"currency", i.currency}, field{"custom_fields", nil},
	)
}

func invoiceCustomer(c *customer) object {
	return object{
		{"customer", c.id}, {"customer_address", addressObject(c)},
		{"customer_email", c.email}, {"customer_name", c.name}, {"customer_phone", c.phone},
		{"customer_shipping", nil}, {"customer_tax_exempt", "none"}, {"customer_tax_ids", list{}},
	}
}

func addressObject(c *customer) object {
	return object{
		{"city", c.city}, {"country", c.country}, {"line1", c.line1}, {"line2", nil},
		{"postal_code", c.postal}, {"state", nil},
	}
}

func invoiceTerms(i *invoice, g generation) object {
	o := object{{"default_payment_method", nil}, {"default_source", nil}, {"default_tax_rates", list{}}, {"description", nil}}
	if !g.modern {
		o = o.with(field{"discount", nil})
	}
	o = o.with(field{"discounts", list{}}, field{"due_date", moment(i.dueDate)})
	if g.details || g.modern {
		o = o.with(field{"effective_at", moment(i.finalized)})
	}
	return o.with(field{"ending_balance", 0}, field{"footer", nil}, field{"from_invoice", nil})
}

func invoiceLinks(i *invoice, live bool) object {
	mode := "test_"
	if live {
		mode = "live_"
	}
	path := "acct_1SimDaybook0000/" + mode + "YWNjdF8xU2ltRGF5Ym9vazAwMDAs" + i.id[3:]
	return object{
		{"hosted_invoice_url", "https://invoice.stripe.com/i/" + path + "?s=ap"},
		{"invoice_pdf", "https://pay.stripe.com/invoice/" + path + "/pdf?s=ap"},
		{"issuer", object{{"type", "self"}}},
		{"last_finalization_error", nil}, {"latest_revision", nil},
	}
}

func invoiceLines(i *invoice, g generation, live bool) object {
	data := list{}
	for _, l := range i.lines {
		if g.modern {
			data = append(data, modernLine(i, l, live))
		} else {
			data = append(data, olderLine(i, l, g, live))
		}
	}
	return object{
		{"object", "list"}, {"data", data}, {"has_more", false}, {"total_count", len(data)},
		{"url", "/v1/invoices/" + i.id + "/lines"},
	}
}

func olderLine(i *invoice, l line, g generation, live bool) object {
	o := object{
		{"id", l.id}, {"object", "line_item"}, {"amount", l.amount}, {"amount_excluding_tax", l.amount},
		{"currency", i.currency}, {"description", l.description}, {"discount_amounts", list{}},
		{"discountable", !l.proration}, {"discounts", list{}},
	}
	kind := "subscription"
	if l.proration || i.oneOff {
		kind = "invoiceitem"
		o = o.with(field{"invoice_item", l.item})
	}
	return o.with(
		field{"livemode", live}, field{"metadata", i.metadata.object()},
		field{"period", object{{"end", l.end}, {"start", l.start}}},
		field{"plan", planObject(l.plan, g, live)}, field{"price", priceObject(l.plan, g, live)},
		field{"proration", l.proration}, field{"proration_details", object{{"credited_items", nil}}},
		field{"quantity", l.quantity}, field{"subscription", text(i.subscriptionID())},
		field{"subscription_item", text(l.subscriptionItemOf(i))}, field{"tax_amounts", list{}}, field{"tax_rates", list{}},
		field{"type", kind}, field{"unit_amount_excluding_tax", strconv.FormatInt(l.amount/max(l.quantity, 1), 10)},
	)
}

func modernLine(i *invoice, l line, live bool) object {
	return object{
		{"id", l.id}, {"object", "line_item"}, {"amount", l.amount}, {"currency", i.currency},
		{"description", l.description}, {"discount_amounts", list{}}, {"discountable", !l.proration},
		{"discounts", list{}}, {"invoice", i.id}, {"livemode", live}, {"metadata", i.metadata.object()},
		{"parent", lineParent(i, l)},
		{"period", object{{"end", l.end}, {"start", l.start}}}, {"pretax_credit_amounts", list{}},
		{"pricing", object{
			{"price_details", object{{"price", l.plan.price}, {"product", l.plan.product}}},
			{"type", "price_details"}, {"unit_amount_decimal", strconv.FormatInt(l.plan.unit, 10)},
		}},
		{"quantity", l.quantity}, {"taxes", list{}},
	}
}

// lineParent tells what a line bills, since 2025-03-31.basil.
func lineParent(i *invoice, l line) object {
	if i.oneOff {
		details := object{
			{"invoice_item", l.item}, {"proration", false}, {"proration_details", object{{"credited_items", nil}}}, {"subscription", nil},
		}
		return object{{"invoice_item_details", details}, {"subscription_item_details", nil}, {"type", "invoice_item_details"}}
	}
	details := object{
		{"invoice_item", nil}, {"proration", l.proration}, {"proration_details", object{{"credited_items", nil}}},
		{"subscription", i.subscription.id}, {"subscription_item", l.subscriptionItemOf(i)},
	}
	if l.proration {
		details[0].value = l.item
	}
	return object{{"invoice_item_details", nil}, {"subscription_item_details", details}, {"type", "subscription_item_details"}}
}

// invoicePayment holds the members that tell, each generation in its own
// place, how the invoice was paid and which subscription it is for.
func invoicePayment(i *invoice, g generation) object {
	settings := object{
		{"default_mandate", nil},
		{"payment_method_options", object{{"card", object{{"request_three_d_secure", "automatic"}}}}},
		{"payment_method_types", nil},
	}
	if g.modern {
		return object{{"parent", invoiceParent(i)}, {"payment_settings", settings}}
	}
	return object{
		{"paid", i.status == "paid"}, {"paid_out_of_band", i.outOfBand}, {"payment_intent", text(i.intentID())},
		{"payment_settings", settings},
	}
}

func invoiceParent(i *invoice) any {
	if i.oneOff {
		return nil
	}
	return object{
		{"quote_details", nil},
		{"subscription_details", object{{"metadata", i.metadata.object()}, {"subscription", i.subscription.id}}},
		{"type", "subscription_details"},
	}
}

// subscriptionID is empty for a one-off invoice.
func (i *invoice) subscriptionID() string {
	if i.oneOff {
		return ""
	}
	return i.subscription.id
}

func invoiceTotals(i *invoice, g generation) object {
	o := object{
		{"period_end", i.created}, {"period_start", i.subscription.created},
		{"post_payment_credit_notes_amount", 0}, {"pre_payment_credit_notes_amount", 0},
	}
	if !g.modern {
		o = o.with(field{"quote", nil})
	}
	o = o.with(
		field{"receipt_number", nil}, field{"rendering", nil}, field{"shipping_cost", nil}, field{"shipping_details", nil},
		field{"starting_balance", 0}, field{"statement_descriptor", nil}, field{"status", i.status},
		field{"status_transitions", object{
			{"finalized_at", moment(i.finalized)}, {"marked_uncollectible_at", moment(i.givenUp)},
			{"paid_at", moment(i.paidAt)}, {"voided_at", moment(i.voided)},
		}},
	)
	if !g.modern {
		o = o.with(field{"subscription", text(i.subscriptionID())})
	}
	if g.details {
		o = o.with(field{"subscription_details", invoiceDetails(i)})
	}
	return append(o, invoiceSums(i, g)...)
}

func invoiceDetails(i *invoice) any {
	if i.oneOff {
		return nil
	}
	return object{{"metadata", i.metadata.object()}}
}

func invoiceSums(i *invoice, g generation) object {
	o := object{{"subtotal", i.subtotal()}, {"subtotal_excluding_tax", i.subtotal()}}
	if !g.modern {
		o = o.with(field{"tax", nil})
	}
	o = o.with(
		field{"test_clock", text(i.subscription.clock.name())}, field{"total", i.total()}, field{"total_discount_amounts", discountAmounts(i)},
		field{"total_excluding_tax", i.total()},
	)
	if g.modern {
		return o.with(field{"total_pretax_credit_amounts", list{}}, field{"total_taxes", list{}},
			field{"webhooks_delivered_at", i.created})
	}
	return o.with(field{"total_tax_amounts", list{}}, field{"transfer_data", nil}, field{"webhooks_delivered_at", i.created})
}

func discountAmounts(i *invoice) list {
	if i.percentOff == 0 {
		return list{}
	}
	return list{object{{"amount", i.discount()}, {"discount", "di_1" + i.id[4:]}}}
}

func (l line) subscriptionItemOf(i *invoice) string {
	return cmp.Or(l.subscriptionItem, i.subscription.item)
}
