package simulate

import "strconv"

// subscriptionObject renders a subscription in the shape of a generation.
func subscriptionObject(s *subscription, g generation, live bool) object {
	o := object{
		{"id", s.id}, {"object", "subscription"},
		{"application", nil}, {"application_fee_percent", nil},
		{"automatic_tax", automaticTax(g, false)},
		{"billing_cycle_anchor", s.anchor},
	}
	if g.modern {
		o = o.with(field{"billing_cycle_anchor_config", nil}, field{"billing_mode", billingMode(s)})
	}
	o = o.with(
		field{"billing_thresholds", nil},
		field{"cancel_at", moment(s.cancelAt)}, field{"cancel_at_period_end", s.cancelAtPeriodEnd},
		field{"canceled_at", moment(s.canceledAt)},
		field{"cancellation_details", object{{"comment", nil}, {"feedback", text(s.feedback)}, {"reason", text(s.cancelReason)}}},
		field{"collection_method", s.collectionMethod()}, field{"created", s.created}, field{"currency", s.plan.currency},
	)
	if !g.modern {
		o = o.with(field{"current_period_end", s.periodEnd}, field{"current_period_start", s.periodStart})
	}
	o = append(o, subscriptionParties(s, g)...)
	o = append(o, subscriptionBody(s, g, live)...)
	return append(o, subscriptionTail(s, g, live)...)
}

func (s *subscription) collectionMethod() string {
	if s.sendInvoice {
		return "send_invoice"
	}
	return "charge_automatically"
}

func billingMode(s *subscription) object {
	if s.flexible {
		return object{{"flexible", object{{"proration_discounts", "included"}}}, {"type", "flexible"}, {"updated_at", s.created}}
	}
	return object{{"flexible", nil}, {"type", "classic"}}
}

func automaticTax(g generation, withStatus bool) object {
	o := object{{"enabled", false}}
	if g.modern {
		o = object{{"disabled_reason", nil}, {"enabled", false}, {"liability", nil}}
	}
	if g.modern && withStatus {
		o = o.with(field{"provider", nil})
	}
	if withStatus {
		o = o.with(field{"status", nil})
	}
	return o
}

func subscriptionParties(s *subscription, g generation) object {
	days, card := any(nil), any(s.customer.paymentMethod)
	if s.sendInvoice {
		days = 14
	}
	if s.sendInvoice || s.missingCard != "" || s.status == "incomplete" {
		card = nil
	}
	o := object{
		{"customer", s.customer.id}, {"days_until_due", days},
		{"default_payment_method", card}, {"default_source", nil}, {"default_tax_rates", list{}},
		{"description", nil},
	}
	if !g.modern {
		o = o.with(field{"discount", nil})
	}
	if g.modern || g.version >= "2024" {
		o = o.with(field{"discounts", list{}})
	}
	o = o.with(field{"ended_at", moment(s.endedAt)})
	if g.details || g.modern {
		o = o.with(field{"invoice_settings", object{{"account_tax_ids", nil}, {"issuer", object{{"type", "self"}}}}})
	}
	return o
}

func subscriptionBody(s *subscription, g generation, live bool) object {
	items := object{
		{"object", "list"}, {"data", list{itemObject(s, g, live)}}, {"has_more", false}, {"total_count", 1},
		{"url", "/v1/subscription_items?subscription=" + s.id},
	}
	return object{
		{"items", items}, {"latest_invoice", text(s.latestInvoice)}, {"livemode", live},
		{"metadata", s.metadata.object()}, {"next_pending_invoice_item_invoice", nil}, {"on_behalf_of", nil},
		{"pause_collection", pauseObject(s.pauses)},
		{"payment_settings", object{
			{"payment_method_options", object{{"card", object{{"network", nil}, {"request_three_d_secure", "automatic"}}}}},
			{"payment_method_types", nil}, {"save_default_payment_method", "off"},
		}},
		{"pending_invoice_item_interval", nil}, {"pending_setup_intent", text(s.setupIntent)}, {"pending_update", nil},
	}
}

func pauseObject(behavior string) any {
	if behavior == "" {
		return nil
	}
	return object{{"behavior", behavior}, {"resumes_at", nil}}
}

func subscriptionTail(s *subscription, g generation, live bool) object {
	missing := s.missingCard
	if missing == "" {
		missing = "create_invoice"
	}
	return object{
		{"plan", planObject(s.plan, g, live)}, {"quantity", s.quantity}, {"schedule", nil},
		{"start_date", s.created}, {"status", s.status}, {"test_clock", nil}, {"transfer_data", nil},
		{"trial_end", moment(s.trialEnd)},
		{"trial_settings", object{{"end_behavior", object{{"missing_payment_method", missing}}}}},
		{"trial_start", moment(s.trialStart)},
	}
}

func itemObject(s *subscription, g generation, live bool) object {
	o := object{{"id", s.item}, {"object", "subscription_item"}, {"billing_thresholds", nil}, {"created", s.created}}
	if g.modern {
		o = o.with(field{"current_period_end", s.periodEnd}, field{"current_period_start", s.periodStart})
	}
	if g.modern || g.version >= "2024" {
		o = o.with(field{"discounts", list{}})
	}
	return o.with(
		field{"metadata", object{}},
		field{"plan", planObject(s.plan, g, live)}, field{"price", priceObject(s.plan, g, live)},
		field{"quantity", s.quantity}, field{"subscription", s.id}, field{"tax_rates", list{}},
	)
}

// pricesMade is when the prices were created: a plan outlives many runs.
const pricesMade = 1668409544

// interval is the length of a period in Stripe's words.
func (p plan) interval() string {
	if p.months == 12 {
		return "year"
	}
	return "month"
}

func planObject(p plan, g generation, live bool) object {
	o := object{{"id", p.price}, {"object", "plan"}, {"active", true}}
	if !g.modern {
		o = o.with(field{"aggregate_usage", nil})
	}
	o = o.with(
		field{"amount", p.unit}, field{"amount_decimal", strconv.FormatInt(p.unit, 10)},
		field{"billing_scheme", "per_unit"}, field{"created", pricesMade}, field{"currency", p.currency},
		field{"interval", p.interval()}, field{"interval_count", 1}, field{"livemode", live}, field{"metadata", object{}},
	)
	if g.modern {
		o = o.with(field{"meter", nil})
	}
	return o.with(
		field{"nickname", p.nickname}, field{"product", p.product}, field{"tiers_mode", nil},
		field{"transform_usage", nil}, field{"trial_period_days", nil}, field{"usage_type", "licensed"},
	)
}

func priceObject(p plan, g generation, live bool) object {
	recurring := object{{"aggregate_usage", nil}, {"interval", p.interval()}, {"interval_count", 1}}
	if g.modern {
		recurring = object{{"interval", p.interval()}, {"interval_count", 1}, {"meter", nil}}
	}
	recurring = recurring.with(field{"trial_period_days", nil}, field{"usage_type", "licensed"})
	return object{
		{"id", p.price}, {"object", "price"}, {"active", true}, {"billing_scheme", "per_unit"},
		{"created", pricesMade}, {"currency", p.currency}, {"custom_unit_amount", nil}, {"livemode", live},
		{"lookup_key", text(p.lookup)}, {"metadata", object{}}, {"nickname", p.nickname}, {"product", p.product},
		{"recurring", recurring}, {"tax_behavior", "unspecified"}, {"tiers_mode", nil}, {"transform_quantity", nil},
		{"type", "recurring"}, {"unit_amount", p.unit}, {"unit_amount_decimal", strconv.FormatInt(p.unit, 10)},
	}
}
