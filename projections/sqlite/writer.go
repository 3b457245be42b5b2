package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/daybookhq/daybook/projections"
)

// writer is the one connection that writes. It keeps its prepared statements
// and runs them on the driver's own types: the conversions of database/sql
// would cost as much as a small statement does.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]driver.Stmt
	named []driver.NamedValue // the arguments of the call in progress
}

func openWriter(ctx context.Context, dsn string) (*writer, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(broken(err), db.Close())
	}
	return &writer{db: db, conn: conn, stmts: map[string]driver.Stmt{}}, nil
}

// prepareFile makes the tables in a new file, and refuses a foreign one.
func (w *writer) prepareFile(ctx context.Context) error {
	var objects, app, version, size int
	if err := w.conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&objects); err != nil {
		return broken(err)
	}
	if err := w.conn.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&size); err != nil {
		return broken(err)
	}
	if size != pageSize {
		return fmt.Errorf("%w: its pages are of %d bytes", projections.ErrModelBroken, size)
	}
	if objects == 0 {
		return w.create(ctx)
	}
	if err := w.conn.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&app); err != nil {
		return broken(err)
	}
	if err := w.conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return broken(err)
	}
	return checkMarks(app, version)
}

func (w *writer) create(ctx context.Context) error {
	mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, layout)
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE;"+mark+tables+"COMMIT;"); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	return nil
}

// in runs fn between BEGIN and COMMIT.
func (w *writer) in(ctx context.Context, fn func() error) error {
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return broken(err)
	}
	err := fn()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		if err = w.exec(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	// A failed ROLLBACK means that there is nothing to undo any more.
	_ = w.exec(context.WithoutCancel(ctx), "ROLLBACK")
	return broken(err)
}

// exec runs a statement.
func (w *writer) exec(ctx context.Context, query string, args ...driver.Value) error {
	_, err := w.change(ctx, query, args...)
	return err
}

// change runs a statement and returns how many rows it changed.
func (w *writer) change(ctx context.Context, query string, args ...driver.Value) (n int64, err error) {
	err = w.hold(ctx, query, func(calm context.Context, s driver.Stmt) error {
		result, err := s.(driver.StmtExecContext).ExecContext(calm, w.values(args))
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	return n, err
}

// query runs a statement and hands row after row to each. A row is valid until
// each returns; the strings and byte slices in it are the receiver's.
func (w *writer) query(ctx context.Context, query string, each func(row []driver.Value) error, args ...driver.Value) error {
	return w.hold(ctx, query, func(calm context.Context, s driver.Stmt) (err error) {
		rows, err := s.(driver.StmtQueryContext).QueryContext(calm, w.values(args))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		row := make([]driver.Value, len(rows.Columns()))
		for {
			if err := rows.Next(row); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := each(row); err != nil {
				return err
			}
		}
	})
}

// hold runs fn with the prepared statement, or refuses because ctx has ended.
// The statements look at a few rows and end by themselves; run with a context
// that can end, the driver would start a goroutine for each to watch it.
func (w *writer) hold(ctx context.Context, query string, fn func(calm context.Context, s driver.Stmt) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	calm := context.WithoutCancel(ctx)
	var result error
	err := w.conn.Raw(func(conn any) error {
		// The result stays ours: database/sql would take some errors for its own.
		s := w.stmts[query]
		if s == nil {
			if s, result = conn.(driver.ConnPrepareContext).PrepareContext(calm, query); result != nil {
				return nil
			}
			w.stmts[query] = s
		}
		result = fn(calm, s)
		return nil
	})
	return errors.Join(err, result)
}

// values puts arguments into the driver's form.
func (w *writer) values(args []driver.Value) []driver.NamedValue {
	w.named = w.named[:0]
	for i, a := range args {
		w.named = append(w.named, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return w.named
}

func (w *writer) close() error {
	var errs []error
	err := w.conn.Raw(func(any) error {
		for _, s := range w.stmts {
			errs = append(errs, s.Close())
		}
		return nil
	})
	return errors.Join(append(errs, err, w.conn.Close(), w.db.Close())...)
}
