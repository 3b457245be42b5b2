package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

func (s *story) observed(when time.Time, status aggregate.Status, price string) *aggregate.SubscriptionSnapshot {
	return s.snapshot(aggregate.SubscriptionObserved, when, status, price)
}

func (s *story) observedInvoice(when time.Time, id, status string, created time.Time) *aggregate.InvoiceSnapshot {
	in := s.invoice(aggregate.InvoiceObserved, when, id, created)
	in.Status, in.FinalizedAt = status, created.Add(time.Hour)
	return in
}

func TestWhatStripeAnswersStandsForWhatWasMissed(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(day), aggregate.PastDue, "price_basic")
	s.observed(at(3*day), aggregate.Active, "price_elite")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Active && truth.Tier == "elite" && truth.Delinquency == nil
	})
	s.changed(at(2*day), aggregate.Unpaid, "price_basic") // was late, not lost
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.Active && truth.Tier == "elite"
	})
}

// TestAnAnswerComesFirstInItsSecond: it need not cover what Stripe did in the
// second of the question, and contradicts no chain of changes there.
func TestAnAnswerComesFirstInItsSecond(t *testing.T) {
	var s story
	before := s.started(day0, aggregate.Active, "price_basic").Digest()
	s.observed(at(day), aggregate.Active, "price_basic")
	middle := s.changed(at(day), aggregate.Active, "price_premium")
	middle.Before = before
	s.changed(at(day), aggregate.PastDue, "price_premium").Before = middle.Digest()
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Status == aggregate.PastDue && !ambiguous(truth)
	})
}

// TestAnAnswerFromWithinASecondIsNotWhatCameBefore: there and back in one second,
// and Stripe was asked in between.
func TestAnAnswerFromWithinASecondIsNotWhatCameBefore(t *testing.T) {
	var s story
	first := s.started(day0, aggregate.Active, "price_basic").Digest()
	s.observed(at(day), aggregate.Active, "price_elite")
	there := s.changed(at(day), aggregate.Active, "price_elite")
	there.Before = first
	s.changed(at(day), aggregate.Active, "price_basic").Before = there.Digest()
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Tier == "basic" && !ambiguous(truth)
	})
}

func TestAnAnswerSettlesAnAmbiguousSecond(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(day), aggregate.Active, "price_premium")
	s.changed(at(day), aggregate.Active, "price_elite")
	if !ambiguous(s.truth()) {
		t.Fatal("not ambiguous to begin with")
	}
	s.observed(at(2*day), aggregate.Active, "price_premium")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.Tier == "premium" && !ambiguous(truth)
	})
}

func TestNoAnswerRevivesWhatHasEnded(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.canceled(at(day), "price_basic")
	s.observed(at(2*day), aggregate.Active, "price_basic")
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool { return truth.Status == aggregate.Canceled })
}

// TestADebtKnownOnlyByAnswersBeganWhenItsInvoiceWasFinalised: the first attempt
// was made then.
func TestADebtKnownOnlyByAnswersBeganWhenItsInvoiceWasFinalised(t *testing.T) {
	var s story
	s.observed(at(20*day), aggregate.PastDue, "price_basic")
	s.observedInvoice(at(20*day+time.Minute), "in_2", "open", at(10*day)).AttemptCount = 3
	for _, order := range permutations(s.facts) {
		wantAnchor(t, fold(order).Derive(builtin()), at(10*day+time.Hour))
	}
	s.failed(at(10*day+2*time.Hour), "in_2", at(10*day)) // the event itself knows better
	for _, order := range permutations(s.facts) {
		wantAnchor(t, fold(order).Derive(builtin()), at(10*day+2*time.Hour))
	}
}

func TestAnAttemptThatAnAnswerTellsOpensNoDelinquency(t *testing.T) {
	var s story
	s.observed(at(20*day), aggregate.Active, "price_basic")
	s.observedInvoice(at(20*day+time.Minute), "in_2", "open", at(10*day)).AttemptCount = 1
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool { return truth.Delinquency == nil })
}

