package sqlite

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/daybookhq/daybook/eventstore"
)

// The bounds of one batch. They keep a commit short, so that nobody waits
// long behind it.
const (
	batchAppends = 1024
	batchBytes   = 4 << 20
)

const (
	// keptHeads bounds how many streams' ends the writer remembers.
	keptHeads = 1 << 16
	// keptCategories bounds how many categories it remembers.
	keptCategories = 1 << 12
)

// writer is the one goroutine that appends. Everything in it belongs to that
// goroutine.
type writer struct {
	path  string
	conn  *conn
	queue *queue
	tail  *tail
	// gate is held for reading by each batch, so that the checkpointer can
	// find a moment without one.
	gate   *sync.RWMutex
	gather gatherer

	// head is the position of the last event of the log, the batch in hand
	// included. It is unknown at the start and after a fault.
	head      eventstore.Position
	headKnown bool
	// heads has the last revision of streams appended to at an exact revision;
	// like categories it is forgotten when a batch fails.
	heads      *lru.Cache[eventstore.Stream, eventstore.Revision]
	categories *lru.Cache[string, int64]

	added   []eventstore.RecordedEvent // what the batch in hand appends
	answers []answer                   // what it will answer

	// wrote is told how many bytes a commit appended.
	wrote func(bytes int)
	// commit ends a batch's transaction. Tests replace it by one that fails.
	commit func(session) error
}

func newWriter(path string, c *conn, q *queue, t *tail, gate *sync.RWMutex) (*writer, error) {
	heads, err := lru.New[eventstore.Stream, eventstore.Revision](keptHeads)
	if err != nil {
		return nil, err
	}
	categories, err := lru.New[string, int64](keptCategories)
	if err != nil {
		return nil, err
	}
	return &writer{
		path: path, conn: c, queue: q, tail: t, gate: gate,
		heads: heads, categories: categories, commit: commitTransaction,
		gather: gatherer{pause: time.Sleep},
	}, nil
}

func commitTransaction(s session) error {
	_, err := s.exec("COMMIT")
	return err
}

// run appends until the queue is closed and empty.
func (w *writer) run() {
	var batch []*request
	for {
		w.gather.wait(w.queue.waiting())
		batch = w.queue.take(batch, batchAppends, batchBytes)
		if len(batch) == 0 {
			return
		}
		w.gather.begin(len(batch))
		w.write(batch)
		clear(batch)
	}
}

// write brings one batch to the disk and then answers it.
func (w *writer) write(batch []*request) {
	w.gate.RLock()
	err := w.conn.hold(func(s session) error { return w.transact(s, batch) })
	w.gate.RUnlock()
	if err == nil && len(w.added) > 0 {
		w.tail.extend(w.added)
		w.wrote(batchSize(batch))
	}
	for i, r := range batch {
		if err != nil {
			r.answer <- answer{err: fmt.Errorf("append to %s: %w", r.stream, err)}
			continue
		}
		r.answer <- w.answers[i]
	}
	clear(w.added)
	clear(w.answers)
	// Who was answered may be waiting to run on this very processor: they go
	// first, for the next commit would hold them up until the disk has it.
	runtime.Gosched()
}

func batchSize(batch []*request) int {
	size := 0
	for _, r := range batch {
		size += r.size
	}
	return size
}

// transact applies a batch in one transaction. The error it returns is every
// append's.
func (w *writer) transact(s session, batch []*request) error {
	w.added, w.answers = w.added[:0], w.answers[:0]
	if err := w.ensureHead(s); err != nil {
		return unavailable(w.path, "find the log's end", err)
	}
	if _, err := s.exec("BEGIN IMMEDIATE"); err != nil {
		return unavailable(w.path, "begin a batch", w.undo(s, err))
	}
	for _, r := range batch {
		a, err := w.apply(s, r)
		if err != nil {
			return unavailable(w.path, "write a batch", w.undo(s, err))
		}
		w.answers = append(w.answers, a)
	}
	if err := w.commit(s); err != nil {
		return outcomeUnknown(w.path, "commit a batch", w.undo(s, err))
	}
	return nil
}

// undo leaves a batch's transaction and forgets what it seemed to have done.
func (w *writer) undo(s session, err error) error {
	// SQLite may have rolled back by itself: then this fails, and says nothing.
	_, _ = s.exec("ROLLBACK")
	w.headKnown = false
	w.heads.Purge()
	w.categories.Purge()
	// A commit that failed only in its answer moved the log all the same.
	return errors.Join(err, w.ensureHead(s))
}

// ensureHead finds the log's end in the file if it is not known.
func (w *writer) ensureHead(s session) error {
	if w.headKnown {
		return nil
	}
	n, _, err := s.integer("SELECT max(position) FROM events")
	if err != nil {
		return err
	}
	w.head, w.headKnown = eventstore.Position(n), true
	w.tail.reset(w.head)
	return nil
}

const insertEvent = `INSERT INTO events (position, category, stream, revision, id, type, metadata, data)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream, revision) DO NOTHING`

// insert adds an event behind the log's end, or reports that its revision is
// taken.
func (w *writer) insert(s session, stream eventstore.Stream, revision eventstore.Revision, e *eventstore.ProposedEvent) (bool, error) {
	category, err := w.category(s, stream.Category())
	if err != nil {
		return false, err
	}
	n, err := s.exec(insertEvent, int64(w.head+1), category, string(stream), int64(revision),
		e.ID.String(), e.Type, stored(e.Metadata), stored(e.Data))
	if err != nil || n == 0 {
		return false, err
	}
	w.head++
	w.added = append(w.added, eventstore.RecordedEvent{
		ID: e.ID, Stream: stream, Revision: revision, Position: w.head,
		Type: e.Type, Data: e.Data, Metadata: e.Metadata,
	})
	return true, nil
}

// category returns a category's number, giving it one if it is new.
func (w *writer) category(s session, name string) (int64, error) {
	if id, ok := w.categories.Get(name); ok {
		return id, nil
	}
	if _, err := s.exec("INSERT INTO categories (name) VALUES (?) ON CONFLICT (name) DO NOTHING", name); err != nil {
		return 0, err
	}
	id, ok, err := s.integer("SELECT id FROM categories WHERE name = ?", name)
	if err == nil && !ok {
		err = fmt.Errorf("category %q has no number", name)
	}
	if err != nil {
		return 0, err
	}
	w.categories.Add(name, id)
	return id, nil
}
