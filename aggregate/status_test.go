package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

func (s *story) entitle(t *testing.T, now time.Time) aggregate.Entitlement {
	t.Helper()
	e, _ := aggregate.Entitle("team-42", aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{s.truth()}}, builtin(), now)
	return e
}

func TestAccessByStatus(t *testing.T) {
	for _, test := range []struct {
		status  aggregate.Status
		granted bool
		reason  aggregate.Reason
	}{
		{aggregate.Incomplete, false, aggregate.ReasonIncomplete},
		{aggregate.IncompleteExpired, false, aggregate.ReasonCanceled},
		{aggregate.Trialing, true, aggregate.ReasonSubscription},
		{aggregate.Active, true, aggregate.ReasonSubscription},
		{aggregate.PastDue, true, aggregate.ReasonGrace},
		{aggregate.Unpaid, false, aggregate.ReasonUnpaid},
		{aggregate.Paused, false, aggregate.ReasonPaused},
		{aggregate.Canceled, false, aggregate.ReasonCanceled},
	} {
		var s story
		s.started(day0, aggregate.Active, "price_elite")
		s.changed(at(30*day), test.status, "price_elite")
		e := s.entitle(t, at(30*day+time.Hour))
		tier := "starter"
		if test.granted {
			tier = "elite"
		}
		if a := s.truth().Access(at(30*day + time.Hour)); a.Granted != test.granted || e.Reason != test.reason || e.Tier != tier {
			t.Errorf("%s: granted %v, reason %s, tier %s", test.status, a.Granted, e.Reason, e.Tier)
		}
	}
}

func TestATerminalStatusIsNeverLeft(t *testing.T) {
	for _, status := range []aggregate.Status{aggregate.Canceled, aggregate.IncompleteExpired} {
		var s story
		s.started(day0, aggregate.Incomplete, "price_basic")
		s.changed(at(day), status, "price_basic")
		s.snapshot(aggregate.SubscriptionResumed, at(2*day), aggregate.Active, "price_elite")
		s.checkout(aggregate.CheckoutPaid, at(3*day), "paid")
		s.paid(at(3*day), "in_1", day0)
		if truth := s.truth(); truth.Status != status || truth.Access(at(4*day)).Granted || truth.Tier != "basic" {
			t.Errorf("%s became %s, tier %s", status, truth.Status, truth.Tier)
		}
	}
}

func TestATrialWithAPaymentMethodGoesOn(t *testing.T) {
	var s story
	s.started(day0, aggregate.Trialing, "price_basic").TrialEnd = at(7 * day)
	s.invoice(aggregate.InvoiceFinalized, day0, "in_1", day0).Total = 0
	s.paid(day0, "in_1", day0).AmountPaid = 0
	s.snapshot(aggregate.TrialEnding, at(4*day), aggregate.Trialing, "price_basic").TrialEnd = at(7 * day)
	if e := s.entitle(t, at(6*day)); e.Tier != "basic" || e.Status != aggregate.Trialing || !e.TrialEnd.Equal(at(7*day)) {
		t.Errorf("on trial: %+v", e)
	}
	// A trial's end does not end access; Stripe's status does.
	if e := s.entitle(t, at(7*day+time.Hour)); e.Tier != "basic" {
		t.Errorf("just after: %+v", e)
	}
	s.changed(at(7*day), aggregate.Active, "price_basic")
	s.failed(at(7*day+time.Hour), "in_2", at(7*day))
	s.changed(at(7*day+time.Hour), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(7*day+time.Hour)) // and its first real invoice is one like any other
}

func TestATrialWithoutAPaymentMethodIsPausedOrCanceled(t *testing.T) {
	trial := func() *story {
		var s story
		s.started(day0, aggregate.Trialing, "price_basic").TrialEnd = at(7 * day)
		return &s
	}
	s := trial()
	s.snapshot(aggregate.SubscriptionPaused, at(7*day), aggregate.Paused, "price_basic")
	if e := s.entitle(t, at(7*day)); e.Tier != "starter" || e.Reason != aggregate.ReasonPaused {
		t.Errorf("paused: %+v", e)
	}
	s.snapshot(aggregate.SubscriptionResumed, at(9*day), aggregate.Active, "price_basic")
	if e := s.entitle(t, at(9*day)); e.Tier != "basic" || e.Reason != aggregate.ReasonSubscription {
		t.Errorf("resumed: %+v", e)
	}
	s = trial()
	s.canceled(at(7*day), "price_basic")
	if e := s.entitle(t, at(7*day)); e.Tier != "starter" || e.Reason != aggregate.ReasonCanceled {
		t.Errorf("canceled: %+v", e)
	}
}

