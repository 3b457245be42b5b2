// Package recent keeps the events of the streams that were used last, in memory,
// so that whoever folds a busy stream again need not read it again. Posting is
// always ahead of the projections and folds the same streams: they share what is
// kept. Nothing depends on it but speed: what is not kept is read from the store.
package recent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// DefaultBytes is room for some 200,000 facts.
const DefaultBytes = 40 << 20

// entryBytes is about what a stream takes beside its events.
const entryBytes = 250

// Streams keeps the events of streams, up to a number of bytes. What has to give
// way is chosen by chance: where more streams take their turns than there is
// room for, as in a load test, those used least recently would be just the ones
// that are needed next, and none would be found. All methods may be called from
// many goroutines.
type Streams struct {
	store eventstore.Reader
	bound int

	mu    sync.Mutex
	kept  map[eventstore.Stream]*entry
	list  []*entry // the same, in no order
	bytes int
}

// entry is the beginning of a stream, from its first event on.
type entry struct {
	stream eventstore.Stream
	events aggregate.Packed
	place  int // in the list
	bytes  int // what it counts for
}

// New keeps what is read of a store. A bound of 0 means DefaultBytes.
func New(store eventstore.Reader, bound int) *Streams {
	if bound <= 0 {
		bound = DefaultBytes
	}
	return &Streams{store: store, bound: bound, kept: map[eventstore.Stream]*entry{}}
}

// UndecodableError says that a stream has an event that this build cannot read.
type UndecodableError struct {
	Stream   eventstore.Stream
	Revision eventstore.Revision
	Err      error
}

func (e *UndecodableError) Error() string {
	return fmt.Sprintf("stream %s at revision %d: %v", e.Stream, e.Revision, e.Err)
}
func (e *UndecodableError) Unwrap() error { return e.Err }

// All returns the events of a stream that are known here, or, if none are, those
// that the store has, and the revision to expect of a stream that has no more. The
// stream may have more by now; if so, an append at that revision fails, and after
// Forget the next All has them. The events are the caller's own.
func (s *Streams) All(ctx context.Context, stream eventstore.Stream) ([]aggregate.Event, eventstore.ExpectedRevision, error) {
	if kept := s.find(stream); kept.Len() > 0 {
		return kept.Events(kept.Len()), eventstore.Exactly(eventstore.Revision(kept.Len() - 1)), nil
	}
	return s.Stored(ctx, stream)
}

// Before returns the events of a stream before a revision. They are the caller's
// own.
func (s *Streams) Before(ctx context.Context, stream eventstore.Stream, revision eventstore.Revision) ([]aggregate.Event, error) {
	if revision == 0 {
		return nil, nil // nobody need be asked
	}
	if kept := s.find(stream); kept.Len() >= int(revision) {
		return kept.Events(int(revision)), nil
	}
	// All of the stream is kept, so that whoever appends to it next finds it whole.
	events, end, err := s.Stored(ctx, stream)
	var undecodable *UndecodableError
	if errors.As(err, &undecodable) && undecodable.Revision >= revision {
		err = nil // what comes later is not asked for
	}
	if last, found := end.Exact(); found && last >= revision {
		events = events[:max(0, len(events)-int(last-revision+1))]
	}
	return events, err
}

// Stored is All, but asks the store, whatever is known here, and keeps what it says.
// With an *UndecodableError come the events before that one.
func (s *Streams) Stored(ctx context.Context, stream eventstore.Stream) ([]aggregate.Event, eventstore.ExpectedRevision, error) {
	var events []aggregate.Event
	expected, first := eventstore.NoStream, eventstore.Revision(0)
	for e, err := range s.store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return nil, expected, fmt.Errorf("read %s: %w", stream, err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			return events, expected, &UndecodableError{Stream: stream, Revision: e.Revision, Err: err}
		}
		if len(events) == 0 {
			first = e.Revision
		}
		events = append(events, event)
		expected = eventstore.Exactly(e.Revision)
	}
	s.Add(stream, first, events...)
	return events, expected, nil
}

func (s *Streams) find(stream eventstore.Stream) *aggregate.Packed {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept[stream]
	if kept == nil {
		return &aggregate.Packed{}
	}
	events := kept.events // it stays as it is while the stream grows
	return &events
}

// Add tells of events that are in the store, the first of them at a revision. It
// leaves out those that are kept already, and all of them if any between those
// and these is missing.
func (s *Streams) Add(stream eventstore.Stream, first eventstore.Revision, events ...aggregate.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept[stream]
	if kept == nil && first == 0 && len(events) > 0 {
		kept = &entry{stream: stream, place: len(s.list)}
		s.kept[stream], s.list = kept, append(s.list, kept)
	}
	if kept == nil || int(first) > kept.events.Len() {
		return
	}
	for _, e := range events[min(kept.events.Len()-int(first), len(events)):] {
		if !kept.events.Add(e) {
			s.drop(kept)
			return
		}
	}
	now := entryBytes + kept.events.Size()
	s.bytes += now - kept.bytes
	kept.bytes = now
	for s.bytes > s.bound && len(s.list) > 0 {
		s.drop(s.list[rand.IntN(len(s.list))])
	}
}

// Forget drops what is kept of a stream.
func (s *Streams) Forget(stream eventstore.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.kept[stream]; kept != nil {
		s.drop(kept)
	}
}

// Bytes is about how much memory is taken.
func (s *Streams) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// drop is called under mu.
func (s *Streams) drop(gone *entry) {
	last := s.list[len(s.list)-1]
	s.list[gone.place], last.place = last, gone.place
	s.list[len(s.list)-1] = nil
	s.list = s.list[:len(s.list)-1]
	delete(s.kept, gone.stream)
	s.bytes -= gone.bytes
}
