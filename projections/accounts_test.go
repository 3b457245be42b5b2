package projections_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

func TestACustomersClaimMovesAllItsSubscriptions(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "", aggregate.Active, "price_basic", begin)
	r.subscribed("sub_2", "own", aggregate.Active, "price_elite", begin)
	r.settle()
	r.wantTier("cus_sub_1", "basic", "before any claim")
	r.customer("cus_sub_1", "team", begin)
	r.customer("cus_sub_2", "team", begin)
	r.settle()
	if e := r.entitlement("team"); e.Tier != "basic" || e.SubscriptionID != "sub_1" {
		t.Errorf("the claimed account: %+v", e)
	}
	if e := r.entitlement("cus_sub_1"); e.Known {
		t.Errorf("the old account still has %+v", e)
	}
	if e := r.entitlement("own"); e.SubscriptionID != "sub_2" {
		t.Errorf("a claim displaced a better link: %+v", e)
	}
	if a := r.account("team"); !slices.Equal(a.Customers, []string{"cus_sub_1", "cus_sub_2"}) || len(a.Links) != 3 ||
		a.Links[0].Subscription != "sub_1" || a.Links[0].By != "customer" || a.Links[0].StripeEventID == "" {
		t.Errorf("account %+v", a)
	}
	r.sameAsRebuilt()

	r.customer("cus_sub_1", "other", begin.Add(time.Minute))
	r.settle()
	if e := r.entitlement("team"); e.Known {
		t.Errorf("after the claim moved on: %+v", e)
	}
	r.wantTier("other", "basic", "where the claim moved")
	r.fact(projections.KindCustomer, "cus_sub_1", aggregate.Fact{Type: aggregate.CustomerDeleted, OccurredAt: begin.Add(time.Hour),
		Customer: &aggregate.CustomerSnapshot{ID: "cus_sub_1", Account: "other", Deleted: true}})
	r.settle()
	r.wantTier("cus_sub_1", "basic", "once the customer is deleted")
	if a := r.account("cus_sub_1"); !slices.Equal(a.Customers, []string{"cus_sub_1"}) || !slices.Equal(a.DeletedCustomers, a.Customers) {
		t.Errorf("customers %q, deleted %q", a.Customers, a.DeletedCustomers)
	}
	if a := r.account("own"); len(a.DeletedCustomers) > 0 {
		t.Errorf("deleted %q", a.DeletedCustomers)
	}
	r.sameAsRebuilt()
}

func TestAClaimKnownBeforeTheSubscriptionHolds(t *testing.T) {
	r := newRig(t)
	r.start()
	r.customer("cus_sub_1", "team", begin)
	r.settle()
	r.subscribed("sub_1", "", aggregate.Active, "price_basic", begin)
	r.settle()
	r.wantTier("team", "basic", "by the claim")
	r.start() // what was known is known again
	r.subscribed("sub_1", "", aggregate.Active, "price_elite", begin.Add(time.Minute))
	r.settle()
	r.wantTier("team", "elite", "after a restart")
	r.sameAsRebuilt()
}

func TestDecisionsTakeEffectAndEndOnTheSecond(t *testing.T) {
	r := newRig(t)
	r.start()
	ends := begin.Add(time.Hour)
	r.decided("a", aggregate.Decision{Type: aggregate.WaiverGranted, Waiver: "wv_1", Tier: "elite", Until: ends})
	r.settle()
	if e := r.entitlement("a"); !e.Known || e.Tier != "elite" || e.Source != aggregate.FromWaiver {
		t.Fatalf("a waiver alone: %+v", e)
	}
	if a := r.account("a"); len(a.Waivers) != 1 || a.Waivers[0].ID != "wv_1" || len(a.Subscriptions) != 0 {
		t.Errorf("account %+v", a)
	}
	r.sameAsRebuilt()
	r.clock.Set(ends.Add(-time.Second))
	r.wantTier("a", "elite", "a second before the end")
	r.clock.Set(ends)
	if e := r.entitlement("a"); e.Tier != "starter" || !e.Known {
		t.Errorf("at the end: %+v", e)
	}
	r.eventually("the end is written", func() bool { return r.stored("a").Tier == "starter" })

	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.decided("a", aggregate.Decision{Type: aggregate.AccountBlocked})
	r.settle()
	if e := r.entitlement("a"); e.Source != aggregate.FromBlocked || r.account("a").Block == nil {
		t.Errorf("blocked: %+v", e)
	}
	r.sameAsRebuilt()
	r.decided("a", aggregate.Decision{Type: aggregate.AccountUnblocked})
	r.settle()
	if e := r.entitlement("a"); e.Tier != "premium" || r.account("a").Block != nil {
		t.Errorf("unblocked: %+v", e)
	}
	r.sameAsRebuilt()
}

