package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// The tests named TestFaultNN… each fail on the fault of that number in
// docs/FAULTS.md. Those here are of the rules of the domain.

func TestFault04EventsBeforeTheCheckoutAreKept(t *testing.T) {
	var s story
	s.started(day0, aggregate.Incomplete, "price_basic")
	s.paid(at(time.Minute), "in_1", day0).BillingReason = "subscription_create"
	s.changed(at(time.Minute), aggregate.Active, "price_basic")
	s.checkout(aggregate.CheckoutCompleted, at(2*time.Minute), "paid").Account = "team-42"
	early := fold(s.facts[1:3]).Derive(builtin())
	if early.Status != aggregate.Active || early.Tier != "basic" || !slices.Equal(early.Paid, []aggregate.Money{{Currency: "usd", Amount: 2900}}) {
		t.Errorf("before its checkout and its creation arrive: %s, tier %q, paid %v", early.Status, early.Tier, early.Paid)
	}
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Active && truth.Tier == "basic" && len(truth.Invoices) == 1 && truth.Link.Account == "team-42"
	})
}

func TestFault05LateEventsDoNotResurrect(t *testing.T) {
	var ended story
	ended.started(day0, aggregate.Active, "price_elite")
	ended.canceled(at(day), "price_elite")
	ended.changed(at(2*day), aggregate.Active, "price_elite")
	ended.paid(at(3*day), "in_2", at(day))
	wantInEveryOrder(t, &ended, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Canceled && !truth.Access(at(4*day)).Granted
	})
	var recovered story
	recovered.started(day0, aggregate.Active, "price_basic")
	recovered.failed(at(day), "in_2", at(day))
	recovered.changed(at(day), aggregate.PastDue, "price_basic")
	recovered.paid(at(2*day), "in_2", at(day))
	recovered.changed(at(2*day), aggregate.Active, "price_basic")
	wantInEveryOrder(t, &recovered, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Active && truth.Delinquency == nil && truth.Tier == "basic"
	})
}

func TestFault06SubscriptionsOfOneAccountStayApart(t *testing.T) {
	tell := func(id string, price string, canceled bool) aggregate.SubscriptionTruth {
		var s story
		s.started(day0, aggregate.Active, price)
		s.checkout(aggregate.CheckoutCompleted, day0, "paid")
		if canceled {
			s.failed(at(day), "in_"+id, at(day))
			s.canceled(at(2*day), price)
		}
		sub := aggregate.NewSubscription(id)
		for i := range s.facts {
			sub.Evolve(aggregate.Event{Fact: &s.facts[i]}, aggregate.Place{})
		}
		return sub.Derive(builtin())
	}
	both := holding(waivers(), tell("sub_old", "price_elite", false), tell("sub_new", "price_basic", false))
	if e, _ := aggregate.Entitle("a", both, builtin(), at(3*day)); e.Tier != "elite" || e.SubscriptionID != "sub_old" {
		t.Errorf("after a second checkout: %s of %s, want the better one still", e.Tier, e.SubscriptionID)
	}
	ended := holding(waivers(), tell("sub_old", "price_elite", true), tell("sub_new", "price_basic", false))
	e, _ := aggregate.Entitle("a", ended, builtin(), at(3*day))
	if answerOf(e) != (answer{"basic", "subscription", "subscription"}) || e.SubscriptionID != "sub_new" || e.InGrace {
		t.Errorf("after the old one failed and ended: %v of %s, in grace %t", answerOf(e), e.SubscriptionID, e.InGrace)
	}
}

func TestFault07GraceIsCountedOnceFromTheFirstFailure(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day+time.Second), aggregate.PastDue, "price_basic")
	s.failed(at(30*day+23*time.Hour), "in_2", at(30*day)).AttemptCount = 2
	s.failed(at(33*day), "in_2", at(30*day)).AttemptCount = 3
	for _, order := range permutations(s.facts) {
		wantAnchor(t, fold(order).Derive(builtin()), at(30*day))
	}
	if e := s.entitle(t, at(31*day)); e.InGrace || answerOf(e) != (answer{"starter", "free", "expired_grace"}) {
		t.Errorf("a day after the first failure, whatever failed since: %v, in grace %t", answerOf(e), e.InGrace)
	}
	var silent story
	silent.started(day0, aggregate.Active, "price_basic")
	silent.changed(at(30*day), aggregate.PastDue, "price_basic")
	wantAnchor(t, silent.truth(), at(30*day))
	if e := silent.entitle(t, at(30*day+time.Hour)); !e.InGrace || e.Tier != "basic" {
		t.Errorf("past_due without a failure: %v, in grace %t", answerOf(e), e.InGrace)
	}
	if e := silent.entitle(t, at(31*day)); e.InGrace || e.Tier != "starter" {
		t.Errorf("a day later: %v, in grace %t", answerOf(e), e.InGrace)
	}
}

func TestFault09APortalDowngradeChangesTheTier(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_elite")
	s.checkout(aggregate.CheckoutCompleted, day0, "paid")
	s.changed(at(day), aggregate.Active, "price_basic")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool { return truth.Tier == "basic" })
}

func TestFault10TrialingIsPaidAccess(t *testing.T) {
	var s story
	s.started(day0, aggregate.Trialing, "price_premium").TrialEnd = at(14 * day)
	if e := s.entitle(t, at(day)); answerOf(e) != (answer{"premium", "subscription", "subscription"}) || !e.TrialEnd.Equal(at(14*day)) {
		t.Errorf("on trial: %v until %s", answerOf(e), e.TrialEnd)
	}
}

