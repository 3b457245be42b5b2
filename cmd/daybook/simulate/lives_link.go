package simulate

import "time"

// begun is a sign-up whose first payment failed.
func (s *story) begun(at int64) (*subscription, *invoice) {
	o := s.buy(s.someTier())
	o.naming, o.status = nameInMetadata, "incomplete"
	s.now = at
	sub, inv := s.begin(o)
	s.startIncomplete(sub, inv)
	return sub, inv
}

func incomplete(s *story) { s.begun(s.ago(hour, 20*hour)) }

func incompleteExpires(s *story) {
	sub, inv := s.begun(s.ago(2*day, 40*day))
	s.now += span(23 * hour)
	s.void(inv, byStripe)
	s.change(sub, byStripe, func() { sub.become("incomplete_expired") })
}

func incompleteActivates(s *story) {
	sub, inv := s.begun(s.ago(2*day, 25*day))
	s.wait(10*time.Minute, 20*hour)
	s.settleInvoice(inv, byRequest)
	s.change(sub, byRequest, func() { sub.become("active") })
	if s.chance(0.5) {
		s.checkOut(sub, inv, nameInMetadata)
	}
}

// accountUnnamed belongs to an account of the customer's id.
func accountUnnamed(s *story) {
	o := s.buy(s.someTier())
	o.naming = nameNowhere
	s.settled(o)
	s.accounts = []string{s.customer.id}
}

func namedBySession(s *story) {
	o := s.buy(s.someTier())
	o.naming, o.api = nameInSession, false
	s.settled(o)
}

func namedByReference(s *story) {
	o := s.buy(s.someTier())
	o.naming, o.api = nameInReference, false
	s.settled(o)
}

// namedLater gets its account's name by a change, after some renewals.
func namedLater(s *story) {
	o := s.buy(s.someTier())
	o.naming = nameNowhere
	sub := s.settled(o)
	s.wait(hour, 3*day)
	s.change(sub, byRequest, func() { sub.name(s.key, s.account) })
	sub.owner = s.account
}

// moved is given to another account; the first one is left with nothing.
func moved(s *story) {
	o := s.buy(s.someTier())
	o.naming = nameInMetadata
	sub := s.settled(o)
	other := s.account + "-moved"
	s.wait(hour, 3*day)
	s.change(sub, byRequest, func() { sub.name(s.key, other) })
	sub.owner = other
	s.accounts = append(s.accounts, other)
}

// oneCustomerTwoAccounts pays for two accounts: each has the money of its own
// subscription's invoices, for the customer alone does not tell them apart.
func oneCustomerTwoAccounts(s *story) {
	o := s.buy(s.someTier())
	o.naming = nameInMetadata
	s.settled(o)
	first := s.account
	s.account += "-second"
	s.accounts = append(s.accounts, s.account)
	s.now = s.ago(2*day, 4*day)
	o = s.buy(s.someTier())
	o.naming = nameInMetadata
	s.signUp(o)
	s.wait(hour, day)
	p := s.lastPaid()
	s.giveBack(p, p.amount/2)
	s.account = first
}
