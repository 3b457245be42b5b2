package simulate

// voidedAheadOfStatus ends between the void of what was owed and the status
// that follows from it: the invoice before was paid, so nothing is owed.
func voidedAheadOfStatus(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 20*day), s.buy(s.someTier()))
	s.wait(hour, 40*hour)
	s.void(inv, byRequest)
	sub.clear()
}

func givenUpAheadOfStatus(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 20*day), s.buy(s.someTier()))
	s.wait(hour, 40*hour)
	s.giveUp(inv, byRequest)
	sub.clear()
}

// voidFallsBackToPaid withdraws the latest of two invoices after the older one
// was paid: nothing is owed any more, though the status has yet to follow.
func voidFallsBackToPaid(s *story) {
	sub, older, latest := s.failTwice()
	s.wait(hour, day)
	s.settleInvoice(older, byRequest)
	s.wait(hour, day)
	s.void(latest, byRequest)
	sub.clear()
}

// paidOutOfBand pays by other means what the card did not: nothing is owed any
// more, the invoice counts as paid, whichever generation tells of it, and no
// payment of Stripe's brought anything.
func paidOutOfBand(s *story) {
	sub, inv := s.failsAt(s.ago(2*day, 20*day), s.buy(s.someTier()))
	s.wait(hour, 40*hour)
	inv.outOfBand = true
	s.settleInvoice(inv, byRequest)
	if s.chance(0.5) {
		s.change(sub, byRequest, func() { sub.become("active") })
		return
	}
	sub.clear()
}

// mailedInvoiceToldLate is past_due some time after the due date, which is when
// it began to owe.
func mailedInvoiceToldLate(s *story) {
	o := s.buy(s.someTier())
	o.sendInvoice, o.naming = true, nameInMetadata
	due := s.ago(6*hour, 20*hour)
	finalized := due - span(14*day)
	sub := s.historyTo(finalized-span(invoiceDelay), o)
	inv := s.turnPeriod(sub)
	s.now, inv.dueDate = finalized, due
	inv.status, inv.finalized = "open", s.now
	s.emit("invoice.finalized", s.showInvoice(inv), nil, byStripe)
	s.now = due + s.between(hour, 5*hour)
	sub.owe(due)
	s.change(sub, byStripe, func() { sub.become("past_due") })
}

// pendingUpgradeExpired was never paid: its invoice is void, and all is as it
// was before it was asked for.
func pendingUpgradeExpired(s *story) {
	sub, inv := s.upgradeAsked(s.ago(2*day, 20*day))
	s.now = sub.pendingExpires
	s.void(inv, byStripe)
	sub.clear()
	s.change(sub, byStripe, func() { sub.pending, sub.pendingExpires = nil, 0 })
	s.emit("customer.subscription.pending_update_expired", s.show(sub), nil, byStripe)
}

// pausedToldAlone is paused without an update that says so.
func pausedToldAlone(s *story) {
	o := s.buy(s.someTier())
	o.missingCard = "pause"
	sub := s.onTrial(s.ago(day, 25*day), o)
	s.now = sub.trialEnd
	sub.become("paused")
	s.emit("customer.subscription.paused", s.show(sub), nil, byStripe)
}

// resumedToldAlone is resumed without an update that says so.
func resumedToldAlone(s *story) {
	o := s.buy(s.someTier())
	o.missingCard = "pause"
	sub := s.onTrial(s.ago(3*day, 25*day), o)
	s.now = sub.trialEnd
	s.pause(sub)
	s.wait(hour, 2*day)
	sub.missingCard = ""
	sub.startPeriods(s.now)
	sub.become("active")
	inv := s.newInvoice(sub, "subscription_cycle")
	sub.latestInvoice = inv.id
	s.settleInvoice(inv, byRequest)
	s.emit("customer.subscription.resumed", s.show(sub), nil, byRequest)
}
