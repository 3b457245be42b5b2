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
		o = o.with(field{"discount", discountObject(s)})
	}
	if g.modern || g.version >= "2024" {
		o = o.with(field{"discounts", discountIDs(s)})
	}
	o = o.with(field{"ended_at", moment(s.endedAt)})
	if g.details || g.modern {
		o = o.with(field{"invoice_settings", object{{"account_tax_ids", nil}, {"issuer", object{{"type", "self"}}}}})
	}
	return o
}

// discountObject is how older versions tell of a coupon.
func discountObject(s *subscription) any {
	if s.percentOff == 0 {
		return nil
	}
	return object{
		{"id", "di_1" + s.id[5:]}, {"object", "discount"}, {"checkout_session", nil},
		{"coupon", object{
			{"id", "SIMCOUPON"}, {"object", "coupon"}, {"amount_off", nil}, {"duration", "forever"},
			{"percent_off", s.percentOff}, {"valid", true},
		}},
		{"customer", s.customer.id}, {"end", nil}, {"start", s.created}, {"subscription", s.id},
	}
}

func discountIDs(s *subscription) list {
	if s.percentOff == 0 {
		return list{}
	}
	return list{"di_1" + s.id[5:]}
}

func subscriptionBody(s *subscription, g generation, live bool) object {
	items := object{
		{"object", "list"}, {"data", itemObjects(s, g, live)}, {"has_more", false}, {"total_count", 1 + len(s.extras)},
		{"url", "/v1/subscription_items?subscription=" + s.id},
	}
	return object{
		{"items", items}, {"latest_invoice", text(s.latestInvoice)}, {"livemode", live},
		{"metadata", s.metadata.object()}, {"next_pending_invoice_item_invoice", nil}, {"on_behalf_of", nil},
		{"pause_collection", pauseObject(s.pauses, s.resumesAt)},
		{"payment_settings", object{
			{"payment_method_options", object{{"card", object{{"network", nil}, {"request_three_d_secure", "automatic"}}}}},
			{"payment_method_types", nil}, {"save_default_payment_method", "off"},
		}},
		{"pending_invoice_item_interval", nil}, {"pending_setup_intent", text(s.setupIntent)}, {"pending_update", pendingObject(s)},
	}
}

func pauseObject(behavior string, resumesAt int64) any {
	if behavior == "" {
		return nil
	}
	return object{{"behavior", behavior}, {"resumes_at", moment(resumesAt)}}
}

func subscriptionTail(s *subscription, g generation, live bool) object {
	missing := s.missingCard
	if missing == "" {
		missing = "create_invoice"
	}
	o := object{
		{"plan", onlyPlan(s, g, live)}, {"quantity", onlyQuantity(s)}, {"schedule", text(s.schedule)},
		{"start_date", s.created}, {"status", s.status},
	}
	if g.pauseReasons {
		o = o.with(field{"status_details", statusDetails(s)})
	}
	return append(o, object{
		{"test_clock", text(s.clock.name())}, {"transfer_data", nil},
		{"trial_end", moment(s.trialEnd)},
		{"trial_settings", object{{"end_behavior", object{{"missing_payment_method", missing}}}}},
		{"trial_start", moment(s.trialStart)},
	}...)
}

// statusDetails tells why a subscription is paused, null while it is not.
func statusDetails(s *subscription) any {
	if s.pausedFor == "" {
		return nil
	}
	return object{{"paused", object{{"subscription", object{{"type", s.pausedFor}}}}}}
}

// itemObjects renders all items, the first one first.
func itemObjects(s *subscription, g generation, live bool) list {
	data := list{itemObject(s, extra{item: s.item, plan: s.plan, quantity: s.quantity}, g, live)}
	for _, x := range s.extras {
		data = append(data, itemObject(s, x, g, live))
	}
	return data
}

func itemObject(s *subscription, x extra, g generation, live bool) object {
	o := object{{"id", x.item}, {"object", "subscription_item"}, {"billing_thresholds", nil}, {"created", s.created}}
	if g.modern {
		start, end := s.periodOf(x)
		o = o.with(field{"current_period_end", end}, field{"current_period_start", start})
	}
	if g.modern || g.version >= "2024" {
		o = o.with(field{"discounts", list{}})
	}
	return o.with(
		field{"metadata", object{}},
		field{"plan", planObject(x.plan, g, live)}, field{"price", priceObject(x.plan, g, live)},
		field{"quantity", x.quantity}, field{"subscription", s.id}, field{"tax_rates", list{}},
	)
}

// onlyPlan is told on top as long as there is but one item.
func onlyPlan(s *subscription, g generation, live bool) any {
	if len(s.extras) > 0 {
		return nil
	}
	return planObject(s.plan, g, live)
}

func onlyQuantity(s *subscription) any {
	if len(s.extras) > 0 {
		return nil
	}
	return s.quantity
}

// pendingObject tells of an upgrade that waits for its payment.
func pendingObject(s *subscription) any {
	if s.pending == nil {
		return nil
	}
	item := object{{"id", s.item}, {"object", "subscription_item"}, {"price", object{{"id", s.pending.price}, {"product", s.pending.product}}}, {"quantity", s.quantity}}
	return object{
		{"billing_cycle_anchor", nil}, {"expires_at", s.pendingExpires}, {"subscription_items", list{item}},
		{"trial_end", nil}, {"trial_from_plan", nil},
	}
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
