package simulate

// cancel ends a subscription now.
func (s *story) cancel(sub *subscription, reason string, who origin) {
	sub.become("canceled")
	sub.endedAt, sub.cancelReason = s.now, reason
	if sub.canceledAt == 0 {
		sub.canceledAt = s.now
	}
	s.emit("customer.subscription.deleted", s.show(sub), nil, who)
}

// schedule plans the end for the end of the period: flexible billing by
// cancel_at alone, classic billing by cancel_at_period_end too.
func (s *story) schedule(sub *subscription) {
	s.change(sub, byRequest, func() {
		sub.cancelAt, sub.canceledAt = sub.periodEnd, s.now
		sub.cancelAtPeriodEnd = !sub.flexible
		sub.cancelReason = "cancellation_requested"
		sub.feedback = pick(s, []string{"", "too_expensive", "missing_features", "unused"})
	})
}

func canceledAtOnce(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, 3*day)
	s.cancel(sub, "cancellation_requested", byRequest)
}

func cancellationScheduled(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, 3*day)
	s.schedule(sub)
}

func cancellationCarriedOut(s *story) {
	sub := s.historyTo(s.ago(day, 25*day), s.buy(s.someTier()))
	s.wait(hour, 20*day)
	s.schedule(sub)
	s.now = sub.periodEnd
	s.cancel(sub, "cancellation_requested", byStripe)
}

func cancellationWithdrawn(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, day)
	s.schedule(sub)
	s.wait(hour, 2*day)
	s.change(sub, byRequest, func() {
		sub.cancelAt, sub.canceledAt, sub.cancelAtPeriodEnd = 0, 0, false
		sub.cancelReason, sub.feedback = "", ""
	})
}

// subscribedAgain ends one subscription and begins another; then the old one
// has something more to say.
func subscribedAgain(s *story) {
	old := s.historyTo(s.ago(12*day, 25*day), s.buy(s.someTier()))
	s.renew(old)
	s.wait(hour, 3*day)
	s.cancel(old, "cancellation_requested", byRequest)
	s.wait(hour, 3*day)
	o := s.buy(s.someTier())
	s.signUp(o)
	s.wait(hour, 2*day)
	s.change(old, byRequest, func() { old.name("note", "closed by support") })
}

// beside signs up for a second subscription, some days before the end.
func (s *story) beside(o offer) *subscription {
	s.now = s.ago(2*day, 20*day)
	return s.signUp(o)
}

func twoSubscriptions(s *story) {
	low, high := s.twoTiers()
	if s.chance(0.5) {
		low, high = high, low
	}
	s.settled(s.buy(low))
	s.beside(s.buy(high))
}

func twoOfOneTier(s *story) {
	tier := s.someTier()
	s.settled(s.buy(tier))
	s.beside(s.buy(tier))
}

func betterExpired(s *story) {
	low, high := s.twoTiers()
	_, inv := s.failsAt(s.ago(2*day, 5*day), s.buy(high))
	s.retryUntil(inv, 2, s.end)
	s.beside(s.buy(low))
}

func canceledBesideTrial(s *story) {
	low, high := s.twoTiers()
	sub := s.settled(s.buy(high))
	s.wait(hour, 3*day)
	s.cancel(sub, "cancellation_requested", byRequest)
	s.onTrial(s.end+s.between(day, 8*day), s.buy(low))
}

func unpaidBesideCanceled(s *story) {
	sub, _ := s.dunned()
	s.change(sub, byStripe, func() { sub.become("unpaid") })
	s.now = s.ago(2*day, 10*day)
	second := s.signUp(s.buy(s.someTier()))
	s.wait(hour, day)
	s.cancel(second, "cancellation_requested", byRequest)
}

// endPlanned has a date for its end, within a period or beyond it; nothing is
// said of the period's end.
func endPlanned(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, 3*day)
	s.plan(sub, s.end+s.between(day, 60*day))
}

func endPlannedCarriedOut(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, day)
	s.plan(sub, s.now+s.between(hour, 2*day))
	s.now = sub.cancelAt
	s.cancel(sub, "cancellation_requested", byStripe)
}

// plan sets a date for the end.
func (s *story) plan(sub *subscription, at int64) {
	s.change(sub, byRequest, func() {
		sub.cancelAt, sub.canceledAt, sub.cancelReason = at, s.now, "cancellation_requested"
	})
}
