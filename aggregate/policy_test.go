package aggregate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// strict is the built-in catalog with policies.
func strict(set func(*aggregate.Catalog)) aggregate.Catalogs {
	c := aggregate.BuiltinCatalog()
	set(c)
	return adopt(aggregate.Catalogs{}, c, day0)
}

func payment(invoice string, received, refunded int64, disputes ...string) aggregate.PaymentTruth {
	p := aggregate.PaymentTruth{ID: "pi_" + invoice, Invoice: invoice, Status: "succeeded", Currency: "usd",
		Amount: received, Received: received, Refunded: refunded}
	for _, status := range disputes {
		p.Disputes = append(p.Disputes, aggregate.DisputeTruth{ID: "dp_" + status, Status: status})
	}
	return p
}

// billed is a subscription that paid in_1 and then in_2, and owes in_3.
func billed(status aggregate.Status) aggregate.SubscriptionTruth {
	t := subscribed("s", status, "premium")
	t.Invoices = []aggregate.InvoiceTruth{{ID: "in_1", Status: "paid", Paid: 9900}, {ID: "in_2", Status: "paid", Paid: 9900}, {ID: "in_3", Status: "open"}}
	return t
}

func TestPoliciesOnMoney(t *testing.T) {
	onDispute := func(c *aggregate.Catalog) { c.OnDispute = aggregate.PolicyDeny }
	onRefund := func(c *aggregate.Catalog) { c.OnFullRefund = aggregate.PolicyDeny }
	pays := func(ps ...aggregate.PaymentTruth) []aggregate.PaymentTruth { return ps }
	granted, disputed, refunded := answer{"premium", "subscription", "subscription"}, answer{"starter", "free", "disputed"}, answer{"starter", "free", "refunded"}
	for name, test := range map[string]struct {
		policy   func(*aggregate.Catalog)
		payments []aggregate.PaymentTruth
		want     answer
	}{
		"a dispute that waits for us":                    {onDispute, pays(payment("in_2", 9900, 0, "needs_response")), disputed},
		"a dispute that waits for the bank":              {onDispute, pays(payment("in_2", 9900, 0, "under_review")), disputed},
		"a dispute that was lost":                        {onDispute, pays(payment("in_2", 9900, 0, "lost")), disputed},
		"a dispute that was won":                         {onDispute, pays(payment("in_2", 9900, 0, "won")), granted},
		"an inquiry":                                     {onDispute, pays(payment("in_2", 9900, 0, "warning_needs_response")), granted},
		"one won, one open":                              {onDispute, pays(payment("in_2", 9900, 0, "won", "needs_response")), disputed},
		"a dispute of an older invoice":                  {onDispute, pays(payment("in_1", 9900, 0, "lost")), disputed},
		"a dispute of another's invoice":                 {onDispute, pays(payment("in_8", 9900, 0, "lost")), granted},
		"a dispute of a payment of nothing":              {onDispute, pays(payment("", 9900, 0, "lost")), granted},
		"a dispute, kept":                                {func(*aggregate.Catalog) {}, pays(payment("in_2", 9900, 0, "lost")), granted},
		"a refund, under the other policy":               {onDispute, pays(payment("in_2", 9900, 9900)), granted},
		"a full refund":                                  {onRefund, pays(payment("in_2", 9900, 9900)), refunded},
		"a partial refund":                               {onRefund, pays(payment("in_2", 9900, 9899)), granted},
		"a full refund of an older invoice":              {onRefund, pays(payment("in_1", 9900, 9900)), granted},
		"a full refund of another's invoice":             {onRefund, pays(payment("in_8", 9900, 9900)), granted},
		"a full refund, kept":                            {func(*aggregate.Catalog) {}, pays(payment("in_2", 9900, 9900)), granted},
		"a dispute, under the other policy":              {onRefund, pays(payment("in_2", 9900, 0, "lost")), granted},
		"one of two payments given back":                 {onRefund, pays(payment("in_2", 4000, 4000)), granted},
		"a dispute that was closed as won, and a refund": {onRefund, pays(payment("in_2", 9900, 9900, "won")), refunded},
		"both of two payments given back":                {onRefund, pays(payment("in_2", 4000, 4000), payment("in_2", 5900, 5900)), refunded},
	} {
		held := holding(waivers(), billed(aggregate.Active))
		held.Payments = test.payments
		if e, _ := aggregate.Entitle("a", held, strict(test.policy), day0); answerOf(e) != test.want {
			t.Errorf("%s: %v, want %v", name, answerOf(e), test.want)
		}
	}
}

func TestAPaidInvoiceAfterARefundGrantsAgain(t *testing.T) {
	held := holding(waivers(), billed(aggregate.Active))
	held.Payments = []aggregate.PaymentTruth{payment("in_2", 9900, 9900)}
	held.Subscriptions[0].Invoices[2] = aggregate.InvoiceTruth{ID: "in_3", Status: "paid", Paid: 9900}
	catalogs := strict(func(c *aggregate.Catalog) { c.OnFullRefund = aggregate.PolicyDeny })
	if e, _ := aggregate.Entitle("a", held, catalogs, day0); e.Tier != "premium" {
		t.Errorf("%v", answerOf(e))
	}
}