// TestEndivesPauses: on demand, for a first payment that failed, and for a
// final one.
func TestEndivesPauses(t *testing.T) {
	for pausedFor, granted := range map[string]bool{"": false, "first_payment_failure": true, "final_payment_failure": false} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.failed(at(30*day), "in_2", at(30*day))
		s.snapshot(aggregate.SubscriptionPaused, at(30*day), aggregate.Paused, "price_basic").PausedFor = pausedFor
		if a := s.truth().Access(at(30*day + time.Hour)); a.Granted != granted {
			t.Errorf("paused for %q: %+v", pausedFor, a)
		}
		s.invoice(aggregate.InvoiceUncollectible, at(40*day), "in_2", at(30*day))
		s.snapshot(aggregate.SubscriptionResumed, at(40*day), aggregate.Active, "price_basic")
		if truth := s.truth(); !truth.Access(at(41*day)).Granted || truth.Delinquency != nil || truth.NothingOwed {
			t.Errorf("resumed after %q: %+v", pausedFor, truth)
		}
	}
}

func TestAPauseOfCollectionLeavesTheStatus(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(day), aggregate.Active, "price_basic").PauseCollection = "void"
	truth := s.truth()
	if a := truth.Access(at(2 * day)); !a.Granted || truth.PauseCollection != "void" || truth.Status != aggregate.Active {
		t.Errorf("paused: %+v, %+v", a, truth)
	}
	s.changed(at(3*day), aggregate.Active, "price_basic")
	if got := s.truth().PauseCollection; got != "" {
		t.Errorf("collection still paused: %q", got)
	}
}

func TestAScheduledCancellationEndsNothingByItself(t *testing.T) {
	for name, atPeriodEnd := range map[string]bool{"flexible billing sets cancel_at only": false, "classic billing sets both": true} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		snap := s.changed(at(day), aggregate.Active, "price_basic")
		snap.CancelAt, snap.CancelAtPeriodEnd = at(30*day), atPeriodEnd
		e := s.entitle(t, at(2*day))
		if e.Tier != "basic" || !e.CancelAt.Equal(at(30*day)) || !e.ValidUntil.Equal(at(30*day)) {
			t.Errorf("%s: %+v", name, e)
		}
		if e := s.entitle(t, at(30*day+time.Hour)); e.Tier != "basic" {
			t.Errorf("%s: ended before Stripe said so: %+v", name, e)
		}
		s.changed(at(3*day), aggregate.Active, "price_basic") // and taken back
		if e := s.entitle(t, at(4*day)); !e.CancelAt.IsZero() || !e.ValidUntil.IsZero() {
			t.Errorf("%s: still to end: %+v", name, e)
		}
	}
}

// TestTheEarliestPeriodSchedulesWhereNoTimeIsTold is about versions that have
// cancel_at_period_end and no cancel_at.
func TestTheEarliestPeriodSchedulesWhereNoTimeIsTold(t *testing.T) {
	var s story
	snap := s.started(day0, aggregate.Active, "price_basic")
	snap.CancelAtPeriodEnd = true
	snap.Items = append(snap.Items, aggregate.Item{Price: "price_seats", Quantity: 1})
	snap.Items[0].PeriodEnd, snap.Items[1].PeriodEnd = at(60*day), at(30*day)
	e := s.entitle(t, at(day))
	if !e.CancelAt.Equal(at(30*day)) || !e.ValidUntil.Equal(at(30*day)) || !e.CurrentPeriodEnd.Equal(at(60*day)) {
		t.Errorf("cancelled at %s, valid until %s, period ends %s", e.CancelAt, e.ValidUntil, e.CurrentPeriodEnd)
	}
	ended := s.canceled(at(2*day), "price_basic")
	ended.CancelAtPeriodEnd, ended.Items = true, snap.Items
	if got := s.truth().CancelAt; !got.IsZero() {
		t.Errorf("ended at once, and yet to end at %s", got)
	}
}

