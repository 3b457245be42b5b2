package intake_test

import (
	"testing"

	"github.com/daybookhq/daybook/aggregate"
)

func previous(attributes string) string { return `,"previous_attributes":` + attributes }

// TestBefore translates an event that shows a subscription as it is now, and
// another that shows it as it was: the first must name the second's digest.
func TestBefore(t *testing.T) {
	item := func(price, quantity, more string) string {
		return `{"id":"si_1","quantity":` + quantity + `,"price":{"id":"` + price + `","product":"prod_1","lookup_key":"k"},"metadata":{}` + more + `}`
	}
	items := func(list string) string { return `"items":{"object":"list","data":[` + list + `]}` }
	two := items(item("price_a", "1", "") + "," + item("price_b", "2", ""))
	tests := []struct{ name, now, attributes, was string }{
		{"status", sub(two), `{"status":"past_due"}`, `{"id":"sub_1","customer":"cus_1","status":"past_due",` + two + `}`},
		{"a value that was null", sub(two + `,"cancel_at":30,"canceled_at":20,"trial_end":9`), `{"cancel_at":null,"canceled_at":null}`, sub(two + `,"trial_end":9`)},
		{"a value that is null now", sub(two + `,"cancel_at":null`), `{"cancel_at":30}`, sub(two + `,"cancel_at":30`)},
		{"a boolean", sub(two + `,"cancel_at_period_end":true`), `{"cancel_at_period_end":false}`, sub(two)},
		{"a renewal before basil", sub(two + `,"current_period_start":200,"current_period_end":300,"latest_invoice":"in_2"`),
			`{"current_period_start":100,"current_period_end":200,"latest_invoice":"in_1"}`,
			sub(two + `,"current_period_start":100,"current_period_end":200,"latest_invoice":"in_1"`)},
		{"a renewal from basil on", sub(items(item("price_a", "1", `,"current_period_start":200,"current_period_end":300`)) + `,"latest_invoice":"in_2"`),
			`{` + items(item("price_a", "1", `,"current_period_start":100,"current_period_end":200`)) + `,"latest_invoice":"in_1"}`,
			sub(items(item("price_a", "1", `,"current_period_start":100,"current_period_end":200`)) + `,"latest_invoice":"in_1"`)},
		{"a renewal, periods in both places", sub(items(item("price_a", "1", `,"current_period_start":200,"current_period_end":300`)) + `,"current_period_start":200,"current_period_end":300`),
			`{"current_period_start":100,"current_period_end":200}`,
			sub(items(item("price_a", "1", `,"current_period_start":100,"current_period_end":200`)) + `,"current_period_start":100,"current_period_end":200`)},
		{"fewer items before", sub(two), `{` + items(item("price_a", "1", "")) + `}`, sub(items(item("price_a", "1", "")))},
		{"more items before", sub(items(item("price_a", "1", ""))), `{` + two + `}`, sub(two)},
		{"an item without what its successor has", sub(items(item("price_a", "1", `,"current_period_end":300`))),
			`{"items":{"data":[{"id":"si_1","price":{"id":"price_a"}}]}}`, sub(`"items":{"data":[{"id":"si_1","price":{"id":"price_a"}}]}`)},
		{"the old plan", sub(`"plan":{"id":"gold","product":"prod_1","nickname":"Gold"},"quantity":3`), `{"plan":{"id":"silver"},"quantity":1` + `}`,
			sub(`"plan":{"id":"silver","product":"prod_1"},"quantity":1`)},
		{"the old plan, beside an item", sub(`"items":{"data":[{"plan":{"id":"gold"},"quantity":3}]},"plan":{"id":"gold"},"quantity":3`), `{"plan":{"id":"silver"},"quantity":1}`,
			sub(`"plan":{"id":"silver"},"quantity":1`)},
		{"a metadata key was added", sub(two + `,"metadata":{"account_id":"a"}`), `{"metadata":{"account_id":null}}`, sub(two)},
		{"a metadata key was changed", sub(two + `,"metadata":{"account_id":"b","x":"1"}`), `{"metadata":{"account_id":"a"}}`, sub(two + `,"metadata":{"account_id":"a","x":"1"}`)},
		{"a metadata key was removed", sub(two + `,"metadata":{}`), `{"metadata":{"account_id":"a"}}`, sub(two + `,"metadata":{"account_id":"a"}`)},
		{"a pause that began", sub(two + `,"pause_collection":{"behavior":"void","resumes_at":null}`), `{"pause_collection":null}`, sub(two)},
		{"a pause that ended", sub(two + `,"pause_collection":null`), `{"pause_collection":{"behavior":"void","resumes_at":null}}`, sub(two + `,"pause_collection":{"behavior":"void"}`)},
		{"part of a pause", sub(two + `,"pause_collection":{"behavior":"void","resumes_at":9}`), `{"pause_collection":{"resumes_at":null}}`, sub(two + `,"pause_collection":{"behavior":"void"}`)},
		{"an expanded customer", sub(two + `,"latest_invoice":{"id":"in_2"}`), `{"latest_invoice":"in_1"}`, sub(two + `,"latest_invoice":"in_1"`)},
		{"nothing that we read", sub(two), `{"schedule":"sub_sched_1"}`, sub(two)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := one(t, updated, tt.now, previous(tt.attributes)).Fact.Subscription
			was := one(t, updated, tt.was).Fact.Subscription
			if now.Before != was.Digest() {
				t.Errorf("before %q, want %q of %+v", now.Before, was.Digest(), was)
			}
			// Rebuilding the past must not reach into the present.
			alone := one(t, updated, tt.now).Fact.Subscription
			if alone.Digest() != now.Digest() {
				t.Error("the snapshot as it is now depends on the old values")
			}
		})
	}
}

func TestNoBefore(t *testing.T) {
	for _, more := range []string{"", previous("null")} {
		if got := one(t, updated, sub(plainItems), more).Fact.Subscription.Before; got != "" {
			t.Errorf("%s: before %q", more, got)
		}
	}
}

func TestUnreadablePrevious(t *testing.T) {
	_, err := translator.Translate(updated, event(updated, sub(plainItems), previous(`{"status":1}`)))
	if err == nil || err.Error() != "translate evt_1 (customer.subscription.updated): data.previous_attributes.status: has an unexpected type" {
		t.Error(err)
	}
}

// TestRecordedChain follows a recorded history: what the update changed is what
// the creation showed.
func TestRecordedChain(t *testing.T) {
	const folder = "testdata/fixtures/histories/zulip_zulip--sub_E6STM5w5EX3K28/"
	var snapshots []*aggregate.SubscriptionSnapshot
	for _, f := range []struct{ name, kind string }{{"03-customer.subscription.created.json", created}, {"04-customer.subscription.updated.json", updated}} {
		facts, err := translator.Translate(f.kind, readFixture(t, folder+f.name))
		if err != nil {
			t.Fatal(err)
		}
		snapshots = append(snapshots, facts[0].Fact.Subscription)
	}
	if snapshots[1].Before != snapshots[0].Digest() {
		t.Errorf("before %q, want %q", snapshots[1].Before, snapshots[0].Digest())
	}
}