func TestAnExtendedGraceIsNotToldBeforeItEnds(t *testing.T) {
	r := newRig(t)
	r.start()
	extended := graceEnd.Add(48 * time.Hour)
	r.inGrace("sub_1", "a")
	r.inGrace("sub_2", "b")
	r.decided("a", aggregate.Decision{Type: aggregate.GraceExtended, Until: extended})
	r.settle()
	r.clock.Set(graceEnd)
	r.eventually("the other grace is told", func() bool { return slices.Contains(r.toldOf(), "b/sub_2") })
	if e := r.entitlement("a"); e.Tier != "premium" || !e.GraceUntil.Equal(extended) {
		t.Errorf("extended: %+v", e)
	}
	r.clock.Set(extended.Add(-time.Second))
	r.wantTier("a", "premium", "a second before the end")
	if told := r.toldOf(); slices.Contains(told, "a/sub_1") {
		t.Errorf("told too early: %v", told)
	}
	r.clock.Set(extended)
	r.wantTier("a", "starter", "at the end")
	r.eventually("the end is told and written", func() bool {
		return slices.Equal(r.toldOf(), []string{"b/sub_2", "a/sub_1"}) && r.stored("a").Tier == "starter"
	})
	r.sameAsRebuilt()
}

func TestAClockMovesTheAccountsOfItsSubscriptions(t *testing.T) {
	r := newRig(t)
	r.start()
	r.frozen("clock_1", begin, begin)
	r.onClock("sub_1", "a", "clock_1", aggregate.Active, begin.Add(-48*time.Hour))
	r.paymentFailed("sub_1", "a", begin)
	r.onClock("sub_1", "a", "clock_1", aggregate.PastDue, begin)
	r.settle()
	if e := r.entitlement("a"); e.Tier != "premium" || !e.InGrace {
		t.Fatalf("in grace: %+v", e)
	}
	r.clock.Set(graceEnd.Add(time.Hour)) // our time passes, the clock's does not
	r.wantTier("a", "premium", "by the clock's time")
	r.sameAsRebuilt()
	r.frozen("clock_1", graceEnd, begin.Add(time.Minute))
	r.settle()
	if e := r.entitlement("a"); e.Tier != "starter" || e.Reason != aggregate.ReasonExpiredGrace {
		t.Errorf("the clock came to the end of grace: %+v", e)
	}
	r.eventually("the end is told", func() bool { return slices.Contains(r.toldOf(), "a/sub_1") })
	r.sameAsRebuilt()
}

// The parts of a dispute come in any order; only all of them deny.
func TestADisputeFindsItsAccountInAnyOrder(t *testing.T) {
	steps := []func(*rig){
		func(r *rig) { r.subscribed("sub_1", "", aggregate.Active, "price_premium", begin) },
		func(r *rig) { r.invoicePaid("sub_1", "in_1", begin) },
		func(r *rig) { r.paysFor("pi_1", "in_1", begin) },
		func(r *rig) { r.disputed("pi_1", "needs_response", begin.Add(time.Hour)) },
		func(r *rig) { r.customer("cus_sub_1", "team", begin) },
	}
	permutations(len(steps), func(order []int) {
		r := newRig(t)
		r.adopt(strict())
		r.start()
		for _, i := range order {
			steps[i](r)
			r.settle()
		}
		if e := r.entitlement("team"); e.Tier != "starter" || e.Reason != aggregate.ReasonDisputed {
			t.Errorf("order %v: %+v", order, e)
		}
		r.disputed("pi_1", "won", begin.Add(2*time.Hour))
		r.settle()
		if e := r.entitlement("team"); e.Tier != "premium" {
			t.Errorf("order %v, after it was won: %+v", order, e)
		}
		r.sameAsRebuilt()
		r.close()
	})
}

// permutations calls fn with every order of n things.
func permutations(n int, fn func([]int)) {
	var extend func(order []int)
	extend = func(order []int) {
		if len(order) == n {
			fn(order)
			return
		}
		for i := range n {
			if !slices.Contains(order, i) {
				extend(append(slices.Clone(order), i))
			}
		}
	}
	extend(nil)
}

