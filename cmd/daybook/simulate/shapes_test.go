package simulate

import (
	"slices"
	"testing"
)

// eventsByType are those of some seeds.
func eventsByType(t *testing.T) map[string][]decoded {
	t.Helper()
	events := map[string][]decoded{}
	for seed := range uint64(2) {
		for _, d := range testRun(seed, len(lifecycles)).Deliveries {
			events[d.Type] = append(events[d.Type], decodeEvent(t, d.Body))
		}
	}
	return events
}

// What a reader of payloads may stumble over must occur.
func TestOddPayloadsOccur(t *testing.T) {
	has := func(path string) func(decoded) bool {
		return func(e decoded) bool { v, _ := e.at(path); return v != nil }
	}
	is := func(path string, want any) func(decoded) bool {
		return func(e decoded) bool { v, _ := e.at(path); return v == want }
	}
	events := eventsByType(t)
	for name, c := range map[string]struct {
		typ string
		is  func(decoded) bool
	}{
		"a pending update":                  {"customer.subscription.updated", has("data.object.pending_update.expires_at")},
		"a schedule":                        {"customer.subscription.updated", has("data.object.schedule")},
		"several items":                     {"customer.subscription.created", is("data.object.items.total_count", 2.0)},
		"a pause of collection":             {"customer.subscription.updated", has("data.object.pause_collection.resumes_at")},
		"a pause":                           {"customer.subscription.paused", is("data.object.status", "paused")},
		"a pause for a failed payment":      {"customer.subscription.updated", is("data.object.status_details.paused.subscription.type", "first_payment_failure")},
		"an invoice of no subscription":     {"invoice.payment_failed", func(e decoded) bool { return billedSubscription(e) == "" }},
		"a refund that names no intent":     {"refund.created", is("data.object.payment_intent", nil)},
		"a dispute that names no intent":    {"charge.dispute.created", is("data.object.payment_intent", nil)},
		"a refund's failure without intent": {"refund.failed", is("data.object.payment_intent", nil)},
		"a debt withdrawn":                  {"invoice.voided", is("data.object.billing_reason", "subscription_cycle")},
		"a pending update given up":         {"customer.subscription.pending_update_expired", is("data.object.pending_update", nil)},
		"a payment out of band":             {"invoice.paid", is("data.object.paid_out_of_band", true)},
		"a resumption":                      {"customer.subscription.resumed", is("data.object.status", "active")},
		"an invoice of nothing":             {"invoice.paid", is("data.object.total", 0.0)},
		"a discount":                        {"invoice.paid", has("data.object.total_discount_amounts.0.amount")},
		"a draft deleted":                   {"invoice.deleted", is("data.object.status", "draft")},
		"an invoice given up":               {"invoice.marked_uncollectible", has("data.object.status_transitions.marked_uncollectible_at")},
		"an unpaid session":                 {"checkout.session.completed", is("data.object.payment_status", "unpaid")},
		"a session paid later":              {"checkout.session.async_payment_succeeded", is("data.object.payment_status", "paid")},
		"a session never paid":              {"checkout.session.async_payment_failed", is("data.object.payment_status", "unpaid")},
		"a session that sells once":         {"checkout.session.completed", has("data.object.payment_intent")},
		"a session that saves a card":       {"checkout.session.completed", has("data.object.setup_intent")},
		"a first attempt that was not told": {"invoice.payment_failed", is("data.object.attempt_count", 2.0)},
		"a planned end in classic billing": {"customer.subscription.updated", func(e decoded) bool {
			at, _ := e.at("data.object.cancel_at")
			end, _ := e.at("data.object.cancel_at_period_end")
			return at != nil && end == false && e.text("data.object.billing_mode.type") != "flexible"
		}},
	} {
		if !slices.ContainsFunc(events[c.typ], c.is) {
			t.Errorf("%s: none", name)
		}
	}
}
