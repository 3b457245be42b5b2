package simulate

import "strings"

// payment is a payment intent with its latest charge, in the state that the
// script has brought it to.
type payment struct {
	intent, charge string
	customer       *customer
	// invoice is what is paid, nil for a payment of no invoice; account is whose
	// it is then.
	invoice *invoice
	account string

	amount   int64
	currency string
	// status is the charge's: "succeeded", "failed" or, before its end, "pending".
	status             string
	created, attempted int64
	// shownRefunded is what the charge tells of refunds, failed ones included;
	// refunded is what was given back, lost what a dispute took for good.
	shownRefunded, refunded, lost int64
	refunds                       []*refund
	disputed                      bool
}

// refund is one refund of a payment.
type refund struct {
	id, status, reason string
	payment            *payment
	amount             int64
	created            int64
	// byCharge says that it is told without its intent.
	byCharge bool
}

// owner is the account that the money came from.
func (p *payment) owner() string {
	if p.invoice != nil {
		return p.invoice.subscription.owner
	}
	return p.account
}

// received is what the payment brought in.
func (p *payment) received() int64 {
	if p.status == "succeeded" {
		return p.amount
	}
	return 0
}

// newPayment begins a payment of the story's customer.
func (s *story) newPayment(amount int64, currency string) *payment {
	p := &payment{
		intent: "pi_3" + s.token(23), customer: s.customer, account: s.account,
		amount: amount, currency: currency, status: "pending", created: s.now,
	}
	s.payments = append(s.payments, p)
	return p
}

// paymentOf is the payment of an invoice, begun now if there is none yet.
func (s *story) paymentOf(inv *invoice) *payment {
	if inv.payment == nil {
		inv.payment = s.newPayment(inv.total(), inv.currency)
		inv.payment.invoice = inv
	}
	return inv.payment
}

// try charges the card once: the payment's charge is a new one.
func (s *story) try(p *payment, status string) {
	p.charge, p.status, p.attempted = strings.Replace(p.intent, "pi_", "ch_", 1)[:16]+s.token(11), status, s.now
}

// take takes the money now. The intent tells of it, or the charge, or both.
func (s *story) take(p *payment) {
	s.try(p, "succeeded")
	told := s.rng.IntN(3)
	if told != 1 {
		s.emit("charge.succeeded", s.showCharge(p), nil, byStripe)
	}
	if told != 0 {
		s.emit("payment_intent.succeeded", intentObject(p, s.generation(), s.options.Livemode), nil, byStripe)
	}
}

// decline lets an attempt fail now; sometimes the charge or the intent tells.
func (s *story) decline(p *payment) {
	s.try(p, "failed")
	if s.chance(0.3) {
		s.emit("charge.failed", s.showCharge(p), nil, byStripe)
	}
	if s.chance(0.3) {
		s.emit("payment_intent.payment_failed", intentObject(p, s.generation(), s.options.Livemode), nil, byStripe)
	}
}

func (s *story) showCharge(p *payment) object {
	return chargeObject(p, s.generation(), s.options.Livemode)
}

// giveBack refunds an amount now. The refund tells of it, and so does the charge,
// but for some refunds that are told by their charge alone.
func (s *story) giveBack(p *payment, amount int64) *refund {
	r := &refund{
		id: strings.Replace(p.intent, "pi_", "re_", 1)[:16] + s.token(11), status: "succeeded",
		reason: pick(s, []string{"", "requested_by_customer", "duplicate"}), payment: p, amount: amount, created: s.now,
		byCharge: s.namesOnlyCharge(),
	}
	before := s.showCharge(p)
	p.refunds = append(p.refunds, r)
	p.refunded += amount
	p.shownRefunded += amount
	after := s.showCharge(p)
	if !r.byCharge || s.chance(0.3) {
		s.emit("charge.refunded", after, previous(before, after), byRequest)
	}
	s.emit("refund.created", s.showRefund(r), nil, byRequest)
	return r
}

// namesOnlyCharge decides whether an event tells of a refund or a dispute by the
// charge alone: some of the older versions' do.
func (s *story) namesOnlyCharge() bool { return !s.generation().modern && s.chance(0.6) }

// intentUnless is the intent's id, or nothing.
func (p *payment) intentUnless(byCharge bool) any {
	if byCharge {
		return nil
	}
	return p.intent
}

func (s *story) showRefund(r *refund) object { return refundObject(r, s.options.Livemode) }

// bounce lets a refund fail now: the bank sent it back. What the charge told of
// it is not told anew.
func (s *story) bounce(r *refund) {
	r.byCharge = s.namesOnlyCharge()
	before := s.showRefund(r)
	r.status = "failed"
	r.payment.refunded -= r.amount
	after := s.showRefund(r)
	told := s.rng.IntN(3)
	if told != 1 {
		s.emit("refund.failed", after, previous(before, after), byStripe)
	}
	if told != 0 {
		s.emit("charge.refund.updated", after, previous(before, after), byStripe)
	}
}

// dispute is a payment that its buyer contests with the bank.
type dispute struct {
	id, status, reason string
	payment            *payment
	created            int64
	evidence           bool
	// byCharge says that it is told without its intent.
	byCharge bool
	// inquiry says that the bank only asks, and takes nothing.
	inquiry bool
}

func (s *story) showDispute(d *dispute) object {
	return disputeObject(d, s.generation(), s.options.Livemode)
}

// contest opens a dispute now; the bank takes the money at once.
func (s *story) contest(p *payment) *dispute {
	p.disputed = true
	d := &dispute{
		id: "du_1" + s.token(23), status: "needs_response", payment: p, created: s.now,
		reason:   pick(s, []string{"fraudulent", "product_not_received", "subscription_canceled"}),
		byCharge: s.namesOnlyCharge(),
	}
	s.emit("charge.dispute.created", s.showDispute(d), nil, byStripe)
	s.emit("charge.dispute.funds_withdrawn", s.showDispute(d), nil, byStripe)
	return d
}

// answer sends evidence: the bank looks at it.
func (s *story) answer(d *dispute) {
	s.reconsider(d, "charge.dispute.updated", func() { d.status, d.evidence = "under_review", true })
}

func (s *story) reconsider(d *dispute, typ string, move func()) {
	d.byCharge = s.namesOnlyCharge()
	before := s.showDispute(d)
	move()
	after := s.showDispute(d)
	s.emit(typ, after, previous(before, after), byStripe)
}

// decide closes a dispute: only a lost one takes the money for good.
func (s *story) decide(d *dispute, won bool) {
	if !won {
		d.payment.lost += d.payment.amount
		s.reconsider(d, "charge.dispute.closed", func() { d.status = "lost" })
		return
	}
	s.reconsider(d, "charge.dispute.closed", func() { d.status = "won" })
	s.emit("charge.dispute.funds_reinstated", s.showDispute(d), nil, byStripe)
}
