package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"

	"github.com/daybookhq/daybook/projections"
)

// Load implements projections.Model.
func (m *Model) Load(ctx context.Context, rows projections.Rows) error {
	w := m.file.write
	if err := w.insert(ctx, subscriptionRows(rows.Subscriptions)); err != nil {
		return wrap("load subscriptions", err)
	}
	if err := w.insert(ctx, invoiceRows(rows.Invoices())); err != nil {
		return wrap("load invoices", err)
	}
	for price := range rows.Prices {
		if err := w.putPrice(ctx, price); err != nil {
			return wrap("load prices", err)
		}
	}
	if err := w.insert(ctx, objectRows(rows.Objects)); err != nil {
		return wrap("load objects", err)
	}
	if err := w.insert(ctx, chargeRows(rows.Charges())); err != nil {
		return wrap("load charges", err)
	}
	if err := w.insert(ctx, entitlementRows(rows.Entitlements)); err != nil {
		return wrap("load entitlements", err)
	}
	for i := range rows.Subscriptions {
		r := &rows.Subscriptions[i]
		if err := w.putFlags(ctx, r); err != nil {
			return wrap("load the flags of subscriptions", err)
		}
		if err := w.putNamed(ctx, projections.KindSubscription, r.Truth.ID, r.Named); err != nil {
			return wrap("load the accounts that subscriptions named", err)
		}
	}
	for i := range rows.Objects {
		r := &rows.Objects[i]
		if err := w.putNamed(ctx, r.Kind, r.ID, r.Named); err != nil {
			return wrap("load the accounts that customers named", err)
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
	// values appends those of a row.
	values func(to []driver.Value, row int) []driver.Value
}

func subscriptionRows(rows []projections.SubscriptionRow) insertion {
	return insertion{into: "INSERT INTO subscriptions (id, account, customer, status, tier, clock, due, doc)", columns: 8, rows: len(rows),
		values: func(to []driver.Value, row int) []driver.Value { return append(to, subscriptionArgs(&rows[row])...) }}
}

func invoiceRows(rows []projections.InvoiceRow) insertion {
	return insertion{into: "INSERT OR IGNORE INTO invoices (id, subscription)", columns: 2, rows: len(rows),
		values: func(to []driver.Value, row int) []driver.Value {
			return append(to, rows[row].Invoice, rows[row].Subscription)
		}}
}

func chargeRows(rows []projections.ChargeRow) insertion {
	return insertion{into: "INSERT OR IGNORE INTO charges (id, payment)", columns: 2, rows: len(rows),
		values: func(to []driver.Value, row int) []driver.Value {
			return append(to, rows[row].Charge, rows[row].Payment)
		}}
}

func objectRows(rows []projections.ObjectRow) insertion {
	return insertion{into: "INSERT INTO objects (kind, id, account, customer, invoice, noted, doc)", columns: 7, rows: len(rows),
		values: func(to []driver.Value, row int) []driver.Value { return append(to, objectArgs(&rows[row])...) }}
}

func entitlementRows(rows []projections.EntitlementRow) insertion {
	return insertion{into: "INSERT OR REPLACE INTO entitlements (account, until, doc)", columns: 3, rows: len(rows),
		values: func(to []driver.Value, row int) []driver.Value {
			r := &rows[row]
			return append(to, r.Account, nanos(r.Until), r.Doc)
		}}
}

// rowsAtOnce go into one statement: what a statement costs beside its rows is
// then small.
const rowsAtOnce = 16

// insert adds rows, many with each statement.
func (w *writer) insert(ctx context.Context, in insertion) error {
	many := in.rows / rowsAtOnce * rowsAtOnce
	if err := w.insertRange(ctx, in, 0, many, rowsAtOnce); err != nil {
		return err
	}
	return w.insertRange(ctx, in, many, in.rows, 1)
}

// insertRange inserts the rows from from up to to, so many with each statement.
func (w *writer) insertRange(ctx context.Context, in insertion, from, to, atOnce int) error {
	if from == to {
		return nil
	}
	row := ", (?" + strings.Repeat(", ?", in.columns-1) + ")"
	statement := in.into + " VALUES " + strings.Repeat(row, atOnce)[2:]
	args := make([]driver.Value, 0, atOnce*in.columns)
	for ; from < to; from += atOnce {
		args = args[:0]
		for i := range atOnce {
			args = in.values(args, from+i)
		}
		if err := w.exec(ctx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}
