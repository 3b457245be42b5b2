package eventstoretest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// filters are those of the kit: whole categories, several of them, parts of
// names, overlaps, nothing that is there, and everything.
var filters = []eventstore.Filter{
	{},
	{Prefixes: []string{"order-"}},
	{Prefixes: []string{"invoice-", "order-"}},
	{Prefixes: []string{"order-", "order-", "orderly-", "invoice-", "payment-"}},
	{Prefixes: []string{"order"}},
	{Prefixes: []string{"order-1"}},
	{Prefixes: []string{"invoice-in-1", "order-"}},
	{Prefixes: []string{"nothing-"}},
	{Prefixes: []string{"nothing"}},
	{Prefixes: []string{"nothing-", "invoice-"}},
	{Prefixes: []string{"acct_1/order-"}},
	{Prefixes: []string{"", "order-"}},
	{Prefixes: []string{"ord", "order-", "o"}},
}

// mixedStreams have names that a careless filter takes for one another.
var mixedStreams = []eventstore.Stream{
	"order-1", "order-12", "order-2", "orderly-1", "invoice-in-1", "invoice-in-12",
	"payment-order-1", "acct_1/order-1", "Order-1", "order-é",
}

var logTests = []test{
	{"an empty log", func(s *subject) {
		for _, dir := range []eventstore.Direction{eventstore.Forwards, eventstore.Backwards} {
			from := eventstore.Position(0)
			if dir == eventstore.Backwards {
				from = eventstore.End
			}
			filter := eventstore.Filter{Prefixes: []string{"order-"}}
			if got := s.all(s.ReadAll(s.ctx, from, dir, filter, 0)); len(got) != 0 {
				s.Errorf("direction %d: %d events", dir, len(got))
			}
		}
	}},
	{"positions grow in the order of appends", func(s *subject) {
		before, err := s.Head(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		for i := range 20 {
			r := s.put(eventstore.NewStream("order", fmt.Sprint(i)), eventstore.NoStream, events(1+i%3)...)
			if r.Position <= before {
				s.Fatalf("position %d after %d", r.Position, before)
			}
			before = r.Position
			if head, err := s.Head(s.ctx); err != nil || head != r.Position {
				s.Fatalf("the log ends at %d, %v; want %d", head, err, r.Position)
			}
		}
	}},
	{"every filter, both directions, any limit, resumed by position", func(s *subject) {
		log := mixed(s, 400)
		for _, f := range filters {
			want := passing(log, f)
			for _, limit := range []int{0, 1, 7, 150} {
				s.equal(fmt.Sprintf("%q forwards by %d", f.Prefixes, limit), resumed(s, f, eventstore.Forwards, limit), want)
				s.equal(fmt.Sprintf("%q backwards by %d", f.Prefixes, limit), resumed(s, f, eventstore.Backwards, limit), reversed(want))
			}
		}
	}},
	{"a receiver that wants only data may get no more", func(s *subject) {
		log := mixed(s, 100)
		for _, f := range filters {
			wanted := f
			wanted.DataOnly = true
			got, want := s.all(s.ReadAll(s.ctx, 0, eventstore.Forwards, wanted, 0)), among(log, f)
			if len(got) != len(want) {
				s.Errorf("%q: %d events, want %d", f.Prefixes, len(got), len(want))
				continue
			}
			for i, g := range got {
				if w := want[i]; g.Stream != w.Stream || g.Revision != w.Revision || g.Position != w.Position ||
					g.Type != w.Type || !bytes.Equal(g.Data, w.Data) {
					s.Errorf("%q: got %+v, want %+v", f.Prefixes, g, w)
				}
			}
		}
	}},
	{"every position can be begun at", func(s *subject) {
		log := mixed(s, 40)
		for i, e := range log {
			forwards := s.all(s.ReadAll(s.ctx, e.Position, eventstore.Forwards, eventstore.Filter{}, 0))
			s.equal("forwards", ids(forwards), ids(log[i+1:]))
			backwards := s.all(s.ReadAll(s.ctx, e.Position, eventstore.Backwards, eventstore.Filter{}, 0))
			s.equal("backwards", ids(backwards), reversed(ids(log[:i])))
		}
		if got := s.all(s.ReadAll(s.ctx, 0, eventstore.Backwards, eventstore.Filter{}, 0)); len(got) != 0 {
			s.Errorf("%d events before the first", len(got))
		}
		if got := s.all(s.ReadAll(s.ctx, eventstore.End, eventstore.Forwards, eventstore.Filter{}, 0)); len(got) != 0 {
			s.Errorf("%d events behind the end", len(got))
		}
	}},
	{"log and streams agree", func(s *subject) {
		log := mixed(s, 300)
		byStream := map[eventstore.Stream][]eventstore.RecordedEvent{}
		for _, e := range log {
			byStream[e.Stream] = append(byStream[e.Stream], e)
		}
		for name, want := range byStream {
			got := s.stream(name)
			s.equal(string(name), ids(got), ids(want))
			for i := range got {
				if got[i].Position != want[i].Position || got[i].Revision != want[i].Revision || int(got[i].Revision) != i {
					s.Errorf("%s: event %d at %d/%d, in the log at %d/%d", name, i,
						got[i].Revision, got[i].Position, want[i].Revision, want[i].Position)
				}
			}
		}
	}},
	{"an ended context ends a read with its error", func(s *subject) {
		mixed(s, 50)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := collect(s.ReadAll(ctx, 0, eventstore.Forwards, eventstore.Filter{}, 0))
		s.fail(err, context.Canceled)
	}},
}

// mixed appends n events to mixedStreams in turn and returns the log.
func mixed(s *subject, n int) []eventstore.RecordedEvent {
	s.Helper()
	var log []eventstore.RecordedEvent
	for i := range n {
		stream, e := mixedStreams[i%len(mixedStreams)], event(fmt.Sprint(i))
		r := s.put(stream, eventstore.Any, e)
		log = append(log, eventstore.RecordedEvent{ID: e.ID, Stream: stream,
			Revision: r.Revision, Position: r.Position, Type: e.Type, Data: e.Data, Metadata: e.Metadata})
	}
	return log
}

// passing are the IDs that a filter lets through.
func passing(log []eventstore.RecordedEvent, f eventstore.Filter) []uuid.UUID {
	return ids(among(log, f))
}

// among returns the events that pass.
func among(log []eventstore.RecordedEvent, f eventstore.Filter) (list []eventstore.RecordedEvent) {
	for _, e := range log {
		if f.Matches(e.Stream) {
			list = append(list, e)
		}
	}
	return list
}

// resumed reads the log in steps of limit, each from where the last one ended.
func resumed(s *subject, f eventstore.Filter, dir eventstore.Direction, limit int) []uuid.UUID {
	s.Helper()
	at, list := eventstore.Position(0), []uuid.UUID{}
	if dir == eventstore.Backwards {
		at = eventstore.End
	}
	for {
		got := s.all(s.ReadAll(s.ctx, at, dir, f, limit))
		if limit > 0 && len(got) > limit {
			s.Fatalf("%d events, limit %d", len(got), limit)
		}
		list = append(list, ids(got)...)
		if len(got) == 0 || limit == 0 {
			return list
		}
		at = got[len(got)-1].Position
	}
}
