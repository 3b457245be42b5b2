package simulate

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// decoded is an event as a reader sees it.
type decoded map[string]any

func decodeEvent(t *testing.T, body []byte) decoded {
	t.Helper()
	var e decoded
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, body)
	}
	return e
}

// at follows a path of member names, and of "0" for the first of a list.
func (e decoded) at(path string) (any, bool) {
	var v any = map[string]any(e)
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			child, ok := x[name]
			if !ok {
				return nil, false
			}
			v = child
		case []any:
			if len(x) == 0 {
				return nil, false
			}
			v = x[0]
		default:
			return nil, false
		}
	}
	return v, true
}

func (e decoded) text(path string) string {
	v, _ := e.at(path)
	s, _ := v.(string)
	return s
}

func (e decoded) id() string { return e.text("data.object.id") }

func (e decoded) modern() bool {
	return strings.Contains(e.text("api_version"), "basil") || strings.Contains(e.text("api_version"), "clover") ||
		strings.Contains(e.text("api_version"), "endive")
}

// shapes tells, for each kind of object, what must and what must not be there:
// always, before 2025-03-31.basil, and since.
var shapes = map[string]struct{ always, older, modern []string }{
	"subscription": {
		always: []string{"customer", "status", "created", "currency", "metadata", "latest_invoice", "cancel_at", "cancel_at_period_end",
			"items.data.0.price.id", "items.data.0.price.product", "items.data.0.price.lookup_key", "items.data.0.quantity", "trial_settings"},
		older:  []string{"current_period_start", "current_period_end", "discount"},
		modern: []string{"items.data.0.current_period_start", "items.data.0.current_period_end", "billing_mode.type"},
	},
	"invoice": {
		always: []string{"customer", "customer_email", "customer_name", "customer_address.line1", "status", "billing_reason", "attempt_count",
			"amount_due", "amount_paid", "status_transitions.finalized_at", "lines.data.0.period.end", "next_payment_attempt"},
		older: []string{"subscription", "paid", "payment_intent", "charge", "tax", "lines.data.0.price.id", "lines.data.0.subscription"},
		modern: []string{"parent", "total_taxes",
			"lines.data.0.pricing.price_details.price", "lines.data.0.parent.subscription_item_details"},
	},
	"checkout.session": {
		always: []string{"customer", "customer_details.email", "customer_details.address.line1", "client_reference_id", "metadata",
			"mode", "payment_status", "status", "subscription", "amount_total"},
		older:  []string{"shipping_details"},
		modern: []string{"adaptive_pricing", "collected_information"},
	},
	"charge": {
		always: []string{"amount", "amount_refunded", "currency", "customer", "payment_intent", "paid", "refunded", "status"},
		older:  []string{"invoice"},
	},
	"payment_intent": {
		always: []string{"amount", "amount_received", "currency", "customer", "latest_charge", "status"},
		older:  []string{"invoice"},
	},
	"refund":  {always: []string{"amount", "charge", "currency", "payment_intent", "status"}},
	"dispute": {always: []string{"amount", "charge", "currency", "payment_intent", "status"}},
	"credit_note": {
		always: []string{"amount", "currency", "customer", "invoice", "status", "voided_at"},
		older:  []string{"refund"},
		modern: []string{"refunds"},
	},
	"invoice_payment": {always: []string{"amount_paid", "invoice", "payment.payment_intent", "status"}},
}

func TestPayloadsHaveTheShapeOfTheirVersion(t *testing.T) {
	run := testRun(1, 200)
	versions := map[string]int{}
	for _, d := range run.Deliveries {
		e := decodeEvent(t, d.Body)
		checkEnvelope(t, e, d)
		versions[e.text("api_version")]++
		shape := shapes[e.text("data.object.object")]
		here, elsewhere := shape.older, shape.modern
		if e.modern() {
			here, elsewhere = shape.modern, shape.older
		}
		for _, path := range append(append([]string{}, shape.always...), here...) {
			if _, ok := e.at("data.object." + path); !ok {
				t.Fatalf("%s of %s has no %s", d.Type, e.text("api_version"), path)
			}
		}
		for _, path := range elsewhere {
			if _, ok := e.at("data.object." + path); ok {
				t.Fatalf("%s of %s has %s", d.Type, e.text("api_version"), path)
			}
		}
	}
	if want := len(olderGenerations) + len(modernGenerations); len(versions) != want {
		t.Errorf("API versions %v, want %d", versions, want)
	}
}

