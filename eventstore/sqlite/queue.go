package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/daybookhq/daybook/eventstore"
)

// request is one append on its way to the writer.
type request struct {
	stream   eventstore.Stream
	expected eventstore.ExpectedRevision
	events   []eventstore.ProposedEvent // data and metadata are the request's own
	size     int
	state    atomic.Int32
	answer   chan answer // holds one
}

type answer struct {
	result eventstore.AppendResult
	err    error
}

// The states of a request. Who moves it on from waiting, the writer or the
// caller whose context ended, decides whether it was ever begun.
const (
	waiting int32 = iota
	begun
	abandoned
)

// newRequest copies the events that are not frozen: a caller whose context ends
// may use its buffers again while the writer is still at work, and subscribers
// are handed the same bytes.
func newRequest(stream eventstore.Stream, expected eventstore.ExpectedRevision, events []eventstore.ProposedEvent) *request {
	size, copied := 0, 0
	for i := range events {
		n := len(events[i].Data) + len(events[i].Metadata)
		size += n
		if !events[i].Frozen {
			copied += n
		}
	}
	buffer := make([]byte, 0, copied)
	keep := func(b []byte) []byte {
		start := len(buffer)
		buffer = append(buffer, b...)
		return buffer[start:len(buffer):len(buffer)]
	}
	own := make([]eventstore.ProposedEvent, len(events))
	for i, e := range events {
		if !e.Frozen {
			e.Data, e.Metadata = keep(e.Data), keep(e.Metadata)
		}
		own[i] = e
	}
	return &request{
		stream: stream, expected: expected, events: own,
		size:   size + len(stream) + 64*len(events),
		answer: make(chan answer, 1),
	}
}

// wait returns the answer, or gives up when ctx ends.
func (r *request) wait(ctx context.Context) (eventstore.AppendResult, error) {
	select {
	case a := <-r.answer:
		return a.result, a.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(waiting, abandoned) {
		return eventstore.AppendResult{}, fmt.Errorf("append to %s was not begun: %w: %w",
			r.stream, eventstore.ErrUnavailable, ctx.Err())
	}
	select {
	case a := <-r.answer: // it came at the same moment
		return a.result, a.err
	default:
		return eventstore.AppendResult{}, fmt.Errorf("append to %s: %w: %w",
			r.stream, eventstore.ErrOutcomeUnknown, ctx.Err())
	}
}

// queue holds the appends that wait for the writer, bounded by their number
// and their bytes.
type queue struct {
	maxCount, maxBytes int

	mu     sync.Mutex
	items  []*request
	bytes  int
	taken  int // how many were ever taken out
	closed bool

	// ready has a token when there may be something to take.
	ready chan struct{}
}

func newQueue(maxCount, maxBytes int) *queue {
	return &queue{maxCount: maxCount, maxBytes: maxBytes, ready: make(chan struct{}, 1)}
}

// put adds a request, or says at once why not.
func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return eventstore.ErrClosed
	case len(q.items) >= q.maxCount, len(q.items) > 0 && q.bytes+r.size > q.maxBytes:
		return fmt.Errorf("append to %s: %w: %w (%d, %d bytes)",
			r.stream, eventstore.ErrUnavailable, ErrQueueFull, len(q.items), q.bytes)
	}
	q.items = append(q.items, r)
	q.bytes += r.size
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// waiting is how many requests are there.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// close refuses further requests; those that wait are still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// take waits for requests and returns the oldest, up to the given bounds but
// at least one; nil once the queue is closed and empty. buffer is reused.
func (q *queue) take(buffer []*request, maxCount, maxBytes int) []*request {
	for {
		batch, ended := q.tryTake(buffer[:0], maxCount, maxBytes)
		if len(batch) > 0 || ended {
			return batch
		}
		<-q.ready
	}
}

func (q *queue) tryTake(batch []*request, maxCount, maxBytes int) (_ []*request, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken, size := 0, 0
	for _, r := range q.items {
		if taken > 0 && (taken >= maxCount || size+r.size > maxBytes) {
			break
		}
		taken++
		size += r.size
		if r.state.CompareAndSwap(waiting, begun) {
			batch = append(batch, r)
		}
	}
	rest := copy(q.items, q.items[taken:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	q.bytes -= size
	q.taken += taken
	return batch, q.closed && rest == 0
}
