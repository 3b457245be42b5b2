package simulate

import "strings"

// customerObject renders a customer.
func customerObject(c *customer, m metadata, live bool) object {
	return object{
		{"id", c.id}, {"object", "customer"}, {"address", addressObject(c)}, {"balance", 0},
		{"created", c.created}, {"currency", nil}, {"default_source", nil}, {"delinquent", false},
		{"description", nil}, {"discount", nil}, {"email", c.email}, {"invoice_prefix", c.invoicePrefix},
		{"invoice_settings", object{
			{"custom_fields", nil}, {"default_payment_method", nil}, {"footer", nil}, {"rendering_options", nil},
		}},
		{"livemode", live}, {"metadata", m.object()}, {"name", c.name}, {"next_invoice_sequence", 1},
		{"phone", c.phone}, {"preferred_locales", list{c.local}}, {"shipping", nil},
		{"tax_exempt", "none"}, {"test_clock", nil},
	}
}

func billingDetails(c *customer) object {
	return object{{"address", addressObject(c)}, {"email", c.email}, {"name", c.name}, {"phone", c.phone}}
}

// methodObject renders the customer's card.
func methodObject(c *customer, live bool) object {
	return object{
		{"id", c.paymentMethod}, {"object", "payment_method"}, {"billing_details", billingDetails(c)},
		{"card", object{
			{"brand", "visa"},
			{"checks", object{{"address_line1_check", "pass"}, {"address_postal_code_check", "pass"}, {"cvc_check", "pass"}}},
			{"country", c.country}, {"exp_month", 12}, {"exp_year", 2031}, {"fingerprint", "Sim" + c.id[4:]},
			{"funding", "credit"}, {"generated_from", nil}, {"last4", "4242"},
			{"networks", object{{"available", list{"visa"}}, {"preferred", nil}}},
			{"three_d_secure_usage", object{{"supported", true}}}, {"wallet", nil},
		}},
		{"created", c.created}, {"customer", c.id}, {"livemode", live}, {"metadata", object{}}, {"type", "card"},
	}
}

// chargeObject renders the charge that paid an invoice.
func chargeObject(i *invoice, g generation, live bool) object {
	c := i.subscription.customer
	o := object{
		{"id", i.charge}, {"object", "charge"}, {"amount", i.total()}, {"amount_captured", i.total()},
		{"amount_refunded", 0}, {"application", nil}, {"balance_transaction", "txn_" + i.charge[3:]},
		{"billing_details", billingDetails(c)}, {"calculated_statement_descriptor", "SIMULATED SOFTWORKS"},
		{"captured", true}, {"created", i.paidAt}, {"currency", i.currency}, {"customer", c.id},
		{"description", "Subscription update"}, {"disputed", false}, {"failure_code", nil}, {"fraud_details", object{}},
	}
	if !g.modern {
		o = o.with(field{"invoice", i.id})
	}
	return o.with(
		field{"livemode", live}, field{"metadata", object{}},
		field{"outcome", object{{"network_status", "approved_by_network"}, {"risk_level", "normal"}, {"type", "authorized"}}},
		field{"paid", true}, field{"payment_intent", i.intent}, field{"payment_method", c.paymentMethod},
		field{"receipt_email", c.email}, field{"refunded", false}, field{"status", "succeeded"},
	)
}

// invoicePaymentObject renders what ties an invoice to its payment since
// 2025-03-31.basil.
func invoicePaymentObject(i *invoice, live bool) object {
	return object{
		{"id", strings.Replace(i.intent, "pi_3", "inpay_1", 1)}, {"object", "invoice_payment"},
		{"amount_paid", i.total()}, {"amount_requested", i.total()}, {"created", i.paidAt},
		{"currency", i.currency}, {"invoice", i.id}, {"is_default", true}, {"livemode", live},
		{"payment", object{{"payment_intent", i.intent}, {"type", "payment_intent"}}}, {"status", "paid"},
		{"status_transitions", object{{"canceled_at", nil}, {"paid_at", moment(i.paidAt)}}},
	}
}
