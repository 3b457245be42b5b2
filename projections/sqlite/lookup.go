package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// lookup implements projections.Lookup: within a transaction that writes, or
// within one snapshot for an answer.
type lookup struct {
	// query hands row after row to each. The strings and byte slices in a row
	// are the receiver's.
	query func(query string, each func(row []driver.Value) error, args ...driver.Value) error
}

// queryer is what database/sql runs queries on.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// lookupIn looks up what a transaction, or each query alone, sees.
func lookupIn(ctx context.Context, on queryer) lookup {
	return lookup{query: func(query string, each func(row []driver.Value) error, args ...driver.Value) error {
		given := make([]any, len(args))
		for i, a := range args {
			given[i] = a
		}
		rows, err := on.QueryContext(ctx, query, given...)
		if err != nil {
			return err
		}
		columns, err := rows.Columns()
		if err != nil {
			return errors.Join(err, rows.Close())
		}
		row, into := make([]driver.Value, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		return eachRow(rows, func() error {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			return each(row)
		})
	}}
}

func (l lookup) SubscriptionsOf(account string, known map[string]aggregate.SubscriptionTruth) ([]aggregate.SubscriptionTruth, error) {
	ids, err := l.texts(`SELECT id FROM subscriptions WHERE account = ? ORDER BY id`, account)
	if err != nil {
		return nil, err
	}
	truths := make([]aggregate.SubscriptionTruth, len(ids))
	for i, id := range ids {
		truth, found := known[id]
		if !found {
			if truth, _, err = l.Subscription(id); err != nil {
				return nil, err
			}
		}
		truths[i] = truth
	}
	return truths, nil
}

// Subscription returns what is recorded of one, and whether anything is.
func (l lookup) Subscription(id string) (truth aggregate.SubscriptionTruth, known bool, err error) {
	err = l.query(`SELECT doc FROM subscriptions WHERE id = ?`, func(row []driver.Value) error {
		known = true
		doc, _ := row[0].([]byte)
		return json.Unmarshal(doc, &truth)
	}, id)
	return truth, known, err
}

// subscriptionsOfCustomer returns those of a customer, in the order of their ids.
func (l lookup) subscriptionsOfCustomer(customer string) ([]aggregate.SubscriptionTruth, error) {
	var truths []aggregate.SubscriptionTruth
	err := l.query(`SELECT doc FROM subscriptions WHERE customer = ? ORDER BY id`, func(row []driver.Value) error {
		var truth aggregate.SubscriptionTruth
		doc, _ := row[0].([]byte)
		truths = append(truths, truth)
		return json.Unmarshal(doc, &truths[len(truths)-1])
	}, customer)
	return truths, err
}

func (l lookup) AccountsOfCustomer(customer string) ([]string, error) {
	if customer == "" {
		return nil, nil
	}
	return l.texts(`SELECT DISTINCT account FROM subscriptions WHERE customer = ? AND account > '' ORDER BY account`, customer)
}

func (l lookup) AccountsOfInvoice(invoice string) ([]string, error) {
	return l.texts(`SELECT DISTINCT s.account FROM invoices i JOIN subscriptions s ON s.id = i.subscription
		WHERE i.id = ? AND s.account > '' ORDER BY s.account`, invoice)
}

func (l lookup) CustomersClaiming(account string) ([]string, error) {
	if account == "" {
		return nil, nil
	}
	return l.texts(`SELECT id FROM objects WHERE account = ? AND account > '' AND kind = 'customer' ORDER BY id`, account)
}

func (l lookup) Object(kind projections.Kind, id string) (projections.ObjectRow, bool, error) {
	rows, err := l.objects(`SELECT kind, id, account, customer, invoice, noted, doc FROM objects
		WHERE kind = ? AND id = ?`, string(kind), id)
	if err != nil || len(rows) == 0 {
		return projections.ObjectRow{}, false, err
	}
	return rows[0], true, nil
}

func (l lookup) ObjectsOf(by projections.Handle, id string, noted bool) ([]projections.ObjectRow, error) {
	if id == "" {
		return nil, nil
	}
	query := `SELECT kind, id, account, customer, invoice, noted, doc FROM objects
		WHERE invoice = ? AND invoice > '' AND noted >= ?`
	if by == projections.ByCustomer {
		query = `SELECT kind, id, account, customer, invoice, noted, doc FROM objects
		WHERE customer = ? AND customer > '' AND noted >= ?`
	}
	return l.objects(query, id, noted)
}

// objects runs a query for rows of objects.
func (l lookup) objects(query string, args ...driver.Value) ([]projections.ObjectRow, error) {
	var objects []projections.ObjectRow
	err := l.query(query, func(row []driver.Value) error {
		var r projections.ObjectRow
		kind, _ := row[0].(string)
		r.Kind = projections.Kind(kind)
		for i, text := range []*string{&r.ID, &r.Account, &r.Customer, &r.Invoice} {
			*text, _ = row[1+i].(string)
		}
		noted, _ := row[5].(int64)
		r.Noted = noted != 0
		r.Doc, _ = row[6].([]byte)
		objects = append(objects, r)
		return nil
	}, args...)
	return objects, err
}

func (l lookup) texts(query string, args ...driver.Value) ([]string, error) {
	var texts []string
	err := l.query(query, func(row []driver.Value) error {
		text, _ := row[0].(string)
		texts = append(texts, text)
		return nil
	}, args...)
	return texts, err
}
