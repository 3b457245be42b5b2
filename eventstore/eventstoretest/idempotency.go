package eventstoretest

import (
	"fmt"

	"github.com/daybookhq/daybook/eventstore"
)

// The rules by which an append is recognised as a repetition: only IDs count,
// and only where the stream is already further than expected.
var idempotencyTests = []test{
	{"a repeated append succeeds at its original place", func(s *subject) {
		e := event("a")
		first := s.put("order-1", eventstore.NoStream, e)
		s.put("order-1", eventstore.Exactly(0), event("b"))
		s.put("order-2", eventstore.NoStream, event("c"))
		for range 3 {
			if again := s.put("order-1", eventstore.NoStream, e); again != first {
				s.Fatalf("again: %+v, want %+v", again, first)
			}
		}
		if n := len(s.stream("order-1")); n != 2 {
			s.Errorf("%d events, want 2", n)
		}
	}},
	{"so does one of several events, with others behind", func(s *subject) {
		s.put("order-1", eventstore.NoStream, events(2)...)
		list := events(3)
		first := s.put("order-1", eventstore.Exactly(1), list...)
		s.put("order-1", eventstore.Exactly(4), events(4)...)
		if again := s.put("order-1", eventstore.Exactly(1), list...); again != first || again.Revision != 4 {
			s.Errorf("again: %+v, want %+v", again, first)
		}
		if n := len(s.stream("order-1")); n != 9 {
			s.Errorf("%d events, want 9", n)
		}
	}},
	{"a beginning of what is there counts as all of it", func(s *subject) {
		list := events(4)
		s.put("order-1", eventstore.NoStream, list...)
		again := s.put("order-1", eventstore.NoStream, list[:2]...)
		if place := s.stream("order-1")[1]; again.Revision != 1 || again.Position != place.Position {
			s.Errorf("again: %+v, want revision 1 at %d", again, place.Position)
		}
		if r := s.put("order-1", eventstore.Exactly(0), list[1:3]...); r.Revision != 2 {
			s.Errorf("from the middle: %+v, want revision 2", r)
		}
		s.holds("order-1", list...)
	}},
	{"another first ID is a conflict", func(s *subject) {
		list := events(3)
		s.put("order-1", eventstore.NoStream, list...)
		s.refuse("order-1", eventstore.NoStream, event("x"), list[1], list[2])
		s.refuse("order-1", eventstore.Exactly(0), event("x"))
		s.holds("order-1", list...)
	}},
	{"another later ID is a conflict", func(s *subject) {
		list := events(3)
		s.put("order-1", eventstore.NoStream, list...)
		s.refuse("order-1", eventstore.NoStream, list[0], event("x"), list[2])
		s.refuse("order-1", eventstore.NoStream, list[0], list[1], event("x"))
		s.refuse("order-1", eventstore.NoStream, list[1], list[0])
		s.holds("order-1", list...)
	}},
	{"a missing later event is a conflict", func(s *subject) {
		list := events(4)
		s.put("order-1", eventstore.NoStream, list[:2]...)
		s.refuse("order-1", eventstore.NoStream, list...)
		s.refuse("order-1", eventstore.Exactly(0), list[1:]...)
		s.holds("order-1", list[:2]...)
	}},
	{"a stream shorter than expected is a conflict", func(s *subject) {
		e := event("a")
		s.put("order-1", eventstore.NoStream, e)
		s.refuse("order-1", eventstore.Exactly(1), e)
		s.refuse("order-2", eventstore.Exactly(0), e)
		s.holds("order-1", e)
		s.absent("order-2")
	}},
	{"at the expected revision IDs are not compared", func(s *subject) {
		e := event("a")
		s.put("order-1", eventstore.NoStream, e)
		if r := s.put("order-1", eventstore.Exactly(0), e); r.Revision != 1 {
			s.Errorf("the duplicate stands at %+v", r)
		}
		s.holds("order-1", e, e)
	}},
	{"only IDs are compared, the first content stays", func(s *subject) {
		e := event("a")
		first := s.put("order-1", eventstore.NoStream, e)
		other := e
		other.Type, other.Data, other.Metadata = "Other", []byte("other"), nil
		if again := s.put("order-1", eventstore.NoStream, other); again != first {
			s.Errorf("again: %+v, want %+v", again, first)
		}
		s.holds("order-1", e)
	}},
	{"a repetition writes nothing", func(s *subject) {
		list := events(3)
		s.put("order-1", eventstore.NoStream, list...)
		head, err := s.Head(s.ctx)
		for range 5 {
			s.put("order-1", eventstore.NoStream, list...)
		}
		if now, err2 := s.Head(s.ctx); err != nil || err2 != nil || now != head {
			s.Errorf("the log's end went from %d to %d (%v, %v)", head, now, err, err2)
		}
	}},
	{"the whole history can be appended again", func(s *subject) {
		const n = 40
		list := events(n)
		places := make([]eventstore.AppendResult, n)
		for round := range 2 {
			for i := range list {
				expected := eventstore.NoStream
				if i > 0 {
					expected = eventstore.Exactly(eventstore.Revision(i - 1))
				}
				r := s.put("order-1", expected, list[i])
				if round == 1 && r != places[i] {
					s.Fatalf("event %d: %+v, want %+v", i, r, places[i])
				}
				places[i] = r
			}
		}
		s.holds("order-1", list...)
	}},
	{"streams do not disturb each other", func(s *subject) {
		list := events(10)
		for i, e := range list {
			s.put(eventstore.NewStream("order", fmt.Sprint(i)), eventstore.NoStream, e)
		}
		for i, e := range list {
			name := eventstore.NewStream("order", fmt.Sprint(i))
			s.put(name, eventstore.NoStream, e)
			s.refuse(name, eventstore.NoStream, list[(i+1)%len(list)])
			s.holds(name, e)
		}
	}},
}
