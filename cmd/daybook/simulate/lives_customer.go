package simulate

// deleteCustomer deletes the customer now. What they had was canceled before.
func (s *story) deleteCustomer() { s.emit("customer.deleted", s.showCustomer(), nil, byRequest) }

// customerDeleted is canceled, and then deleted: access ended with the
// subscription, whose metadata goes on naming the account.
func customerDeleted(s *story) {
	o := s.buy(s.someTier())
	o.naming = nameInMetadata
	sub := s.settled(o)
	s.wait(hour, 2*day)
	s.cancel(sub, "cancellation_requested", byRequest)
	if s.chance(0.5) {
		s.wait(hour, day)
	}
	s.deleteCustomer()
}