// TestAnInvoiceThatWasPaidLongAgoSettlesNoLaterDebt: what counts is when it was
// paid, not when Stripe was asked.
func TestAnInvoiceThatWasPaidLongAgoSettlesNoLaterDebt(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	old := s.observedInvoice(at(31*day), "in_1", "paid", day0)
	old.PaidAt, old.AmountPaid = day0.Add(time.Hour), 2900
	for _, order := range permutations(s.facts) {
		wantAnchor(t, fold(order).Derive(builtin()), at(30*day))
	}
	next := s.observedInvoice(at(31*day), "in_2", "paid", at(30*day))
	next.PaidAt, next.AmountPaid = at(30*day+2*time.Hour), 2900
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool { return truth.Delinquency == nil })
}

// TestADebtToWhichAVoidLeadsBackIsFoundInAnyOrderOfAnswers: the invoice before
// the void one is owed, and one that was paid long before is not the one that
// counts, though its answer may come first.
func TestADebtToWhichAVoidLeadsBackIsFoundInAnyOrderOfAnswers(t *testing.T) {
	var s story
	s.changed(at(60*day), aggregate.PastDue, "price_basic").LatestInvoice = "in_3"
	s.invoice(aggregate.InvoiceVoided, at(61*day), "in_3", at(60*day))
	s.observed(at(70*day), aggregate.PastDue, "price_basic").LatestInvoice = "in_3"
	old := s.observedInvoice(at(70*day), "in_1", "paid", day0)
	old.PaidAt = at(2 * time.Hour)
	s.observedInvoice(at(70*day), "in_2", "open", at(30*day)).AttemptCount = 4
	for _, order := range permutations([]string{"a", "b", "c"}) {
		for i, name := range order {
			s.facts[2+i].Key.StripeEventID = name
		}
		wantAnchor(t, s.truth(), at(30*day+time.Hour))
	}
}

func TestAnUnpaidSessionIsPendingOnlyUntilAnInvoiceIsPaid(t *testing.T) {
	var s story
	s.observed(at(day), aggregate.Active, "price_basic")
	s.checkout(aggregate.CheckoutObserved, at(day), "unpaid").Account = "team-42"
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool {
		return truth.PaymentPending && truth.Link.Account == "team-42" && truth.Link.Rank == aggregate.LinkSession
	})
	s.observedInvoice(at(day), "in_1", "paid", day0).AmountPaid = 2900
	wantInEveryOrder(t, &s, func(truth aggregate.SubscriptionTruth) bool { return !truth.PaymentPending })
}

func TestDifferencesAreWhatAnAnswerWouldChange(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	sub := fold(s.facts)
	answer := func(status aggregate.Status, price string) aggregate.Fact {
		var other story
		other.observed(at(day), status, price)
		other.facts[0].Key.StripeEventID = "api_1"
		return other.facts[0]
	}
	if d := sub.Differences(answer(aggregate.Active, "price_basic"), builtin()); len(d) > 0 {
		t.Errorf("the same, and yet %+v", d)
	}
	var fields []string
	for _, d := range sub.Differences(answer(aggregate.Unpaid, "price_elite"), builtin()) {
		fields = append(fields, d.Field)
		if d.Field == "status" && (d.Ours != `"active"` || d.Stripe != `"unpaid"`) {
			t.Errorf("%+v", d)
		}
	}
	if !slices.Equal(fields, []string{"items", "status", "tier"}) {
		t.Errorf("differ: %v", fields)
	}
	if sub.Len() != 1 || sub.Derive(builtin()).Status != aggregate.Active {
		t.Error("comparing changed the subscription")
	}
	missed := aggregate.NewSubscription("sub_1").Differences(answer(aggregate.Active, "price_basic"), builtin())
	if !slices.ContainsFunc(missed, func(d aggregate.Difference) bool { return d.Field == "flags" }) {
		t.Errorf("of a subscription that is not known: %+v", missed)
	}
}

func TestTheLatestOfAnObjectIsFound(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(at(2*day), "in_1", day0)
	s.changed(at(day), aggregate.PastDue, "price_basic")
	sub := fold([]aggregate.Fact{s.facts[2], s.facts[1], s.facts[0]})
	var other story
	other.observed(at(3*day), aggregate.Active, "price_basic")
	other.observedInvoice(at(3*day), "in_2", "open", day0)
	if f, found := sub.LatestOf(other.facts[0]); !found || f.Key.StripeEventID != "evt_03" {
		t.Errorf("%+v, %v", f.Key, found)
	}
	if f, found := sub.LatestOf(other.facts[1]); found {
		t.Errorf("found %+v", f.Key)
	}
}
