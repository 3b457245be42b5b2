package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// conn is one connection to the file, for one goroutine at a time. It keeps
// its prepared statements and runs them on the driver's own types: the
// conversions of database/sql would cost as much as the rest of a read.
type conn struct {
	raw   *sql.Conn
	stmts map[string]driver.Stmt
	named []driver.NamedValue // the arguments of the call in progress
	// calm never ends. Statements run under it, because the driver starts a
	// goroutine for each context that can: reads are kept short instead.
	calm context.Context
}

// connMode says what a connection is for.
type connMode struct {
	readOnly   bool
	cacheBytes int
	// busyMillis is how long a statement waits for another process's lock.
	busyMillis int
}

// pool names the file and the settings for connections of one mode.
func pool(path string, mode connMode) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("path of the event store: %w", err)
	}
	query := url.Values{}
	pragma := func(name, value string) { query.Add("_pragma", name+"("+value+")") }
	pragma("busy_timeout", strconv.Itoa(mode.busyMillis))
	pragma("cache_size", strconv.Itoa(-mode.cacheBytes/1024))
	pragma("temp_store", "MEMORY")
	pragma("page_size", strconv.Itoa(pageBytes)) // for a file that is yet to be made
	if mode.readOnly {
		query.Set("mode", "ro")
		pragma("query_only", "1")
	} else {
		pragma("synchronous", "FULL")
		// Checkpoints are the checkpointer's, never a commit's.
		pragma("wal_autocheckpoint", "0")
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: query.Encode()}
	return sql.Open("sqlite", dsn.String())
}

// connect opens one connection. ctx bounds the opening alone.
func connect(ctx context.Context, db *sql.DB) (*conn, error) {
	raw, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, stmts: map[string]driver.Stmt{}, calm: context.WithoutCancel(ctx)}, nil
}

// close finalises the statements and gives the connection back to its pool.
func (c *conn) close() error {
	var errs []error
	errs = append(errs, c.raw.Raw(func(any) error {
		for _, s := range c.stmts {
			errs = append(errs, s.Close())
		}
		return nil
	}))
	return errors.Join(append(errs, c.raw.Close())...)
}

// session is a connection while it is held.
type session struct {
	conn   *conn
	driver driver.Conn
}

// hold runs f with the connection held.
func (c *conn) hold(f func(session) error) error {
	var result error
	err := c.raw.Raw(func(dc any) error {
		// f's error stays ours: database/sql would take some for its own.
		result = f(session{conn: c, driver: dc.(driver.Conn)})
		return nil
	})
	return errors.Join(err, result)
}

// stmt prepares text once.
func (s session) stmt(text string) (driver.Stmt, error) {
	if st := s.conn.stmts[text]; st != nil {
		return st, nil
	}
	st, err := s.driver.(driver.ConnPrepareContext).PrepareContext(s.conn.calm, text)
	if err != nil {
		return nil, err
	}
	s.conn.stmts[text] = st
	return st, nil
}

// values puts arguments into the driver's form.
func (s session) values(args []driver.Value) []driver.NamedValue {
	named := s.conn.named[:0]
	for i, a := range args {
		named = append(named, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	s.conn.named = named
	return named
}

// exec runs a statement and returns how many rows it changed.
func (s session) exec(text string, args ...driver.Value) (int64, error) {
	st, err := s.stmt(text)
	if err != nil {
		return 0, err
	}
	res, err := st.(driver.StmtExecContext).ExecContext(s.conn.calm, s.values(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// run executes a script once, without keeping it prepared.
func (s session) run(script string) error {
	_, err := s.driver.(driver.ExecerContext).ExecContext(s.conn.calm, script, nil)
	return err
}

// query runs a statement and hands row after row to each, until there are no
// more or each says stop. The row is valid until each returns; the strings and
// byte slices in it are the receiver's.
func (s session) query(text string, args []driver.Value, each func(row []driver.Value) (more bool, err error)) (err error) {
	st, err := s.stmt(text)
	if err != nil {
		return err
	}
	rows, err := st.(driver.StmtQueryContext).QueryContext(s.conn.calm, s.values(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if more, err := each(row); err != nil || !more {
			return err
		}
	}
}

// integer runs a query for one number. Without a row, or with NULL in it, ok
// is false.
func (s session) integer(text string, args ...driver.Value) (n int64, ok bool, err error) {
	err = s.query(text, args, func(row []driver.Value) (bool, error) {
		n, ok = row[0].(int64)
		return false, nil
	})
	return n, ok, err
}
