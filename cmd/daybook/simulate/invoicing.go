package simulate

import (
	"fmt"
	"time"
)

// newInvoice makes a draft for the subscription's present period.
func (s *story) newInvoice(sub *subscription, reason string) *invoice {
	s.customer.invoices++
	inv := &invoice{
		id:     "in_1" + s.token(23),
		number: fmt.Sprintf("%s-%04d", s.customer.invoicePrefix, s.customer.invoices),
		reason: reason, status: "draft", currency: sub.plan.currency,
		subscription: sub, created: s.now, metadata: sub.metadata, percentOff: sub.percentOff,
	}
	amount := sub.plan.unit * sub.quantity
	description := fmt.Sprintf("%d × %s (per %s)", sub.quantity, sub.plan.nickname, sub.plan.interval())
	if sub.status == "trialing" {
		amount, description = 0, "Trial period for "+sub.plan.nickname
	}
	inv.lines = []line{{
		id: "il_1" + s.token(23), description: description, plan: sub.plan,
		quantity: sub.quantity, amount: amount, start: sub.periodStart, end: sub.periodEnd,
	}}
	for _, x := range sub.extras {
		if x.start == 0 || x.start == sub.periodStart {
			inv.lines = append(inv.lines, s.extraLine(sub, x))
		}
	}
	return inv
}

func (s *story) extraLine(sub *subscription, x extra) line {
	start, end := sub.periodOf(x)
	return line{
		id: "il_1" + s.token(23), description: fmt.Sprintf("%d × %s", x.quantity, x.plan.nickname), plan: x.plan,
		quantity: x.quantity, amount: x.plan.unit * x.quantity, start: start, end: end, subscriptionItem: x.item,
	}
}

// oneOff makes the invoice of something beside the subscription.
func (s *story) oneOff(sub *subscription) *invoice {
	inv := s.newInvoice(sub, "manual")
	inv.oneOff, inv.metadata = true, nil
	inv.lines = inv.lines[:1]
	inv.lines[0].item, inv.lines[0].description = "ii_1"+s.token(23), "Setup help"
	return inv
}

// prorate makes the invoice of a change of price within a period.
func (s *story) prorate(sub *subscription, from plan) *invoice {
	inv := s.newInvoice(sub, "subscription_update")
	left, whole := sub.periodEnd-s.now, sub.periodEnd-sub.periodStart
	inv.lines = []line{
		s.proratedLine("Unused time on "+from.nickname, from, -from.unit*sub.quantity*left/whole, sub),
		s.proratedLine("Remaining time on "+sub.plan.nickname, sub.plan, sub.plan.unit*sub.quantity*left/whole, sub),
	}
	return inv
}

func (s *story) proratedLine(description string, p plan, amount int64, sub *subscription) line {
	return line{
		id: "il_1" + s.token(23), item: "ii_1" + s.token(23), description: description,
		plan: p, quantity: sub.quantity, amount: amount, start: s.now, end: sub.periodEnd, proration: true,
	}
}

// settleInvoice pays an invoice now. invoice.paid always comes, and where
// invoices no longer name their payment, what ties the two together; of the
// others that tell of the same money, some.
func (s *story) settleInvoice(inv *invoice, who origin) {
	if inv.finalized == 0 {
		s.finalize(inv, who)
	}
	inv.status, inv.paidAt, inv.nextAttempt = "paid", s.now, 0
	if inv.total() > 0 && !inv.outOfBand {
		inv.attempts++
		s.take(s.paymentOf(inv))
	}
	if !inv.oneOff {
		inv.subscription.addPaid(inv.total(), inv.currency)
	}
	shown := s.showInvoice(inv)
	s.emit("invoice.paid", shown, nil, who)
	if s.chance(0.7) {
		s.emit("invoice.payment_succeeded", shown, nil, who)
	}
	if s.generation().modern && inv.payment != nil && !inv.outOfBand {
		s.emit("invoice_payment.paid", invoicePaymentObject(inv, s.options.Livemode), nil, who)
	}
}

func (s *story) finalize(inv *invoice, who origin) {
	inv.status, inv.finalized = "open", s.now
	if s.chance(0.15) {
		s.emit("invoice.finalized", s.showInvoice(inv), nil, who)
	}
}

// void withdraws an invoice now.
func (s *story) void(inv *invoice, who origin) {
	inv.status, inv.voided, inv.nextAttempt = "void", s.now, 0
	s.emit("invoice.voided", s.showInvoice(inv), nil, who)
}

// giveUp marks an invoice uncollectible now.
func (s *story) giveUp(inv *invoice, who origin) {
	inv.status, inv.givenUp, inv.nextAttempt = "uncollectible", s.now, 0
	s.emit("invoice.marked_uncollectible", s.showInvoice(inv), nil, who)
}

// turnPeriod begins the next period at the end of the present one, and leaves
// its invoice as a draft, as Stripe does for an hour.
func (s *story) turnPeriod(sub *subscription) *invoice {
	s.now = sub.periodEnd
	var inv *invoice
	s.change(sub, byStripe, func() {
		if sub.status == "trialing" {
			sub.startPeriods(sub.trialEnd)
			sub.become("active")
		} else {
			sub.nextPeriod()
		}
		inv = s.newInvoice(sub, "subscription_cycle")
		sub.latestInvoice = inv.id
	})
	return inv
}

// invoiceDelay is how long Stripe leaves a renewal's invoice open to change.
const invoiceDelay = time.Hour

// renew turns a period and pays for it.
func (s *story) renew(sub *subscription) {
	inv := s.turnPeriod(sub)
	s.now += span(invoiceDelay)
	s.settleInvoice(inv, byStripe)
}

// attempt makes a payment attempt that fails now.
func (s *story) attempt(inv *invoice, next time.Duration) {
	if inv.finalized == 0 {
		s.finalize(inv, byStripe)
	}
	inv.attempts++
	s.decline(s.paymentOf(inv))
	inv.nextAttempt = 0
	if next > 0 {
		inv.nextAttempt = s.now + span(next)
	}
	s.emit("invoice.payment_failed", s.showInvoice(inv), nil, byStripe)
	if s.chance(0.1) {
		s.emit("invoice.payment_action_required", s.showInvoice(inv), nil, byStripe)
	}
}

// failFirst lets the first attempt fail: the subscription is past_due from now,
// whichever of the two events tells of it first.
func (s *story) failFirst(sub *subscription, inv *invoice) {
	sub.owe(s.now)
	pastDue := func() { s.change(sub, byStripe, func() { sub.become("past_due") }) }
	switch s.rng.IntN(3) {
	case 0:
		s.attempt(inv, 72*time.Hour)
		pastDue()
	case 1:
		s.attempt(inv, 72*time.Hour)
		s.now++
		pastDue()
	default:
		pastDue()
		s.now++
		s.attempt(inv, 72*time.Hour)
	}
}

// failRenewal turns a period and lets its payment fail, at the given time.
func (s *story) failRenewal(sub *subscription) *invoice {
	inv := s.turnPeriod(sub)
	s.now += span(invoiceDelay)
	s.failFirst(sub, inv)
	return inv
}

// recover pays what was owed, now.
func (s *story) recover(sub *subscription, inv *invoice) {
	s.settleInvoice(inv, byRequest)
	if s.chance(0.4) {
		s.now++
	}
	s.change(sub, byRequest, func() { sub.become("active") })
}
