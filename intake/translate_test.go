package intake_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

const (
	created    = "customer.subscription.created"
	updated    = "customer.subscription.updated"
	deleted    = "customer.subscription.deleted"
	paid       = "invoice.paid"
	failed     = "invoice.payment_failed"
	completed  = "checkout.session.completed"
	plainItems = `"items":{"object":"list","data":[{"id":"si_1","quantity":1,"price":{"id":"price_basic"}}]}`
)

// one translates an event that must give exactly one fact.
func one(t *testing.T, kind, object string, more ...string) intake.StreamFact {
	t.Helper()
	facts, err := translator.Translate(kind, event(kind, object, more...))
	if err != nil {
		t.Fatal(err)
	}
	if len(facts) != 1 {
		t.Fatalf("%d facts", len(facts))
	}
	return facts[0]
}

func sub(members string) string {
	return `{"object":"subscription","id":"sub_1","customer":"cus_1","status":"active",` + members + `}`
}

func at(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

func TestItemsOfEveryShape(t *testing.T) {
	basic := aggregate.Item{Price: "price_basic", Product: "prod_basic", Quantity: 2, PeriodStart: at(100), PeriodEnd: at(200)}
	keyed := basic
	keyed.LookupKey = "basic"
	tests := []struct {
		name, members string
		want          []aggregate.Item
	}{
		{"plan on top, no items (2014)",
			`"plan":{"id":"price_basic","product":"prod_basic"},"quantity":2,"current_period_start":100,"current_period_end":200`,
			[]aggregate.Item{basic}},
		{"plan in the item, quantity on top",
			`"quantity":2,"items":{"data":[{"plan":{"id":"price_basic","product":"prod_basic"}}]},"current_period_start":100,"current_period_end":200`,
			[]aggregate.Item{basic}},
		{"price beside a plan (2020)",
			`"items":{"data":[{"plan":{"id":"other"},"price":{"id":"price_basic","product":"prod_basic","lookup_key":"basic"},"quantity":2}]},"current_period_start":100,"current_period_end":200`,
			[]aggregate.Item{keyed}},
		{"product expanded",
			`"items":{"data":[{"price":{"id":"price_basic","product":{"id":"prod_basic","object":"product","name":"Basic"}},"quantity":2}]},"current_period_start":100,"current_period_end":200`,
			[]aggregate.Item{basic}},
		{"periods on the item (basil)",
			`"items":{"data":[{"price":{"id":"price_basic","product":"prod_basic","lookup_key":null},"quantity":2,"current_period_start":100,"current_period_end":200}]}`,
			[]aggregate.Item{basic}},
		{"periods in both places (one acacia event)",
			`"items":{"data":[{"price":{"id":"price_basic","product":"prod_basic"},"quantity":2,"current_period_start":100,"current_period_end":200}]},"current_period_start":7,"current_period_end":8`,
			[]aggregate.Item{basic}},
		{"items with periods of their own",
			`"items":{"data":[{"price":{"id":"price_basic","product":"prod_basic"},"quantity":2,"current_period_start":100,"current_period_end":200},{"price":{"id":"price_seat"},"quantity":7,"current_period_start":150,"current_period_end":250}]},"plan":null,"quantity":null`,
			[]aggregate.Item{basic, {Price: "price_seat", Quantity: 7, PeriodStart: at(150), PeriodEnd: at(250)}}},
		{"metered: no quantity",
			`"items":{"data":[{"price":{"id":"price_metered"}}]}`,
			[]aggregate.Item{{Price: "price_metered"}}},
		{"empty items beside a plan",
			`"items":{"data":[]},"plan":{"id":"price_basic","product":"prod_basic"},"quantity":2,"current_period_start":100,"current_period_end":200`,
			[]aggregate.Item{basic}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := one(t, updated, sub(tt.members)).Fact.Subscription
			if !reflect.DeepEqual(got.Items, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got.Items, tt.want)
			}
			if len(got.Flags) > 0 {
				t.Errorf("flags %v", got.Flags)
			}
		})
	}
}