func TestAnInvoiceOfNothingIsNotRefunded(t *testing.T) {
	sub := billed(aggregate.Active)
	sub.Invoices[1].Paid = 0
	catalogs := strict(func(c *aggregate.Catalog) { c.OnFullRefund = aggregate.PolicyDeny })
	if e, _ := aggregate.Entitle("a", holding(waivers(), sub), catalogs, day0); e.Tier != "premium" {
		t.Errorf("%v", answerOf(e))
	}
}

func TestPoliciesOnPausesAndPendingPayments(t *testing.T) {
	paused, pending := billed(aggregate.Active), billed(aggregate.Trialing)
	paused.PauseCollection, pending.PaymentPending = "void", true
	failed := billed(aggregate.PastDue)
	failed.NothingOwed, failed.Flags = true, []string{aggregate.FlagCheckoutFailed}
	granted := answer{"premium", "subscription", "subscription"}
	deny := func(c *aggregate.Catalog) { c.OnPauseCollection = aggregate.PolicyDeny }
	wait := func(c *aggregate.Catalog) { c.AsyncPayment = aggregate.PolicyWait }
	for name, test := range map[string]struct {
		sub    aggregate.SubscriptionTruth
		policy func(*aggregate.Catalog)
		want   answer
	}{
		"collection paused, denied":           {paused, deny, answer{"starter", "free", "collection_paused"}},
		"collection paused, kept":             {paused, wait, granted},
		"a pending payment, waited for":       {pending, wait, answer{"starter", "free", "payment_pending"}},
		"a pending payment, granted":          {pending, deny, granted},
		"a payment that failed, waited for":   {failed, wait, answer{"starter", "free", "checkout_failed"}},
		"a payment that failed, granted":      {failed, deny, answer{"premium", "subscription", "nothing_owed"}},
		"neither":                             {billed(aggregate.Active), func(c *aggregate.Catalog) { deny(c); wait(c) }, granted},
		"what the status denies, it explains": {withPause(billed(aggregate.Unpaid)), deny, answer{"starter", "free", "unpaid"}},
	} {
		if e, _ := aggregate.Entitle("a", holding(waivers(), test.sub), strict(test.policy), day0); answerOf(e) != test.want {
			t.Errorf("%s: %v, want %v", name, answerOf(e), test.want)
		}
	}
}

func withPause(t aggregate.SubscriptionTruth) aggregate.SubscriptionTruth {
	t.PauseCollection = "void"
	return t
}

func TestWhatAPolicyDeniesLeavesTheRestToDecide(t *testing.T) {
	catalogs := strict(func(c *aggregate.Catalog) { c.OnPauseCollection = aggregate.PolicyDeny })
	basic, overdue := subscribed("b", aggregate.Active, "basic"), pastDue("c", "elite")
	overdue.Delinquency.GraceUntil = day0
	denied := withPause(billed(aggregate.Active))
	if e, _ := aggregate.Entitle("a", holding(waivers(), basic, denied), catalogs, day0); e.Tier != "basic" || e.SubscriptionID != "b" {
		t.Errorf("beside a lower one that grants: %v of %s", answerOf(e), e.SubscriptionID)
	}
	if e, _ := aggregate.Entitle("a", holding(waivers(), overdue, denied), catalogs, day0); e.SubscriptionID != "s" {
		t.Errorf("beside one whose status denies: %v of %s", answerOf(e), e.SubscriptionID)
	}
	if e, _ := aggregate.Entitle("a", holding(waivers(waiver("basic", time.Time{})), denied), catalogs, day0); answerOf(e) != (answer{"basic", "waiver", "waiver"}) {
		t.Errorf("beside a lower waiver: %v", answerOf(e))
	}
}

// TestFault11ACheckoutWhosePaymentIsPendingGrantsNothingUnderWait: the reference
// system granted access at checkout, whatever the payment's status was.
func TestFault11ACheckoutWhosePaymentIsPendingGrantsNothingUnderWait(t *testing.T) {
	wait := strict(func(c *aggregate.Catalog) { c.AsyncPayment = aggregate.PolicyWait })
	var s story
	s.started(day0, aggregate.Active, "price_premium")
	wantUnder := func(doing string, c aggregate.Catalogs, want answer) {
		t.Helper()
		for _, order := range permutations(s.facts) {
			if e, _ := aggregate.Entitle("a", holding(waivers(), fold(order).Derive(c)), c, at(10*day)); answerOf(e) != want {
				t.Fatalf("%s: %v, want %v", doing, answerOf(e), want)
			}
		}
	}
	granted := answer{"premium", "subscription", "subscription"}
	s.checkout(aggregate.CheckoutCompleted, day0, "unpaid")
	wantUnder("unpaid", wait, answer{"starter", "free", "payment_pending"})
	wantUnder("unpaid, by default", builtin(), granted)
	s.checkout(aggregate.CheckoutPaid, at(3*day), "paid")
	wantUnder("paid days later", wait, granted)
}