func TestItemsWithDifferentPeriodsLastAsLongAsTheLongest(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic").Items = []aggregate.Item{
		{Price: "price_basic", Quantity: 1, PeriodStart: day0, PeriodEnd: at(30 * day)},
		{Price: "price_premium", Quantity: 1, PeriodStart: day0, PeriodEnd: at(365 * day)},
	}
	truth := s.truth()
	if !truth.CurrentPeriodEnd.Equal(at(365*day)) || truth.Tier != "premium" {
		t.Errorf("until %s, tier %s", truth.CurrentPeriodEnd, truth.Tier)
	}
	overdue := at(365*day + 72*time.Hour)
	if a := truth.Access(overdue.Add(-time.Second)); !a.Granted || len(a.Flags) > 0 || !a.Until.Equal(overdue) {
		t.Errorf("just before: %+v", a)
	}
	if a := truth.Access(overdue); !a.Granted || !slices.Contains(a.Flags, aggregate.FlagPeriodOverdue) {
		t.Errorf("72 hours after all of them: %+v", a)
	}
}

func TestOfSeveralItemsTheBestTierCounts(t *testing.T) {
	for _, order := range permutations([]string{"price_basic", "price_elite", "price_nobody_knows"}) {
		var s story
		snap := s.started(day0, aggregate.Active, "")
		snap.Items = nil
		for _, price := range order {
			snap.Items = append(snap.Items, aggregate.Item{Price: price, Quantity: 2})
		}
		if truth := s.truth(); truth.Tier != "elite" || !slices.Contains(truth.Flags, aggregate.FlagUnmappedPrice) {
			t.Errorf("%v: tier %s, flags %v", order, truth.Tier, truth.Flags)
		}
	}
}

func TestAPlanChangeTakesEffectWhenStripeTellsIt(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(10*day), aggregate.Active, "price_elite")
	s.paid(at(10*day), "in_2", at(10*day)).BillingReason = "subscription_update"
	if tier := s.truth().Tier; tier != "elite" {
		t.Errorf("upgraded to %s", tier)
	}
	// A downgrade at once, with a credit: the invoice's total is below zero.
	s.changed(at(20*day), aggregate.Active, "price_basic")
	credit := s.paid(at(20*day), "in_3", at(20*day))
	credit.Total, credit.AmountDue, credit.AmountPaid = -1500, 0, 0
	if truth := s.truth(); truth.Tier != "basic" || truth.Flags != nil {
		t.Errorf("downgraded to %s, flags %v", truth.Tier, truth.Flags)
	}
	// A schedule shows by its effect alone.
	s.changed(at(30*day), aggregate.Active, "price_premium")
	if tier := s.truth().Tier; tier != "premium" {
		t.Errorf("next phase: %s", tier)
	}
}

// TestAPendingUpdateChangesNothingBeforeItIsApplied: with pending_if_incomplete
// an upgrade whose payment failed leaves the items as they were.
func TestAPendingUpdateChangesNothingBeforeItIsApplied(t *testing.T) {
	pending := func() *story {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.changed(at(10*day), aggregate.Active, "price_basic")
		s.failed(at(10*day), "in_2", at(10*day)).BillingReason = "subscription_update"
		return &s
	}
	s := pending()
	if truth := s.truth(); truth.Tier != "basic" || !truth.Access(at(20*day)).Granted {
		t.Errorf("pending: %+v", truth)
	}
	s.paid(at(11*day), "in_2", at(10*day))
	s.snapshot(aggregate.PendingUpdateApplied, at(11*day), aggregate.Active, "price_elite")
	if truth := s.truth(); truth.Tier != "elite" || truth.Delinquency != nil {
		t.Errorf("applied: tier %s, %+v", truth.Tier, truth.Delinquency)
	}
	s = pending()
	s.invoice(aggregate.InvoiceVoided, at(11*day), "in_2", at(10*day))
	s.snapshot(aggregate.PendingUpdateExpired, at(11*day), aggregate.Active, "price_basic")
	if truth := s.truth(); truth.Tier != "basic" || truth.Delinquency != nil || len(truth.Access(at(40*day)).Flags) > 0 {
		t.Errorf("expired: tier %s, %+v", truth.Tier, truth.Delinquency)
	}
}

