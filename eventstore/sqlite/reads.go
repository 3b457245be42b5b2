package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"

	"github.com/daybookhq/daybook/eventstore"
)

// The bounds of one query. A chunk is read whole, in a snapshot of its own,
// before its first event is handed on. The first is small, for those who want
// only the next few.
const (
	firstChunk = 32
	fullChunk  = 512
	chunkBytes = 2 << 20
)

// reads is the reading half, shared by the owner's Store and the Reader of
// another process.
type reads struct {
	path   string
	db     *sql.DB
	idle   chan *conn // the connections that nobody uses
	opened int        // how many there are
	gate   *sync.RWMutex
	// closed is closed when reading ends.
	closed chan struct{}
	// end tells where the log ends; moved waits until it is not there any more,
	// or until the context ends.
	end   func(ctx context.Context) (eventstore.Position, error)
	moved func(ctx context.Context, from eventstore.Position) error
	tail  *tail // nil outside the owner
}

func openReads(ctx context.Context, path string, connections, cacheBytes int, gate *sync.RWMutex) (*reads, error) {
	db, err := pool(path, connMode{readOnly: true, cacheBytes: cacheBytes, busyMillis: 2000})
	if err != nil {
		return nil, err
	}
	r := &reads{path: path, db: db, idle: make(chan *conn, connections), gate: gate, closed: make(chan struct{})}
	for range connections {
		c, err := connect(ctx, db)
		if err != nil {
			return nil, errors.Join(err, r.stopReading())
		}
		r.idle <- c
		r.opened++
	}
	return r, nil
}

// stopReading ends all reading and waits for the chunks in hand.
func (r *reads) stopReading() error {
	close(r.closed)
	var errs []error
	for range r.opened {
		errs = append(errs, (<-r.idle).close())
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// stopped says why no more is to be delivered, if so.
func (r *reads) stopped(ctx context.Context) error {
	select {
	case <-r.closed:
		return eventstore.ErrClosed
	default:
		return ctx.Err()
	}
}

// session lends a connection to f, for one short snapshot.
func (r *reads) session(ctx context.Context, f func(session) error) error {
	if err := r.stopped(ctx); err != nil {
		return err
	}
	var c *conn
	select {
	case c = <-r.idle:
	case <-r.closed:
		return eventstore.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.idle <- c }()
	r.gate.RLock()
	defer r.gate.RUnlock()
	if err := c.hold(f); err != nil {
		return r.fault(err)
	}
	return nil
}

// fault gives an error of a read its name in the contract.
func (r *reads) fault(err error) error {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		corrupt.Path = r.path
	}
	return unavailable(r.path, "read the event store", err)
}

// events runs a query of a form's columns that has LIMIT n. cut says that it ended
// at n events or at chunkBytes, so that there may be more. Events come to stand in
// room, as far as it reaches.
func (r *reads) events(ctx context.Context, form rowForm, text string, args []driver.Value, n int, room []eventstore.RecordedEvent) (events []eventstore.RecordedEvent, cut bool, err error) {
	size := 0
	events = room[:0]
	err = r.session(ctx, func(s session) error {
		return s.query(text, args, func(row []driver.Value) (bool, error) {
			e, err := form.scan(row)
			if err != nil {
				return false, err
			}
			if cap(events) == 0 {
				events = make([]eventstore.RecordedEvent, 0, min(n, fullChunk))
			}
			events = append(events, e)
			size += weight(&e)
			cut = len(events) == n || size >= chunkBytes
			return !cut, nil
		})
	})
	return events, cut, err
}

// Head implements eventstore.Reader.
func (r *reads) Head(ctx context.Context) (eventstore.Position, error) {
	if err := r.stopped(ctx); err != nil {
		return 0, err
	}
	return r.end(ctx)
}

// headInFile reads the log's end from the file.
func (r *reads) headInFile(ctx context.Context) (head eventstore.Position, err error) {
	err = r.session(ctx, func(s session) error {
		n, _, err := s.integer("SELECT max(position) FROM events")
		head = eventstore.Position(n)
		return err
	})
	return head, err
}

// errEnough ends a delivery whose receiver wants no more.
var errEnough = errors.New("the receiver stopped")

// ReadStream implements eventstore.Reader.
func (r *reads) ReadStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		err := r.readStream(ctx, stream, from, dir, limit, yield)
		if err != nil && !errors.Is(err, errEnough) {
			yield(eventstore.RecordedEvent{}, err)
		}
	}
}

