package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// renewalFailed is a subscription whose second invoice failed.
func renewalFailed() *story {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(day0, "in_1", day0).BillingReason = "subscription_create"
	s.invoice(aggregate.InvoiceFinalized, at(30*day), "in_2", at(30*day-time.Hour))
	s.failed(at(30*day), "in_2", at(30*day-time.Hour))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	return &s
}

func TestActionRequiredOpensNothingByItself(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.invoice(aggregate.PaymentActionRequired, at(30*day), "in_2", at(30*day))
	wantNoDelinquency(t, s.truth())
	s.failed(at(31*day), "in_2", at(30*day)) // what comes with it in truth, or later
	wantAnchor(t, s.truth(), at(31*day))
}

func TestAFinalizedInvoiceOwesNothingYet(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.invoice(aggregate.InvoiceFinalized, at(30*day), "in_2", at(30*day))
	wantNoDelinquency(t, s.truth())
	s = *renewalFailed()
	s.invoice(aggregate.InvoiceFinalized, at(60*day), "in_3", at(60*day)) // the next cycle's
	wantAnchor(t, s.truth(), at(30*day))
	s.paid(at(61*day), "in_2", at(30*day)) // now an older one
	wantAnchor(t, s.truth(), at(30*day))
	s.paid(at(62*day), "in_3", at(60*day))
	wantNoDelinquency(t, s.truth())
}

func TestADueDateOpensDelinquencyWithoutAnyFailure(t *testing.T) {
	sent := func() *story {
		var s story
		s.started(day0, aggregate.Active, "price_basic").CollectionMethod = "send_invoice"
		in := s.invoice(aggregate.InvoiceFinalized, at(30*day), "in_2", at(30*day))
		in.DueDate, in.CollectionMethod = at(37*day), "send_invoice"
		return &s
	}
	t.Run("told by past_due", func(t *testing.T) {
		s := sent()
		s.changed(at(36*day), aggregate.Active, "price_basic")
		wantNoDelinquency(t, s.truth())
		s.changed(at(37*day+time.Hour), aggregate.PastDue, "price_basic")
		wantAnchor(t, s.truth(), at(37*day))
	})
	t.Run("told by whatever comes after it", func(t *testing.T) {
		s := sent()
		s.changed(at(38*day), aggregate.Active, "price_elite")
		wantAnchor(t, s.truth(), at(37*day))
		s.paid(at(39*day), "in_2", at(30*day))
		wantNoDelinquency(t, s.truth())
	})
	t.Run("paid in time, told late", func(t *testing.T) {
		s := sent()
		s.paid(at(37*day), "in_2", at(30*day))
		wantNoDelinquency(t, s.truth())
		s.changed(at(38*day), aggregate.Active, "price_basic")
		wantNoDelinquency(t, s.truth())
	})
	t.Run("a failure before it is earlier", func(t *testing.T) {
		s := sent()
		s.failed(at(33*day), "in_2", at(30*day))
		s.changed(at(38*day), aggregate.PastDue, "price_basic")
		wantAnchor(t, s.truth(), at(33*day))
	})
	t.Run("a first invoice's opens nothing", func(t *testing.T) {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		in := s.invoice(aggregate.InvoiceFinalized, day0, "in_1", day0)
		in.DueDate, in.BillingReason = at(7*day), "subscription_create"
		s.changed(at(8*day), aggregate.Active, "price_basic")
		wantNoDelinquency(t, s.truth())
	})
}

func TestAVoidEventFallsBackToTheInvoiceBefore(t *testing.T) {
	t.Run("which is paid", func(t *testing.T) {
		s := renewalFailed()
		s.invoice(aggregate.InvoiceVoided, at(31*day), "in_2", at(30*day))
		truth := s.truth()
		wantNoDelinquency(t, truth)
		if a := truth.Access(at(40 * day)); !a.Granted || a.Reason != aggregate.ReasonNothingOwed {
			t.Errorf("access %+v", a)
		}
	})
	t.Run("which is owed", func(t *testing.T) {
		s := renewalFailed()
		s.failed(at(60*day), "in_3", at(60*day))
		s.invoice(aggregate.InvoiceVoided, at(61*day), "in_3", at(60*day))
		wantAnchor(t, s.truth(), at(30*day))
		s.paid(at(62*day), "in_2", at(30*day))
		wantNoDelinquency(t, s.truth())
	})
	t.Run("of which neither status nor invoice tells a debt", func(t *testing.T) {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.failed(at(30*day), "in_2", at(30*day))
		wantAnchor(t, s.truth(), at(30*day))
		s.invoice(aggregate.InvoiceVoided, at(31*day), "in_2", at(30*day))
		wantNoDelinquency(t, s.truth())
	})
	t.Run("which is none, while the status tells of a debt", func(t *testing.T) {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.failed(at(30*day), "in_2", at(30*day))
		s.changed(at(30*day), aggregate.PastDue, "price_basic")
		s.invoice(aggregate.InvoiceVoided, at(31*day), "in_2", at(30*day))
		wantAnchor(t, s.truth(), at(30*day))
	})
	t.Run("and a void of another changes nothing", func(t *testing.T) {
		s := renewalFailed()
		s.paid(at(10*day), "in_0", at(10*day))
		s.invoice(aggregate.InvoiceVoided, at(31*day), "in_0b", at(5*day))
		wantAnchor(t, s.truth(), at(30*day))
	})
}

