package simulate

import "time"

const trialLength = 14 * day

// onTrial signs up for a trial that ends at the given moment.
func (s *story) onTrial(ends int64, o offer) *subscription {
	o.trial = trialLength
	s.now = ends - span(trialLength)
	return s.signUp(o)
}

// warn tells three days ahead that the trial will end.
func (s *story) warn(sub *subscription) {
	s.now = sub.trialEnd - span(3*day)
	s.emit("customer.subscription.trial_will_end", s.show(sub), nil, byStripe)
}

func trialing(s *story) {
	s.onTrial(s.end+s.between(2*day, 12*day), s.buy(s.someTier()))
}

func trialConverts(s *story) {
	sub := s.onTrial(s.ago(2*day, 25*day), s.buy(s.someTier()))
	s.warn(sub)
	s.renew(sub)
}

// trialFailsAt lets the first payment after a trial fail at the given moment.
func (s *story) trialFailsAt(at int64) (*subscription, *invoice) {
	sub := s.onTrial(at-span(invoiceDelay), s.buy(s.someTier()))
	s.warn(sub)
	return sub, s.failRenewal(sub)
}

func trialFails(s *story) {
	s.trialFailsAt(s.ago(time.Hour, 20*hour))
}

func trialFailsForGood(s *story) {
	sub, inv := s.trialFailsAt(s.ago(9*day, 25*day))
	s.dun(inv, 3, 8*day)
	s.cancel(sub, "payment_failed", byStripe)
}

func trialPauses(s *story) {
	o := s.buy(s.someTier())
	o.missingCard = "pause"
	sub := s.onTrial(s.ago(day, 25*day), o)
	s.warn(sub)
	s.now = sub.trialEnd
	s.pause(sub)
}

func trialCanceled(s *story) {
	sub := s.onTrial(s.end+s.between(day, 8*day), s.buy(s.someTier()))
	s.wait(2*hour, 3*day)
	s.cancel(sub, "cancellation_requested", byRequest)
}

// resume starts a paused subscription anew, paid for the period that begins now.
func (s *story) resume(sub *subscription) {
	var inv *invoice
	s.change(sub, byRequest, func() {
		sub.missingCard = ""
		sub.startPeriods(s.now)
		sub.become("active")
		inv = s.newInvoice(sub, "subscription_cycle")
		sub.latestInvoice = inv.id
	})
	s.emit("customer.subscription.resumed", s.show(sub), nil, byRequest)
	s.settleInvoice(inv, byRequest)
}

func pausedThenResumed(s *story) {
	o := s.buy(s.someTier())
	o.missingCard = "pause"
	sub := s.onTrial(s.ago(3*day, 25*day), o)
	s.warn(sub)
	s.now = sub.trialEnd
	s.pause(sub)
	s.wait(hour, 2*day)
	s.resume(sub)
}

// pause stops a subscription now, for want of a card.
func (s *story) pause(sub *subscription) {
	s.change(sub, byStripe, func() { sub.become("paused") })
	s.emit("customer.subscription.paused", s.show(sub), nil, byStripe)
}

func trialExtended(s *story) {
	sub := s.onTrial(s.end+s.between(day, 3*day), s.buy(s.someTier()))
	s.warn(sub)
	s.now++
	s.change(sub, byRequest, func() {
		sub.trialEnd += span(7 * day)
		sub.anchor, sub.periodEnd = sub.trialEnd, sub.trialEnd
	})
}

// pausedForPayment ends a trial whose first payment fails, on an endpoint whose
// Stripe then pauses the subscription.
func (s *story) pausedForPayment(at int64) (*subscription, *invoice) {
	s.first = modernGenerations[len(modernGenerations)-1]
	s.second = s.first
	sub := s.onTrial(at-span(invoiceDelay), s.buy(s.someTier()))
	inv := s.turnPeriod(sub)
	s.now += span(invoiceDelay)
	s.attempt(inv, 0)
	failed := s.now
	s.change(sub, byStripe, func() {
		sub.become("paused")
		sub.pausedFor = "first_payment_failure"
	})
	sub.owe(failed)
	s.emit("customer.subscription.paused", s.show(sub), nil, byStripe)
	return sub, inv
}

func pausedInGrace(s *story) { s.pausedForPayment(s.ago(hour, 20*hour)) }

func pausedAfterGrace(s *story) { s.pausedForPayment(s.ago(25*hour, 10*day)) }

func pausedThenPaid(s *story) {
	sub, inv := s.pausedForPayment(s.ago(3*day, 20*day))
	s.wait(hour, 2*day)
	s.settleInvoice(inv, byRequest)
	s.change(sub, byRequest, func() { sub.become("active") })
	s.emit("customer.subscription.resumed", s.show(sub), nil, byRequest)
}
