package simulate

import (
	"cmp"
	"time"
)

// offer is what a buyer signs up for.
type offer struct {
	plan     plan
	quantity int64
	trial    time.Duration
	naming   naming
	// api says that no checkout session is involved.
	api bool
	// status is the subscription's first lasting status, "active" if empty and
	// there is no trial.
	status string
	// missingCard is what happens at the trial's end without a card.
	missingCard string
	sendInvoice bool
	// percentOff is a coupon's, extras are further items.
	percentOff int64
	extras     []extra
	// clock is the test clock that it is to live under.
	clock *clock
	// schedule is the id of the schedule that runs it.
	schedule string
}

// planOf draws a monthly price of a tier.
func (s *story) planOf(tier string) plan {
	return planFor(tier, planBy(s.rng.IntN(int(planWays))), s.customer.currency, 1)
}

// meet lets the customer come into being, some time before the sign-up.
func (s *story) meet() {
	if s.customer.created != 0 {
		return
	}
	at := s.now
	s.now -= s.between(30*time.Second, 5*time.Minute)
	s.customer.created = s.now
	if s.chance(0.3) {
		s.emit("customer.created", s.showCustomer(), nil, byRequest)
		s.emit("payment_method.attached", methodObject(s.customer, s.options.Livemode), nil, byRequest)
	}
	s.now = at
}

// signUp makes a subscription of the story's account, all in one second but,
// sometimes, the session.
func (s *story) signUp(o offer) *subscription {
	sub, inv := s.begin(o)
	if o.sendInvoice || s.chance(0.6) {
		s.emit("customer.subscription.created", s.show(sub), nil, byRequest)
	} else {
		s.startInTwoSteps(sub)
	}
	s.finishSignUp(sub, inv, o)
	return sub
}

// begin makes a subscription and its first invoice, without an event of them.
func (s *story) begin(o offer) (*subscription, *invoice) {
	s.meet()
	sub := s.newSubscription(o)
	inv := s.newInvoice(sub, "subscription_create")
	sub.latestInvoice = inv.id
	return sub, inv
}

// startInTwoSteps tells of a subscription that is created incomplete and
// becomes what it is within the same second.
func (s *story) startInTwoSteps(sub *subscription) {
	status := sub.status
	sub.status = "incomplete"
	s.emit("customer.subscription.created", s.show(sub), nil, byRequest)
	s.change(sub, byRequest, func() { sub.become(status) })
}

func (s *story) finishSignUp(sub *subscription, inv *invoice, o offer) {
	if o.sendInvoice {
		inv.status, inv.finalized, inv.dueDate = "open", s.now, s.now+span(14*24*time.Hour)
		s.payLater(inv)
		return
	}
	s.settleInvoice(inv, byRequest)
	if !o.api {
		if s.chance(0.3) {
			s.now += int64(1 + s.rng.IntN(3))
		}
		s.checkOut(sub, inv, o.naming)
	}
}

// payLater pays a first invoice that was sent by mail, some days on.
func (s *story) payLater(inv *invoice) {
	s.wait(24*time.Hour, 72*time.Hour)
	s.settleInvoice(inv, byRequest)
}

// newSubscription makes the state, without an event.
func (s *story) newSubscription(o offer) *subscription {
	sub := &subscription{
		id: "sub_1" + s.token(23), item: "si_" + s.token(14), customer: s.customer,
		quantity: o.quantity, created: s.now, missingCard: o.missingCard, sendInvoice: o.sendInvoice,
		flexible: s.generation().flexible, owner: s.account, plan: o.plan, status: "active",
		percentOff: o.percentOff, extras: o.extras, schedule: o.schedule, clock: o.clock,
	}
	if o.naming == nameNowhere {
		sub.owner = s.customer.id
	}
	if o.naming == nameInMetadata {
		sub.metadata = metadata{{s.key, s.account}, {"tier", cmp.Or(o.plan.tier, "founders")}, {"source", "web"}}
	}
	sub.startPeriods(s.now)
	if o.trial > 0 {
		s.startTrial(sub, o.trial)
	}
	if o.status != "" {
		sub.status = o.status
	}
	sub.setPlan(o.plan)
	s.subscriptions = append(s.subscriptions, sub)
	return sub
}

func (s *story) startTrial(sub *subscription, length time.Duration) {
	sub.status = "trialing"
	sub.trialStart, sub.trialEnd = s.now, s.now+span(length)
	sub.anchor, sub.periodEnd = sub.trialEnd, sub.trialEnd
}

// startIncomplete tells of a sign-up whose first payment fails.
func (s *story) startIncomplete(sub *subscription, inv *invoice) {
	s.emit("customer.subscription.created", s.show(sub), nil, byRequest)
	inv.status, inv.finalized, inv.attempts = "open", s.now, 1
	s.decline(s.paymentOf(inv))
	s.emit("invoice.payment_failed", s.showInvoice(inv), nil, byRequest)
}

// checkOut tells that the session behind a sign-up is complete.
func (s *story) checkOut(sub *subscription, inv *invoice, how naming) {
	s.tell("checkout.session.completed", s.sessionOf(sub, inv, how))
}

// sessionOf is the session behind a sign-up.
func (s *story) sessionOf(sub *subscription, inv *invoice, how naming) *session {
	session := s.newSession()
	session.subscription, session.invoice = sub, inv
	switch how {
	case nameInMetadata:
		session.metadata = metadata{{s.key, s.account}, {"tier", cmp.Or(sub.plan.tier, "founders")}}
		if s.chance(0.2) {
			// A reference that the buyer edited: metadata outranks it.
			session.reference = "edited-" + s.token(8)
		}
	case nameInSession:
		session.metadata = metadata{{s.key, s.account}}
	case nameInReference:
		session.reference = s.account
	case nameNowhere:
	}
	return session
}

// tell emits an event of a session.
func (s *story) tell(typ string, session *session) {
	s.emit(typ, sessionObject(session, s.generation(), s.options.Livemode), nil, byStripe)
}

func (s *story) newSession() *session {
	mode := "cs_test_a1"
	if s.options.Livemode {
		mode = "cs_live_a1"
	}
	return &session{id: mode + s.token(56), customer: s.customer, created: s.now - s.between(time.Minute, 20*time.Minute)}
}
