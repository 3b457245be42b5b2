package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

func TestGraceBeginsAtTheFirstFailedAttempt(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day+time.Second), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(30*day))
}

func TestRetriesAndFurtherInvoicesDoNotRestartGrace(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	for i := range 3 {
		s.failed(at(time.Duration(31+i)*day), "in_2", at(30*day)).AttemptCount = int64(2 + i)
	}
	s.failed(at(60*day), "in_3", at(60*day))
	wantAnchor(t, s.truth(), at(30*day))
}

func TestPayingTheInvoiceClosesDelinquency(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.paid(at(31*day), "in_2", at(30*day))
	truth := s.truth()
	wantNoDelinquency(t, truth)
	// The moment between paid and active: past_due, with nothing owed.
	if a := truth.Access(at(40 * day)); !a.Granted || a.Reason != aggregate.ReasonNothingOwed {
		t.Errorf("access %+v, want granted with nothing owed", a)
	}
	if !slices.Contains(truth.Flags, aggregate.FlagPastDueNothingOwed) {
		t.Errorf("flags %v, want %s", truth.Flags, aggregate.FlagPastDueNothingOwed)
	}
}

func TestPayingAnOlderInvoiceClosesNothing(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.failed(at(60*day), "in_3", at(60*day))
	s.paid(at(61*day), "in_2", at(30*day))
	wantAnchor(t, s.truth(), at(30*day))
}

func TestPayingTheLatestInvoiceClosesWhateverOlderOnesSay(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.paid(at(60*day), "in_3", at(60*day))
	wantNoDelinquency(t, s.truth())
}

func TestAVoidFallsBackToTheInvoiceBefore(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(at(30*day), "in_2", at(30*day))
	s.failed(at(60*day), "in_3", at(60*day))
	s.changed(at(60*day), aggregate.PastDue, "price_basic")
	s.failed(at(61*day), "in_3", at(60*day)).Status = "void"
	wantNoDelinquency(t, s.truth())
}

func TestAnUncollectibleInvoiceClosesDelinquency(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.failed(at(35*day), "in_2", at(30*day)).Status = "uncollectible"
	wantNoDelinquency(t, s.truth())
}

func TestTheFirstInvoiceNeverOpensDelinquency(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(time.Hour), "in_1", day0).BillingReason = "subscription_create"
	wantNoDelinquency(t, s.truth())
}

func TestNoDelinquencyBeforeTheSubscriptionWasGood(t *testing.T) {
	var s story
	s.started(day0, aggregate.Incomplete, "price_basic")
	s.failed(at(time.Minute), "in_1", day0)
	wantNoDelinquency(t, s.truth())
}

func TestUnseenAttemptsAnchorAtFinalisation(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	in := s.failed(at(33*day), "in_2", at(30*day))
	in.AttemptCount, in.FinalizedAt = 3, at(30*day+time.Hour)
	s.changed(at(33*day), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(30*day+time.Hour))
}

func TestPastDueWithoutAnyFailureHasGrace(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(at(0), "in_1", day0)
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(30*day))
	s.changed(at(31*day), aggregate.PastDue, "price_basic") // and keeps it
	wantAnchor(t, s.truth(), at(30*day))
}

func TestADueDateOpensDelinquency(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	in := s.failed(at(40*day), "in_2", at(30*day))
	in.DueDate = at(37 * day)
	s.changed(at(40*day), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(37*day))
}

func TestReentryAfterRecoveryHasItsOwnGrace(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.changed(at(31*day), aggregate.Active, "price_basic") // the payment itself was never told
	wantNoDelinquency(t, s.truth())
	s.changed(at(32*day), aggregate.Active, "price_basic")
	wantNoDelinquency(t, s.truth())
	s.failed(at(60*day), "in_3", at(60*day))
	s.changed(at(60*day), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(60*day))
}

func TestGracePeriodIsThatOfTheCatalogInForceAtTheAnchor(t *testing.T) {
	longer := aggregate.BuiltinCatalog()
	longer.GracePeriod = aggregate.Span(7 * day)
	c := builtin().With(aggregate.CatalogAdopted{Hash: longer.Hash(), AdoptedAt: at(40 * day), Catalog: longer})
	for _, test := range []struct {
		anchor time.Duration
		grace  time.Duration
	}{{30 * day, day}, {50 * day, 7 * day}} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.failed(at(test.anchor), "in_2", at(test.anchor))
		d := fold(s.facts).Derive(c).Delinquency
		if d == nil || !d.GraceUntil.Equal(at(test.anchor+test.grace)) {
			t.Errorf("anchor %s: %+v, want grace of %s", test.anchor, d, test.grace)
		}
	}
}

func TestAccessEndsWithGraceOnTheSecond(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	truth := s.truth()
	end := at(31 * day)
	before := truth.Access(end.Add(-time.Nanosecond))
	if !before.Granted || !before.InGrace || !before.Until.Equal(end) {
		t.Errorf("just before: %+v, want granted until %s", before, end)
	}
	if after := truth.Access(end); after.Granted || after.InGrace || after.Reason != aggregate.ReasonExpiredGrace {
		t.Errorf("at the end: %+v, want denied, expired_grace", after)
	}
}