func TestPaymentsAreSummedWhereTheyBelong(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.charged("pi_1", "cus_sub_1", "in_1", 2900, begin)
	r.charged("pi_2", "cus_sub_1", "", 500, begin) // beside any subscription
	r.refunded("pi_1", 900, begin.Add(time.Hour))
	r.disputed("pi_2", "lost", begin.Add(time.Hour))
	r.settle()
	a := r.account("a")
	if p := a.Payments; !slices.Equal(p.Received, usd(3400)) || !slices.Equal(p.Refunded, usd(900)) || !slices.Equal(p.Lost, usd(2900)) {
		t.Errorf("payments %+v", a.Payments)
	}
	// A second subscription of the customer, in another account: its bare
	// payments belong to neither, its invoices' payments stay.
	r.fact(projections.KindSubscription, "sub_2", aggregate.Fact{Type: aggregate.SubscriptionStarted,
		Subscription: &aggregate.SubscriptionSnapshot{ID: "sub_2", Customer: "cus_sub_1", Status: aggregate.Active, Account: "b"}})
	r.settle()
	if p := r.account("a").Payments; !slices.Equal(p.Received, usd(2900)) || len(p.Lost) != 0 {
		t.Errorf("payments of a, once the customer has two accounts: %+v", p)
	}
	if p := r.account("b").Payments; len(p.Received) != 0 {
		t.Errorf("payments of b: %+v", p)
	}
	r.sameAsRebuilt()
	r.customer("cus_sub_1", "b", begin.Add(time.Hour))
	r.settle()
	if p := r.account("b").Payments; !slices.Equal(p.Received, usd(500)) {
		t.Errorf("payments of b, which the customer claims: %+v", p)
	}
	r.sameAsRebuilt()
}

func TestCreditNotesThatStandAreSummed(t *testing.T) {
	r := newRig(t)
	r.start()
	r.credited("in_1", "cn_1", "issued", 300, begin) // before there is an invoice
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.credited("in_1", "cn_1", "issued", 300, begin.Add(time.Minute)) // told again
	r.credited("in_1", "cn_2", "issued", 200, begin)
	r.settle()
	if got := r.account("a").Payments.Credited; !slices.Equal(got, []aggregate.Money{{Amount: 500, Currency: "usd"}}) {
		t.Errorf("credited %v", got)
	}
	r.credited("in_1", "cn_2", "void", 200, begin.Add(time.Hour))
	r.settle()
	if got := r.account("a").Payments.Credited; !slices.Equal(got, []aggregate.Money{{Amount: 300, Currency: "usd"}}) {
		t.Errorf("credited, once a note is void, %v", got)
	}
	r.sameAsRebuilt()
}

func TestContradictionsAreShownOnTheAccount(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.charged("pi_1", "cus_sub_1", "in_1", 2900, begin)
	r.settle()
	if e := r.entitlement("a"); len(e.Flags) != 0 {
		t.Fatalf("flags from the beginning: %v", e.Flags)
	}
	r.refunded("pi_1", 9900, begin.Add(time.Hour))
	r.fact(projections.KindBill, "in_1", aggregate.Fact{Type: aggregate.CreditNoteIssued, OccurredAt: begin,
		CreditNote: &aggregate.CreditNoteSnapshot{ID: "cn_1", Invoice: "in_1", Customer: "cus_sub_1", Status: "issued",
			Currency: "usd", Amount: -100, CreatedAt: begin}})
	r.settle()
	want := []string{aggregate.FlagNegativeAmount, aggregate.FlagRefundExceedsCharge}
	if a := r.account("a"); !slices.Equal(a.Flags, want) {
		t.Errorf("the account's flags %v, want %v", a.Flags, want)
	}
	if e := r.entitlement("a"); !slices.Equal(e.Flags, want) || e.Tier != "premium" {
		t.Errorf("the entitlement %+v, want flags %v", e, want)
	}
	r.sameAsRebuilt()
}

func TestAnAccountOfWhichNothingIsKnown(t *testing.T) {
	r := newRig(t)
	r.start()
	r.customer("cus_1", "claimed", begin)
	r.settle()
	if _, known, err := r.model.Account(t.Context(), "nobody"); known || err != nil {
		t.Errorf("nobody: %v, %v", known, err)
	}
	if a := r.account("claimed"); !slices.Equal(a.Customers, []string{"cus_1"}) {
		t.Errorf("an account that only a customer names: %+v", a)
	}
	if e := r.entitlement("claimed"); e.Known {
		t.Errorf("nothing entitles it: %+v", e)
	}
	r.sameAsRebuilt()
}

