package simulate

// paidAheadOfStatus ends between the payment of what was owed and the status
// that follows from it: past_due, and nothing owed.
func paidAheadOfStatus(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 20*day), s.buy(s.someTier()))
	s.wait(hour, 40*hour)
	s.settleInvoice(inv, byRequest)
	sub.clear()
}

// firstFailureUnseen begins with the second attempt: neither the first failure
// nor the status that followed was told. The first was made when the invoice
// was finalised.
func firstFailureUnseen(s *story) {
	sub, inv := s.unseen(s.ago(12*hour, 20*hour))
	s.wait(hour, 10*hour)
	s.attempt(inv, 72*hour)
	s.change(sub, byRequest, func() { sub.name("note", "card asked for") })
}

// unseen turns a period whose first payment fails at the given moment, without
// an event of the failure.
func (s *story) unseen(at int64) (*subscription, *invoice) {
	sub := s.historyTo(at-span(invoiceDelay), s.buy(s.someTier()))
	inv := s.turnPeriod(sub)
	s.now = at
	inv.status, inv.finalized, inv.attempts, inv.nextAttempt = "open", s.now, 1, s.now+span(10*hour)
	sub.owe(s.now)
	sub.become("past_due")
	return sub, inv
}

// pastDueUnexplained is past_due without any event that tells why: it owes from
// the moment that the status says so.
func pastDueUnexplained(s *story) {
	at := s.ago(hour, 20*hour)
	if s.chance(0.3) {
		at = s.ago(25*hour, 6*day)
	}
	sub := s.historyTo(at-span(invoiceDelay), s.buy(s.someTier()))
	s.turnPeriod(sub)
	s.now = at
	sub.owe(at)
	s.change(sub, byStripe, func() { sub.become("past_due") })
}

// draftDeleted throws away a draft beside the invoice that is owed, which stays
// owed.
func draftDeleted(s *story) {
	sub, _ := s.justFailed(s.buy(s.someTier()))
	s.now += (s.end - s.now) / 2
	draft := s.newInvoice(sub, "manual")
	s.emit("invoice.deleted", s.showInvoice(draft), nil, byRequest)
}

// collectionPausedForLong gives up the invoices that come while collection is
// paused; the status stays active.
func collectionPausedForLong(s *story) {
	sub := s.historyTo(s.ago(35*day, 50*day), s.buy(s.someTier()))
	s.renew(sub)
	s.wait(hour, 3*day)
	s.change(sub, byRequest, func() { sub.pauses, sub.resumesAt = "mark_uncollectible", s.end+span(30*day) })
	for addMonths(sub.anchor, (sub.cycles+1)*sub.plan.months)+span(2*invoiceDelay) < s.end {
		inv := s.turnPeriod(sub)
		s.now += span(invoiceDelay)
		inv.finalized = s.now
		s.giveUp(inv, byStripe)
	}
}

// couponToZero pays invoices of nothing: no charge is made, and access is as paid.
func couponToZero(s *story) {
	o := s.buy(s.someTier())
	o.percentOff = 100
	s.settled(o)
}

func couponInPart(s *story) {
	o := s.buy(s.someTier())
	o.percentOff = 25
	s.settled(o)
}

// upgradeAsked asks for an upgrade that is applied only when it is paid, and is
// not: its invoice is open, its price is pending, the status stays active.
func (s *story) upgradeAsked(at int64) (*subscription, *invoice) {
	low, high := s.twoTiers()
	sub := s.historyTo(at-span(3*day), s.buy(low))
	s.renew(sub)
	s.now = at
	from, to := sub.plan, s.planOf(high)
	sub.plan = to
	inv := s.prorate(sub, from)
	sub.plan = from
	s.change(sub, byRequest, func() {
		sub.pending, sub.pendingExpires, sub.latestInvoice = &to, s.now+span(23*hour), inv.id
	})
	s.now++
	s.attempt(inv, 0)
	sub.owe(s.now)
	return sub, inv
}

func upgradePending(s *story) { s.upgradeAsked(s.ago(hour, 20*hour)) }

func pendingUpgradePaid(s *story) {
	sub, inv := s.upgradeAsked(s.ago(2*day, 20*day))
	s.wait(hour, 20*hour)
	s.settleInvoice(inv, byRequest)
	sub.clear()
	s.change(sub, byRequest, func() {
		to := *sub.pending
		sub.pending, sub.pendingExpires = nil, 0
		sub.setPlan(to)
	})
	s.emit("customer.subscription.pending_update_applied", s.show(sub), nil, byRequest)
}

// owedVoided withdraws what was owed: Stripe's status rests on the invoice
// before it, which was paid.
func owedVoided(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 20*day), s.buy(s.someTier()))
	s.wait(hour, 40*hour)
	s.void(inv, byRequest)
	s.change(sub, byRequest, func() { sub.become("active") })
}

// owedGivenUp marks what was owed uncollectible: the status is active again.
func owedGivenUp(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 20*day), s.buy(s.someTier()))
	s.wait(hour, 40*hour)
	s.giveUp(inv, byRequest)
	s.change(sub, byRequest, func() { sub.become("active") })
}

// voidFallsBack withdraws the latest of two invoices that are owed. The older
// one still is, from when it failed.
func voidFallsBack(s *story) {
	_, _, latest := s.failTwice()
	s.wait(hour, day)
	s.void(latest, byRequest)
}

// oneOffUnpaid fails to pay for something beside the subscription, to which
// that is nothing.
func oneOffUnpaid(s *story) {
	sub, _ := s.paidUp()
	inv := s.oneOff(sub)
	s.finalize(inv, byRequest)
	s.attempt(inv, 72*hour)
}

func oneOffPaid(s *story) {
	sub, _ := s.paidUp()
	s.settleInvoice(s.oneOff(sub), byRequest)
}
