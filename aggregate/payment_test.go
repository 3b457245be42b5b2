package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// gather takes the facts of one stream in, in the order given.
func gather(facts []aggregate.Fact) *aggregate.FactSet {
	var set aggregate.FactSet
	for i := range facts {
		set.Evolve(aggregate.Event{Fact: &facts[i]}, aggregate.Place{Position: 7})
	}
	return &set
}

func (s *story) charge(t aggregate.FactType, when time.Time, id string) *aggregate.PaymentSnapshot {
	p := &aggregate.PaymentSnapshot{ID: id, Charge: id, Intent: "pi_1", Customer: "cus_1", Currency: "usd", Amount: 2900,
		Status: "succeeded", AmountReceived: 2900, CreatedAt: when}
	if t == aggregate.ChargeFailed {
		p.Status, p.AmountReceived = "failed", 0
	}
	s.add(aggregate.Fact{Type: t, Payment: p}, when)
	return p
}

func (s *story) intent(t aggregate.FactType, when time.Time) *aggregate.PaymentSnapshot {
	p := &aggregate.PaymentSnapshot{ID: "pi_1", Intent: "pi_1", Charge: "ch_1", Customer: "cus_1", Invoice: "in_1", Currency: "usd",
		Amount: 2900, Status: "succeeded", AmountReceived: 2900, CreatedAt: day0}
	if t == aggregate.IntentFailed {
		p.Status, p.AmountReceived = "requires_payment_method", 0
	}
	s.add(aggregate.Fact{Type: t, Payment: p}, when)
	return p
}

func (s *story) refund(t aggregate.FactType, when time.Time, id string, amount int64, status string) *aggregate.RefundSnapshot {
	r := &aggregate.RefundSnapshot{ID: id, Charge: "ch_1", Intent: "pi_1", Status: status, Currency: "usd", Amount: amount}
	s.add(aggregate.Fact{Type: t, Refund: r}, when)
	return r
}

func (s *story) dispute(t aggregate.FactType, when time.Time, status string) *aggregate.DisputeSnapshot {
	d := &aggregate.DisputeSnapshot{ID: "dp_1", Charge: "ch_1", Intent: "pi_1", Status: status, Currency: "usd", Amount: 2900, CreatedAt: day0}
	s.add(aggregate.Fact{Type: t, Dispute: d}, when)
	return d
}

// wantPayment checks the truth of every order of arrival.
func wantPayment(t *testing.T, s *story, check func(aggregate.PaymentTruth) bool) {
	t.Helper()
	for _, order := range permutations(s.facts) {
		if p := gather(order).DerivePayment("pi_1"); !check(p) {
			t.Fatalf("%+v", p)
		}
	}
}

func TestIntentAndChargeTellOneMoney(t *testing.T) {
	var s story
	s.charge(aggregate.ChargeSucceeded, at(time.Second), "ch_1")
	s.intent(aggregate.IntentSucceeded, at(time.Second))
	s.add(aggregate.Fact{Type: aggregate.InvoicePaymentPaid, InvoicePayment: &aggregate.InvoicePaymentSnapshot{
		ID: "inpay_1", Invoice: "in_1", Intent: "pi_1", Status: "paid", Currency: "usd", AmountPaid: 2900}}, at(time.Second))
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Received == 2900 && p.Amount == 2900 && p.Currency == "usd" && p.Status == "succeeded" && p.Charge == "ch_1" &&
			p.Customer == "cus_1" && p.Invoice == "in_1" && p.CreatedAt.Equal(day0) && p.LastOccurredAt.Equal(at(time.Second)) &&
			p.Position == 7 && p.Flags == nil
	})
}

func TestAFailedChargeBeforeTheOneThatSucceededBroughtNothing(t *testing.T) {
	var s story
	s.charge(aggregate.ChargeFailed, day0, "ch_0")
	s.intent(aggregate.IntentFailed, day0)
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Status == "failed" && p.Received == 0 && p.Amount == 2900 && p.Charge == "ch_0"
	})
	s.charge(aggregate.ChargeSucceeded, at(time.Hour), "ch_1")
	s.intent(aggregate.IntentSucceeded, at(time.Hour))
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Status == "succeeded" && p.Received == 2900 && p.Charge == "ch_1"
	})
	s.charge(aggregate.ChargeFailed, at(2*time.Hour), "ch_9") // a straggler's failure takes nothing away
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Status == "succeeded" && p.Received == 2900 && p.Charge == "ch_1"
	})
}

