package simulate

// session is a Stripe checkout session that was completed.
type session struct {
	id           string
	subscription *subscription
	customer     *customer
	invoice      *invoice
	metadata     metadata
	reference    string
	created      int64
	// expired says that the buyer went away: no subscription came of it.
	expired bool
}

// sessionObject renders a checkout session in the shape of a generation.
func sessionObject(s *session, g generation, live bool) object {
	o := object{{"id", s.id}, {"object", "checkout.session"}}
	if g.modern {
		o = o.with(field{"adaptive_pricing", object{{"enabled", true}}})
	}
	o = append(o, sessionOffer(s, g)...)
	o = append(o, sessionCustomer(s, g)...)
	o = append(o, sessionState(s, g, live)...)
	return append(o, sessionEnd(s, g)...)
}

func (s *session) total() any {
	if s.expired {
		return int64(2900)
	}
	return s.invoice.total()
}

func sessionOffer(s *session, g generation) object {
	return object{
		{"after_expiration", nil}, {"allow_promotion_codes", false},
		{"amount_subtotal", s.total()}, {"amount_total", s.total()},
		{"automatic_tax", automaticTax(g, true)}, {"billing_address_collection", "auto"},
		{"cancel_url", "https://app.example.com/billing/canceled"},
		{"client_reference_id", text(s.reference)}, {"client_secret", nil},
		{"consent", nil}, {"consent_collection", nil}, {"created", s.created},
		{"currency", s.customer.currency}, {"currency_conversion", nil}, {"custom_fields", list{}},
		{"custom_text", object{
			{"after_submit", nil}, {"shipping_address", nil}, {"submit", nil}, {"terms_of_service_acceptance", nil},
		}},
	}
}

func sessionCustomer(s *session, g generation) object {
	o := object{}
	if g.modern {
		o = o.with(field{"collected_information", object{{"business_name", nil}, {"individual_name", nil}, {"shipping_details", nil}}})
	}
	c := s.customer
	details := object{{"address", addressObject(c)}}
	if g.modern {
		details = details.with(field{"business_name", nil})
	}
	details = details.with(field{"email", c.email})
	if g.modern {
		details = details.with(field{"individual_name", nil})
	}
	details = details.with(field{"name", c.name}, field{"phone", c.phone}, field{"tax_exempt", "none"}, field{"tax_ids", list{}})
	return o.with(
		field{"customer", c.id}, field{"customer_creation", "always"}, field{"customer_details", details},
		field{"customer_email", nil},
	)
}

func sessionState(s *session, g generation, live bool) object {
	status, paid, invoiceID := "complete", "paid", any(nil)
	if s.expired {
		status, paid = "expired", "unpaid"
	} else {
		invoiceID = s.invoice.id
		if s.invoice.total() == 0 {
			paid = "no_payment_required"
		}
	}
	o := object{}
	if g.modern {
		o = o.with(field{"discounts", list{}})
	}
	return o.with(
		field{"expires_at", s.created + 86400}, field{"invoice", invoiceID}, field{"invoice_creation", nil},
		field{"livemode", live}, field{"locale", "auto"}, field{"metadata", s.metadata.object()},
		field{"mode", "subscription"}, field{"payment_intent", nil}, field{"payment_link", nil},
		field{"payment_method_collection", "always"}, field{"payment_method_configuration_details", nil},
		field{"payment_method_options", object{{"card", object{{"request_three_d_secure", "automatic"}}}}},
		field{"payment_method_types", list{"card", "link"}}, field{"payment_status", paid},
		field{"phone_number_collection", object{{"enabled", true}}}, field{"recovered_from", nil},
		field{"saved_payment_method_options", object{{"allow_redisplay_filters", list{"always"}}, {"payment_method_save", nil}}},
		field{"setup_intent", nil}, field{"status", status}, field{"submit_type", nil},
	)
}

func sessionEnd(s *session, g generation) object {
	subscriptionID := any(nil)
	if s.subscription != nil {
		subscriptionID = s.subscription.id
	}
	o := object{{"shipping_address_collection", nil}, {"shipping_cost", nil}}
	if !g.modern {
		o = o.with(field{"shipping_details", nil})
	}
	o = o.with(
		field{"shipping_options", list{}}, field{"subscription", subscriptionID},
		field{"success_url", "https://app.example.com/billing/done?session_id={CHECKOUT_SESSION_ID}"},
		field{"total_details", object{{"amount_discount", 0}, {"amount_shipping", 0}, {"amount_tax", 0}}},
		field{"ui_mode", "hosted"}, field{"url", nil},
	)
	if g.modern {
		o = o.with(field{"wallet_options", nil})
	}
	return o
}