// Posting records a mapping before the first subscription that holds the price:
// nothing that was derived changes then, and the model is not folded anew.
func TestAPriceThatIsMappedBeforeItIsHeldChangesNothingElse(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.settle()
	evaluated := r.stored("a").AsOf
	r.clock.Set(begin.Add(time.Hour))
	r.appendRaw("catalog-main", aggregate.PriceMappedType,
		[]byte(`{"schema":1,"price":"price_gold","tier":"elite","lookup_key":"gold","mapped_at":"2026-03-01T12:00:00Z"}`))
	r.subscribed("sub_2", "b", aggregate.Active, "price_gold", begin)
	r.settle()
	r.wantTier("b", "elite", "by the mapping")
	if !r.stored("a").AsOf.Equal(evaluated) {
		t.Error("the model was folded anew")
	}
	if h, err := r.model.Catalogs(t.Context()); err != nil || len(h.Mappings()) != 1 {
		t.Errorf("mappings %v, %v", h.Mappings(), err)
	}
	r.sameAsRebuilt()
	r.start() // what prices were held is known again
	r.appendRaw("catalog-main", aggregate.PriceMappedType,
		[]byte(`{"schema":1,"price":"price_basic","tier":"elite","lookup_key":"b","mapped_at":"2026-03-01T12:00:00Z"}`))
	r.settle()
	r.sameAsRebuilt()
}

func TestAMappedPriceIsAppliedToEverySubscription(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_gold", begin)
	r.settle()
	r.wantTier("a", "starter", "before")
	r.appendRaw("catalog-main", aggregate.PriceMappedType,
		[]byte(`{"schema":1,"price":"price_gold","tier":"elite","lookup_key":"gold","mapped_at":"2026-03-01T12:00:00Z"}`))
	r.settle()
	r.wantTier("a", "elite", "after")
	r.subscribed("sub_2", "b", aggregate.Active, "price_gold", begin)
	r.settle()
	r.wantTier("b", "elite", "the next one")
	r.sameAsRebuilt()
}

// TestAWithdrawnMappingIsAppliedToEverySubscription: with what takes its place,
// and, without that, by the catalog alone; of the time before, what was known then
// is shown.
func TestAWithdrawnMappingIsAppliedToEverySubscription(t *testing.T) {
	r := newRig(t)
	r.start()
	mapped := func(tier, event string, when time.Time) {
		r.appendRaw("catalog-main", aggregate.PriceMappedType, fmt.Appendf(nil,
			`{"schema":1,"price":"price_gold","tier":%q,"lookup_key":"gold","stripe_event_id":%q,"seen_at":"2026-03-01T12:00:00Z","mapped_at":%q}`,
			tier, event, when.Format(time.RFC3339)))
	}
	withdrawn := func(event string, when time.Time) {
		r.appendRaw("catalog-main", aggregate.MappingWithdrawnType, fmt.Appendf(nil,
			`{"schema":1,"price":"price_gold","stripe_event_id":%q,"withdrawn_at":%q}`, event, when.Format(time.RFC3339)))
	}
	wantTier := func(tier string) {
		t.Helper()
		r.settle()
		if e := r.entitlement("a"); e.Tier != tier {
			t.Errorf("tier %q, want %q", e.Tier, tier)
		}
		r.sameAsRebuilt()
	}
	mapped("elite", "evt_forged", begin)
	r.subscribed("sub_1", "a", aggregate.Active, "price_gold", begin)
	wantTier("elite")
	withdrawn("evt_forged", begin.Add(time.Hour))
	wantTier("starter")
	mapped("premium", "evt_genuine", begin.Add(time.Hour))
	wantTier("premium")
	withdrawn("evt_forged", begin.Add(2*time.Hour))
	mapped("elite", "evt_forged", begin.Add(2*time.Hour))
	wantTier("premium")
	for when, tier := range map[time.Time]string{begin.Add(time.Minute): "elite", begin.Add(time.Hour): "premium"} {
		h, err := projections.CatalogsAt(t.Context(), r.store, projections.Moments{KnownAt: when})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := h.Current().TierOfItem(aggregate.Item{Price: "price_gold"}); got.ID != tier {
			t.Errorf("known at %s: %q, want %q", when, got.ID, tier)
		}
	}
}

// wantFlagged waits for what was told, and wants those of the accounts a and b that
// show that more was refunded than charged.
func (r *rig) wantFlagged(when string, accounts ...string) {
	r.t.Helper()
	r.settle()
	var shown []string
	for _, account := range []string{"a", "b"} {
		if slices.Contains(r.stored(account).Flags, aggregate.FlagRefundExceedsCharge) {
			shown = append(shown, account)
		}
	}
	if !slices.Equal(shown, accounts) {
		r.t.Errorf("%s: shown on %v, want %v", when, shown, accounts)
	}
}