func TestAnAuthorisedChargeBroughtNothingYet(t *testing.T) {
	var s story
	s.charge(aggregate.ChargeSucceeded, day0, "ch_1").AmountReceived = 0
	if p := gather(s.facts).DerivePayment("ch_1"); p.Received != 0 || p.Amount != 2900 {
		t.Errorf("%+v", p)
	}
}

func TestWhatWasPaidElsewhereIsToldByTheInvoicePayment(t *testing.T) {
	var s story
	s.add(aggregate.Fact{Type: aggregate.InvoicePaymentPaid, InvoicePayment: &aggregate.InvoicePaymentSnapshot{
		ID: "inpay_1", Invoice: "in_1", Status: "paid", Currency: "eur", AmountPaid: 500}}, day0)
	p := gather(s.facts).DerivePayment("pyr_1")
	if p.Received != 500 || p.Currency != "eur" || p.Status != "succeeded" || p.Invoice != "in_1" {
		t.Errorf("%+v", p)
	}
}

func TestARefundCountsOnceThoughManyEventsTellIt(t *testing.T) {
	var s story
	s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
	s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "pending")
	s.refund(aggregate.RefundUpdated, at(day), "re_1", 900, "succeeded")
	s.charge(aggregate.ChargeRefunded, at(day), "ch_1").AmountRefunded = 900
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Refunded == 900 && p.Received == 2900 && !p.FullyRefunded() && len(p.Refunds) == 1 && p.Refunds[0].Status == "succeeded"
	})
	s.charge(aggregate.ChargeRefunded, at(2*day), "ch_1").AmountRefunded = 2900 // of a refund that was never told
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool { return p.Refunded == 2900 && p.FullyRefunded() && p.Flags == nil })
}

func TestRefundsAreKnownBeforeTheCharge(t *testing.T) {
	var s story
	s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "succeeded")
	s.refund(aggregate.RefundCreated, at(2*day), "re_2", 300, "succeeded")
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Refunded == 1200 && p.Received == 0 && p.Currency == "usd" && p.Charge == "ch_1" && p.Status == "" && p.Flags == nil
	})
}

func TestARefundThatFailedOrWasCanceledDoesNotCount(t *testing.T) {
	for name, end := range map[string]func(s *story){
		"failed":                func(s *story) { s.refund(aggregate.RefundFailed, at(3*day), "re_1", 900, "failed") },
		"failed, not so called": func(s *story) { s.refund(aggregate.RefundFailed, at(3*day), "re_1", 900, "") },
		"canceled":              func(s *story) { s.refund(aggregate.RefundUpdated, at(3*day), "re_1", 900, "canceled") },
		"failed, and told again": func(s *story) {
			s.refund(aggregate.RefundFailed, at(3*day), "re_1", 900, "failed")
			s.refund(aggregate.RefundUpdated, at(4*day), "re_1", 900, "failed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s story
			s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
			s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "succeeded").CreatedAt = at(day)
			s.charge(aggregate.ChargeRefunded, at(day), "ch_1").AmountRefunded = 900
			end(&s)
			wantPayment(t, &s, func(p aggregate.PaymentTruth) bool { return p.Refunded == 0 && len(p.Refunds) == 1 })
		})
	}
}

func TestAChargeToldAfterARefundFailedIsBelieved(t *testing.T) {
	var s story
	s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
	s.refund(aggregate.RefundFailed, at(day), "re_1", 900, "failed").CreatedAt = day0
	s.charge(aggregate.ChargeRefunded, at(2*day), "ch_1").AmountRefunded = 500 // by another refund, never told
	s.refund(aggregate.RefundUpdated, at(3*day), "re_1", 900, "failed").CreatedAt = day0
	s.refund(aggregate.RefundFailed, at(4*day), "re_2", 100, "failed").CreatedAt = at(3 * day)
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool { return p.Refunded == 500 })
}

