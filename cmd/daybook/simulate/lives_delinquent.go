package simulate

import "time"

// failsAt is a history whose renewal fails at the given moment.
func (s *story) failsAt(at int64, o offer) (*subscription, *invoice) {
	sub := s.historyTo(at-span(invoiceDelay), o)
	return sub, s.failRenewal(sub)
}

// dun retries an invoice n times, in vain, over a span; the last time is final.
func (s *story) dun(inv *invoice, n int, over time.Duration) {
	for i := range n {
		s.now += span(over) / int64(n)
		next := over / time.Duration(n)
		if i == n-1 {
			next = 0
		}
		s.attempt(inv, next)
	}
}

// retryUntil retries an invoice up to n times before a moment; more are to come.
func (s *story) retryUntil(inv *invoice, n int, until int64) {
	step := (until - s.now) / int64(n+1)
	for range n {
		s.now += step
		s.attempt(inv, 72*hour)
	}
}

// justFailed is a subscription in grace.
func (s *story) justFailed(o offer) (*subscription, *invoice) {
	return s.failsAt(s.ago(time.Hour, 20*hour), o)
}

// cardFails ends in grace; retries do not start it anew.
func cardFails(s *story) {
	_, inv := s.justFailed(s.buy(s.someTier()))
	s.retryUntil(inv, s.rng.IntN(3), s.end)
}

func recoversInGrace(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 25*day), s.buy(s.someTier()))
	s.wait(hour, 20*hour)
	s.recover(sub, inv)
}

func recoversLate(s *story) {
	sub, inv := s.failsAt(s.ago(7*day, 25*day), s.buy(s.someTier()))
	s.retryUntil(inv, 2, s.now+span(4*day))
	s.wait(hour, 2*day)
	s.recover(sub, inv)
}

// graceRunsOut stays past_due; the latest retries are younger than the grace.
func graceRunsOut(s *story) {
	_, inv := s.failsAt(s.ago(25*hour, 6*day), s.buy(s.someTier()))
	s.retryUntil(inv, 1+s.rng.IntN(4), s.end)
}

// failTwice fails two renewals in a row. The second does not start grace anew.
func (s *story) failTwice() (sub *subscription, older, latest *invoice) {
	sub, older = s.failsAt(s.ago(33*day, 40*day), s.buy(s.someTier()))
	latest = s.turnPeriod(sub)
	s.now += span(invoiceDelay)
	s.attempt(latest, 72*hour)
	return sub, older, latest
}

func secondInvoiceFails(s *story) { s.failTwice() }

// olderInvoicePaid pays the older of two failed invoices: the latest decides,
// so nothing is regained.
func olderInvoicePaid(s *story) {
	_, older, _ := s.failTwice()
	s.wait(hour, day)
	s.settleInvoice(older, byRequest)
}

// mailedInvoiceOverdue is past_due without any attempt, from the due date.
func mailedInvoiceOverdue(s *story) {
	o := s.buy(s.someTier())
	o.sendInvoice, o.naming = true, nameInMetadata
	due := s.ago(time.Hour, 20*hour)
	finalized := due - span(14*day)
	sub := s.historyTo(finalized-span(invoiceDelay), o)
	inv := s.turnPeriod(sub)
	s.now, inv.dueDate = finalized, due
	s.finalize(inv, byStripe)
	s.now = due
	sub.owe(due)
	s.change(sub, byStripe, func() { sub.become("past_due") })
}

// upgradeDeclined applies an upgrade whose payment fails, as Stripe does unless
// told otherwise: until it is paid, the lower tier counts.
func upgradeDeclined(s *story) {
	low, high := s.twoTiers()
	sub := s.historyTo(s.ago(4*day, 20*day), s.buy(low))
	s.renew(sub)
	s.now = s.ago(time.Hour, 20*hour)
	from := sub.plan
	var inv *invoice
	sub.owe(s.now)
	s.change(sub, byRequest, func() {
		sub.become("past_due")
		sub.setPlan(s.planOf(high))
		inv = s.prorate(sub, from)
		sub.latestInvoice = inv.id
	})
	s.attempt(inv, 72*hour)
}

func upgradedInGrace(s *story) {
	low, high := s.twoTiers()
	sub, _ := s.justFailed(s.buy(low))
	s.now += (s.end - s.now) / 2
	s.replan(sub, s.planOf(high))
}

func downgradedInGrace(s *story) {
	low, high := s.twoTiers()
	sub, _ := s.justFailed(s.buy(high))
	s.now += (s.end - s.now) / 2
	s.replan(sub, s.planOf(low))
}

// dunned is a subscription whose last retry has just failed.
func (s *story) dunned() (*subscription, *invoice) {
	sub, inv := s.failsAt(s.ago(13*day, 25*day), s.buy(s.someTier()))
	s.dun(inv, 3, 8*day)
	return sub, inv
}

func dunningUnpaid(s *story) {
	sub, _ := s.dunned()
	s.change(sub, byStripe, func() { sub.become("unpaid") })
}

func unpaidThenPaid(s *story) {
	sub, inv := s.dunned()
	s.change(sub, byStripe, func() { sub.become("unpaid") })
	s.wait(hour, 2*day)
	s.recover(sub, inv)
}

func dunningCanceled(s *story) {
	sub, _ := s.dunned()
	s.cancel(sub, "payment_failed", byStripe)
}

// debtPaidLater pays the open invoice of a canceled subscription: the money
// counts, the subscription stays canceled.
func debtPaidLater(s *story) {
	sub, inv := s.dunned()
	s.cancel(sub, "payment_failed", byStripe)
	s.wait(hour, 3*day)
	s.settleInvoice(inv, byRequest)
}
