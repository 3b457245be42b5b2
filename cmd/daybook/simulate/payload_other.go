package simulate

// customerObject renders a customer.
func customerObject(c *customer, live bool) object {
	return object{
		{"id", c.id}, {"object", "customer"}, {"address", addressObject(c)}, {"balance", 0},
		{"created", c.created}, {"currency", nil}, {"default_source", nil}, {"delinquent", false},
		{"description", nil}, {"discount", nil}, {"email", c.email}, {"invoice_prefix", c.invoicePrefix},
		{"invoice_settings", object{
			{"custom_fields", nil}, {"default_payment_method", nil}, {"footer", nil}, {"rendering_options", nil},
		}},
		{"livemode", live}, {"metadata", c.metadata.object()}, {"name", c.name}, {"next_invoice_sequence", 1},
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

// scheduleObject renders the schedule that runs a subscription.
func scheduleObject(s *subscription, live bool) object {
	phase := object{
		{"end_date", s.periodEnd}, {"items", list{object{{"price", s.plan.price}, {"quantity", s.quantity}}}},
		{"start_date", s.periodStart},
	}
	return object{
		{"id", s.schedule}, {"object", "subscription_schedule"}, {"canceled_at", nil}, {"completed_at", nil},
		{"created", s.created}, {"current_phase", object{{"end_date", s.periodEnd}, {"start_date", s.periodStart}}},
		{"customer", s.customer.id}, {"end_behavior", "release"}, {"livemode", live}, {"metadata", object{}},
		{"phases", list{phase}}, {"status", "active"}, {"subscription", s.id},
	}
}