func TestFault18DecisionsNameWhoAndSinceWhen(t *testing.T) {
	a := aggregate.NewAccount("team-42")
	for i, command := range []aggregate.Command{
		aggregate.GrantWaiver{ID: "w_1", Tier: "elite", Reason: why, Actor: "alice"},
		aggregate.RevokeWaiver{ID: "w_1", Reason: "no partner any more", Actor: "bob"},
		aggregate.BlockAccount{Reason: "charged back", Actor: "carol"},
	} {
		events, err := a.Decide(command, builtin(), at(time.Duration(i)*time.Hour))
		if err != nil || len(events) != 1 {
			t.Fatalf("%T: %d events, %v", command, len(events), err)
		}
		stored, err := aggregate.Encode(events[0])
		if err != nil {
			t.Fatal(err)
		}
		recorded, err := aggregate.Decode(events[0].Type(), stored)
		if err != nil {
			t.Fatal(err)
		}
		a.Evolve(recorded, aggregate.Place{})
	}
	truth := a.Truth()
	w, b := truth.Waivers[0], truth.Block
	if w.GrantedBy != "alice" || w.RevokedBy != "bob" || b.BlockedBy != "carol" || b.Reason != "charged back" {
		t.Errorf("granted by %s, revoked by %s, blocked by %s for %q", w.GrantedBy, w.RevokedBy, b.BlockedBy, b.Reason)
	}
	if !w.GrantedAt.Equal(day0) || !w.RevokedAt.Equal(at(time.Hour)) || !b.BlockedAt.Equal(at(2*time.Hour)) {
		t.Errorf("granted at %s, revoked at %s, blocked at %s", w.GrantedAt, w.RevokedAt, b.BlockedAt)
	}
}

func TestFault18GraceIsClearedByPayment(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(day), "in_2", at(day))
	s.changed(at(day), aggregate.PastDue, "price_basic")
	if e := s.entitle(t, at(day+time.Hour)); !e.InGrace || e.GraceUntil.IsZero() {
		t.Fatalf("in grace %t until %s", e.InGrace, e.GraceUntil)
	}
	s.paid(at(day+2*time.Hour), "in_2", at(day))
	if e := s.entitle(t, at(day+3*time.Hour)); e.InGrace || !e.GraceUntil.IsZero() || e.Tier != "basic" {
		t.Errorf("paid: in grace %t until %s, tier %s", e.InGrace, e.GraceUntil, e.Tier)
	}
}

func TestFault19OnlyTiersOfTheCatalogAreGranted(t *testing.T) {
	for _, tier := range []string{"platinum", "Elite", " elite", "", "elite\n"} {
		_, err := accountOf().Decide(aggregate.GrantWaiver{ID: "w", Tier: tier, Reason: why, Actor: "ops"}, builtin(), day0)
		if faults := aggregate.CommandErrors(err); len(faults) != 1 || faults[0].Field != "tier" {
			t.Errorf("a waiver of %q: %v", tier, err)
		}
	}
	// One that was granted under a catalog that had the tier grants nothing now.
	e, _ := aggregate.Entitle("a", holding(waivers(waiver("platinum", time.Time{}))), builtin(), day0)
	if answerOf(e) != (answer{"starter", "free", "free"}) || !slices.Contains(e.Flags, aggregate.FlagWaiverUnknownTier) {
		t.Errorf("a recorded waiver of no tier: %v, flags %v", answerOf(e), e.Flags)
	}
	if _, err := aggregate.DecodeCatalog([]byte(`{"free_tier":"none","tiers":[{"id":"a"}]}`)); err == nil {
		t.Error("a catalog whose free tier does not exist is accepted")
	}
}

func TestFault21RefundsDisputesAndPausesCount(t *testing.T) {
	deny := strict(func(c *aggregate.Catalog) {
		c.OnDispute, c.OnFullRefund, c.OnPauseCollection = aggregate.PolicyDeny, aggregate.PolicyDeny, aggregate.PolicyDeny
	})
	reasonOf := func(paused bool, tell func(*story)) aggregate.Reason {
		var sub, pay story
		sub.started(day0, aggregate.Active, "price_basic")
		sub.paid(day0, "in_1", day0)
		if paused {
			sub.changed(at(day), aggregate.Active, "price_basic").PauseCollection = "void"
		}
		pay.intent(aggregate.IntentSucceeded, day0)
		tell(&pay)
		held := holding(waivers(), sub.truth())
		held.Payments = []aggregate.PaymentTruth{gather(pay.facts).DerivePayment("pi_1")}
		e, _ := aggregate.Entitle("a", held, deny, at(2*day))
		return e.Reason
	}
	for name, test := range map[string]struct {
		paused bool
		tell   func(*story)
		want   aggregate.Reason
	}{
		"nothing":   {false, func(*story) {}, aggregate.ReasonSubscription},
		"a refund":  {false, func(s *story) { s.refund(aggregate.RefundCreated, at(day), "re_1", 2900, "succeeded") }, aggregate.ReasonRefunded},
		"a dispute": {false, func(s *story) { s.dispute(aggregate.DisputeOpened, at(day), "needs_response") }, aggregate.ReasonDisputed},
		"a pause":   {true, func(*story) {}, aggregate.ReasonCollectionPaused},
	} {
		if got := reasonOf(test.paused, test.tell); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	var paused story
	paused.started(day0, aggregate.Active, "price_basic")
	paused.snapshot(aggregate.SubscriptionPaused, at(day), aggregate.Paused, "price_basic")
	if e := paused.entitle(t, at(2*day)); answerOf(e) != (answer{"starter", "free", "paused"}) {
		t.Errorf("a paused subscription: %v", answerOf(e))
	}
}
