package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/daybookhq/daybook/projections"
)

// writer is the one connection that writes, with its prepared statements.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
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
	return &writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}, nil
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
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return broken(err)
	}
	err := fn()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		// With a context that ends meanwhile, the driver would call a commit that
		// was done a failure.
		if _, err = w.conn.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err == nil {
			return nil
		}
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTimeout)
	defer cancel()
	// A failed ROLLBACK means that there is nothing to undo any more.
	_, _ = w.conn.ExecContext(undo, "ROLLBACK")
	return broken(err)
}

// stmt prepares a statement, or refuses because ctx has ended. The statements
// look at a few rows and end by themselves; run with a context that can end,
// the driver would start a goroutine for each to watch it.
func (w *writer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = s
	return s, nil
}

func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	s, err := w.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next call; closed with the writer
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.WithoutCancel(ctx), args...)
	return err
}

func (w *writer) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := w.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next call; closed with the writer
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.WithoutCancel(ctx), args...)
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}