func TestSubscriptionFields(t *testing.T) {
	got := one(t, updated, `{"object":"subscription","id":"sub_1","customer":{"id":"cus_1","object":"customer","email":"a@b.example"},
		"status":"paused","metadata":{"account_id":"team-42","secret":"x"},`+plainItems+`,"created":10,"trial_end":20,"cancel_at":30,
		"cancel_at_period_end":true,"canceled_at":40,"ended_at":50,"billing":"send_invoice","latest_invoice":{"id":"in_1","object":"invoice"},
		"pause_collection":{"behavior":"void","resumes_at":null},"status_details":{"paused":{"subscription":{"type":"first_payment_failure"}}},
		"test_clock":{"id":"clock_1","object":"test_helpers.test_clock"}}`)
	want := &aggregate.SubscriptionSnapshot{
		ID: "sub_1", Customer: "cus_1", Status: aggregate.Paused, Account: "team-42",
		Items:     []aggregate.Item{{Price: "price_basic", Quantity: 1}},
		CreatedAt: at(10), TrialEnd: at(20), CancelAt: at(30), CancelAtPeriodEnd: true, CanceledAt: at(40), EndedAt: at(50),
		CollectionMethod: "send_invoice", LatestInvoice: "in_1", PauseCollection: "void", PausedFor: "first_payment_failure", TestClock: "clock_1",
	}
	if !reflect.DeepEqual(got.Fact.Subscription, want) {
		t.Errorf("got  %+v\nwant %+v", got.Fact.Subscription, want)
	}
	fact := got.Fact
	if got.Stream != "subscription-sub_1" || fact.Type != aggregate.SubscriptionChanged || fact.Key.StripeEventID != "evt_1" || !fact.OccurredAt.Equal(at(1700000000)) {
		t.Errorf("%+v", got)
	}
}

func TestDeletedIsCanceled(t *testing.T) {
	for status, want := range map[string]aggregate.Status{
		`"canceled"`: aggregate.Canceled, `"incomplete_expired"`: aggregate.IncompleteExpired,
		`"active"`: aggregate.Canceled, `"past_due"`: aggregate.Canceled, `null`: aggregate.Canceled,
	} {
		got := one(t, deleted, `{"id":"sub_1","status":`+status+`}`)
		if got.Fact.Type != aggregate.SubscriptionCanceled || got.Fact.Subscription.Status != want {
			t.Errorf("%s: %+v", status, got.Fact.Subscription)
		}
	}
}

func TestAccounts(t *testing.T) {
	long := strings.Repeat("a", aggregate.MaxAccountBytes+1)
	tests := []struct {
		name, metadata, account string
		flagged                 bool
	}{
		{"first key", `{"community_id":"b","account_id":"a"}`, "a", false},
		{"second key", `{"community_id":"b"}`, "b", false},
		{"none", `{"other":"x"}`, "", false},
		{"empty array", `[]`, "", false},
		{"null", `null`, "", false},
		{"number", `{"account_id":42}`, "42", false},
		{"null value", `{"account_id":null,"community_id":"b"}`, "b", false},
		{"empty name", `{"account_id":""}`, "", true},
		{"control character", `{"account_id":"a\nb"}`, "", true},
		{"too long", `{"account_id":"` + long + `"}`, "", true},
		{"an object", `{"account_id":{"a":1}}`, "", true},
		{"an invalid first key hides the second", `{"account_id":"","community_id":"b"}`, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := one(t, created, sub(plainItems+`,"metadata":`+tt.metadata)).Fact.Subscription
			flagged := reflect.DeepEqual(got.Flags, []string{aggregate.FlagAccountInvalid})
			if got.Account != tt.account || flagged != tt.flagged {
				t.Errorf("account %q, flags %v", got.Account, got.Flags)
			}
		})
	}
}

func TestMissingPrice(t *testing.T) {
	for _, members := range []string{
		`"items":null`,
		`"items":{"data":[]}`,
		`"items":{"data":[{"quantity":1}]}`,
		`"items":{"data":[{"price":null,"plan":null}]}`,
		`"items":{"data":[{"price":{"id":"price_basic"}},{"price":{}}]}`,
	} {
		got := one(t, updated, sub(members)).Fact.Subscription
		if !reflect.DeepEqual(got.Flags, []string{aggregate.FlagNoPrice}) {
			t.Errorf("%s: flags %v", members, got.Flags)
		}
	}
	got := one(t, updated, sub(`"items":{"has_more":true,"data":[{"price":{"id":"price_basic"}}]}`)).Fact.Subscription
	if !reflect.DeepEqual(got.Flags, []string{intake.FlagItemsTruncated}) {
		t.Errorf("flags %v", got.Flags)
	}
}