func checkEnvelope(t *testing.T, e decoded, d Delivery) {
	t.Helper()
	for _, path := range []string{"livemode", "pending_webhooks", "request.id", "request.idempotency_key", "data.object.livemode"} {
		if _, ok := e.at(path); !ok {
			t.Fatalf("%s has no %s", d.Type, path)
		}
	}
	created, _ := e.at("created")
	if e.text("id") != d.EventID || e.text("type") != d.Type || e.text("object") != "event" || created != float64(d.Created.Unix()) {
		t.Fatalf("envelope %s %s %v of delivery %s %s %s", e.text("id"), e.text("type"), created, d.EventID, d.Type, d.Created)
	}
}

func TestPayloadSizes(t *testing.T) {
	low := map[string]int{"subscription": 3000, "invoice": 4000, "checkout.session": 2000}
	for _, d := range testRun(1, 100).Deliveries {
		kind := decodeEvent(t, d.Body).text("data.object.object")
		if n := len(d.Body); n < low[kind] || n > 16000 {
			t.Fatalf("%s: %d bytes", d.Type, n)
		}
	}
}

// Applied to the object, the previous values must give the snapshot before.
func TestPreviousTellsThePredecessor(t *testing.T) {
	before := object{{"a", 1}, {"m", object{{"k", "v"}, {"gone", "x"}}}, {"l", list{1, 2}}, {"same", nil}}
	after := object{{"a", 2}, {"m", object{{"k", "w"}, {"new", "y"}}}, {"l", list{1}}, {"same", nil}}
	got := string(bytes.Join(bytes.Fields(appendJSON(nil, previous(before, after), 0)), nil))
	if want := `{"a":1,"m":{"k":"v","new":null,"gone":"x"},"l":[1,2]}`; got != want {
		t.Errorf("previous values %s, want %s", got, want)
	}
	if got := previous(before, before); got != nil {
		t.Errorf("no change gave %v", got)
	}
}

func TestUpdatesTellWhatTheyChanged(t *testing.T) {
	for _, d := range testRun(4, 100).Deliveries {
		if d.Type != "customer.subscription.updated" {
			continue
		}
		previous, _ := decodeEvent(t, d.Body).at("data.previous_attributes")
		if m, ok := previous.(map[string]any); !ok || len(m) == 0 {
			t.Fatalf("%s tells no previous_attributes:\n%s", d.EventID, d.Body)
		}
	}
}

func TestPersonalDataIsInThePayloads(t *testing.T) {
	run := testRun(1, 20)
	var out bytes.Buffer
	if err := run.WriteJSONL(&out); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range run.Personal {
		if bytes.Contains(out.Bytes(), []byte(p)) {
			found++
		}
	}
	if found != len(run.Personal) {
		t.Errorf("%d of %d pieces of personal data occur in the payloads", found, len(run.Personal))
	}
}

func TestJSONLHasOneEventPerLine(t *testing.T) {
	run := testRun(1, 20)
	var out bytes.Buffer
	if err := run.WriteJSONL(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(run.Deliveries) {
		t.Fatalf("%d lines, %d deliveries", len(lines), len(run.Deliveries))
	}
	for i, l := range lines {
		if got := decodeEvent(t, []byte(l)).text("id"); got != run.Deliveries[i].EventID {
			t.Fatalf("line %d: event %s, want %s", i+1, got, run.Deliveries[i].EventID)
		}
	}
}
