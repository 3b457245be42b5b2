// Package sqlite keeps the local read model in one SQLite file, with its
// checkpoint in the same transaction as the rows it speaks for.
//
// The file is in WAL mode: readers, in this process and in others, never wait
// for the writer. synchronous=NORMAL is enough, because a power cut can then
// only undo the latest transactions whole, rows and checkpoint together, and
// the projection folds them again from the log.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"github.com/daybookhq/daybook/projections"
)

// The codes of https://www.sqlite.org/rescode.html that mean a damaged file.
const (
	codeError   = 1
	codeCorrupt = 11
	codeNotADB  = 26
)

// openTimeout bounds the work of opening a file, and of undoing a transaction.
const openTimeout = 10 * time.Second

// Model is a read model in a SQLite file. It implements projections.Model, and
// projections.Reader when opened by OpenReader.
type Model struct {
	// path is where the model is found; see generation.go.
	path string
	// reader says that another process writes.
	reader bool
	// besideOf is the model that this one was made beside of, nil for others;
	// adopted says that its file is that model's now, gone that it was discarded.
	besideOf      *Model
	adopted, gone bool

	// swap is held shared while the file is used, and exclusively while another
	// takes its place.
	swap  sync.RWMutex
	file  *file
	cache *cache
	// writing has room for one writer.
	writing chan struct{}
	// building has room for one model beside.
	building chan struct{}
}

var (
	_ projections.Model  = (*Model)(nil)
	_ projections.Reader = (*Model)(nil)
)

// Open opens the read model at path for reading and writing, and makes it if
// there is none. A file that is no read model, is damaged, or has another
// layout is replaced by an empty one, which its Checkpoint shows.
func Open(ctx context.Context, path string) (*Model, error) {
	m := &Model{path: path, cache: newCache(), writing: make(chan struct{}, 1), building: make(chan struct{}, 1)}
	name, err := resolve(path)
	if err == nil {
		err = removeOthers(path, name)
	}
	if err == nil {
		m.file, err = openFile(ctx, name)
	}
	if errors.Is(err, projections.ErrModelBroken) {
		if err = removeFiles(name); err == nil {
			m.file, err = openFile(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open read model: %w", err)
	}
	return m, nil
}

// OpenReader opens the read model that another process keeps at path. It fails
// if there is none. Its writing methods must not be called.
func OpenReader(ctx context.Context, path string) (*Model, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open read model: %w", err)
	}
	f, err := openCurrent(ctx, path, "")
	if err != nil {
		return nil, fmt.Errorf("open read model: %w", err)
	}
	return &Model{path: path, reader: true, file: f}, nil
}

// Close releases the file. A second Close does nothing.
func (m *Model) Close() error {
	m.swap.Lock()
	defer m.swap.Unlock()
	if m.file == nil {
		return nil
	}
	err := m.file.close()
	m.file = nil
	return err
}

// file is one open SQLite file: a connection that writes, and some that read.
type file struct {
	name  string
	read  *sql.DB   // nil while a model is being loaded
	write *writer   // nil in a reader
	flush *flushing // nil where all was synced as it was written

	entitlement  *sql.Stmt
	subscription *sql.Stmt
}

func openFile(ctx context.Context, path string) (*file, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if _, err := createPrivate(path); err != nil {
		return nil, err
	}
	w, err := openWriter(ctx, dsn(path, "rwc", "_journal_mode=WAL", "_pragma=synchronous(NORMAL)",
		"_pragma=journal_size_limit(67108864)", "_pragma=cache_size(-4096)"))
	if err != nil {
		return nil, err
	}
	if err := w.prepareFile(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	f, err := openReadOnly(ctx, path)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	f.write = w
	return f, nil
}

// createPrivate makes the file, if there is none, and reports whether it did. It
// is for its owner's eyes only: what somebody's customers pay is nobody else's
// business. SQLite gives its other files the same mode.
func createPrivate(path string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

func openReadOnly(ctx context.Context, path string) (*file, error) {
	db, err := sql.Open("sqlite", dsn(path, "rw", "_pragma=query_only(1)", "_pragma=cache_size(-2048)"))
	if err != nil {
		return nil, err
	}
	// A reader costs a few MB of page cache, nearly twice what it is allowed: enough
	// for the requests that two to eight cores can answer at once.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	f := &file{name: path, read: db}
	if err := f.check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if f.entitlement, err = db.PrepareContext(ctx, `SELECT until, doc FROM entitlements WHERE account = ?`); err == nil {
		f.subscription, err = db.PrepareContext(ctx, `SELECT account, doc FROM subscriptions WHERE id = ?`)
	}
	if err != nil {
		return nil, errors.Join(broken(err), db.Close())
	}
	return f, nil
}

// check reports a file that is not a read model of this layout.
func (f *file) check(ctx context.Context) error {
	var app, version int
	if err := f.read.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&app); err != nil {
		return broken(err)
	}
	if err := f.read.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return broken(err)
	}
	return checkMarks(app, version)
}

// checkMarks compares what a file says of itself with what we make.
func checkMarks(app, version int) error {
	if app != applicationID || version != layout {
		return fmt.Errorf("%w: not a read model of layout %d", projections.ErrModelBroken, layout)
	}
	return nil
}

func (f *file) close() error {
	var err error
	if f.read != nil {
		err = f.read.Close()
	}
	if f.write != nil {
		err = errors.Join(err, f.write.close())
	}
	return errors.Join(err, f.flush.close())
}

func dsn(path, mode string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	// The driver applies a _pragma before a _journal_mode: the size of pages must
	// be known when the first one is written.
	query := fmt.Sprintf("mode=%s&_pragma=busy_timeout(5000)&_pragma=page_size(%d)", mode, pageSize)
	for _, p := range pragmas {
		query += "&" + p
	}
	u.RawQuery = query
	return u.String()
}

// broken marks errors that mean a damaged or foreign file.
func broken(err error) error {
	var e *driver.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case codeCorrupt, codeNotADB, codeError: // codeError: a table is missing
			return fmt.Errorf("%w: %w", projections.ErrModelBroken, err)
		}
	}
	return err
}

// removeFiles removes a SQLite file and what belongs to it.
func removeFiles(path string) error {
	if err := removeSideFiles(path); err != nil {
		return err
	}
	return remove(path)
}

// removeSideFiles removes what belongs to a SQLite file.
func removeSideFiles(path string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := remove(path + suffix); err != nil {
			return err
		}
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a read model: %w", err)
	}
	return nil
}