// reasonStep is something that is told, and the reason of what is granted then.
type reasonStep struct {
	tell func()
	want aggregate.Reason
}

// wantReasons begins with a subscription that was paid for, and tells the steps one
// after the other.
func wantReasons(t *testing.T, catalog aggregate.Catalogs, sub, pay *story, steps []reasonStep) {
	t.Helper()
	sub.started(day0, aggregate.Active, "price_premium")
	sub.paid(at(time.Second), "in_1", day0)
	pay.intent(aggregate.IntentSucceeded, day0)
	for i, step := range steps {
		step.tell()
		held := holding(waivers(), sub.truth())
		held.Payments = []aggregate.PaymentTruth{gather(pay.facts).DerivePayment("pi_1")}
		if e, _ := aggregate.Entitle("a", held, catalog, at(10*day)); e.Reason != step.want {
			t.Errorf("step %d: %s, want %s", i, e.Reason, step.want)
		}
	}
}

func TestADisputeDeniesFromItsOpeningUntilItIsWon(t *testing.T) {
	deny := strict(func(c *aggregate.Catalog) { c.OnDispute = aggregate.PolicyDeny })
	var sub, pay story
	wantReasons(t, deny, &sub, &pay, []reasonStep{
		{func() {}, aggregate.ReasonSubscription},
		{func() { pay.dispute(aggregate.DisputeOpened, at(day), "needs_response") }, aggregate.ReasonDisputed},
		{func() { pay.dispute(aggregate.DisputeUpdated, at(2*day), "under_review") }, aggregate.ReasonDisputed},
		{func() { pay.dispute(aggregate.DisputeClosed, at(3*day), "won") }, aggregate.ReasonSubscription},
	})
}

func TestAFullRefundDeniesUntilTheNextInvoiceIsPaid(t *testing.T) {
	deny := strict(func(c *aggregate.Catalog) { c.OnFullRefund = aggregate.PolicyDeny })
	var sub, pay story
	wantReasons(t, deny, &sub, &pay, []reasonStep{
		{func() { pay.refund(aggregate.RefundCreated, at(day), "re_1", 2899, "succeeded") }, aggregate.ReasonSubscription},
		{func() { pay.refund(aggregate.RefundCreated, at(2*day), "re_2", 1, "pending") }, aggregate.ReasonRefunded},
		{func() { pay.refund(aggregate.RefundFailed, at(3*day), "re_2", 1, "failed") }, aggregate.ReasonSubscription},
		{func() { pay.refund(aggregate.RefundCreated, at(4*day), "re_3", 1, "succeeded") }, aggregate.ReasonRefunded},
		{func() { sub.paid(at(5*day), "in_2", at(5*day)) }, aggregate.ReasonSubscription},
	})
}

func TestADefaultPolicyIsTheSameCatalogSaidOrNot(t *testing.T) {
	const rest = `"free_tier": "a", "tiers": [{"id": "a"}]`
	plain := catalogOf(t, `{`+rest+`}`)
	said := catalogOf(t, `{"on_dispute": "keep", "on_full_refund": "keep", "on_pause_collection": "keep", "async_payment": "grant", `+rest+`}`)
	if plain.Hash() != said.Hash() {
		t.Error("the hash differs")
	}
	other := catalogOf(t, `{"on_dispute": "deny", "on_full_refund": "deny", "on_pause_collection": "deny", "async_payment": "wait", `+rest+`}`)
	if other.OnDispute != "deny" || other.OnFullRefund != "deny" || other.OnPauseCollection != "deny" || other.AsyncPayment != "wait" || other.Hash() == plain.Hash() {
		t.Errorf("%+v", other)
	}
}

// TestTheBuiltinCatalogIsStillTheOneAdopted: its hash is in stored adoptions;
// another would be adopted anew by every store at its next start.
func TestTheBuiltinCatalogIsStillTheOneAdopted(t *testing.T) {
	const adopted = "1ef0511605e06825d18805210b9e5814fce3f0637f49ec5b40e0a8900ef2354c"
	if got := aggregate.BuiltinCatalog().Hash(); got != adopted {
		t.Errorf("hash %s, want %s", got, adopted)
	}
}

func TestOtherPoliciesAreRefused(t *testing.T) {
	for _, policy := range []string{`"on_dispute": "wait"`, `"on_full_refund": ""`, `"on_pause_collection": null`, `"async_payment": "keep"`, `"async_payment": 1`} {
		_, err := aggregate.DecodeCatalog([]byte(`{"free_tier": "a", "tiers": [{"id": "a"}], ` + policy + `}`))
		if key := strings.Trim(strings.Split(policy, ":")[0], `"`); err == nil || strings.Count(err.Error(), key+":") != 1 {
			t.Errorf("%s: %v, want one fault of it", policy, err)
		}
	}
}
