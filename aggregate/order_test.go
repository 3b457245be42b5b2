package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// wantInEveryOrder checks the truth of every order of arrival.
func wantInEveryOrder(t *testing.T, s *story, check func(aggregate.SubscriptionTruth) bool) {
	t.Helper()
	for _, order := range permutations(s.facts) {
		if truth := fold(order).Derive(builtin()); !check(truth) {
			t.Fatalf("%s, flags %v, delinquency %+v, items %+v", truth.Status, truth.Flags, truth.Delinquency, truth.Items)
		}
	}
}

func ambiguous(truth aggregate.SubscriptionTruth) bool {
	return slices.Contains(truth.Flags, aggregate.FlagAmbiguous)
}

func TestPausedAndResumedRetellTheChangeOfTheirSecond(t *testing.T) {
	for _, test := range []struct {
		name   string
		from   aggregate.Status
		to     aggregate.Status
		retold aggregate.FactType
	}{
		{"paused", aggregate.Trialing, aggregate.Paused, aggregate.SubscriptionPaused},
		{"resumed", aggregate.Paused, aggregate.Active, aggregate.SubscriptionResumed},
		{"trial ending", aggregate.Trialing, aggregate.Trialing, aggregate.TrialEnding},
		{"pending update applied", aggregate.Active, aggregate.Active, aggregate.PendingUpdateApplied},
		{"pending update expired", aggregate.Active, aggregate.Active, aggregate.PendingUpdateExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s story
			before := s.started(day0, test.from, "price_basic").Digest()
			s.snapshot(test.retold, at(day), test.to, "price_premium")
			s.changed(at(day), test.to, "price_premium").Before = before
			wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
				return truth.Status == test.to && truth.Items[0].Price == "price_premium" && !ambiguous(truth)
			})
		})
	}
}

// TestARetoldPauseDoesNotComeBeforeTheChangesThatLedToIt: a pause that came
// first would be recovered from, which forgives what is owed.
func TestARetoldPauseDoesNotComeBeforeTheChangesThatLedToIt(t *testing.T) {
	var s story
	started := s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(day-time.Hour), "in_2", at(day-time.Hour))
	s.snapshot(aggregate.SubscriptionPaused, at(day), aggregate.Paused, "price_elite").PausedFor = "first_payment_failure"
	upgrade := s.changed(at(day), aggregate.Active, "price_elite")
	upgrade.Before = started.Digest()
	paused := s.changed(at(day), aggregate.Paused, "price_elite")
	paused.PausedFor, paused.Before = "first_payment_failure", upgrade.Digest()
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Paused && truth.Delinquency != nil &&
			truth.Delinquency.Anchor.Equal(at(day-time.Hour)) && !ambiguous(truth)
	})
}

func TestASecondThatPassesThroughOneStateTwiceIsOrdered(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	chainOf(&s, at(day), "price_basic", "price_premium", "price_elite", "price_premium", "price_exclusive")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Items[0].Price == "price_exclusive" && !ambiguous(truth)
	})
}

// TestAToggleThatMayBeTwoChangesOrOneToldTwiceIsAmbiguous: basic to premium is
// told twice, premium to basic once.
func TestAToggleThatMayBeTwoChangesOrOneToldTwiceIsAmbiguous(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	chainOf(&s, at(day), "price_basic", "price_premium", "price_basic", "price_premium")
	var first string
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		if first == "" {
			first = truth.Items[0].Price
		}
		return truth.Items[0].Price == first && ambiguous(truth)
	})
}

func TestOneChangeToldByTwoEventsIsNotAmbiguous(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	chainOf(&s, at(day), "price_basic", "price_premium", "price_elite")
	chainOf(&s, at(day), "price_basic", "price_premium")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Items[0].Price == "price_elite" && !ambiguous(truth)
	})
}

// TestWithinASecondInvoicesComeBeforeTheStatus: the second of a sign-up, of a
// failure and of a recovery, each whole.
func TestWithinASecondInvoicesComeBeforeTheStatus(t *testing.T) {
	var signUp story
	signUp.started(day0, aggregate.Active, "price_basic")
	signUp.checkout(aggregate.CheckoutCompleted, day0, "paid")
	signUp.invoice(aggregate.InvoiceFinalized, day0, "in_1", day0).BillingReason = "subscription_create"
	signUp.paid(day0, "in_1", day0)
	wantInEveryOrder(t, &signUp, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Active && truth.Delinquency == nil && !truth.PaymentPending &&
			truth.Invoices[0].Status == "paid" && truth.Sources[0] == "evt_01"
	})

	var failure story
	failure.started(day0, aggregate.Active, "price_basic")
	failure.changed(at(30*day), aggregate.PastDue, "price_basic")
	failure.invoice(aggregate.PaymentActionRequired, at(30*day), "in_2", at(30*day))
	failure.failed(at(30*day), "in_2", at(30*day))
	failure.invoice(aggregate.InvoiceFinalized, at(30*day), "in_2", at(30*day))
	wantInEveryOrder(t, &failure, func(truth aggregate.SubscriptionTruth) bool {
		d := truth.Delinquency
		return d != nil && d.Anchor.Equal(at(30*day)) && d.Invoice == "in_2"
	})
	failure.paid(at(31*day), "in_2", at(30*day))
	failure.changed(at(31*day), aggregate.Active, "price_basic")
	wantInEveryOrder(t, &failure, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Delinquency == nil && truth.Status == aggregate.Active
	})
}

func TestADeletionIsTheLastWordOfItsSecond(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.canceled(at(day), "price_basic")
	s.changed(at(day), aggregate.Active, "price_elite")
	s.snapshot(aggregate.SubscriptionResumed, at(day), aggregate.Active, "price_elite")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Canceled && truth.Sources[0] == "evt_02"
	})
}