func TestAVoidNamesTheInvoiceThatIsThenOwed(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.invoice(aggregate.InvoiceFinalized, at(29*day), "in_2", at(29*day))
	s.failed(at(30*day), "in_3", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.invoice(aggregate.InvoiceVoided, at(31*day), "in_3", at(30*day))
	truth := s.truth()
	wantAnchor(t, truth, at(30*day))
	if truth.Delinquency.Invoice != "in_2" {
		t.Errorf("owed %q, want in_2", truth.Delinquency.Invoice)
	}
}

func TestAnUncollectibleEventClosesDelinquency(t *testing.T) {
	s := renewalFailed()
	s.invoice(aggregate.InvoiceUncollectible, at(45*day), "in_2", at(30*day))
	truth := s.truth()
	wantNoDelinquency(t, truth)
	if in := truth.Invoices[1]; in.Status != "uncollectible" || in.Paid != 0 {
		t.Errorf("%+v", in)
	}
	s.paid(at(50*day), "in_2", at(30*day)) // paid after all
	if in := s.truth().Invoices[1]; in.Status != "paid" || in.Paid != 2900 {
		t.Errorf("%+v", in)
	}
}

func TestPayingOutOfBandClosesDelinquency(t *testing.T) {
	for name, amount := range map[string]int64{"as told since basil": 2900, "as told before": 0} {
		s := renewalFailed()
		in := s.paid(at(31*day), "in_2", at(30*day))
		in.PaidOutOfBand, in.AmountPaid = true, amount
		truth := s.truth()
		wantNoDelinquency(t, truth)
		if want := []aggregate.Money{{Amount: 5800, Currency: "usd"}}; !slices.Equal(truth.Paid, want) {
			t.Errorf("%s: paid %v, want %v", name, truth.Paid, want)
		}
	}
}

func TestADeletedDraftIsNotTheLatestInvoice(t *testing.T) {
	s := renewalFailed()
	s.invoice(aggregate.InvoiceDeleted, at(32*day), "in_3", at(32*day))
	s.paid(at(33*day), "in_2", at(30*day))
	truth := s.truth()
	wantNoDelinquency(t, truth)
	if slices.ContainsFunc(truth.Invoices, func(in aggregate.InvoiceTruth) bool { return in.ID == "in_3" }) {
		t.Errorf("a draft that is gone is told of: %+v", truth.Invoices)
	}
}

func TestAnOverpaidInvoiceOnlyHasAnotherAmount(t *testing.T) {
	s := renewalFailed()
	over := s.invoice(aggregate.InvoiceOverpaid, at(31*day), "in_2", at(30*day))
	over.AmountPaid = 3900
	truth := s.truth()
	wantAnchor(t, truth, at(30*day)) // it is still open, as told
	if truth.Invoices[1].Paid != 3900 {
		t.Errorf("%+v", truth.Invoices[1])
	}
}

func TestAPartialPaymentSettlesNothing(t *testing.T) {
	s := renewalFailed()
	in := s.paid(at(31*day), "in_2", at(30*day))
	in.Status, in.AmountPaid, in.AmountRemaining = "open", 900, 2000
	truth := s.truth()
	wantAnchor(t, truth, at(30*day))
	if want := []aggregate.Money{{Amount: 2900 + 900, Currency: "usd"}}; !slices.Equal(truth.Paid, want) {
		t.Errorf("paid %v, want %v", truth.Paid, want)
	}
}

func TestUnseenAttemptsAnchorAtAFinalisationToldByItsOwnEvent(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.invoice(aggregate.InvoiceFinalized, at(30*day), "in_2", at(30*day-time.Hour)).FinalizedAt = time.Time{}
	s.failed(at(33*day), "in_2", at(30*day-time.Hour)).AttemptCount = 3
	wantAnchor(t, s.truth(), at(30*day))
}

// TestAnUnseenAttemptLearntOfAfterPastDueAnchorsEarlier: the earliest of them
// all opens it, whichever was told first.
func TestAnUnseenAttemptLearntOfAfterPastDueAnchorsEarlier(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(33*day), aggregate.PastDue, "price_basic")
	in := s.failed(at(33*day+time.Hour), "in_2", at(30*day))
	in.AttemptCount, in.FinalizedAt = 2, at(30*day+time.Hour)
	truth := s.truth()
	wantAnchor(t, truth, at(30*day+time.Hour))
	if truth.Delinquency.Invoice != "in_2" {
		t.Errorf("owed %q", truth.Delinquency.Invoice)
	}
	s.failed(at(34*day), "in_2", at(30*day)).AttemptCount = 3
	wantAnchor(t, s.truth(), at(30*day+time.Hour))
}