func TestADisputeCountsOnceByItsLatestStatus(t *testing.T) {
	var s story
	s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
	s.dispute(aggregate.DisputeOpened, at(day), "needs_response")
	s.dispute(aggregate.DisputeFundsWithdrawn, at(day), "needs_response")
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool {
		return p.Lost == 0 && p.Contested() && len(p.Disputes) == 1 && p.Disputes[0].Open()
	})
	lost, won, back := s, s, s
	lost.facts, won.facts, back.facts = slices.Clone(s.facts), slices.Clone(s.facts), slices.Clone(s.facts)
	lost.dispute(aggregate.DisputeClosed, at(9*day), "lost")
	lost.dispute(aggregate.DisputeUpdated, at(9*day), "lost")
	wantPayment(t, &lost, func(p aggregate.PaymentTruth) bool { return p.Lost == 2900 && p.Contested() && p.Flags == nil })
	won.dispute(aggregate.DisputeClosed, at(9*day), "won")
	won.dispute(aggregate.DisputeFundsReturned, at(9*day), "won")
	wantPayment(t, &won, func(p aggregate.PaymentTruth) bool { return p.Lost == 0 && !p.Contested() && p.Received == 2900 })
	back.dispute(aggregate.DisputeClosed, at(9*day), "lost")
	back.dispute(aggregate.DisputeFundsReturned, at(10*day), "lost")
	wantPayment(t, &back, func(p aggregate.PaymentTruth) bool { return p.Lost == 0 && p.Disputes[0].Status == "lost" })
	back.dispute(aggregate.DisputeFundsWithdrawn, at(11*day), "lost")
	wantPayment(t, &back, func(p aggregate.PaymentTruth) bool { return p.Lost == 2900 })
}

func TestFundsReturnedBeforeADisputeWasLostAreLost(t *testing.T) {
	var s story
	s.dispute(aggregate.DisputeFundsReturned, at(day), "under_review")
	s.dispute(aggregate.DisputeClosed, at(9*day), "lost")
	s.dispute(aggregate.DisputeUpdated, at(10*day), "lost")
	wantPayment(t, &s, func(p aggregate.PaymentTruth) bool { return p.Lost == 2900 })
}

func TestAnInquiryIsNoOpenDispute(t *testing.T) {
	var s story
	s.dispute(aggregate.DisputeOpened, day0, "warning_needs_response")
	if p := gather(s.facts).DerivePayment("pi_1"); p.Contested() || p.Lost != 0 || len(p.Disputes) != 1 {
		t.Errorf("%+v", p)
	}
}

func TestContradictionsOfAPaymentAreFlags(t *testing.T) {
	for flag, tell := range map[string]func(s *story){
		aggregate.FlagRefundExceedsCharge: func(s *story) { s.refund(aggregate.RefundCreated, at(day), "re_1", 2901, "succeeded") },
		aggregate.FlagNegativeAmount:      func(s *story) { s.refund(aggregate.RefundCreated, at(day), "re_1", -1, "succeeded") },
		aggregate.FlagUnknownCurrency: func(s *story) {
			s.charge(aggregate.ChargeSucceeded, day0, "ch_1").Currency = "us$"
		},
		aggregate.FlagCurrencyMismatch: func(s *story) {
			s.refund(aggregate.RefundCreated, at(day), "re_1", 100, "succeeded").Currency = "eur"
		},
		aggregate.FlagDisputeWonAndLost: func(s *story) {
			s.dispute(aggregate.DisputeClosed, at(day), "won")
			s.dispute(aggregate.DisputeClosed, at(2*day), "lost")
		},
		"told_by_intake": func(s *story) { s.dispute(aggregate.DisputeOpened, at(day), "lost").Flags = []string{"told_by_intake"} },
	} {
		var s story
		s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
		if p := gather(s.facts).DerivePayment("pi_1"); p.Flags != nil {
			t.Fatalf("before: flags %v", p.Flags)
		}
		tell(&s)
		wantPayment(t, &s, func(p aggregate.PaymentTruth) bool { return slices.Contains(p.Flags, flag) })
	}
}
