package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/daybookhq/daybook/projections"
)

// SubscriptionDocs implements projections.Reader.
func (m *Model) SubscriptionDocs(ctx context.Context, after string, limit int) ([]projections.SubscriptionDoc, error) {
	docs := make([]projections.SubscriptionDoc, 0, limit)
	err := m.page(ctx, `SELECT id, account, doc FROM subscriptions WHERE id > ? ORDER BY id LIMIT ?`, after, limit,
		func(row []driver.Value) (ok bool) {
			var d projections.SubscriptionDoc
			var isID, isAccount bool
			d.ID, isID = row[0].(string)
			d.Account, isAccount = row[1].(string)
			d.Doc, ok = row[2].([]byte)
			docs = append(docs, d)
			return isID && isAccount && ok
		})
	return docs, wrap("go through the subscriptions", err)
}

// EntitlementDocs implements projections.Reader.
func (m *Model) EntitlementDocs(ctx context.Context, after string, limit int) ([]projections.EntitlementRow, error) {
	docs := make([]projections.EntitlementRow, 0, limit)
	err := m.page(ctx, `SELECT account, until, doc FROM entitlements WHERE account > ? ORDER BY account LIMIT ?`, after, limit, entitlementsInto(&docs))
	return docs, wrap("go through the entitlements", err)
}

// EntitlementsOf implements projections.Reader.
func (m *Model) EntitlementsOf(ctx context.Context, accounts []string) ([]projections.EntitlementRow, error) {
	list, err := encode("a list of accounts", accounts)
	if err != nil {
		return nil, err
	}
	docs := make([]projections.EntitlementRow, 0, len(accounts))
	err = m.raw(ctx, func(conn any) error {
		return eachRaw(ctx, conn, `SELECT account, until, doc FROM entitlements WHERE account IN (SELECT value FROM json_each(?))`,
			[]driver.NamedValue{{Ordinal: 1, Value: string(list)}}, entitlementsInto(&docs))
	})
	return docs, wrap("read the entitlements of accounts", err)
}

func entitlementsInto(docs *[]projections.EntitlementRow) func(row []driver.Value) bool {
	return func(row []driver.Value) bool {
		account, isAccount := row[0].(string)
		until, isUntil := row[1].(int64)
		doc, isDoc := row[2].([]byte)
		*docs = append(*docs, projections.EntitlementRow{Account: account, Until: moment(until), Doc: doc})
		return isAccount && isUntil && isDoc
	}
}

// page runs a query for a page of a whole table. It takes the rows from the
// driver itself: the conversions of database/sql would double what they cost.
// Each reports whether the columns have the types that they should.
func (m *Model) page(ctx context.Context, query, after string, limit int, each func(row []driver.Value) bool) error {
	return m.raw(ctx, func(conn any) error {
		return eachRaw(ctx, conn, query, []driver.NamedValue{{Ordinal: 1, Value: after}, {Ordinal: 2, Value: int64(limit)}}, each)
	})
}

// raw calls fn with the driver's own connection.
func (m *Model) raw(ctx context.Context, fn func(conn any) error) error {
	return m.use(ctx, func(f *file) error {
		conn, err := f.read.Conn(ctx)
		if err != nil {
			return err
		}
		var failed error // stays ours: database/sql would take some for its own
		err = conn.Raw(func(conn any) error {
			failed = fn(conn)
			return nil
		})
		return errors.Join(failed, err, conn.Close())
	})
}

func eachRaw(ctx context.Context, conn any, query string, args []driver.NamedValue, each func(row []driver.Value) bool) (err error) {
	queryer, able := conn.(driver.QueryerContext)
	if !able {
		return fmt.Errorf("the driver's %T runs no queries", conn)
	}
	// A page is short. A context that can end would cost more for each row.
	rows, err := queryer.QueryContext(context.WithoutCancel(ctx), query, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !each(row):
			return fmt.Errorf("%w: a column has another type", projections.ErrModelBroken)
		}
	}
}
