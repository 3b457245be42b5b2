package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

var appendTests = []test{
	{"NoStream begins a stream", func(s *subject) {
		e := event("a")
		if r := s.put("order-1", eventstore.NoStream, e); r.Revision != 0 || r.Position == 0 {
			s.Errorf("the first event stands at %+v", r)
		}
		s.holds("order-1", e)
		s.refuse("order-1", eventstore.NoStream, event("b"))
		s.holds("order-1", e)
	}},
	{"Exactly goes on from a revision", func(s *subject) {
		list := events(3)
		s.refuse("order-1", eventstore.Exactly(0), list[0])
		s.absent("order-1")
		s.put("order-1", eventstore.NoStream, list[0])
		s.put("order-1", eventstore.Exactly(0), list[1])
		if r := s.put("order-1", eventstore.Exactly(1), list[2]); r.Revision != 2 {
			s.Errorf("the third event stands at %+v", r)
		}
		s.refuse("order-1", eventstore.Exactly(1), event("late"))
		s.refuse("order-1", eventstore.Exactly(3), event("early"))
		s.holds("order-1", list...)
	}},
	{"Any accepts every state", func(s *subject) {
		list := events(2)
		s.put("order-1", eventstore.Any, list[0])
		if r := s.put("order-1", eventstore.Any, list[1]); r.Revision != 1 {
			s.Errorf("the second event stands at %+v", r)
		}
		s.holds("order-1", list...)
	}},
	{"StreamExists wants a stream", func(s *subject) {
		list := events(2)
		s.refuse("order-1", eventstore.StreamExists, list[0])
		s.absent("order-1")
		s.put("order-1", eventstore.NoStream, list[0])
		s.put("order-1", eventstore.StreamExists, list[1])
		s.holds("order-1", list...)
	}},
	{"the kinds of expectation mix", func(s *subject) {
		list := events(6)
		s.put("order-1", eventstore.NoStream, list[0])
		s.put("order-1", eventstore.Any, list[1])
		s.put("order-1", eventstore.Exactly(1), list[2])
		s.put("order-1", eventstore.StreamExists, list[3])
		s.put("order-1", eventstore.Exactly(3), list[4:]...)
		s.refuse("order-1", eventstore.NoStream, event("late"))
		s.holds("order-1", list...)
	}},
	{"several events go in together", func(s *subject) {
		list := events(5)
		first := s.put("order-1", eventstore.NoStream, list[:2]...)
		last := s.put("order-1", eventstore.Exactly(1), list[2:]...)
		if first.Revision != 1 || last.Revision != 4 || last.Position <= first.Position {
			s.Errorf("the last events stand at %+v and %+v", first, last)
		}
		s.holds("order-1", list...)
	}},
	{"a refused append leaves nothing", func(s *subject) {
		kept := event("kept")
		before := s.put("order-1", eventstore.NoStream, kept)
		s.refuse("order-1", eventstore.NoStream, events(3)...)
		s.refuse("order-1", eventstore.Exactly(7), events(3)...)
		s.refuse("order-2", eventstore.Exactly(0), events(3)...)
		s.holds("order-1", kept)
		s.absent("order-2")
		if head, err := s.Head(s.ctx); err != nil || head != before.Position {
			s.Errorf("the log ends at %d, %v; want %d", head, err, before.Position)
		}
	}},
	{"the result is the place of the last event", func(s *subject) {
		s.put("order-1", eventstore.NoStream, events(2)...)
		r := s.put("order-2", eventstore.NoStream, events(3)...)
		got := s.stream("order-2")
		last := got[len(got)-1]
		if last.Position != r.Position || last.Revision != r.Revision {
			s.Errorf("result %+v, event at revision %d, position %d", r, last.Revision, last.Position)
		}
	}},
	{"ids of streams may contain hyphens", func(s *subject) {
		a, b, c := event("a"), event("b"), event("c")
		s.put("order-team-42", eventstore.NoStream, a)
		s.put("order-team-42-", eventstore.NoStream, b)
		s.put("order-team", eventstore.NoStream, c)
		s.holds("order-team-42", a)
		s.holds("order-team-42-", b)
		s.holds("order-team", c)
	}},
	{"names are compared by the byte", func(s *subject) {
		a, b, c := event("a"), event("b"), event("c")
		s.put("order-x", eventstore.NoStream, a)
		s.put("order-X", eventstore.NoStream, b)
		s.put("Order-x", eventstore.NoStream, c)
		s.holds("order-x", a)
		s.holds("order-X", b)
		s.holds("Order-x", c)
	}},
	{"the same ID in two streams is two events", func(s *subject) {
		e := event("a")
		s.put("order-1", eventstore.NoStream, e)
		s.put("order-2", eventstore.NoStream, e)
		s.holds("order-1", e)
		s.holds("order-2", e)
	}},
	{"bytes come back as they went in", binarySafe},
	{"events belong to the store once appended", func(s *subject) {
		e := event("a")
		want := e
		want.Data, want.Metadata = bytes.Clone(e.Data), bytes.Clone(e.Metadata)
		sub := s.follow(0, eventstore.Filter{})
		sub.until(0)
		s.put("order-1", eventstore.NoStream, e)
		clear(e.Data)
		clear(e.Metadata)
		s.holds("order-1", want)
		got, _ := sub.until(1)
		s.same(got[0], want)
	}},
	{"what no store can take is refused", invalid},
	{"what is too large is refused", tooLarge},
	{"an ended context appends nothing", func(s *subject) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.Append(ctx, "order-1", eventstore.NoStream, event("a"))
		s.fail(err, context.Canceled)
		if errors.Is(err, eventstore.ErrUnavailable) {
			s.absent("order-1")
		}
	}},
}

