package simulate

import "time"

// clock is a Stripe test clock: what lives under it takes its time for the true
// one.
type clock struct {
	id, status      string
	created, frozen int64
}

// name is empty for no clock.
func (c *clock) name() string {
	if c == nil {
		return ""
	}
	return c.id
}

// advance moves a clock to a moment: it says that it is on the way, and that it
// has arrived.
func (s *story) advance(c *clock, to int64) {
	c.status = "advancing"
	s.emit("test_helpers.test_clock.advancing", clockObject(c, s.options.Livemode), nil, byRequest)
	c.status, c.frozen = "ready", to
	s.emit("test_helpers.test_clock.ready", clockObject(c, s.options.Livemode), nil, byStripe)
}

func clockObject(c *clock, live bool) object {
	return object{
		{"id", c.id}, {"object", "test_helpers.test_clock"}, {"created", c.created}, {"deletes_after", c.created + span(30*day)},
		{"frozen_time", c.frozen}, {"livemode", live}, {"name", "Rehearsal"}, {"status", c.status}, {"status_details", object{}},
	}
}

// rehearsed is a subscription under a test clock whose renewal fails at the
// given moment, by the clock, which then moves on by ahead.
func (s *story) rehearsed(at int64, ahead time.Duration) {
	o := s.buy(s.someTier())
	turn := at - span(invoiceDelay)
	start, _ := monthsBefore(turn, 1)
	s.now = start - span(hour)
	c := &clock{id: "clock_1" + s.token(23), status: "ready", created: s.now, frozen: start}
	s.emit("test_helpers.test_clock.created", clockObject(c, s.options.Livemode), nil, byRequest)
	s.now, o.clock = start, c
	sub := s.signUp(o)
	for sub.periodEnd < turn {
		s.advance(c, sub.periodEnd+span(invoiceDelay))
		s.renew(sub)
	}
	s.advance(c, at)
	s.failRenewal(sub)
	s.advance(c, at+span(ahead))
}

// clockInGrace failed days ago by the true time, and hours ago by the clock.
func clockInGrace(s *story) {
	s.rehearsed(s.ago(3*day, 20*day), time.Duration(s.between(hour, 20*hour))*time.Second)
}

// clockAfterGrace failed hours ago by the true time, and days ago by the clock.
func clockAfterGrace(s *story) {
	s.rehearsed(s.ago(hour, 20*hour), time.Duration(s.between(25*hour, 9*day))*time.Second)
}
