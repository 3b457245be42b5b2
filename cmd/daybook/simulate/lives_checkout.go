package simulate

// debited is a sign-up that is paid by bank debit: the session is complete, the
// subscription active, and the money days away.
func (s *story) debited(at int64) (*subscription, *invoice, *session) {
	o := s.buy(s.someTier())
	o.naming, o.api = pick(s, []naming{nameInMetadata, nameInSession}), false
	s.now = at
	sub, inv := s.begin(o)
	s.emit("customer.subscription.created", s.show(sub), nil, byRequest)
	s.finalize(inv, byRequest)
	session := s.sessionOf(sub, inv, o.naming)
	session.unpaid = true
	s.tell("checkout.session.completed", session)
	return sub, inv, session
}

func debitOnItsWay(s *story) { s.debited(s.ago(hour, 5*day)) }

func debitArrives(s *story) {
	_, inv, session := s.debited(s.ago(9*day, 25*day))
	s.wait(3*day, 8*day)
	s.settleInvoice(inv, byStripe)
	session.unpaid = false
	s.tell("checkout.session.async_payment_succeeded", session)
}

// debitFails brings no money. A first invoice never opens a delinquency; the
// status decides, until it is canceled.
func debitFails(s *story) {
	sub, inv, session := s.debited(s.ago(9*day, 25*day))
	s.wait(3*day, 6*day)
	s.attempt(inv, 0)
	s.tell("checkout.session.async_payment_failed", session)
	if s.chance(0.5) {
		s.wait(hour, day)
		s.cancel(sub, "payment_failed", byRequest)
	}
}

// buyOnce sells something by a session of its own, without a subscription.
func (s *story) buyOnce(m metadata) *payment {
	session := s.newSession()
	session.metadata, session.mode = m, "payment"
	session.payment = s.newPayment(inCurrency(500, s.customer.currency)*int64(1+s.rng.IntN(8)), s.customer.currency)
	s.take(session.payment)
	s.tell("checkout.session.completed", session)
	return session.payment
}

// boughtOnceBeside has a subscription, and buys once: that is money, and no more.
func boughtOnceBeside(s *story) {
	s.paidUp()
	p := s.buyOnce(metadata{{s.key, s.account}, {"tier", "enterprise"}})
	if s.chance(0.5) {
		s.wait(hour, day)
		s.giveBack(p, p.amount)
	}
}

// cardSaved goes through checkout only to leave a card.
func cardSaved(s *story) {
	s.paidUp()
	session := s.newSession()
	session.mode = "setup"
	s.tell("checkout.session.completed", session)
}

// checkoutAbandoned goes away from a better offer.
func checkoutAbandoned(s *story) {
	s.paidUp()
	session := s.newSession()
	session.metadata, session.expired = metadata{{s.key, s.account}, {"tier", "enterprise"}}, true
	s.wait(day, 2*day)
	s.tell("checkout.session.expired", session)
}
