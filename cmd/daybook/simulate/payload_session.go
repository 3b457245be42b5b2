package simulate

import "cmp"

// session is a Stripe checkout session.
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
	// unpaid says that the money is on its way, or never came.
	unpaid bool
	// mode is "subscription" if empty; a "payment" has its payment.
	mode    string
	payment *payment
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

// total is null where nothing is sold.
func (s *session) total() any {
	switch {
	case s.mode == "setup":
		return nil
	case s.payment != nil:
		return s.payment.amount
	case s.expired:
		return int64(2900)
	}
	return s.invoice.total()
}

func (s *session) paymentStatus() string {
	switch {
	case s.expired || s.unpaid:
		return "unpaid"
	case s.mode == "setup" || s.invoice != nil && s.invoice.total() == 0:
		return "no_payment_required"
	}
	return "paid"
}

// parts names what came of the session.
func (s *session) parts() (invoice, intent, setup text) {
	if s.invoice != nil {
		invoice = text(s.invoice.id)
	}
	if s.payment != nil {
		intent = text(s.payment.intent)
	}
	if s.mode == "setup" {
		setup = text("seti_1" + s.id[len(s.id)-23:])
	}
	return invoice, intent, setup
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
	status := "complete"
	if s.expired {
		status = "expired"
	}
	invoiceID, intent, setup := s.parts()
	o := object{}
	if g.modern {
		o = o.with(field{"discounts", list{}})
	}
	return o.with(
		field{"expires_at", s.created + 86400}, field{"invoice", invoiceID}, field{"invoice_creation", nil},
		field{"livemode", live}, field{"locale", "auto"}, field{"metadata", s.metadata.object()},
		field{"mode", cmp.Or(s.mode, "subscription")}, field{"payment_intent", intent}, field{"payment_link", nil},
		field{"payment_method_collection", "always"}, field{"payment_method_configuration_details", nil},
		field{"payment_method_options", object{{"card", object{{"request_three_d_secure", "automatic"}}}}},
		field{"payment_method_types", list{"card", "link"}}, field{"payment_status", s.paymentStatus()},
		field{"phone_number_collection", object{{"enabled", true}}}, field{"recovered_from", nil},
		field{"saved_payment_method_options", object{{"allow_redisplay_filters", list{"always"}}, {"payment_method_save", nil}}},
		field{"setup_intent", setup}, field{"status", status}, field{"submit_type", nil},
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
