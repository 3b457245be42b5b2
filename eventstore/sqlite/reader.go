package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// pollInterval is how often a Reader that follows looks whether its owner, in
// another process, has appended something. A look takes some microseconds.
const pollInterval = 20 * time.Millisecond

// Reader reads a store that another process may own: an eventstore.Reader.
type Reader struct {
	*reads
	closing sync.Once
}

var _ eventstore.Reader = (*Reader)(nil)

// OpenReader opens the store at path for reading, whether or not an owner is
// at work. ctx bounds the opening alone. It fails as Open does, but for
// *InUseError. The directory must be writable if no owner is at work: SQLite
// keeps its index of the WAL there.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, openFault(path, err)
	}
	// Nothing needs to find a moment without these reads: the gate stays open.
	reads, err := openReads(ctx, abs, 2, readerCacheBytes, &sync.RWMutex{})
	if err != nil {
		return nil, openFault(abs, err)
	}
	r := &Reader{reads: reads}
	reads.end, reads.moved = reads.headInFile, r.moved
	err = reads.session(ctx, func(s session) error {
		st, err := readState(s)
		if err == nil {
			err = st.check(abs, len(migrations))
		}
		if err == nil && st.version < len(migrations) {
			err = &VersionError{Path: abs, Found: st.version, Known: len(migrations)}
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(openFault(abs, err), r.Close())
	}
	return r, nil
}

// moved looks again and again until the log goes on behind from.
func (r *Reader) moved(ctx context.Context, from eventstore.Position) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		head, err := r.headInFile(ctx)
		if err != nil || head != from {
			return err
		}
		select {
		case <-tick.C:
		case <-r.closed:
			return eventstore.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends reads and subscriptions with eventstore.ErrClosed. A second Close
// does nothing.
func (r *Reader) Close() error {
	var err error
	r.closing.Do(func() { err = r.stopReading() })
	return err
}
