package simulate

import "time"

// claim lets the customer's metadata name the story's account, by the event that
// tells of it first or by a change.
func (s *story) claim(account string) {
	before := s.showCustomer()
	s.customer.metadata = metadata{{s.key, account}}
	if s.customer.created == 0 {
		s.customer.created = s.now
		s.emit("customer.created", s.showCustomer(), nil, byRequest)
		return
	}
	after := s.showCustomer()
	s.emit("customer.updated", after, previous(before, after), byRequest)
}

// claimedBefore draws an offer that names no account, for a customer who does,
// and who comes into being a while before.
func (s *story) claimedBefore(how naming) offer {
	o := s.buy(s.someTier())
	o.naming, o.api = how, false
	now := s.now
	s.now = s.end - span(minSpan-day)
	s.claim(s.account)
	s.now = now
	return o
}

// settledFor signs up with an offer and belongs to the story's account, whoever
// named it.
func (s *story) settledFor(o offer) *subscription {
	sub := s.settled(o)
	sub.owner = s.account
	return sub
}

func namedByCustomer(s *story) { s.settledFor(s.claimedBefore(nameNowhere)) }

// namedByCustomerLater belongs to its customer's id until the customer names an
// account, which then has all that was before.
func namedByCustomerLater(s *story) {
	o := s.buy(s.someTier())
	o.naming = nameNowhere
	sub := s.settled(o)
	s.wait(hour, 3*day)
	s.claim(s.account)
	sub.owner = s.account
	s.accounts = append(s.accounts, s.customer.id)
}

// customerOutranksReference has a session whose client reference names another
// account: a buyer can edit that one.
func customerOutranksReference(s *story) {
	o := s.claimedBefore(nameInReference)
	claimed := s.account
	s.account += "-reference"
	sub := s.settled(o)
	sub.owner = claimed
	s.accounts = append(s.accounts, s.account)
	s.account = claimed
}

// customerOutranked has a session whose metadata name the account; the
// customer's name another one, which has nothing.
func customerOutranked(s *story) {
	right := s.account
	s.account += "-claim"
	s.accounts = append(s.accounts, s.account)
	o := s.claimedBefore(nameInSession)
	s.account = right
	s.settled(o)
}

// customerRenamed moves all that the customer's claim holds.
func customerRenamed(s *story) {
	sub := s.settledFor(s.claimedBefore(nameNowhere))
	s.wait(hour, 2*day)
	other := s.account + "-renamed"
	s.claim(other)
	sub.owner = other
	s.accounts = append(s.accounts, other)
}

// claimDeleted loses its customer, and with it the claim: what is left belongs
// to the customer's id. Access ended before, with the subscription.
func claimDeleted(s *story) {
	sub := s.settledFor(s.claimedBefore(nameNowhere))
	s.wait(hour, 2*day)
	s.cancel(sub, "cancellation_requested", byRequest)
	if s.chance(0.5) {
		s.wait(hour, day)
	}
	s.deleteCustomer()
	sub.owner = s.customer.id
	s.accounts = append(s.accounts, s.customer.id)
}

// boughtOnce never subscribed: the account, which the customer names, has money
// and the free tier.
func boughtOnce(s *story) {
	s.now = s.ago(4*day, 40*day)
	s.claim(s.account)
	s.wait(10*time.Minute, hour)
	p := s.buyOnce(nil)
	if s.chance(0.5) {
		s.wait(hour, 2*day)
		s.giveBack(p, p.amount/2)
	}
}
