package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

const (
	// tailCheck is how many events at the log's end are checked at opening.
	tailCheck = 64
	// checkEvents are checked at a time in the background, with checkPause
	// between: about a tenth of one core.
	checkEvents = 500
	checkPause  = 25 * time.Millisecond
)

// checkText looks at the stretch (?1, ?2] of the log: how many events there
// are, how many are not in the index of streams, not in that of categories, or
// do not follow an event of their stream. Joining ” to the payloads makes
// SQLite read them to their last page.
const checkText = `SELECT count(*),
	sum(NOT EXISTS (SELECT 1 FROM events p INDEXED BY events_by_stream
		WHERE p.stream = e.stream AND p.revision = e.revision AND p.position = e.position)),
	sum(NOT EXISTS (SELECT 1 FROM events p INDEXED BY events_by_category
		WHERE p.category = e.category AND p.position = e.position)),
	sum(e.revision <> 0 AND NOT EXISTS (SELECT 1 FROM events p INDEXED BY events_by_stream
		WHERE p.stream = e.stream AND p.revision = e.revision - 1 AND p.position < e.position)),
	sum(length(e.metadata || '') + length(e.data || ''))
	FROM events e WHERE e.position > ?1 AND e.position <= ?2`

// checkStretch checks (from, to], which lies within the log.
func checkStretch(s session, from, to eventstore.Position) error {
	return s.query(checkText, []driver.Value{int64(from), int64(to)}, func(row []driver.Value) (bool, error) {
		found, _ := row[0].(int64)
		if want := int64(to - from); found != want {
			return false, damaged(from, to, want-found, "missing")
		}
		for i, what := range []string{"missing from the index of streams", "missing from the index of categories",
			"without the event of their stream that comes before"} {
			if n, _ := row[i+1].(int64); n != 0 {
				return false, damaged(from, to, n, what)
			}
		}
		return false, nil
	})
}

func damaged(from, to eventstore.Position, n int64, what string) error {
	return &CorruptError{Detail: fmt.Sprintf("of the events %d to %d, %d are %s", from+1, to, n, what)}
}

// open prepares the file and checks the log's end.
func (w *writer) open(s session) error {
	if err := prepareFile(s, w.path, migrations); err != nil {
		return err
	}
	if err := w.ensureHead(s); err != nil || w.head == 0 {
		return err
	}
	return checkStretch(s, w.head-min(w.head, tailCheck), w.head)
}

// checkAll checks the log up to where it ends when the check begins, and calls
// between with how far it is after each stretch. at is how far it came.
func (r *reads) checkAll(ctx context.Context, between func(at, head eventstore.Position) error) (at eventstore.Position, err error) {
	head, err := r.Head(ctx)
	for err == nil && at < head {
		next := min(at+checkEvents, head)
		if err = r.session(ctx, func(s session) error { return checkStretch(s, at, next) }); err == nil {
			at = next
			err = between(at, head)
		}
	}
	return at, err
}

// Check reads the whole log and tells how far it is. Damage is a *CorruptError;
// the files are then to be restored from a backup.
func (r *Reader) Check(ctx context.Context, tell func(at, head eventstore.Position)) error {
	_, err := r.checkAll(ctx, func(at, head eventstore.Position) error {
		tell(at, head)
		return ctx.Err()
	})
	return err
}

// checker reads the whole log once, slowly.
type checker struct {
	reads  *reads
	report func(Finding)
	after  time.Duration
}

// run checks, after a while, what the log holds when it begins, and reports how
// that went, unless ctx ends before.
func (c *checker) run(ctx context.Context) {
	if pause(ctx, c.after) != nil {
		return
	}
	at, err := c.reads.checkAll(ctx, func(eventstore.Position, eventstore.Position) error { return pause(ctx, checkPause) })
	switch {
	case err == nil:
		c.report(Finding{Kind: CheckPassed, Position: at})
	case ctx.Err() == nil && !errors.Is(err, eventstore.ErrClosed):
		c.report(Finding{Kind: CheckFailed, Position: at, Err: err})
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
