package sqlite

import (
	"sync"

	"github.com/daybookhq/daybook/eventstore"
)

// tail keeps the newest events of the log in memory, so that subscribers that
// are up to date do not each read every commit back from the file. It also
// knows the log's end and wakes those who wait for it to move.
type tail struct {
	maxBytes int

	mu    sync.RWMutex
	ring  []eventstore.RecordedEvent // event at position p is at p % len
	first eventstore.Position        // the oldest kept; behind head if none is
	head  eventstore.Position
	bytes int
	moved chan struct{} // closed when head moves
}

func newTail(events, maxBytes int) *tail {
	return &tail{
		maxBytes: maxBytes,
		ring:     make([]eventstore.RecordedEvent, events),
		first:    1,
		moved:    make(chan struct{}),
	}
}

// end returns the log's end and a channel that is closed when it has moved.
func (t *tail) end() (eventstore.Position, <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.head, t.moved
}

// extend publishes the events of one commit, which follow each other.
func (t *tail) extend(events []eventstore.RecordedEvent) {
	if len(events) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range events {
		t.add(&events[i])
	}
	t.wake()
}

// add puts one event in and the oldest out until the bounds hold.
func (t *tail) add(e *eventstore.RecordedEvent) {
	size := uint64(len(t.ring))
	for t.first <= t.head && (uint64(t.head-t.first)+1 >= size || t.bytes+weight(e) > t.maxBytes) {
		oldest := &t.ring[uint64(t.first)%size]
		t.bytes -= weight(oldest)
		*oldest = eventstore.RecordedEvent{}
		t.first++
	}
	t.ring[uint64(e.Position)%size] = *e
	t.bytes += weight(e)
	t.head = e.Position
}

func weight(e *eventstore.RecordedEvent) int {
	return len(e.Data) + len(e.Metadata) + len(e.Stream) + len(e.Type)
}

// reset moves the end to what the file says, keeping nothing: at the start,
// and after a commit of unknown outcome.
func (t *tail) reset(head eventstore.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.ring)
	t.bytes = 0
	t.first = head + 1
	if head != t.head {
		t.head = head
		t.wake()
	}
}

func (t *tail) wake() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// after returns up to n events behind from, up to to, that pass the filter,
// and how far it looked. Without ok the tail does not reach back to from.
func (t *tail) after(from, to eventstore.Position, filter eventstore.Filter, n int) (events []eventstore.RecordedEvent, reached eventstore.Position, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if from+1 < t.first || to > t.head {
		return nil, from, false
	}
	for p := from + 1; p <= to; p++ {
		e := &t.ring[uint64(p)%uint64(len(t.ring))]
		if !filter.Matches(e.Stream) {
			continue
		}
		events = append(events, *e)
		if len(events) == n {
			return events, p, true
		}
	}
	return events, to, true
}