func binarySafe(s *subject) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	payloads := [][]byte{
		{}, {0}, every, []byte("\xff\xfe"), []byte("a\x00b"), []byte(" {\"n\":1e400, \"n\":2}\r\n"),
		[]byte("\xef\xbb\xbf{}"), []byte("ünïcödé \u2028 🧾"), []byte("NULL"), []byte("12"), []byte("1.0"),
		bytes.Repeat(every, 40),
	}
	var list []eventstore.ProposedEvent
	for _, p := range payloads {
		list = append(list, eventstore.ProposedEvent{ID: uuid.New(), Type: "Täsk/1 'x'", Data: p, Metadata: []byte(`{}`)})
	}
	s.put("order-1", eventstore.NoStream, list...)
	s.holds("order-1", list...)
	got := s.all(s.ReadAll(s.ctx, 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"order-"}}, 0))
	for i := range min(len(got), len(list)) {
		s.same(got[i], list[i])
	}
}

func invalid(s *subject) {
	nameless, typeless := event("a"), event("b")
	nameless.ID, typeless.Type = uuid.Nil, ""
	for _, c := range []struct {
		what   string
		stream eventstore.Stream
		events []eventstore.ProposedEvent
	}{
		{"no events", "order-1", nil},
		{"no ID", "order-1", []eventstore.ProposedEvent{event("x"), nameless}},
		{"no type", "order-1", []eventstore.ProposedEvent{event("x"), typeless}},
		{"no name", "", events(1)},
		{"no id", "order-", events(1)},
		{"no hyphen", "order", events(1)},
		{"no category", "-1", events(1)},
		{"the server's name", "$order-1", events(1)},
		{"a long name", eventstore.Stream("order-" + strings.Repeat("x", eventstore.MaxStreamBytes)), events(1)},
	} {
		if _, err := s.Append(s.ctx, c.stream, eventstore.Any, c.events...); !errors.Is(err, eventstore.ErrInvalid) {
			s.Errorf("%s: got %v, want ErrInvalid", c.what, err)
		}
	}
	if _, err := collect(s.ReadStream(s.ctx, "order", 0, eventstore.Forwards, 0)); !errors.Is(err, eventstore.ErrInvalid) {
		s.Errorf("read of a stream without id: got %v, want ErrInvalid", err)
	}
	s.absent("order-1")
}

func tooLarge(s *subject) {
	big := event("big")
	big.Data = bytes.Repeat([]byte("x"), eventstore.MaxAppendBytes-len(big.Metadata)-2*len(big.Type)+1)
	_, err := s.Append(s.ctx, "order-1", eventstore.NoStream, big)
	s.fail(err, eventstore.ErrTooLarge)

	half := eventstore.MaxAppendBytes/2 + 1
	a, b := event("a"), event("b")
	a.Data, b.Data = bytes.Repeat([]byte("a"), half), bytes.Repeat([]byte("b"), half)
	_, err = s.Append(s.ctx, "order-1", eventstore.NoStream, a, b)
	s.fail(err, eventstore.ErrTooLarge)
	s.absent("order-1")

	// A little less than the bound leaves room for what a server adds.
	fits := event("fits")
	fits.Data = bytes.Repeat([]byte("y"), eventstore.MaxAppendBytes-4096)
	s.put("order-1", eventstore.NoStream, fits)
	s.holds("order-1", fits)
}
