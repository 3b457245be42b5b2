package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// request is a read that can be begun again behind the last event it gave.
type request struct {
	what string
	// open begins the read at its present place.
	open func(ctx context.Context, m *member, count uint64) (*client.ReadStream, error)
	// pass moves the place behind an event. It is false if nothing is left.
	pass func(e *client.RecordedEvent) bool
	// limit is how many events are wanted, 0 for all.
	limit int
	// page is how many are asked for at a time, 0 for all that are wanted: a
	// read that may be stopped early should not be sent the whole log.
	page int
}

// The sizes of pages: the first, and what they grow to. Most often the log's
// last event is all that is wanted.
const (
	firstPage = 4
	lastPage  = 4096
)

// streamRead reads a stream, by its name on the server.
func streamRead(name string, from eventstore.Revision, dir eventstore.Direction) *request {
	at := client.StreamPosition(client.StreamRevision{Value: uint64(from)})
	direction := client.Forwards
	if dir == eventstore.Backwards {
		direction = client.Backwards
		if from >= eventstore.LastRevision {
			at = client.End{}
		}
	}
	return &request{
		what: "read " + name,
		open: func(ctx context.Context, m *member, count uint64) (*client.ReadStream, error) {
			return m.ReadStream(ctx, name, client.ReadStreamOptions{Direction: direction, From: at}, count)
		},
		pass: func(e *client.RecordedEvent) bool {
			if dir == eventstore.Backwards {
				if e.EventNumber == 0 {
					return false
				}
				at = client.StreamRevision{Value: e.EventNumber - 1}
			} else {
				at = client.StreamRevision{Value: e.EventNumber + 1}
			}
			return true
		},
	}
}

// allBackwards reads the log backwards, from a position that is not included.
func allBackwards(from eventstore.Position) *request {
	at := client.AllPosition(client.End{})
	if from < eventstore.End {
		at = client.Position{Commit: uint64(from), Prepare: uint64(from)}
	}
	return allRead(at, client.Backwards)
}

// allForwards reads the log forwards, from a position that is included.
func allForwards(from eventstore.Position) *request {
	at := client.AllPosition(client.Start{})
	if from > 0 {
		at = client.Position{Commit: uint64(from), Prepare: uint64(from)}
	}
	return allRead(at, client.Forwards)
}

// allRead reads the log. Going on forwards, it gives the last event again.
func allRead(at client.AllPosition, direction client.Direction) *request {
	return &request{
		what: "read the log",
		page: firstPage,
		open: func(ctx context.Context, m *member, count uint64) (*client.ReadStream, error) {
			return m.ReadAll(ctx, client.ReadAllOptions{Direction: direction, From: at}, count)
		},
		pass: func(e *client.RecordedEvent) bool {
			at = e.Position
			return true
		},
	}
}

// raw yields the events of a read as the client gives them. A read that fails
// goes on from the last event, on another connection, until ReadTimeout has
// passed without any; then the error is yielded.
func (s *Store) raw(ctx context.Context, r *request) iter.Seq2[*client.RecordedEvent, error] {
	return func(yield func(*client.RecordedEvent, error) bool) {
		ctx, end, err := s.beginRead(ctx)
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", r.what, err))
			return
		}
		defer end()
		p := &reading{store: s, request: r, left: r.limit}
		since := time.Now() // when it last got on
		for wait := firstPause; ; wait = min(2*wait, lastPause) {
			before := p.given
			err, over := p.run(ctx, yield)
			if over {
				return
			}
			if p.given > before {
				wait, since = firstPause, time.Now()
			}
			if err == nil { // a page is full
				p.page = min(2*p.page, lastPage)
				continue
			}
			if fault := s.afterFault(ctx, r.what, err, since, wait); fault != nil {
				yield(nil, fault)
				return
			}
		}
	}
}

// afterFault waits before the next attempt, or returns why there is none.
func (s *Store) afterFault(ctx context.Context, doing string, err error, since time.Time, wait time.Duration) error {
	if over := s.over(ctx); over != nil {
		return fmt.Errorf("%s: %w", doing, over)
	}
	if means, _ := judge(err); means == refused || time.Since(since) > s.ReadTimeout {
		return unavailable(doing, err)
	}
	if ended := pause(ctx, wait); ended != nil {
		return fmt.Errorf("%s: %w", doing, ended)
	}
	return nil
}

// reading is a read in progress.
type reading struct {
	*request
	store *Store
	left  int // events still wanted; 0 for all
	given int
}

