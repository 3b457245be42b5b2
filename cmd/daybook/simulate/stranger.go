package simulate

import "slices"

// strangerShare is how many lifecycles a stranger comes beside.
const strangerShare = 0.12

// strange plays, now and then, somebody whose events come to the same endpoint
// and concern nobody here: the customer of a connected Stripe account, or one of
// the other mode. They claim the story's account, and the highest tier; nothing
// may come of it.
func (s *story) strange() {
	if !s.chance(strangerShare) {
		return
	}
	other := *s
	other.customer = s.newCustomer(s.customer.number + strangerNumbers)
	other.subscriptions, other.payments, other.events = nil, nil, nil
	if s.chance(0.5) {
		other.connected = "acct_1Sim" + s.token(16)
	} else {
		other.options.Livemode = !s.options.Livemode
	}
	other.intrude()
	s.events = slices.Concat(s.events, other.events)
	s.strangers = append(s.strangers, other.customer)
}

// strangerNumbers keeps the names of strangers apart from all others.
const strangerNumbers = 1_000_000

// intrude is a short life with a bit of everything.
func (s *story) intrude() {
	s.now = s.ago(35*day, 60*day)
	s.customer.created = s.now
	s.customer.metadata = metadata{{s.key, s.account}}
	s.emit("customer.created", s.showCustomer(), nil, byRequest)
	o := s.buy("enterprise")
	o.naming, o.api = nameInMetadata, false
	sub := s.signUp(o)
	if s.chance(0.5) {
		s.renew(sub)
	}
	s.wait(hour, day)
	s.giveBack(s.lastPaid(), s.lastPaid().amount)
	if s.chance(0.5) {
		s.cancel(sub, "cancellation_requested", byRequest)
	}
}
