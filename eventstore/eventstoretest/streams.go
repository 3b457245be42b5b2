package eventstoretest

import (
	"context"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// longStream is more events than a store is likely to fetch at once.
const longStream = 1300

var streamTests = []test{
	{"a stream without events is not found", func(s *subject) {
		s.put("order-1", eventstore.NoStream, event("a"))
		s.absent("order-2")
		for _, dir := range []eventstore.Direction{eventstore.Forwards, eventstore.Backwards} {
			_, err := collect(s.ReadStream(s.ctx, "order-", 0, dir, 1))
			s.fail(err, eventstore.ErrInvalid)
			_, err = collect(s.ReadStream(s.ctx, "order-2", 5, dir, 1))
			s.fail(err, eventstore.ErrStreamNotFound)
		}
	}},
	{"from, direction and limit", readStreamWindows},
	{"long streams are read whole", func(s *subject) {
		list := fill(s, "order-1", longStream)
		s.equal("forwards", ids(s.stream("order-1")), list)
		back := s.all(s.ReadStream(s.ctx, "order-1", eventstore.LastRevision, eventstore.Backwards, 0))
		s.equal("backwards", ids(back), reversed(list))
		part := s.all(s.ReadStream(s.ctx, "order-1", 100, eventstore.Forwards, longStream-200))
		s.equal("limited", ids(part), list[100:longStream-100])
	}},
	{"a reader may stop in the middle, and read in a read", func(s *subject) {
		list := fill(s, "order-1", 100)
		seen := 0
		for e, err := range s.ReadStream(s.ctx, "order-1", 0, eventstore.Forwards, 0) {
			if err != nil {
				s.Fatal(err)
			}
			inner := s.all(s.ReadStream(s.ctx, "order-1", e.Revision, eventstore.Forwards, 1))
			s.equal("inner", ids(inner), []uuid.UUID{e.ID})
			if seen++; seen == 10 {
				break
			}
		}
		s.equal("afterwards", ids(s.stream("order-1")), list)
	}},
	{"a sequence can be read twice", func(s *subject) {
		list := fill(s, "order-1", 10)
		read := s.ReadStream(s.ctx, "order-1", 0, eventstore.Forwards, 0)
		s.equal("first", ids(s.all(read)), list)
		s.equal("second", ids(s.all(read)), list)
	}},
	{"a reader may append to what it reads", func(s *subject) {
		fill(s, "order-1", 100)
		for e, err := range s.ReadStream(s.ctx, "order-1", 0, eventstore.Forwards, 100) {
			if err != nil {
				s.Fatal(err)
			}
			s.put(eventstore.NewStream("copy", e.ID.String()), eventstore.NoStream, event("copy"))
		}
	}},
	{"an ended context ends a read with its error", func(s *subject) {
		fill(s, "order-1", 100)
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		seen := 0
		var failed error
		for _, err := range s.ReadStream(ctx, "order-1", 0, eventstore.Forwards, 0) {
			if failed = err; err != nil {
				break
			}
			if seen++; seen == 3 {
				cancel()
			}
		}
		s.fail(failed, context.Canceled)
		_, err := collect(s.ReadStream(ctx, "order-1", 0, eventstore.Forwards, 0))
		s.fail(err, context.Canceled)
	}},
}

// fill appends n events to a stream and returns their IDs in order.
func fill(s *subject, stream eventstore.Stream, n int) []uuid.UUID {
	s.Helper()
	list := make([]uuid.UUID, 0, n)
	for len(list) < n {
		batch := events(min(100, n-len(list)))
		s.put(stream, eventstore.Any, batch...)
		for _, e := range batch {
			list = append(list, e.ID)
		}
	}
	return list
}

func readStreamWindows(s *subject) {
	list := fill(s, "order-1", 10)
	for _, c := range []struct {
		from  eventstore.Revision
		dir   eventstore.Direction
		limit int
		want  []uuid.UUID
	}{
		{0, eventstore.Forwards, 0, list},
		{0, eventstore.Forwards, 3, list[:3]},
		{4, eventstore.Forwards, 3, list[4:7]},
		{8, eventstore.Forwards, 100, list[8:]},
		{9, eventstore.Forwards, 1, list[9:]},
		{10, eventstore.Forwards, 1, nil},
		{eventstore.LastRevision, eventstore.Forwards, 1, nil},
		{eventstore.LastRevision, eventstore.Backwards, 0, reversed(list)},
		{eventstore.LastRevision, eventstore.Backwards, 1, list[9:]},
		{4, eventstore.Backwards, 0, reversed(list[:5])},
		{4, eventstore.Backwards, 2, reversed(list[3:5])},
		{0, eventstore.Backwards, 5, list[:1]},
		{20, eventstore.Backwards, 2, reversed(list[8:])},
	} {
		got := s.all(s.ReadStream(s.ctx, "order-1", c.from, c.dir, c.limit))
		if len(got) != len(c.want) {
			s.Errorf("from %d, direction %d, limit %d: %d events, want %d", c.from, c.dir, c.limit, len(got), len(c.want))
			continue
		}
		s.equal("window", ids(got), append([]uuid.UUID{}, c.want...))
	}
}