// A payment that names no invoice is joined by its customer, whose other
// subscriptions and whose metadata may lead elsewhere later.
func TestAFlaggedPaymentFollowsItsCustomer(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.subscribed("sub_2", "b", aggregate.Active, "price_premium", begin)
	r.charged("pi_1", "cus_sub_1", "", 2900, begin)
	r.refunded("pi_1", 9900, begin)
	r.wantFlagged("at first", "a")
	r.customer("cus_sub_1", "b", begin.Add(-time.Hour))
	r.wantFlagged("the customer claims b", "b")
	r.customer("cus_sub_1", "", begin.Add(-time.Minute))
	r.wantFlagged("the customer claims nothing", "a")
	other := aggregate.SubscriptionSnapshot{ID: "sub_2", Customer: "cus_sub_1", Status: aggregate.Active, Account: "b"}
	r.fact(projections.KindSubscription, "sub_2", aggregate.Fact{Type: aggregate.SubscriptionChanged, OccurredAt: begin.Add(time.Minute), Subscription: &other})
	r.wantFlagged("the customer has two accounts")
	r.customer("cus_sub_1", "b", begin)
	r.wantFlagged("the customer claims b", "b")
	r.customer("cus_sub_1", "a", begin.Add(time.Minute))
	r.wantFlagged("the customer claims a", "a")
	r.sameAsRebuilt()
}

// A payment that names an invoice is joined by it, as long as the subscription
// has that invoice: not once the event that told so was repudiated.
func TestAPaymentFollowsItsInvoice(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.subscribed("sub_2", "b", aggregate.Active, "price_premium", begin)
	r.charged("pi_1", "cus_sub_2", "in_1", 2900, begin)
	r.refunded("pi_1", 9900, begin)
	r.wantFlagged("while the invoice is unknown", "b")
	r.invoicePaid("sub_1", "in_1", begin)
	forged := aggregate.FactKey{StripeEventID: r.lastKey()}
	r.wantFlagged("once the invoice is known", "a")
	r.sameAsRebuilt()
	r.fact(projections.KindSubscription, "sub_1", aggregate.Fact{Type: aggregate.Repudiated, Key: forged, Epoch: aggregate.RepudiatedEpoch,
		Repudiation: &aggregate.Repudiation{Actor: "ann", Reason: "forged"}})
	r.wantFlagged("once the invoice was repudiated", "b")
	r.sameAsRebuilt()
}

// TestAnAccountIsShownAsItWasThoughAllOfItMovedOn looks at accounts that have
// nothing any more: a subscription's metadata, and a customer's, named others.
func TestAnAccountIsShownAsItWasThoughAllOfItMovedOn(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "first", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.charged("pi_1", "cus_sub_1", "in_1", 2900, begin)
	r.subscribed("sub_2", "", aggregate.Active, "price_basic", begin)
	r.customer("cus_sub_2", "claimed", begin)
	moved := begin.Add(time.Hour)
	r.subscribed("sub_1", "second", aggregate.Active, "price_premium", moved)
	r.customer("cus_sub_2", "second", moved)
	r.settle()
	then := func(account string, at time.Time) (projections.AccountRecord, bool) {
		t.Helper()
		ever, err := projections.EverOf(t.Context(), r.model, account)
		if err != nil {
			t.Fatal(err)
		}
		a, known, err := projections.AccountAt(t.Context(), r.store, account, projections.Moments{AsOf: at}, ever...)
		if err != nil {
			t.Fatal(err)
		}
		return a, known
	}
	for account, subscription := range map[string]string{"first": "sub_1", "claimed": "sub_2"} {
		a, known := then(account, moved.Add(-time.Minute))
		if !known || len(a.Subscriptions) != 1 || a.Subscriptions[0].ID != subscription {
			t.Errorf("%s before the move: %v %+v", account, known, a.Subscriptions)
		}
		if _, known := then(account, moved); known {
			t.Errorf("%s is still known after the move", account)
		}
	}
	if a, _ := then("first", moved.Add(-time.Minute)); len(a.Payments.Received) != 1 || a.Payments.Received[0].Amount != 2900 {
		t.Errorf("received by the first account: %+v", a.Payments)
	}
	if _, known := then("second", moved.Add(-time.Minute)); known {
		t.Error("the second account was known before the move")
	}
}
