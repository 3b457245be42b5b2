package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/daybookhq/daybook/projections"
)

// Load implements projections.Model.
func (m *Model) Load(ctx context.Context, rows projections.Rows) error {
	w := m.file.write
	if err := w.insert(ctx, subscriptionRows(rows.Subscriptions)); err != nil {
		return wrap("load subscriptions", err)
	}
	if err := w.insert(ctx, entitlementRows(rows.Entitlements)); err != nil {
		return wrap("load entitlements", err)
	}
	for _, r := range rows.Subscriptions {
		if err := w.putFlags(ctx, r); err != nil {
			return wrap("load the flags of subscriptions", err)
		}
	}
	for _, f := range rows.Failures {
		if err := w.putFailure(ctx, f); err != nil {
			return wrap("load failures", err)
		}
	}
	for _, p := range rows.Parked {
		if err := w.park(ctx, p); err != nil {
			return wrap("load parked streams", err)
		}
	}
	return nil
}

// insertion is rows for one table.
type insertion struct {
	into    string // the statement up to VALUES
	columns int
	rows    int
	values  func(row int) []driver.Value
}

func subscriptionRows(rows []projections.SubscriptionRow) insertion {
	return insertion{into: "INSERT INTO subscriptions (id, account, customer, status, tier, due, doc)", columns: 7, rows: len(rows),
		values: func(row int) []driver.Value {
			r := &rows[row]
			return []driver.Value{r.Truth.ID, r.Account, r.Truth.Customer, string(r.Truth.Status), r.Truth.Tier, nanos(r.Due), r.Doc}
		}}
}

func entitlementRows(rows []projections.EntitlementRow) insertion {
	return insertion{into: "INSERT OR REPLACE INTO entitlements (account, until, doc)", columns: 3, rows: len(rows),
		values: func(row int) []driver.Value {
			r := &rows[row]
			return []driver.Value{r.Account, nanos(r.Until), r.Doc}
		}}
}

// rowsAtOnce go into one statement: what a statement costs beside its rows, and
// what database/sql would add, is then small.
const rowsAtOnce = 16

// insert adds rows, many with each statement.
func (w *writer) insert(ctx context.Context, in insertion) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var failed error // stays ours: database/sql would take some for its own
	err := w.conn.Raw(func(conn any) error {
		preparer, able := conn.(driver.ConnPrepareContext)
		if !able {
			failed = fmt.Errorf("the driver's %T prepares no statements", conn)
			return nil
		}
		many := in.rows / rowsAtOnce * rowsAtOnce
		failed = in.run(ctx, preparer, 0, many, rowsAtOnce)
		if failed == nil {
			failed = in.run(ctx, preparer, many, in.rows, 1)
		}
		return nil
	})
	return errors.Join(failed, err)
}

// run inserts the rows from from up to to, so many with each statement.
func (in *insertion) run(ctx context.Context, conn driver.ConnPrepareContext, from, to, atOnce int) (err error) {
	if from == to {
		return nil
	}
	row := ", (?" + strings.Repeat(", ?", in.columns-1) + ")"
	// A context that can end would cost a goroutine for each statement.
	ctx = context.WithoutCancel(ctx)
	stmt, err := conn.PrepareContext(ctx, in.into+" VALUES "+strings.Repeat(row, atOnce)[2:])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	execer, able := stmt.(driver.StmtExecContext)
	if !able {
		return fmt.Errorf("the driver's %T executes nothing", stmt)
	}
	args := make([]driver.NamedValue, 0, atOnce*in.columns)
	for ; from < to; from += atOnce {
		args = args[:0]
		for i := range atOnce {
			for _, v := range in.values(from + i) {
				args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: v})
			}
		}
		if _, err := execer.ExecContext(ctx, args); err != nil {
			return err
		}
	}
	return nil
}