func TestAnUnpaidUpgradeIsNotGivenAway(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(10*day), aggregate.PastDue, "price_elite")
	s.failed(at(10*day), "in_2", at(10*day)).BillingReason = "subscription_update"
	if tier := s.truth().Tier; tier != "basic" {
		t.Errorf("tier %q while the upgrade is unpaid, want basic", tier)
	}
	s.paid(at(11*day), "in_2", at(10*day))
	s.changed(at(11*day), aggregate.Active, "price_elite")
	if tier := s.truth().Tier; tier != "elite" {
		t.Errorf("tier %q once paid, want elite", tier)
	}
}

func TestAStatusThatBecomesGoodForgivesEveryOldFailure(t *testing.T) {
	for name, between := range map[string]func(s *story){
		"through unpaid": func(s *story) {
			s.changed(at(30*day), aggregate.PastDue, "price_basic")
			s.changed(at(45*day), aggregate.Unpaid, "price_basic")
			s.failed(at(60*day), "in_3", at(60*day)) // while unpaid
		},
		"straight to unpaid": func(s *story) { s.changed(at(30*day), aggregate.Unpaid, "price_basic") },
		"through paused":     func(s *story) { s.changed(at(30*day), aggregate.Paused, "price_basic") },
		"a void afterwards": func(s *story) {
			s.changed(at(30*day), aggregate.PastDue, "price_basic")
			s.failed(at(60*day), "in_3", at(60*day))
			s.failed(at(71*day), "in_3", at(60*day)).Status = "void"
		},
	} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.failed(at(30*day), "in_2", at(30*day))
		between(&s)
		s.changed(at(70*day), aggregate.Active, "price_basic")
		if d := s.truth().Delinquency; d != nil {
			t.Errorf("%s: still delinquent since %s", name, d.Anchor)
		}
		s.failed(at(90*day), "in_4", at(90*day))
		s.changed(at(90*day), aggregate.PastDue, "price_basic")
		if d := s.truth().Delinquency; d == nil || !d.Anchor.Equal(at(90*day)) {
			t.Errorf("%s: %+v, want a fresh grace from the next failure", name, d)
		}
	}
}

func TestAFailureThatTheStatusOutlivedLeavesNoGraceShorter(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(10*day), "in_2", at(10*day)).BillingReason = "subscription_update" // pending_if_incomplete: never past_due
	s.changed(at(11*day), aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_3", at(30*day))
	s.changed(at(31*day), aggregate.PastDue, "price_basic")
	wantAnchor(t, s.truth(), at(30*day))
}

func TestAnUpgradeBilledBeforeItsCardFailedIsNotGivenAway(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(10*day), aggregate.Active, "price_elite")
	s.failed(at(10*day+time.Hour), "in_2", at(10*day)).BillingReason = "subscription_update"
	s.changed(at(10*day+time.Hour), aggregate.PastDue, "price_elite")
	if tier := s.truth().Tier; tier != "basic" {
		t.Errorf("tier %q while the upgrade is unpaid, want basic", tier)
	}
}

func TestPayingAnOlderInvoiceClosesNothingThoughTheOwedOneWasNeverTold(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(37*day), aggregate.PastDue, "price_basic").LatestInvoice = "in_2"
	s.paid(at(38*day), "in_1", day0)
	wantAnchor(t, s.truth(), at(37*day))
	s.paid(at(39*day), "in_2", at(30*day))
	wantNoDelinquency(t, s.truth())
}

func TestAPauseForAFailedPaymentFollowsGrace(t *testing.T) {
	var s story
	s.started(day0, aggregate.Trialing, "price_basic")
	s.failed(at(7*day), "in_2", at(7*day))
	s.changed(at(7*day), aggregate.Paused, "price_basic").PausedFor = "first_payment_failure"
	truth := s.truth()
	wantAnchor(t, truth, at(7*day))
	if a := truth.Access(at(8*day - time.Second)); !a.Granted {
		t.Errorf("within grace: %+v", a)
	}
	if a := truth.Access(at(8 * day)); a.Granted {
		t.Errorf("after grace: %+v", a)
	}
	s.paid(at(9*day), "in_2", at(7*day))
	if a := s.truth().Access(at(9 * day)); !a.Granted || a.Reason != aggregate.ReasonNothingOwed {
		t.Errorf("paid, not yet resumed: %+v", a)
	}
	var never story
	never.started(day0, aggregate.Incomplete, "price_basic")
	never.changed(at(day), aggregate.Paused, "price_basic").PausedFor = "first_payment_failure"
	if a := never.truth().Access(at(day)); a.Granted || a.Reason != aggregate.ReasonPaused {
		t.Errorf("never good: %+v, want denied", a)
	}
}