var streamText = [2]string{
	eventstore.Forwards: "SELECT " + wholeEvent.columns + " FROM events WHERE stream = ? AND revision >= ?" +
		" ORDER BY revision LIMIT ?",
	eventstore.Backwards: "SELECT " + wholeEvent.columns + " FROM events WHERE stream = ? AND revision <= ?" +
		" ORDER BY revision DESC LIMIT ?",
}

func (r *reads) readStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int, yield func(eventstore.RecordedEvent, error) bool) error {
	if err := checkRead(limit, stream.Validate()); err != nil {
		return err
	}
	left := newBudget(limit)
	next := int64(min(from, eventstore.LastRevision))
	for known := false; ; known = true {
		n := left.chunk()
		args := []driver.Value{string(stream), next, int64(n)}
		events, cut, err := r.events(ctx, wholeEvent, streamText[dir], args, n, nil)
		if err == nil && len(events) == 0 && !known {
			// Either there is no stream or nothing of it there. It may have
			// come into being since: only a read after it was seen to exist
			// says that nothing is there.
			if err = r.exists(ctx, stream); err == nil {
				events, cut, err = r.events(ctx, wholeEvent, streamText[dir], args, n, nil)
			}
		}
		if err != nil {
			return err
		}
		if err := r.deliver(ctx, events, yield); err != nil {
			return err
		}
		if left.use(len(events)); !cut || left.spent() {
			return nil
		}
		last := int64(events[len(events)-1].Revision)
		if next = last + 1; dir == eventstore.Backwards {
			next = last - 1
		}
	}
}

// exists fails if the stream has no events.
func (r *reads) exists(ctx context.Context, stream eventstore.Stream) error {
	return r.session(ctx, func(s session) error {
		_, exists, err := s.integer("SELECT revision FROM events WHERE stream = ? LIMIT 1", string(stream))
		if err == nil && !exists {
			err = fmt.Errorf("%s: %w", stream, eventstore.ErrStreamNotFound)
		}
		return err
	})
}

// deliver hands a chunk on.
func (r *reads) deliver(ctx context.Context, events []eventstore.RecordedEvent, yield func(eventstore.RecordedEvent, error) bool) error {
	for i := range events {
		if err := r.stopped(ctx); err != nil {
			return err
		}
		if !yield(events[i], nil) {
			return errEnough
		}
	}
	return nil
}

// ReadAll implements eventstore.Reader.
func (r *reads) ReadAll(ctx context.Context, from eventstore.Position, dir eventstore.Direction, filter eventstore.Filter, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		err := r.readAll(ctx, from, dir, filter, limit, yield)
		if err != nil && !errors.Is(err, errEnough) {
			yield(eventstore.RecordedEvent{}, err)
		}
	}
}

// readAll reads up to where the log ended when it began.
func (r *reads) readAll(ctx context.Context, from eventstore.Position, dir eventstore.Direction, filter eventstore.Filter, limit int, yield func(eventstore.RecordedEvent, error) bool) error {
	if err := checkRead(limit, nil); err != nil {
		return err
	}
	low, err := r.Head(ctx)
	if err != nil {
		return err
	}
	w := &walk{reads: r, selection: newSelection(filter), dir: dir, left: newBudget(limit), to: low, reuses: true}
	if dir == eventstore.Forwards {
		w.from = from
	} else if from <= w.to {
		w.to = max(from, 1) - 1
	}
	return w.run(ctx, func(events []eventstore.RecordedEvent) error { return r.deliver(ctx, events, yield) })
}

func checkRead(limit int, err error) error {
	if err == nil && limit < 0 {
		err = fmt.Errorf("limit %d", limit)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", eventstore.ErrInvalid, err)
	}
	return nil
}

// budget counts down a limit and decides how large the next chunk is.
type budget struct {
	left, next int
	limited    bool
}

func newBudget(limit int) budget { return budget{left: limit, next: firstChunk, limited: limit > 0} }

func (b *budget) chunk() int {
	n := b.next
	b.next = min(b.next*4, fullChunk)
	if b.limited {
		n = min(n, b.left)
	}
	return n
}

func (b *budget) use(n int) { b.left -= n }

func (b *budget) spent() bool { return b.limited && b.left <= 0 }

// parameter names the i-th of a selection's own arguments, which follow the
// three that every selection has.
func parameter(i int) string { return "?" + strconv.Itoa(i+4) }
