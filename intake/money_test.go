package intake_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

func TestChargeFields(t *testing.T) {
	got := one(t, "charge.refunded", `{"object":"charge","id":"ch_1","payment_intent":{"id":"pi_1","object":"payment_intent"},"customer":{"id":"cus_1","email":"a@b.example"},
		"invoice":"in_1","status":"succeeded","paid":true,"captured":true,"currency":"EUR","amount":500,"amount_captured":400,"amount_refunded":100,
		"refunded":false,"disputed":true,"failure_code":null,"failure_message":"Ask Jane Doe.","created":10,"billing_details":{"name":"Jane Doe"}}`)
	want := &aggregate.PaymentSnapshot{
		ID: "ch_1", Intent: "pi_1", Charge: "ch_1", Customer: "cus_1", Invoice: "in_1", Status: "succeeded", Currency: "eur",
		Amount: 500, AmountReceived: 400, AmountRefunded: 100, Disputed: true, CreatedAt: at(10),
	}
	if !reflect.DeepEqual(got.Fact.Payment, want) || got.Stream != "payment-pi_1" {
		t.Errorf("got  %+v in %s\nwant %+v", got.Fact.Payment, got.Stream, want)
	}
}

// TestChargesOfEveryShape follows what stands for the status of a charge, and
// for what was taken, through the versions.
func TestChargesOfEveryShape(t *testing.T) {
	tests := []struct {
		name, members string
		want          aggregate.PaymentSnapshot
	}{
		{"oldest, paid", `"paid":true,"invoice":"in_1","dispute":null`, aggregate.PaymentSnapshot{Status: "succeeded", AmountReceived: 500, Invoice: "in_1"}},
		{"oldest, not paid", `"paid":false,"failure_code":"card_declined"`, aggregate.PaymentSnapshot{Status: "failed", FailureCode: "card_declined"}},
		{"2014: the word was paid", `"paid":true,"status":"paid"`, aggregate.PaymentSnapshot{Status: "succeeded", AmountReceived: 500}},
		{"2014: the dispute whole, without an id", `"paid":true,"status":"paid","dispute":{"object":"dispute","charge":"ch_1","status":"won"}`,
			aggregate.PaymentSnapshot{Status: "succeeded", AmountReceived: 500, Disputed: true}},
		{"2016: the dispute's id", `"paid":true,"status":"succeeded","dispute":"dp_1"`, aggregate.PaymentSnapshot{Status: "succeeded", AmountReceived: 500, Disputed: true}},
		{"authorised only", `"paid":true,"status":"succeeded","captured":false`, aggregate.PaymentSnapshot{Status: "succeeded"}},
		{"authorised only, as told since 2020", `"paid":true,"status":"succeeded","captured":false,"amount_captured":0`, aggregate.PaymentSnapshot{Status: "succeeded"}},
		{"pending", `"paid":true,"status":"pending","captured":true`, aggregate.PaymentSnapshot{Status: "pending"}},
		{"refunded in full", `"status":"succeeded","amount_refunded":500,"refunded":true`,
			aggregate.PaymentSnapshot{Status: "succeeded", AmountReceived: 500, AmountRefunded: 500, Refunded: true}},
		{"basil: no invoice", `"status":"succeeded","captured":true,"amount_captured":500`, aggregate.PaymentSnapshot{Status: "succeeded", AmountReceived: 500}},
		{"says both", `"paid":true,"status":"failed"`, aggregate.PaymentSnapshot{Status: "failed", Flags: []string{aggregate.FlagStatusContradicted}}},
		{"says both the other way", `"paid":false,"status":"succeeded"`, aggregate.PaymentSnapshot{Status: "succeeded", Flags: []string{aggregate.FlagStatusContradicted}}},
		{"prose for a code", `"status":"failed","failure_code":"Jane's card was declined"`, aggregate.PaymentSnapshot{Status: "failed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := one(t, "charge.succeeded", `{"id":"ch_1","currency":"usd","amount":500,`+tt.members+`}`)
			tt.want.ID, tt.want.Charge, tt.want.Currency, tt.want.Amount = "ch_1", "ch_1", "usd", 500
			if !reflect.DeepEqual(*got.Fact.Payment, tt.want) || got.Stream != "payment-ch_1" {
				t.Errorf("got  %+v in %s\nwant %+v", *got.Fact.Payment, got.Stream, tt.want)
			}
		})
	}
}

