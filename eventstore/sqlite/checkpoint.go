package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// checkpointTick is how often the checkpointer looks whether there is work.
	checkpointTick = 50 * time.Millisecond
	// checkpointBytes of appended events make it work at once, fewer after
	// checkpointPatience. They are few, because a commit waits behind what the
	// disk is given at a time.
	checkpointBytes    = 1 << 20
	checkpointPatience = time.Second
	// restartFrames is how little of the WAL should be left to move while the
	// writer stands still, and restartRounds how often that is tried for.
	restartFrames = 64
	restartRounds = 5
	// frameBytes is what one page takes in the WAL.
	frameBytes = pageBytes + 24
	pageBytes  = 4096
)

// checkpointer moves the write-ahead log into the file, beside the writer:
// PASSIVE, which waits for nobody. That alone lets the WAL grow, because the
// writer adds to it meanwhile and it starts anew only from a moment when all
// of it is moved and nobody reads it. Above the bound the checkpointer
// therefore closes the gate for the millisecond that this takes: not longer,
// because what was moved before is on the disk by then. A reader in another
// process is not waited for, but reported.
type checkpointer struct {
	path string
	db   *sql.DB
	conn *conn
	// file is the store's own, for bringing to the disk what was moved: SQLite
	// does so only at the end, with the writer standing still. Closing it would
	// take away the locks that all connections of this process have on the file
	// (fcntl(2), "Advisory record locking"): so it goes last.
	file   *os.File
	gate   *sync.RWMutex
	bound  int64
	report func(Finding)

	fresh   atomic.Int64 // bytes appended since the last checkpoint began
	pinned  bool
	failing bool
}

func newCheckpointer(ctx context.Context, path string, gate *sync.RWMutex, opts Options) (*checkpointer, error) {
	// Without a busy timeout, so that nothing waits for another process.
	db, err := pool(path, connMode{cacheBytes: 1 << 20})
	if err != nil {
		return nil, err
	}
	c, err := connect(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, c.close(), db.Close())
	}
	var mu sync.Mutex
	return &checkpointer{
		path: path, db: db, conn: c, file: file, gate: gate, bound: opts.WALBound,
		report: func(f Finding) {
			mu.Lock()
			defer mu.Unlock()
			opts.Report(f)
		},
	}, nil
}

// close ends the connection. The file is the caller's to close, after all
// connections.
func (c *checkpointer) close() error { return errors.Join(c.conn.close(), c.db.Close()) }

// wrote is told by the writer how many bytes a commit appended.
func (c *checkpointer) wrote(bytes int) { c.fresh.Add(int64(bytes)) }

// run works until ctx ends.
func (c *checkpointer) run(ctx context.Context) {
	tick := time.NewTicker(checkpointTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		fresh := c.fresh.Load()
		due := fresh >= checkpointBytes || time.Since(last) >= checkpointPatience && (fresh > 0 || c.pinned || c.failing)
		if !due {
			continue
		}
		c.fresh.Add(-fresh)
		last = time.Now()
		c.tell(c.work())
	}
}

// walState is the answer of a checkpoint, in frames.
type walState struct {
	busy         bool
	total, moved int64
}

func (w walState) bytes() int64 { return w.total * frameBytes }

// work moves what it can, and starts the WAL anew if it has grown large.
func (c *checkpointer) work() (walState, error) {
	state, err := c.checkpoint("PASSIVE")
	if err == nil {
		err = writeBack(c.file)
	}
	if err != nil || state.bytes() < c.bound {
		return state, err
	}
	// What came in meanwhile is moved without stopping the writer, as long as
	// it is much.
	for range restartRounds {
		if state.total-state.moved <= restartFrames {
			break
		}
		if state, err = c.checkpoint("PASSIVE"); err != nil {
			return state, err
		}
	}
	if err := c.file.Sync(); err != nil {
		return state, err
	}
	c.gate.Lock()
	defer c.gate.Unlock()
	return c.checkpoint(c.restartMode())
}

// restartMode keeps the WAL's file, whose blocks are then written again
// without the file system having to find new ones; a file that has grown far
// beyond the bound is given back.
func (c *checkpointer) restartMode() string {
	if info, err := os.Stat(c.path + "-wal"); err == nil && info.Size() > 2*c.bound {
		return "TRUNCATE"
	}
	return "RESTART"
}

func (c *checkpointer) checkpoint(mode string) (state walState, err error) {
	err = c.conn.hold(func(s session) error {
		return s.query("PRAGMA wal_checkpoint("+mode+")", nil, func(row []driver.Value) (bool, error) {
			busy, _ := row[0].(int64)
			state.busy = busy != 0
			state.total, _ = row[1].(int64)
			state.moved, _ = row[2].(int64)
			return false, nil
		})
	})
	if isBusy(err) {
		state.busy, err = true, nil
	}
	return state, err
}

// tell reports changes for the worse and for the better, each once.
func (c *checkpointer) tell(state walState, err error) {
	if failed := err != nil; failed != c.failing {
		c.failing = failed
		if failed {
			c.report(Finding{Kind: CheckpointFailed, Err: cause(c.path, err)})
		}
	}
	if err != nil {
		return
	}
	if pinned := state.busy && state.bytes() >= c.bound; pinned != c.pinned {
		c.pinned = pinned
		kind := WALReleased
		if pinned {
			kind = WALPinned
		}
		c.report(Finding{Kind: kind, Bytes: state.bytes()})
	}
}
