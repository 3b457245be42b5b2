package simulate

// further draws a further item of a tier.
func (s *story) further(tier string) extra {
	return extra{item: "si_" + s.token(14), plan: s.planOf(tier), quantity: 1 + int64(s.rng.IntN(3))}
}

// withTwoItems draws an offer of two tiers, in either order.
func (s *story) withTwoItems() offer {
	low, high := s.twoTiers()
	if s.chance(0.5) {
		low, high = high, low
	}
	o := s.buy(low)
	o.extras = []extra{s.further(high)}
	return o
}

func twoItems(s *story) { s.settled(s.withTwoItems()) }

// unknownItemBeside has an item that no catalog knows: the other decides.
func unknownItemBeside(s *story) {
	o := s.buy(s.someTier())
	o.extras = []extra{{item: "si_" + s.token(14), plan: legacyPlan(s.customer.currency), quantity: 1}}
	s.settled(o)
}

// itemsOfDifferentPeriods pays one item by the month and the better one by the
// year, as flexible billing can.
func itemsOfDifferentPeriods(s *story) {
	s.first = modernGenerations[len(modernGenerations)-1]
	s.second = s.first
	low, high := s.twoTiers()
	o := s.buy(low)
	at := s.ago(4*day, 25*day)
	start, _ := monthsBefore(at, 2)
	s.now = start
	yearly := s.further(high)
	yearly.plan = planFor(high, byLookupKey, s.customer.currency, 12)
	yearly.start, yearly.end = start, addMonths(start, 12)
	o.extras = []extra{yearly}
	sub := s.signUp(o)
	for sub.periodEnd+span(2*hour) < s.end {
		s.renew(sub)
	}
}

// itemRemoved takes the second item away: the first decides from then on.
func itemRemoved(s *story) {
	sub := s.settled(s.withTwoItems())
	s.wait(hour, 3*day)
	s.change(sub, byRequest, func() {
		sub.extras, sub.mapped = nil, ""
		sub.remap()
	})
}

// scheduleMovesOn changes the price at a period's end, because a schedule says
// so: an update like any other.
func scheduleMovesOn(s *story) {
	low, high := s.twoTiers()
	if s.chance(0.3) {
		low, high = high, low
	}
	o := s.buy(low)
	o.schedule = "sub_sched_1" + s.token(23)
	sub := s.historyTo(s.ago(4*day, 25*day), o)
	s.now = sub.periodEnd
	var inv *invoice
	s.change(sub, byStripe, func() {
		sub.nextPeriod()
		sub.setPlan(s.planOf(high))
		inv = s.newInvoice(sub, "subscription_cycle")
		sub.latestInvoice = inv.id
	})
	s.emit("subscription_schedule.updated", scheduleObject(sub, s.options.Livemode), nil, byStripe)
	s.now += span(invoiceDelay)
	s.settleInvoice(inv, byStripe)
}
