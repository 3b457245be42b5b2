package simulate

// lastPaid is the latest payment that brought money in.
func (s *story) lastPaid() *payment {
	var last *payment
	for _, p := range s.payments {
		if p.status == "succeeded" {
			last = p
		}
	}
	return last
}

// paidUp is a subscription in good standing, some time after its latest payment.
func (s *story) paidUp() (*subscription, *payment) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, day)
	return sub, s.lastPaid()
}

// refundedInPart gives back some of a payment, sometimes in two portions, which
// the charge tells as one sum.
func refundedInPart(s *story) {
	_, p := s.paidUp()
	portion := p.amount / 5
	s.giveBack(p, portion)
	if s.chance(0.5) {
		s.wait(hour, day)
		s.giveBack(p, 2*portion)
	}
}

// refundedInFull leaves access as it is: by default money alone ends nothing.
func refundedInFull(s *story) {
	sub, p := s.paidUp()
	if s.chance(0.5) {
		half := p.amount / 2
		s.giveBack(p, half)
		s.wait(hour, day)
		s.giveBack(p, p.amount-half)
	} else {
		s.giveBack(p, p.amount)
	}
	if s.chance(0.5) {
		s.wait(hour, day)
		s.cancel(sub, "cancellation_requested", byRequest)
	}
}

// refundFails is sent back by the bank: nothing was given back.
func refundFails(s *story) {
	_, p := s.paidUp()
	r := s.giveBack(p, p.amount)
	s.wait(hour, day)
	s.bounce(r)
}

// refundFailsOnce succeeds at the second try, for another amount.
func refundFailsOnce(s *story) {
	_, p := s.paidUp()
	r := s.giveBack(p, p.amount/4)
	s.wait(hour, 12*hour)
	s.bounce(r)
	p.shownRefunded -= r.amount
	s.wait(hour, 12*hour)
	s.giveBack(p, p.amount/3)
}

func disputed(s *story) {
	_, p := s.paidUp()
	d := s.contest(p)
	if s.chance(0.5) {
		s.wait(hour, day)
		s.answer(d)
	}
}

// disputeEnds closes a dispute, with or without evidence.
func (s *story) disputeEnds(won bool) *subscription {
	sub, p := s.paidUp()
	d := s.contest(p)
	s.wait(hour, day)
	if won || s.chance(0.5) {
		s.answer(d)
		s.wait(hour, day)
	}
	s.decide(d, won)
	return sub
}

func disputeWon(s *story) { s.disputeEnds(true) }

func disputeLost(s *story) {
	sub := s.disputeEnds(false)
	if s.chance(0.5) {
		s.wait(hour, 12*hour)
		s.cancel(sub, "cancellation_requested", byRequest)
	}
}

// inquiry is a dispute that never became one: no money moved.
func inquiry(s *story) {
	_, p := s.paidUp()
	d := &dispute{id: "du_1" + s.token(23), status: "warning_needs_response", payment: p, created: s.now, reason: "general", inquiry: true}
	s.emit("charge.dispute.created", s.showDispute(d), nil, byStripe)
	s.wait(hour, day)
	s.reconsider(d, "charge.dispute.closed", func() { d.status = "warning_closed" })
}

// creditedWithRefund credits an invoice by a refund, which counts once though
// the note, the refund and the charge tell of it.
func creditedWithRefund(s *story) {
	_, p := s.paidUp()
	r := s.giveBack(p, p.amount/4)
	s.credit(&creditNote{invoice: p.invoice, refund: r, amount: r.amount, reason: "order_change"})
}

// creditedToBalance credits an invoice without any money, for the next one.
func creditedToBalance(s *story) {
	_, p := s.paidUp()
	s.credit(&creditNote{invoice: p.invoice, amount: p.amount / 10, reason: "product_unsatisfactory"})
}

func creditNoteVoided(s *story) {
	_, p := s.paidUp()
	n := &creditNote{invoice: p.invoice, amount: p.amount / 10, reason: "order_change"}
	s.credit(n)
	s.wait(hour, day)
	s.withdraw(n)
}
