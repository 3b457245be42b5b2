package eventstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// event makes an event that can be told from all others by its ID and data.
func event(name string) eventstore.ProposedEvent {
	return eventstore.ProposedEvent{
		ID:       uuid.New(),
		Type:     "Tested",
		Data:     []byte(fmt.Sprintf(`{"name":%q}`, name)),
		Metadata: []byte(`{"schema":1}`),
	}
}

// events makes n events.
func events(n int) []eventstore.ProposedEvent {
	made := make([]eventstore.ProposedEvent, n)
	for i := range made {
		made[i] = event(fmt.Sprint(i))
	}
	return made
}

// put appends and must succeed.
func (s *subject) put(stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) eventstore.AppendResult {
	s.Helper()
	result, err := s.Append(s.ctx, stream, expected, events...)
	if err != nil {
		s.Fatalf("append to %s, expecting %s: %v", stream, expected, err)
	}
	return result
}

// refuse appends and must meet a conflict that names what was asked for.
func (s *subject) refuse(stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) {
	s.Helper()
	result, err := s.Append(s.ctx, stream, expected, events...)
	var conflict *eventstore.WrongExpectedRevisionError
	if !errors.As(err, &conflict) || !eventstore.IsConflict(err) {
		s.Fatalf("append to %s, expecting %s: got %+v, %v; want a wrong expected revision", stream, expected, result, err)
	}
	if conflict.Stream != stream || conflict.Expected != expected {
		s.Errorf("the conflict speaks of %s and %s, want %s and %s", conflict.Stream, conflict.Expected, stream, expected)
	}
}

// fail wants err to be target.
func (s *subject) fail(err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Fatalf("got %v, want %v", err, target)
	}
}

// all collects a read that must succeed.
func (s *subject) all(read iter.Seq2[eventstore.RecordedEvent, error]) []eventstore.RecordedEvent {
	s.Helper()
	got, err := collect(read)
	if err != nil {
		s.Fatalf("read: %v after %d events", err, len(got))
	}
	return got
}

// collect reads to the end or to the first error, behind which nothing may come.
func collect(read iter.Seq2[eventstore.RecordedEvent, error]) (got []eventstore.RecordedEvent, failed error) {
	for e, err := range read {
		switch {
		case failed != nil:
			return got, fmt.Errorf("the sequence went on after %w", failed)
		case err != nil:
			failed = err
		default:
			got = append(got, e)
		}
	}
	return got, failed
}

// stream reads a whole stream forwards.
func (s *subject) stream(stream eventstore.Stream) []eventstore.RecordedEvent {
	s.Helper()
	return s.all(s.ReadStream(s.ctx, stream, 0, eventstore.Forwards, 0))
}

// holds wants a stream to consist of exactly these events.
func (s *subject) holds(stream eventstore.Stream, want ...eventstore.ProposedEvent) {
	s.Helper()
	got := s.stream(stream)
	if len(got) != len(want) {
		s.Fatalf("%s has %d events, want %d", stream, len(got), len(want))
	}
	for i, e := range got {
		if e.Revision != eventstore.Revision(i) || e.Stream != stream {
			s.Errorf("event %d of %s says it is %s at %d", i, stream, e.Stream, e.Revision)
		}
		s.same(e, want[i])
	}
}

// same wants a recorded event to be the proposed one, to the byte.
func (s *subject) same(got eventstore.RecordedEvent, want eventstore.ProposedEvent) {
	s.Helper()
	if got.ID != want.ID || got.Type != want.Type ||
		!bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Metadata, want.Metadata) {
		s.Errorf("%s@%d: got %s %s %q %q, want %s %s %q %q", got.Stream, got.Revision,
			got.ID, got.Type, got.Data, got.Metadata, want.ID, want.Type, want.Data, want.Metadata)
	}
}

// absent wants a stream to have no events.
func (s *subject) absent(stream eventstore.Stream) {
	s.Helper()
	got, err := collect(s.ReadStream(s.ctx, stream, 0, eventstore.Forwards, 0))
	if !errors.Is(err, eventstore.ErrStreamNotFound) {
		s.Fatalf("%s: got %d events, %v; want ErrStreamNotFound", stream, len(got), err)
	}
}

// ids lists events by their IDs, which is what order is compared by.
func ids(events []eventstore.RecordedEvent) []uuid.UUID {
	list := make([]uuid.UUID, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// reversed is the same list from its end.
func reversed(list []uuid.UUID) []uuid.UUID {
	r := slices.Clone(list)
	slices.Reverse(r)
	return r
}

// equal compares two lists of IDs.
func (s *subject) equal(what string, got, want []uuid.UUID) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Fatalf("%s: got %d events %v, want %d %v", what, len(got), got, len(want), want)
	}
}