func TestAFailureAfterPastDueDoesNotMoveTheAnchorLater(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.invoice(aggregate.InvoiceFinalized, at(29*day), "in_2", at(29*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.failed(at(31*day), "in_2", at(29*day))
	truth := s.truth()
	wantAnchor(t, truth, at(30*day))
	if truth.Delinquency.Invoice != "in_2" {
		t.Errorf("owed %q", truth.Delinquency.Invoice)
	}
}

func TestAVoidOfAnOlderInvoiceClosesNothing(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(at(10*day), "in_2", at(10*day))
	s.changed(at(40*day), aggregate.PastDue, "price_basic") // for an invoice never told
	s.invoice(aggregate.InvoiceVoided, at(41*day), "in_1", at(5*day))
	wantAnchor(t, s.truth(), at(40*day))
	s.invoice(aggregate.InvoiceVoided, at(42*day), "in_3", at(39*day)) // and this is the one
	wantNoDelinquency(t, s.truth())
}

func TestWhatBecameOfAnInvoiceStaysSoWhateverAStragglerSays(t *testing.T) {
	for ended, want := range map[aggregate.FactType]string{
		aggregate.PaymentSucceeded: "paid", aggregate.InvoiceVoided: "void", aggregate.InvoiceUncollectible: "uncollectible",
	} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		s.invoice(ended, at(30*day), "in_2", at(29*day))
		s.failed(at(31*day), "in_2", at(29*day))
		s.invoice(aggregate.InvoiceFinalized, at(32*day), "in_2", at(29*day))
		if want != "uncollectible" { // which may still be paid, or voided
			s.invoice(aggregate.InvoiceUncollectible, at(33*day), "in_2", at(29*day))
		}
		truth := s.truth()
		wantNoDelinquency(t, truth)
		if got := truth.Invoices[0].Status; got != want {
			t.Errorf("%s became %q", want, got)
		}
	}
}

// TestAnOlderUnpaidInvoiceDoesNotMoveTheAnchor: the subscription names another
// as the latest.
func TestAnOlderUnpaidInvoiceDoesNotMoveTheAnchor(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(40*day), aggregate.PastDue, "price_basic").LatestInvoice = "in_3"
	in := s.failed(at(41*day), "in_2", at(10*day))
	in.AttemptCount, in.FinalizedAt = 4, at(10*day)
	wantAnchor(t, s.truth(), at(40*day))
}

// TestLateDeliveryGivesTheSameGrace: grace counts from when Stripe said that it
// happened, not from when we heard.
func TestLateDeliveryGivesTheSameGrace(t *testing.T) {
	s := renewalFailed()
	s.failed(at(33*day), "in_2", at(30*day)).AttemptCount = 2
	for _, order := range permutations(s.facts) {
		sub := aggregate.NewSubscription("sub_1")
		for i := range order {
			for _, e := range sub.Decide(order[i:i+1], builtin(), at(time.Duration(50+i)*day)) {
				sub.Evolve(e, aggregate.Place{Position: 7})
			}
		}
		wantAnchor(t, sub.Derive(builtin()), at(30*day))
	}
}

// TestReentryAfterRecoveryInAnyOrder: the second failure has its own grace,
// whatever arrives first.
func TestReentryAfterRecoveryInAnyOrder(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.failed(at(30*day), "in_2", at(30*day))
	s.changed(at(30*day), aggregate.PastDue, "price_basic")
	s.changed(at(31*day), aggregate.Active, "price_basic")
	s.failed(at(60*day), "in_3", at(60*day))
	s.changed(at(60*day), aggregate.PastDue, "price_basic")
	for _, order := range permutations(s.facts) {
		wantAnchor(t, fold(order).Derive(builtin()), at(60*day))
	}
}

// TestPaidThenActiveInAnyOrder: in the moment between the two, and after both,
// nothing is owed.
func TestPaidThenActiveInAnyOrder(t *testing.T) {
	s := renewalFailed()
	s.paid(at(31*day), "in_2", at(30*day))
	for _, order := range permutations(s.facts) {
		truth := fold(order).Derive(builtin())
		if a := truth.Access(at(90 * day)); truth.Delinquency != nil || !a.Granted || a.Reason != aggregate.ReasonNothingOwed {
			t.Fatalf("between: %+v, %+v", a, truth.Delinquency)
		}
	}
	s.changed(at(31*day+time.Second), aggregate.Active, "price_basic")
	if truth := s.truth(); truth.Delinquency != nil || truth.NothingOwed || truth.Access(at(32*day)).Reason != aggregate.ReasonSubscription {
		t.Errorf("after: %+v", truth)
	}
}

func TestLeavingPastDueClosesDelinquency(t *testing.T) {
	for _, status := range []aggregate.Status{aggregate.Active, aggregate.Unpaid, aggregate.Canceled, aggregate.Paused} {
		s := renewalFailed()
		s.changed(at(40*day), status, "price_basic")
		wantNoDelinquency(t, s.truth())
	}
}
