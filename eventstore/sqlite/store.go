package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// Options are the settings of an owner. The zero value is a good choice.
type Options struct {
	// Report is told what happens in the background; nil for nobody. It is
	// called from the store's goroutines, one call at a time, and must not
	// call the store's Close.
	Report func(Finding)
	// QueueAppends and QueueBytes bound the appends that wait for the writer.
	// Beyond either, Append fails at once. Defaults: 8192 and 32 MiB.
	QueueAppends, QueueBytes int
	// ReadConnections is how many reads may touch the file at the same time.
	// Default: 4.
	ReadConnections int
	// WALBound is the size in bytes above which the write-ahead log is
	// restarted, which takes a moment without readers, and above which a
	// reader that prevents it is reported. Default: 64 MiB.
	WALBound int64
	// SkipCheck leaves out the background check of the whole file. The end of
	// the log is checked at every opening.
	SkipCheck bool
	// CheckAfter is how long after the opening that check begins: whoever has
	// just started has more urgent things to read. Default: at once.
	CheckAfter time.Duration
}

func (o *Options) setDefaults() {
	fill := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	fill(&o.QueueAppends, 8192)
	fill(&o.QueueBytes, 32<<20)
	fill(&o.ReadConnections, 4)
	if o.WALBound <= 0 {
		o.WALBound = 64 << 20
	}
	if o.Report == nil {
		o.Report = func(Finding) {}
	}
}

// The memory of the page caches, of each connection one, and of the log's end. A
// page takes nearly twice its size, and one that is not there is mostly in the
// system's own cache.
const (
	writerCacheBytes = 4 << 20
	readerCacheBytes = 2 << 20
	tailEvents       = 4096
	tailBytes        = 8 << 20
)

// Store is the owner of a file: an eventstore.Store.
type Store struct {
	*reads
	queue *queue
	tail  *tail
	gate  sync.RWMutex

	ownership  *ownership
	db         *sql.DB
	writer     *writer
	checkpoint *checkpointer

	stop       context.CancelFunc // ends the background
	background sync.WaitGroup
	written    chan struct{} // closed when the writer has ended
	closing    sync.Once
}

var _ eventstore.Store = (*Store)(nil)

// Open makes this process the owner of the store at path, creating the file
// if there is none. The directory must exist. ctx bounds the opening alone.
//
// It fails with *InUseError, *CorruptError, *VersionError, or an error that
// wraps ErrNotStore, ErrReadOnly or ErrDiskFull; most of them wrap
// eventstore.ErrUnavailable too.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	opts.setDefaults()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	own, err := takeOwnership(abs)
	if err != nil {
		return nil, err
	}
	s, err := openOwned(ctx, abs, opts)
	if err != nil {
		return nil, errors.Join(openFault(abs, err), own.release())
	}
	s.ownership = own
	s.start(ctx, opts)
	return s, nil
}

// openFault names a fault of opening. A SQLite error becomes one of ours.
func openFault(path string, err error) error {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		corrupt.Path = path
		return err
	}
	return unavailable(path, "open event store "+path, err)
}

func openOwned(ctx context.Context, path string, opts Options) (*Store, error) {
	db, err := pool(path, connMode{cacheBytes: writerCacheBytes, busyMillis: 1000})
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, written: make(chan struct{}), tail: newTail(tailEvents, tailBytes),
		queue: newQueue(opts.QueueAppends, opts.QueueBytes)}
	if err := s.openParts(ctx, path, opts); err != nil {
		return nil, errors.Join(err, s.closeParts())
	}
	return s, nil
}

// createPrivate makes the file, if there is none, for its owner's eyes only:
// it holds payloads as they came. SQLite gives its other files the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) openParts(ctx context.Context, path string, opts Options) error {
	if err := createPrivate(path); err != nil {
		return err
	}
	writing, err := connect(ctx, s.db)
	if err != nil {
		return err
	}
	s.writer, err = newWriter(path, writing, s.queue, s.tail, &s.gate)
	if err != nil {
		return errors.Join(err, writing.close())
	}
	if err := writing.hold(func(ses session) error { return s.writer.open(ses) }); err != nil {
		return err
	}
	s.checkpoint, err = newCheckpointer(ctx, path, &s.gate, opts)
	if err != nil {
		return err
	}
	s.writer.wrote = s.checkpoint.wrote
	s.reads, err = openReads(ctx, path, opts.ReadConnections, readerCacheBytes, &s.gate)
	if err != nil {
		return err
	}
	s.reads.tail = s.tail
	s.end = func(context.Context) (eventstore.Position, error) {
		head, _ := s.tail.end()
		return head, nil
	}
	s.reads.moved = s.moved
	return nil
}

// start begins the writer and the background, which outlive the opening.
func (s *Store) start(ctx context.Context, opts Options) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = cancel
	go func() {
		defer close(s.written)
		s.writer.run()
	}()
	s.background.Go(func() { s.checkpoint.run(ctx) })
	if !opts.SkipCheck {
		c := &checker{reads: s.reads, report: s.checkpoint.report, after: opts.CheckAfter}
		s.background.Go(func() { c.run(ctx) })
	}
}

// Append implements eventstore.Store.
func (s *Store) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	if err := eventstore.ValidateAppend(stream, events); err != nil {
		return eventstore.AppendResult{}, err
	}
	if err := ctx.Err(); err != nil {
		return eventstore.AppendResult{}, fmt.Errorf("append to %s was not begun: %w: %w",
			stream, eventstore.ErrUnavailable, err)
	}
	r := newRequest(stream, expected, events)
	if err := s.queue.put(r); err != nil {
		return eventstore.AppendResult{}, err
	}
	return r.wait(ctx)
}

// moved waits until the log goes on behind from.
func (s *Store) moved(ctx context.Context, from eventstore.Position) error {
	for {
		head, changed := s.tail.end()
		if head > from {
			return nil
		}
		select {
		case <-changed:
		case <-s.closed:
			return eventstore.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close implements eventstore.Store.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.queue.close()
		<-s.written
		s.stop()
		s.background.Wait()
		err = errors.Join(s.closeParts(), s.ownership.release())
	})
	return err
}

// closeParts releases what openParts got hold of. The writer's is the last
// connection, so that SQLite moves the whole WAL into the file and removes it.
func (s *Store) closeParts() error {
	var errs []error
	if s.reads != nil {
		errs = append(errs, s.stopReading())
	}
	if s.checkpoint != nil {
		errs = append(errs, s.checkpoint.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.conn.close())
	}
	errs = append(errs, s.db.Close())
	if s.checkpoint != nil {
		errs = append(errs, s.checkpoint.file.Close())
	}
	return errors.Join(errs...)
}
