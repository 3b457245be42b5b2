package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// errClosed is returned after Close.
var errClosed = errors.New("read model is closed")

// defaultPage is the size of a page where none is asked for.
const defaultPage = 100

// use calls fn with the open file, which stays open until fn returns.
func (m *Model) use(ctx context.Context, fn func(*file) error) error {
	if m.reader {
		if err := m.follow(ctx); err != nil {
			return broken(err)
		}
	}
	m.swap.RLock()
	defer m.swap.RUnlock()
	if m.file == nil {
		return errClosed
	}
	return broken(fn(m.file))
}

// Checkpoint implements projections.Reader.
func (m *Model) Checkpoint(ctx context.Context) (projections.Checkpoint, error) {
	var cp projections.Checkpoint
	err := m.use(ctx, func(f *file) error {
		return found(scanDoc(f.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'checkpoint'`), &cp), nil)
	})
	return cp, wrap("read the checkpoint", err)
}

// Entitlement implements projections.Reader.
func (m *Model) Entitlement(ctx context.Context, account string) (projections.EntitlementRecord, bool, error) {
	r, known, age := m.cache.entitlement(account)
	if known {
		return r, true, nil
	}
	err := m.use(ctx, func(f *file) error {
		var until int64
		if err := found(f.entitlement.QueryRowContext(ctx, account).Scan(&until, &r.JSON), &known); err != nil || !known {
			return err
		}
		r.Until = moment(until)
		return json.Unmarshal(r.JSON, &r.Entitlement)
	})
	if err != nil {
		return projections.EntitlementRecord{}, false, wrap("read an entitlement", err)
	}
	if known {
		m.cache.putEntitlement(account, r, age)
	}
	return r, known, nil
}

// Subscription implements projections.Reader.
func (m *Model) Subscription(ctx context.Context, id string) (projections.SubscriptionRecord, bool, error) {
	var r projections.SubscriptionRecord
	var known bool
	err := m.use(ctx, func(f *file) error {
		var doc []byte
		if err := found(f.subscription.QueryRowContext(ctx, id).Scan(&r.Account, &doc), &known); err != nil || !known {
			return err
		}
		return json.Unmarshal(doc, &r.SubscriptionTruth)
	})
	return r, known, wrap("read a subscription", err)
}

// Subscriptions implements projections.Reader.
func (m *Model) Subscriptions(ctx context.Context, filter projections.SubscriptionFilter) ([]projections.SubscriptionRecord, error) {
	query, args := filterQuery("account, doc", filter)
	records := []projections.SubscriptionRecord{}
	err := m.use(ctx, func(f *file) error {
		rows, err := f.read.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var r projections.SubscriptionRecord
			var doc []byte
			if err := rows.Scan(&r.Account, &doc); err != nil {
				return err
			}
			records = append(records, r)
			return json.Unmarshal(doc, &records[len(records)-1].SubscriptionTruth)
		})
	})
	return records, wrap("list subscriptions", err)
}

// SubscriptionNames implements projections.Reader.
func (m *Model) SubscriptionNames(ctx context.Context, filter projections.SubscriptionFilter) ([]projections.SubscriptionName, error) {
	query, args := filterQuery("id, customer", filter)
	names := []projections.SubscriptionName{}
	err := m.use(ctx, func(f *file) error {
		rows, err := f.read.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var n projections.SubscriptionName
			err := rows.Scan(&n.ID, &n.Customer)
			names = append(names, n)
			return err
		})
	})
	return names, wrap("list subscriptions", err)
}

func filterQuery(columns string, f projections.SubscriptionFilter) (string, []any) {
	query, args := `SELECT `+columns+` FROM subscriptions WHERE id > ?`, []any{f.After}
	and := func(condition, value string) {
		if value != "" {
			query, args = query+" AND "+condition, append(args, value)
		}
	}
	and("status = ?", string(f.Status))
	and("account = ?", f.Account)
	and("customer = ?", f.Customer)
	and("tier = ?", f.Tier)
	and("id IN (SELECT id FROM subscription_flags WHERE flag = ?)", f.Flag)
	limit := f.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	return query + " ORDER BY id LIMIT ?", append(args, limit)
}

// Account implements projections.Reader. What belongs to the account, and its
// entitlement, are of one snapshot.
func (m *Model) Account(ctx context.Context, account string) (a projections.AccountRecord, known bool, err error) {
	err = m.use(ctx, func(f *file) error {
		tx, err := f.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing was written
		if a, known, err = projections.AccountOf(lookupIn(ctx, tx), account); err != nil || !known {
			return err
		}
		var until int64
		var evaluated bool
		e := &a.Entitlement
		row := tx.StmtContext(ctx, f.entitlement).QueryRowContext(ctx, account) //nolint:sqlclosecheck // ends with the transaction
		if err := found(row.Scan(&until, &e.JSON), &evaluated); err != nil || !evaluated {
			return err
		}
		e.Until = moment(until)
		return json.Unmarshal(e.JSON, &e.Entitlement)
	})
	return a, known, wrap("read an account", err)
}

// Named implements projections.Reader.
func (m *Model) Named(ctx context.Context, account string) (streams []eventstore.Stream, err error) {
	err = m.use(ctx, func(f *file) error {
		names, err := lookupIn(ctx, f.read).texts(`SELECT stream FROM named WHERE account = ? ORDER BY stream`, account)
		for _, name := range names {
			streams = append(streams, eventstore.Stream(name))
		}
		return err
	})
	return streams, wrap("list what named an account", err)
}

// Streams implements projections.Reader, from one snapshot.
func (m *Model) Streams(ctx context.Context, of projections.Owner) (streams []eventstore.Stream, err error) {
	err = m.use(ctx, func(f *file) error {
		tx, err := f.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing was written
		l := lookupIn(ctx, tx)
		streams, err = projections.StreamsOf(l, of, l.subscriptionsOfCustomer)
		return err
	})
	return streams, wrap("list streams", err)
}

// Objects implements projections.Reader.
func (m *Model) Objects(ctx context.Context, kind projections.Kind, after string, limit int) (rows []projections.ObjectRow, err error) {
	err = m.use(ctx, func(f *file) error {
		rows, err = lookupIn(ctx, f.read).objects(`SELECT kind, id, account, customer, invoice, noted, doc FROM objects
			WHERE kind = ? AND id > ? ORDER BY id LIMIT ?`, string(kind), after, int64(limit))
		return err
	})
	return rows, wrap("list objects", err)
}

// wrap says what was being done when err happened.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// found turns the absence of a row into an answer.
func found(err error, known *bool) error {
	if known != nil {
		*known = err == nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

type scanner interface{ Scan(dest ...any) error }

// scanDoc reads the one column of a row as JSON.
func scanDoc(row scanner, into any) error {
	var doc []byte
	if err := row.Scan(&doc); err != nil {
		return err
	}
	return json.Unmarshal(doc, into)
}

// eachRow calls fn for every row, and closes rows.
func eachRow(rows *sql.Rows, fn func() error) error {
	for rows.Next() {
		if err := fn(); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

func moment(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// history returns the catalogs in the order in which they were recorded.
func decodeHistory(rows *sql.Rows) (aggregate.Catalogs, error) {
	var h aggregate.Catalogs
	return h, eachRow(rows, func() (err error) {
		var eventType string
		var data []byte
		if err := rows.Scan(&eventType, &data); err != nil {
			return err
		}
		h, err = h.Evolve(eventType, data)
		return err
	})
}