func TestIntents(t *testing.T) {
	tests := []struct{ name, members, charge, code string }{
		{"latest charge (2022-11-15)", `"latest_charge":"ch_2"`, "ch_2", ""},
		{"latest charge, expanded", `"latest_charge":{"id":"ch_2","object":"charge"}`, "ch_2", ""},
		{"list of charges, the latest first", `"charges":{"object":"list","data":[{"id":"ch_2","object":"charge"},{"id":"ch_1"}],"has_more":false}`, "ch_2", ""},
		{"both places", `"latest_charge":"ch_2","charges":{"data":[{"id":"ch_1"}]}`, "ch_2", ""},
		{"none yet", `"latest_charge":null,"charges":{"data":[]}`, "", ""},
		{"failed", `"last_payment_error":{"code":"card_declined","decline_code":"generic_decline","message":"Your card was declined."}`, "", "card_declined"},
		{"failed without a code", `"last_payment_error":{"type":"idempotency_error"}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := one(t, "payment_intent.payment_failed", `{"object":"payment_intent","id":"pi_1","customer":"cus_1","invoice":"in_1","status":"requires_payment_method",
				"currency":"usd","amount":500,"amount_received":0,"created":10,"client_secret":"pi_1_secret_x",`+tt.members+`}`)
			want := &aggregate.PaymentSnapshot{ID: "pi_1", Intent: "pi_1", Charge: tt.charge, Customer: "cus_1", Invoice: "in_1",
				Status: "requires_payment_method", Currency: "usd", Amount: 500, FailureCode: tt.code, CreatedAt: at(10)}
			if !reflect.DeepEqual(got.Fact.Payment, want) {
				t.Errorf("got  %+v\nwant %+v", got.Fact.Payment, want)
			}
		})
	}
}

func TestRefundFields(t *testing.T) {
	got := one(t, "refund.failed", `{"object":"refund","id":"re_1","charge":{"id":"ch_1"},"payment_intent":"pi_1","status":"failed","reason":"requested_by_customer",
		"currency":"usd","amount":100,"created":10,"failure_reason":"expired_or_canceled_card","description":"for Jane Doe"}`)
	want := &aggregate.RefundSnapshot{ID: "re_1", Intent: "pi_1", Charge: "ch_1", Status: "failed", Reason: "requested_by_customer",
		Currency: "usd", Amount: 100, CreatedAt: at(10)}
	if !reflect.DeepEqual(got.Fact.Refund, want) || got.Stream != "payment-pi_1" {
		t.Errorf("got  %+v in %s\nwant %+v", got.Fact.Refund, got.Stream, want)
	}
	old := one(t, "charge.refund.updated", `{"object":"refund","id":"re_1","charge":"ch_1","currency":"usd","amount":100,"created":10}`)
	if old.Stream != "payment-ch_1" || old.Fact.Refund.Status != "" {
		t.Errorf("a refund older than intents: %+v in %s", old.Fact.Refund, old.Stream)
	}
}

func TestDisputeFields(t *testing.T) {
	got := one(t, "charge.dispute.closed", `{"object":"dispute","id":"dp_1","charge":"ch_1","payment_intent":"pi_1","status":"lost","reason":"fraudulent",
		"currency":"usd","amount":500,"created":10,"evidence":{"customer_name":"Jane Doe","customer_email_address":"jane@example.com"}}`)
	want := &aggregate.DisputeSnapshot{ID: "dp_1", Intent: "pi_1", Charge: "ch_1", Status: "lost", Reason: "fraudulent",
		Currency: "usd", Amount: 500, CreatedAt: at(10)}
	if !reflect.DeepEqual(got.Fact.Dispute, want) || got.Stream != "payment-pi_1" {
		t.Errorf("got  %+v in %s\nwant %+v", got.Fact.Dispute, got.Stream, want)
	}
	// The oldest have no id: what tells of one dispute must tell of the same.
	a := one(t, "charge.dispute.created", `{"object":"dispute","charge":"ch_1","status":"needs_response","currency":"usd","amount":500,"evidence":null}`)
	b := one(t, "charge.dispute.closed", `{"object":"dispute","charge":"ch_1","status":"won","currency":"usd","amount":500,"evidence":"what Jane said"}`)
	if a.Stream != b.Stream || a.Fact.Dispute.ID != "ch_1" || b.Fact.Dispute.ID != "ch_1" {
		t.Errorf("%+v in %s, %+v in %s", a.Fact.Dispute, a.Stream, b.Fact.Dispute, b.Stream)
	}
}

func TestCreditNotes(t *testing.T) {
	tests := []struct {
		name, members string
		refunds       []string
		amount        int64
	}{
		{"one refund", `"amount":500,"total":500,"refund":"re_1"`, []string{"re_1"}, 500},
		{"one refund, expanded", `"amount":500,"refund":{"id":"re_1","object":"refund"}`, []string{"re_1"}, 500},
		{"refunds (basil)", `"amount":500,"refunds":[{"amount_refunded":200,"refund":"re_1"},{"amount_refunded":300,"refund":{"id":"re_2"}}]`, []string{"re_1", "re_2"}, 500},
		{"refunds beside the old place", `"amount":500,"refund":"re_1","refunds":[{"refund":"re_1"}]`, []string{"re_1"}, 500},
		{"a refund made elsewhere (dahlia)", `"amount":500,"refund":null,"refunds":[{"refund":null,"type":"payment_record_refund"}]`, nil, 500},
		{"no refund", `"amount":500,"refund":null,"refunds":[]`, nil, 500},
		{"a total alone", `"total":700`, nil, 700},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := one(t, "credit_note.voided", `{"object":"credit_note","id":"cn_1","invoice":{"id":"in_1","subscription":"sub_1"},"customer":"cus_1","status":"void",
				"reason":"duplicate","currency":"usd","created":10,"voided_at":20,"memo":"dear Jane",`+tt.members+`}`)
			want := &aggregate.CreditNoteSnapshot{ID: "cn_1", Invoice: "in_1", Customer: "cus_1", Status: "void", Reason: "duplicate",
				Currency: "usd", Amount: tt.amount, Refunds: tt.refunds, CreatedAt: at(10), VoidedAt: at(20)}
			if !reflect.DeepEqual(got.Fact.CreditNote, want) || got.Stream != "invoice-in_1" {
				t.Errorf("got  %+v in %s\nwant %+v", got.Fact.CreditNote, got.Stream, want)
			}
		})
	}
}

func TestInvoicePayments(t *testing.T) {
	tests := []struct{ payment, stream, intent, charge string }{
		{`{"type":"payment_intent","payment_intent":"pi_1"}`, "payment-pi_1", "pi_1", ""},
		{`{"type":"payment_intent","payment_intent":{"id":"pi_1","object":"payment_intent"}}`, "payment-pi_1", "pi_1", ""},
		{`{"type":"charge","charge":"ch_1"}`, "payment-ch_1", "", "ch_1"},
		{`{"type":"payment_record","payment_record":"prec_1"}`, "payment-prec_1", "", ""},
	}
	for _, tt := range tests {
		got := one(t, "invoice_payment.paid", `{"object":"invoice_payment","id":"inpay_1","invoice":"in_1","status":"paid","currency":"usd","amount_paid":500,
			"amount_requested":700,"created":10,"is_default":true,"status_transitions":{"canceled_at":null,"paid_at":20},"payment":`+tt.payment+`}`)
		want := &aggregate.InvoicePaymentSnapshot{ID: "inpay_1", Invoice: "in_1", Intent: tt.intent, Charge: tt.charge,
			Status: "paid", Currency: "usd", AmountPaid: 500, PaidAt: at(20)}
		if !reflect.DeepEqual(got.Fact.InvoicePayment, want) || string(got.Stream) != tt.stream {
			t.Errorf("%s: got  %+v in %s\nwant %+v", tt.payment, got.Fact.InvoicePayment, got.Stream, want)
		}
	}
}

func TestPayoutFields(t *testing.T) {
	got := one(t, "payout.failed", `{"object":"payout","id":"po_1","status":"failed","currency":"usd","amount":-500,"failure_code":"account_closed",
		"failure_message":"The account of Jane Doe is closed.","arrival_date":20,"created":10,"statement_descriptor":"Jane"}`)
	want := &aggregate.PayoutSnapshot{ID: "po_1", Status: "failed", Currency: "usd", Amount: -500, FailureCode: "account_closed", ArrivesAt: at(20), CreatedAt: at(10)}
	if !reflect.DeepEqual(got.Fact.Payout, want) {
		t.Errorf("got  %+v\nwant %+v", got.Fact.Payout, want)
	}
}

// TestOddMoneyIsFlagged: what can be read is a fact, however odd, and says so.
func TestOddMoneyIsFlagged(t *testing.T) {
	const negative, unknown, exceeds = aggregate.FlagNegativeAmount, aggregate.FlagUnknownCurrency, aggregate.FlagRefundExceedsCharge
	charge := `{"id":"ch_1","status":"succeeded",`
	tests := []struct {
		name, kind, object string
		want               []string
	}{
		{"charge below zero", "charge.succeeded", charge + `"currency":"usd","amount":-5}`, []string{negative}},
		{"refunded above the charge", "charge.refunded", charge + `"currency":"usd","amount":5,"amount_refunded":6}`, []string{exceeds}},
		{"refunded to the last cent", "charge.refunded", charge + `"currency":"usd","amount":5,"amount_refunded":5}`, nil},
		{"everything at once", "charge.refunded", charge + `"currency":"x","amount":-5,"amount_refunded":6}`, []string{negative, unknown, exceeds}},
		{"refund below zero", "refund.created", `{"id":"re_1","charge":"ch_1","currency":"usd","amount":-5}`, []string{negative}},
		{"dispute in an unknown currency", "charge.dispute.created", `{"id":"dp_1","charge":"ch_1","status":"lost","currency":"us1","amount":5}`, []string{unknown}},
		{"credit note below zero", "credit_note.created", `{"id":"cn_1","invoice":"in_1","status":"issued","currency":"usd","amount":-5}`, []string{negative}},
		{"intent in an unknown currency", "payment_intent.succeeded", `{"id":"pi_1","status":"succeeded","currency":"dollars","amount":5,"amount_received":5}`, []string{unknown}},
		{"invoice that owes less than nothing", "invoice.paid", inv(`"amount_due":-5,"amount_paid":0`), []string{negative}},
		{"invoice that is a credit", "invoice.paid", inv(`"total":-500,"amount_due":0,"amount_paid":0,"amount_remaining":0`), nil},
		{"invoice in an unknown currency", "invoice.paid", inv(`"currency":"€"`), []string{unknown}},
		{"no word for a currency", "charge.succeeded", charge + `"currency":"dollars of Jane","amount":5}`, []string{unknown}},
		{"nothing for a currency", "charge.succeeded", charge + `"currency":"","amount":5}`, []string{unknown}},
		{"capitals", "invoice.paid", inv(`"currency":"USD"`), nil},
		{"session without money", completed, `{"id":"cs_1","subscription":"sub_1","currency":null,"amount_total":null}`, nil},
		{"session below zero", completed, `{"id":"cs_1","subscription":"sub_1","currency":"usd","amount_total":-5}`, []string{negative}},
		{"payout in an unknown currency", "payout.paid", `{"id":"po_1","status":"paid","currency":"us","amount":-5}`, []string{unknown}},
		{"invoice payment below zero", "invoice_payment.paid", `{"id":"inpay_1","invoice":"in_1","currency":"usd","amount_paid":-5,"payment":{"charge":"ch_1"}}`, []string{negative}},
	}
	for _, tt := range tests {
		facts, err := translator.Translate(tt.kind, event(tt.kind, tt.object))
		if err != nil || len(facts) != 1 {
			t.Errorf("%s: %v, %v", tt.name, facts, err)
			continue
		}
		if got := flagsOf(facts[0].Fact); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: flags %v, want %v", tt.name, got, tt.want)
		}
	}
}

// flagsOf are the flags of a fact's snapshot.
func flagsOf(f aggregate.Fact) []string {
	switch {
	case f.Subscription != nil:
		return f.Subscription.Flags
	case f.Invoice != nil:
		return f.Invoice.Flags
	case f.Checkout != nil:
		return f.Checkout.Flags
	case f.Payment != nil:
		return f.Payment.Flags
	case f.InvoicePayment != nil:
		return f.InvoicePayment.Flags
	case f.Refund != nil:
		return f.Refund.Flags
	case f.Dispute != nil:
		return f.Dispute.Flags
	case f.CreditNote != nil:
		return f.CreditNote.Flags
	case f.Payout != nil:
		return f.Payout.Flags
	case f.Customer != nil:
		return f.Customer.Flags
	}
	return f.Entitlements.Flags
}

// TestMissingMoney: what should be there and is nowhere is a visible fault,
// never a silent zero.
func TestMissingMoney(t *testing.T) {
	tests := []struct{ name, kind, object, field string }{
		{"charge without an amount", "charge.succeeded", `{"id":"ch_1","status":"succeeded","currency":"usd"}`, "amount"},
		{"charge without a currency", "charge.succeeded", `{"id":"ch_1","status":"succeeded","amount":5}`, "currency"},
		{"charge without a status", "charge.failed", `{"id":"ch_1","currency":"usd","amount":5}`, "status"},
		{"refunded charge that does not say how much", "charge.refunded", `{"id":"ch_1","status":"succeeded","currency":"usd","amount":5}`, "amount_refunded"},
		{"charge of a malformed intent", "charge.succeeded", `{"id":"ch_1","payment_intent":"pi 1","status":"succeeded","currency":"usd","amount":5}`, "payment_intent"},
		{"intent without an amount", "payment_intent.succeeded", `{"id":"pi_1","status":"succeeded","currency":"usd","amount_received":5}`, "amount"},
		{"intent that does not say what was received", "payment_intent.succeeded", `{"id":"pi_1","status":"succeeded","currency":"usd","amount":5}`, "amount_received"},
		{"intent without a status", "payment_intent.payment_failed", `{"id":"pi_1","currency":"usd","amount":5}`, "status"},
		{"refund of nothing", "refund.created", `{"id":"re_1","currency":"usd","amount":5}`, "charge"},
		{"refund of a malformed charge", "refund.created", `{"id":"re_1","charge":"ch 1","currency":"usd","amount":5}`, "charge"},
		{"refund of a malformed intent", "refund.created", `{"id":"re_1","payment_intent":"pi 1","charge":"ch_1","currency":"usd","amount":5}`, "payment_intent"},
		{"refund without an amount", "refund.created", `{"id":"re_1","charge":"ch_1","currency":"usd"}`, "amount"},
		{"dispute without a status", "charge.dispute.closed", `{"id":"dp_1","charge":"ch_1","currency":"usd","amount":5}`, "status"},
		{"dispute without id and charge", "charge.dispute.closed", `{"payment_intent":"pi_1","status":"lost","currency":"usd","amount":5}`, "id"},
		{"dispute of nothing", "charge.dispute.closed", `{"id":"dp_1","status":"lost","currency":"usd","amount":5}`, "charge"},
		{"credit note of no invoice", "credit_note.created", `{"id":"cn_1","status":"issued","currency":"usd","amount":5}`, "invoice"},
		{"credit note without a status", "credit_note.created", `{"id":"cn_1","invoice":"in_1","currency":"usd","amount":5}`, "status"},
		{"credit note without an amount", "credit_note.created", `{"id":"cn_1","invoice":"in_1","status":"issued","currency":"usd"}`, "amount"},
		{"invoice payment of nothing", "invoice_payment.paid", `{"id":"inpay_1","invoice":"in_1","currency":"usd","amount_paid":5,"payment":{"type":"payment_intent"}}`, "payment.charge"},
		{"invoice payment of no invoice", "invoice_payment.paid", `{"id":"inpay_1","currency":"usd","amount_paid":5,"payment":{"charge":"ch_1"}}`, "invoice"},
		{"invoice payment without an amount", "invoice_payment.paid", `{"id":"inpay_1","invoice":"in_1","currency":"usd","amount_paid":null,"payment":{"charge":"ch_1"}}`, "amount_paid"},
		{"payout without an amount", "payout.paid", `{"id":"po_1","status":"paid","currency":"usd"}`, "amount"},
		{"payout without a status", "payout.paid", `{"id":"po_1","currency":"usd","amount":5}`, "status"},
		{"clock that shows no time", "test_helpers.test_clock.ready", `{"id":"clock_1","status":"ready"}`, "frozen_time"},
		{"summary of no customer", "entitlements.active_entitlement_summary.updated", `{"entitlements":{"data":[]}}`, "customer"},
		{"summary without entitlements", "entitlements.active_entitlement_summary.updated", `{"customer":"cus_1","entitlements":null}`, "entitlements"},
		{"customer without an id", "customer.updated", `{"email":"a@b.example"}`, "id"},
		{"status a number", "charge.succeeded", `{"id":"ch_1","status":7,"currency":"usd","amount":5}`, "status"},
		{"amount a fraction", "refund.created", `{"id":"re_1","charge":"ch_1","currency":"usd","amount":0.5}`, "amount"},
	}
	for _, tt := range tests {
		facts, err := translator.Translate(tt.kind, event(tt.kind, tt.object))
		var fault *intake.TranslationError
		if facts != nil || !errors.As(err, &fault) || fault.Field != "data.object."+tt.field {
			t.Errorf("%s: %v, %v", tt.name, facts, err)
		}
	}
}