func inv(members string) string {
	return `{"object":"invoice","id":"in_1","currency":"USD","amount_due":500,"total":500,"created":10,"status":"open",` + members + `}`
}

func TestSubscriptionOfInvoice(t *testing.T) {
	tests := []struct{ name, members, stream string }{
		{"on top", `"subscription":"sub_1"`, "subscription-sub_1"},
		{"on top, expanded", `"subscription":{"id":"sub_1","object":"subscription"}`, "subscription-sub_1"},
		{"parent (basil)", `"parent":{"type":"subscription_details","subscription_details":{"subscription":"sub_1"}}`, "subscription-sub_1"},
		{"parent beside a stale null", `"subscription":null,"parent":{"subscription_details":{"subscription":"sub_1"}}`, "subscription-sub_1"},
		{"parent before the old place", `"subscription":"sub_old","parent":{"subscription_details":{"subscription":"sub_1"}}`, "subscription-sub_1"},
		{"parent without a subscription", `"subscription":"sub_1","parent":{"subscription_details":null}`, "subscription-sub_1"},
		{"line's id (oldest)", `"lines":{"data":[{"id":"ii_1","type":"invoiceitem"},{"id":"sub_1","type":"subscription"}]}`, "subscription-sub_1"},
		{"line's subscription", `"lines":{"data":[{"id":"il_1","type":"subscription","subscription":"sub_1"}]}`, "subscription-sub_1"},
		{"line of another kind", `"lines":{"data":[{"id":"ii_1","type":"invoiceitem","subscription":"sub_1"}]}`, "invoice-in_1"},
		{"line with another id", `"lines":{"data":[{"id":"su_1","type":"subscription"}]}`, "invoice-in_1"},
		{"none", `"parent":null,"subscription":null,"lines":null`, "invoice-in_1"},
		{"quote", `"parent":{"type":"quote_details","quote_details":{"quote":"qt_1"},"subscription_details":null}`, "invoice-in_1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := one(t, failed, inv(tt.members))
			if string(got.Stream) != tt.stream {
				t.Errorf("stream %s", got.Stream)
			}
			if strings.HasPrefix(tt.stream, "subscription-") != (got.Fact.Invoice.Subscription == "sub_1") {
				t.Errorf("subscription %q", got.Fact.Invoice.Subscription)
			}
		})
	}
}

