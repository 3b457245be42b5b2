package simulate

import "slices"

// name sets an entry of the metadata; the copies on invoices stay as they are.
func (s *subscription) name(key, value string) {
	m := slices.Clone(s.metadata)
	for i := range m {
		if m[i].key == key {
			m[i].value = value
			s.metadata = m
			return
		}
	}
	s.metadata = append(m, pair{key, value})
}

// replan changes the price without an invoice of its own.
func (s *story) replan(sub *subscription, p plan) {
	s.change(sub, byRequest, func() { sub.setPlan(p) })
}

func upgraded(s *story) {
	low, high := s.twoTiers()
	sub := s.settled(s.buy(low))
	s.wait(hour, 3*day)
	from := sub.plan
	var inv *invoice
	s.change(sub, byRequest, func() {
		sub.setPlan(s.planOf(high))
		if sub.metadata != nil && s.chance(0.5) {
			sub.name("tier", high)
		}
		inv = s.prorate(sub, from)
		sub.latestInvoice = inv.id
	})
	s.settleInvoice(inv, byRequest)
}

// downgraded leaves the higher tier's name in the metadata: the portal does not
// know of it.
func downgraded(s *story) {
	low, high := s.twoTiers()
	o := s.buy(high)
	o.naming = nameInMetadata
	sub := s.settled(o)
	s.wait(hour, 3*day)
	s.replan(sub, s.planOf(low))
}

// changedTwiceAtOnce goes far up and most of the way down again within one
// second: only previous_attributes tell which change came last.
func changedTwiceAtOnce(s *story) {
	sub := s.settled(s.buy("basic"))
	s.wait(hour, 3*day)
	s.replan(sub, s.planOf(tiers[3+s.rng.IntN(3)].id))
	if s.chance(0.5) {
		s.change(sub, byRequest, func() { sub.quantity = 2 })
	}
	s.replan(sub, s.planOf("premium"))
	if s.chance(0.5) {
		s.change(sub, byRequest, func() { sub.quantity += 2 })
	}
}

func regretted(s *story) {
	o := s.buy(s.someTier())
	o.naming, o.api = nameInMetadata, true
	s.now = s.ago(day, 40*day)
	sub := s.signUp(o)
	s.change(sub, byRequest, func() { sub.quantity = 2 })
	s.cancel(sub, "cancellation_requested", byRequest)
}

func moreSeats(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, 3*day)
	s.change(sub, byRequest, func() { sub.quantity = 2 + int64(s.rng.IntN(9)) })
}

func collectionPaused(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, 3*day)
	s.change(sub, byRequest, func() { sub.pauses = "mark_uncollectible" })
}

// priceUnknown claims the highest tier in its metadata, which counts for nothing.
func priceUnknown(s *story) {
	o := s.buy("basic")
	o.plan = legacyPlan(s.customer.currency)
	sub := s.settled(o)
	s.wait(hour, day)
	s.change(sub, byRequest, func() { sub.name("tier", "enterprise") })
}

// priceBecomesUnknown keeps the tier of the latest price that was known.
func priceBecomesUnknown(s *story) {
	sub := s.settled(s.buy(s.someTier()))
	s.wait(hour, 3*day)
	s.replan(sub, legacyPlan(s.customer.currency))
}