// run makes one attempt. over says that the read has ended, or that the
// receiver wants no more; an error without it may pass.
func (p *reading) run(ctx context.Context, yield func(*client.RecordedEvent, error) bool) (err error, over bool) { //nolint:revive // over qualifies the error
	if over := p.store.over(ctx); over != nil {
		return over, false
	}
	m, err := p.store.pool.get(ctx, p.store.AttemptTimeout)
	if err != nil {
		return err, false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := receive(ctx, m, p.opened(m))
	for before := p.given; ; {
		e, err := p.await(ctx, m, events)
		switch {
		case errors.Is(err, io.EOF):
			return nil, p.page == 0 || p.given-before < p.page
		case err != nil:
			return p.failed(err, yield)
		}
		p.given++
		more := p.pass(e)
		if !yield(e, nil) || !more {
			return nil, true
		}
		if p.left > 0 {
			if p.left--; p.left == 0 {
				return nil, true
			}
		}
	}
}

func (p *reading) opened(m *member) func(context.Context) (receiver, error) {
	count := uint64(math.MaxInt64)
	if p.left > 0 {
		count = uint64(p.left)
	}
	if p.page > 0 {
		count = min(count, uint64(p.page))
	}
	return func(ctx context.Context) (receiver, error) {
		stream, err := p.open(ctx, m, count)
		if err != nil {
			return nil, err
		}
		return streamReceiver{stream}, nil
	}
}

// failed says what an error means for the read.
func (p *reading) failed(err error, yield func(*client.RecordedEvent, error) bool) (error, bool) { //nolint:revive // as run
	switch means, _ := judge(err); means {
	case notFound:
		yield(nil, fmt.Errorf("%s: %w", p.what, eventstore.ErrStreamNotFound))
		return nil, true
	case gone:
		yield(nil, fmt.Errorf("%s: %w", p.what, eventstore.ErrStreamDeleted))
		return nil, true
	}
	return err, false
}

// receiver gives what a read or a subscription receives, one by one.
type receiver interface {
	next() (received, error)
	close()
}

// received is an event, or, from a subscription, a checkpoint, or the news that
// it has caught up.
type received struct {
	event      *client.RecordedEvent
	checkpoint eventstore.Position
	caughtUp   bool
	err        error
}

type streamReceiver struct{ *client.ReadStream }

func (r streamReceiver) next() (received, error) {
	e, err := r.Recv()
	if err != nil {
		return received{}, err
	}
	return received{event: e.OriginalEvent()}, nil
}

func (r streamReceiver) close() { r.Close() }

// receivedAhead is how many events are received before they are asked for.
const receivedAhead = 256

// receive opens a read and receives in a goroutine of its own, for the client
// may block whatever its context says. The goroutine gives the member back when
// it ends, which it does when ctx has ended, or the member has to be left, and
// the client notices; one that does not notice ends when its client is closed.
func receive(ctx context.Context, m *member, open func(context.Context) (receiver, error)) <-chan received {
	out := make(chan received, receivedAhead)
	go func() {
		defer m.release()
		defer close(out)
		tell := func(r received) bool {
			select {
			case out <- r:
				return true
			case <-ctx.Done():
				return false
			}
		}
		if err := forward(ctx, m, open, tell); err != nil {
			if _, broken := judge(err); broken && !errors.Is(err, io.EOF) {
				m.retire(err)
			}
			tell(received{err: err})
		}
	}()
	return out
}

// forward tells what it receives, until there is no more, or nobody listens.
func forward(ctx context.Context, m *member, open func(context.Context) (receiver, error), tell func(received) bool) (err error) {
	defer func() {
		if p := recover(); p != nil { // the client was closed under the call
			err = fmt.Errorf("%w: %v", errHung, p)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.leased, cancel)() //nolint:contextcheck // the member's, besides the caller's
	from, err := pass(ctx, m, open)
	if err != nil {
		return err
	}
	defer from.close()
	for {
		r, err := from.next()
		if err != nil {
			return err
		}
		m.succeeded()
		if !tell(r) {
			return nil
		}
	}
}

// await waits for the next event of a read, no longer than an attempt may take.
func (p *reading) await(ctx context.Context, m *member, events <-chan received) (*client.RecordedEvent, error) {
	if over := p.store.over(ctx); over != nil { // whatever was received ahead
		return nil, over
	}
	select {
	case r, open := <-events: // most often it is there
		return p.taken(ctx, r, open)
	default:
	}
	timer := time.NewTimer(p.store.AttemptTimeout)
	defer timer.Stop()
	select {
	case r, open := <-events:
		return p.taken(ctx, r, open)
	case <-ctx.Done():
		return nil, cause(ctx)
	case <-timer.C:
		m.retire(errHung)
		return nil, errHung
	}
}

func (p *reading) taken(ctx context.Context, r received, open bool) (*client.RecordedEvent, error) {
	if !open {
		return nil, cause(ctx)
	}
	return r.event, r.err
}