func TestAccountOfInvoice(t *testing.T) {
	tests := []struct{ name, members, want string }{
		{"parent (basil)", `"parent":{"subscription_details":{"metadata":{"account_id":"a"}}},"subscription_details":{"metadata":{"account_id":"b"}}`, "a"},
		{"details (2023)", `"parent":{"subscription_details":{"metadata":null}},"subscription_details":{"metadata":{"account_id":"a"}},"lines":{"data":[{"type":"subscription","metadata":{"account_id":"b"}}]}`, "a"},
		{"line (before)", `"lines":{"data":[{"type":"invoiceitem","metadata":{"account_id":"b"}},{"type":"subscription","metadata":{"account_id":"a"}}]}`, "a"},
		{"line (basil)", `"lines":{"data":[{"parent":{"type":"subscription_item_details"},"metadata":{"account_id":"a"}}]}`, "a"},
		{"the subscription had none", `"parent":{"subscription_details":{"metadata":{}}},"lines":{"data":[{"type":"subscription","metadata":{"account_id":"b"}}]}`, ""},
		{"the invoice's own is not the subscription's", `"metadata":{"account_id":"b"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := one(t, paid, inv(tt.members)).Fact.Invoice.Account; got != tt.want {
				t.Errorf("account %q, want %q", got, tt.want)
			}
		})
	}
	got := one(t, paid, inv(`"subscription_details":{"metadata":{"account_id":"a\u0000"}}`)).Fact.Invoice
	if got.Account != "" || !reflect.DeepEqual(got.Flags, []string{aggregate.FlagAccountInvalid}) {
		t.Errorf("%+v", got)
	}
}

func TestInvoiceFields(t *testing.T) {
	got := one(t, paid, `{"object":"invoice","id":"in_1","subscription":"sub_1","customer":{"id":"cus_1"},"status":"paid","billing_reason":"subscription_cycle",
		"collection_method":"charge_automatically","currency":"usd","amount_due":500,"amount_paid":400,"amount_remaining":100,"total":600,"attempt_count":3,
		"created":10,"date":11,"due_date":20,"next_payment_attempt":60,"paid_out_of_band":true,"payment_intent":"pi_1","charge":{"id":"ch_1","object":"charge"},
		"status_transitions":{"finalized_at":30,"paid_at":40,"voided_at":50,"marked_uncollectible_at":70}}`)
	want := &aggregate.InvoiceSnapshot{
		ID: "in_1", Subscription: "sub_1", Customer: "cus_1", Status: "paid", BillingReason: "subscription_cycle",
		CollectionMethod: "charge_automatically", Currency: "usd", AmountDue: 500, AmountPaid: 400, AmountRemaining: 100, Total: 600, AttemptCount: 3,
		CreatedAt: at(10), DueDate: at(20), FinalizedAt: at(30), PaidAt: at(40), VoidedAt: at(50), UncollectibleAt: at(70), NextPaymentAttempt: at(60),
		PaidOutOfBand: true, PaymentIntent: "pi_1", Charge: "ch_1",
	}
	if !reflect.DeepEqual(got.Fact.Invoice, want) {
		t.Errorf("got  %+v\nwant %+v", got.Fact.Invoice, want)
	}
	if got.Fact.Type != aggregate.PaymentSucceeded {
		t.Error(got.Fact.Type)
	}
}

func TestOldInvoices(t *testing.T) {
	old := func(members string) *aggregate.InvoiceSnapshot {
		return one(t, failed, `{"id":"in_1","currency":"usd","amount_due":500,"total":500,"date":10,`+members+`}`).Fact.Invoice
	}
	tests := []struct {
		members, status string
		paid, remaining int64
	}{
		{`"paid":true,"closed":true`, "paid", 500, 0},
		{`"paid":false,"closed":false,"forgiven":false`, "open", 0, 500},
		{`"paid":false,"closed":true`, "open", 0, 500},
		{`"paid":false,"closed":true,"forgiven":true`, "uncollectible", 0, 500},
		{`"paid":false,"status":"void"`, "void", 0, 500},
	}
	for _, tt := range tests {
		got := old(tt.members)
		if got.Status != tt.status || got.AmountPaid != tt.paid || got.AmountRemaining != tt.remaining || !got.CreatedAt.Equal(at(10)) {
			t.Errorf("%s: %+v", tt.members, got)
		}
	}
}

func TestPaymentSucceededIsTheSameMoney(t *testing.T) {
	a := one(t, paid, inv(`"subscription":"sub_1"`))
	b := one(t, "invoice.payment_succeeded", inv(`"subscription":"sub_1"`))
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestCheckout(t *testing.T) {
	got := one(t, completed, `{"object":"checkout.session","id":"cs_1","subscription":{"id":"sub_1"},"customer":"cus_1","metadata":{"community_id":"a"},
		"client_reference_id":"b","mode":"subscription","status":"complete","payment_status":"unpaid","currency":"EUR","amount_total":2900,
		"customer_details":{"email":"a@b.example","name":"A"}}`)
	want := &aggregate.CheckoutSnapshot{
		ID: "cs_1", Subscription: "sub_1", Customer: "cus_1", Account: "a", ClientReference: "b", Mode: "subscription",
		Status: "complete", PaymentStatus: "unpaid", Currency: "eur", AmountTotal: 2900,
	}
	if !reflect.DeepEqual(got.Fact.Checkout, want) || got.Stream != "subscription-sub_1" || got.Fact.Type != aggregate.CheckoutCompleted {
		t.Errorf("got  %+v\nwant %+v", got.Fact.Checkout, want)
	}
	odd := one(t, completed, `{"id":"cs_1","subscription":"sub_1","client_reference_id":"a\tb"}`).Fact.Checkout
	if odd.ClientReference != "" || !reflect.DeepEqual(odd.Flags, []string{aggregate.FlagAccountInvalid}) {
		t.Errorf("%+v", odd)
	}
}

func TestNoFacts(t *testing.T) {
	for name, tt := range map[string][2]string{
		"payment session": {completed, `{"id":"cs_1","mode":"payment","subscription":null}`},
		"setup session":   {completed, `{"id":"cs_1","mode":"setup"}`},
		"unknown type":    {"some.new.thing", `7`},
		"thin event":      {"v1.billing.meter.error_report_triggered", `null`},
	} {
		facts, err := translator.Translate(tt[0], event(tt[0], tt[1]))
		if facts != nil || err != nil {
			t.Errorf("%s: %v, %v", name, facts, err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	tests := []struct{ name, kind, object, field string }{
		{"object null", updated, `null`, "data.object"},
		{"object a string", updated, `"sub_1"`, "data.object"},
		{"object of another kind", updated, `{"object":"invoice","id":"in_1","status":"paid"}`, "data.object.object"},
		{"no id", updated, `{"status":"active"}`, "data.object.id"},
		{"id with a space", updated, `{"id":"sub 1","status":"active"}`, "data.object.id"},
		{"no status", updated, `{"id":"sub_1"}`, "data.object.status"},
		{"status a number", updated, `{"id":"sub_1","status":1}`, "data.object.status"},
		{"customer a number", updated, sub(`"customer":1`), "data.object.customer"},
		{"quantity a fraction", updated, sub(`"items":{"data":[{},{"quantity":1.5}]}`), "data.object.items.data.1.quantity"},
		{"quantity beyond all bounds", updated, sub(`"quantity":1e400`), "data.object.quantity"},
		{"quantity beyond 64 bits", updated, sub(`"quantity":9223372036854775808`), "data.object.quantity"},
		{"quantity a word", updated, sub(`"quantity":"many"`), "data.object.quantity"},
		{"quantity in hexadecimal", updated, sub(`"quantity":"0x10"`), "data.object.quantity"},
		{"time before 1970", updated, sub(`"trial_end":-1`), "data.object.trial_end"},
		{"time beyond the calendar", updated, sub(`"trial_end":1e18`), "data.object.trial_end"},
		{"time as a date", updated, sub(`"trial_end":"2026-01-01"`), "data.object.trial_end"},
		{"metadata a string", updated, sub(`"metadata":"x"`), "data.object.metadata"},
		{"items an array", updated, sub(`"items":[]`), "data.object.items"},
		{"period a boolean", updated, sub(`"items":{"data":[{"current_period_end":true}]}`), "data.object.items.data.0.current_period_end"},
		{"invoice without amounts", paid, `{"id":"in_1","currency":"usd","status":"paid","created":1,"total":1}`, "data.object.amount_due"},
		{"invoice without a total", paid, `{"id":"in_1","currency":"usd","status":"paid","created":1,"amount_due":1}`, "data.object.total"},
		{"invoice without a currency", paid, `{"id":"in_1","status":"paid","created":1,"amount_due":1,"total":1}`, "data.object.currency"},
		{"invoice without a time", paid, `{"id":"in_1","currency":"usd","status":"paid","amount_due":1,"total":1}`, "data.object.created"},
		{"invoice without a status", paid, `{"id":"in_1","currency":"usd","created":1,"amount_due":1,"total":1}`, "data.object.status"},
		{"invoice of a malformed subscription", paid, inv(`"subscription":"sub 1"`), "data.object.subscription"},
		{"amount a fraction", paid, inv(`"amount_paid":0.5`), "data.object.amount_paid"},
		{"session without a subscription", completed, `{"id":"cs_1","mode":"subscription","subscription":null}`, "data.object.subscription"},
		{"session without an id", completed, `{"mode":"subscription","subscription":"sub_1"}`, "data.object.id"},
		{"session of another kind", completed, `{"object":"charge","id":"ch_1"}`, "data.object.object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, err := translator.Translate(tt.kind, event(tt.kind, tt.object))
			var got *intake.TranslationError
			if !errors.As(err, &got) || facts != nil {
				t.Fatalf("%v, %v", facts, err)
			}
			if got.StripeEventID != "evt_1" || got.EventType != tt.kind || got.Field != tt.field || got.Reason == "" {
				t.Errorf("got %+v, want field %s", got, tt.field)
			}
		})
	}
}

func TestUnreadableEnvelopes(t *testing.T) {
	for field, body := range map[string]string{
		"":            `{"id":"evt_1"`,
		"id":          `{"created":1,"data":{"object":{}}}`,
		"created":     `{"id":"evt_1","data":{"object":{}}}`,
		"data.object": `{"id":"evt_1","created":1,"data":{}}`,
		"data":        `{"id":"evt_1","created":1,"data":[]}`,
	} {
		_, err := translator.Translate(updated, []byte(body))
		var got *intake.TranslationError
		if !errors.As(err, &got) || field != "" && got.Field != field {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestNumbersInEveryWriting(t *testing.T) {
	for written, want := range map[string]int64{
		"1200": 1200, "-5": -5, "1.2e3": 1200, "1200.0": 1200, `"1200"`: 1200, `"1200.00"`: 1200, "0.0": 0, "0e5": 0, "-0": 0,
		"9223372036854775807": 9223372036854775807, "9007199254740993.0": 9007199254740993, "1E2": 100,
	} {
		if got := one(t, paid, inv(`"amount_paid":`+written)).Fact.Invoice.AmountPaid; got != want {
			t.Errorf("%s: %d", written, got)
		}
	}
}

func TestErrorsQuoteNothing(t *testing.T) {
	const private = "jane.doe@example.com"
	for _, object := range []string{sub(`"trial_end":"` + private + `"`), sub(`"quantity":"` + private + `"`), sub(`"metadata":"` + private + `"`), sub(`"cancel_at_period_end":"` + private + `"`)} {
		_, err := translator.Translate(updated, event(updated, object))
		if err == nil || strings.Contains(err.Error(), private) {
			t.Errorf("%v", err)
		}
	}
}

func TestTranslationIsStateless(t *testing.T) {
	for _, f := range eventFixtures(t) {
		a, errA := translator.Translate(f.kind, f.body)
		b, errB := (&intake.Translator{AccountKeys: translator.AccountKeys}).Translate(f.kind, f.body)
		if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(errA, errB) {
			t.Errorf("%s: twice the same, two answers", f.path)
		}
	}
}

// TestFaultsNameTheirEvent: also where the fault comes before the id.
func TestFaultsNameTheirEvent(t *testing.T) {
	for body, want := range map[string]string{
		`{"data":{"object":{"id":7}},"created":1,"id":"evt_7"}`: "evt_7",
		`{"created":"x","id":"evt_7","data":{"object":{}}}`:     "evt_7",
		`{"id":"evt_7","data":{"object":`:                       "evt_7",
		`{"id":7,"data":{"object":{}}}`:                         "",
		`{"data":{"object":{"id":"sub_1","status":"active"}}}`:  "",
		`{"id":"jane@example.com is","data":[],"note":"x"}`:     "",
		`{"id":"` + strings.Repeat("x", 256) + `","created":1}`: "",
	} {
		_, err := translator.Translate(updated, []byte(body))
		var fault *intake.TranslationError
		if !errors.As(err, &fault) || fault.StripeEventID != want {
			t.Errorf("%.80s: %v", body, err)
		}
	}
}

// FuzzTranslate reads anything as an event of any type: it gives facts that can
// be kept and read again, the same each time, or a fault that says where.
func FuzzTranslate(f *testing.F) {
	for _, fixture := range append(eventFixtures(f), objectFixtures(f)...) {
		if intake.Posted(fixture.kind) {
			f.Add(fixture.kind, fixture.body)
		}
	}
	for _, s := range statements {
		f.Add(s.kind, event(s.kind, s.object))
	}
	f.Add(updated, event(updated, sub(plainItems), `,"previous_attributes":{"items":{"data":[null]},"metadata":{"a":null}}`))
	f.Add("customer.updated", []byte(`{"id":"evt_1","created":1,"account":"acct_1","data":{"object":{"id":"cus_1"}}}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		facts, err := translator.Translate(kind, body)
		var fault *intake.TranslationError
		if err != nil && (!errors.As(err, &fault) || facts != nil || fault.Reason == "") {
			t.Fatalf("%v with %d facts", err, len(facts))
		}
		again, errAgain := translator.Translate(kind, body)
		if !reflect.DeepEqual(facts, again) || !reflect.DeepEqual(err, errAgain) {
			t.Fatal("twice the same, two answers")
		}
		for _, fact := range facts {
			wantKeepable(t, fact)
		}
	})
}

// wantKeepable checks that a fact can be stored, and is the same when read again.
func wantKeepable(t *testing.T, fact intake.StreamFact) {
	t.Helper()
	if err := fact.Stream.Validate(); err != nil {
		t.Fatal(err)
	}
	stored, err := aggregate.Encode(aggregate.Event{Fact: &fact.Fact})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := aggregate.Decode(string(fact.Fact.Type), stored)
	if err != nil {
		t.Fatal(err)
	}
	back, err := aggregate.Encode(kept)
	if err != nil || string(back) != string(stored) {
		t.Fatalf("%v: stored\n%s\nread again\n%s", err, stored, back)
	}
}