func TestACouponToZeroPaysNothingAndGrants(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_elite")
	for _, t := range []aggregate.FactType{aggregate.InvoiceFinalized, aggregate.PaymentSucceeded} {
		free := s.invoice(t, day0, "in_1", day0)
		free.Total, free.AmountDue, free.AmountPaid, free.Status = 0, 0, 0, "paid"
	}
	truth := s.truth()
	if !truth.Access(at(day)).Granted || truth.Tier != "elite" || truth.Paid != nil || truth.Delinquency != nil || truth.Invoices[0].Status != "paid" {
		t.Errorf("%+v", truth)
	}
}

func TestATestClockIsNamed(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic").TestClock = "clock_1"
	if got := s.truth().TestClock; got != "clock_1" {
		t.Errorf("clock %q", got)
	}
}

func TestAnUnpaidCheckoutIsPendingUntilItIsPaid(t *testing.T) {
	pending := func() *story {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.checkout(aggregate.CheckoutCompleted, at(time.Minute), "unpaid")
		return &s
	}
	for name, test := range map[string]struct {
		then    func(s *story)
		pending bool
		failed  bool
	}{
		"nothing":                   {func(*story) {}, true, false},
		"paid":                      {func(s *story) { s.checkout(aggregate.CheckoutPaid, at(3*day), "paid") }, false, false},
		"an invoice was paid":       {func(s *story) { s.paid(at(3*day), "in_1", day0) }, false, false},
		"an invoice paid before":    {func(s *story) { s.paid(day0, "in_0", day0) }, true, false},
		"an invoice finalised":      {func(s *story) { s.invoice(aggregate.InvoiceFinalized, at(3*day), "in_1", day0) }, true, false},
		"failed":                    {func(s *story) { s.checkout(aggregate.CheckoutFailed, at(3*day), "unpaid") }, false, true},
		"expired":                   {func(s *story) { s.checkout(aggregate.CheckoutExpired, at(3*day), "unpaid") }, true, false},
		"a later session that paid": {func(s *story) { s.checkout(aggregate.CheckoutCompleted, at(3*day), "paid").ID = "cs_2" }, false, false},
		"failed, then a later session that paid": {func(s *story) {
			s.checkout(aggregate.CheckoutFailed, at(2*day), "unpaid")
			s.checkout(aggregate.CheckoutCompleted, at(3*day), "paid").ID = "cs_2"
		}, false, false},
		"failed, then an invoice was paid": {func(s *story) {
			s.checkout(aggregate.CheckoutFailed, at(3*day), "unpaid")
			s.paid(at(4*day), "in_1", day0)
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := pending()
			test.then(s)
			for _, order := range permutations(s.facts) {
				truth := fold(order).Derive(builtin())
				if failed := slices.Contains(truth.Flags, aggregate.FlagCheckoutFailed); truth.PaymentPending != test.pending || failed != test.failed {
					t.Fatalf("pending %v, failed %v", truth.PaymentPending, failed)
				}
			}
		})
	}
}

func TestContradictionsOfASubscriptionAreFlags(t *testing.T) {
	for flag, tell := range map[string]func(s *story){
		aggregate.FlagPaidAfterVoid: func(s *story) {
			s.invoice(aggregate.InvoiceVoided, at(day), "in_1", day0)
			s.paid(at(2*day), "in_1", day0)
		},
		aggregate.FlagNegativeAmount:  func(s *story) { s.paid(at(day), "in_1", day0).AmountPaid = -2900 },
		aggregate.FlagUnknownCurrency: func(s *story) { s.checkout(aggregate.CheckoutCompleted, at(day), "paid").Currency = "USD" },
		aggregate.FlagDeletedBeforeCreated: func(s *story) {
			s.invoice(aggregate.InvoiceDeleted, at(day), "in_1", day0)
			s.invoice(aggregate.InvoiceFinalized, at(2*day), "in_1", day0)
		},
	} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		tell(&s)
		wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool { return slices.Equal(truth.Flags, []string{flag}) })
	}
	var s story
	s.canceled(day0, "price_basic")
	s.started(at(day), aggregate.Active, "price_basic")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Canceled && slices.Equal(truth.Flags, []string{aggregate.FlagDeletedBeforeCreated})
	})
}
