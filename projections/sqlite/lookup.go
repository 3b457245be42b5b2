package sqlite

import (
	"database/sql"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// lookup implements projections.Lookup: within a transaction that writes, or
// within one snapshot for an answer.
type lookup struct {
	query func(query string, args ...any) (*sql.Rows, error)
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
	rows, err := l.query(`SELECT doc FROM subscriptions WHERE id = ?`, id)
	if err != nil {
		return truth, false, err
	}
	err = eachRow(rows, func() error { known = true; return scanDoc(rows, &truth) })
	return truth, known, err
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
func (l lookup) objects(query string, args ...any) ([]projections.ObjectRow, error) {
	rows, err := l.query(query, args...)
	if err != nil {
		return nil, err
	}
	var objects []projections.ObjectRow
	return objects, eachRow(rows, func() error {
		var r projections.ObjectRow
		err := rows.Scan(&r.Kind, &r.ID, &r.Account, &r.Customer, &r.Invoice, &r.Noted, &r.Doc)
		objects = append(objects, r)
		return err
	})
}

func (l lookup) texts(query string, args ...any) ([]string, error) {
	rows, err := l.query(query, args...)
	if err != nil {
		return nil, err
	}
	var texts []string
	return texts, eachRow(rows, func() error {
		var s string
		err := rows.Scan(&s)
		texts = append(texts, s)
		return err
	})
}
