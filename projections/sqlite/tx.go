package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// transaction implements projections.Tx on the writing connection.
type transaction struct {
	ctx context.Context
	w   *writer
	// accounts and catalogs say what a cache must forget after the commit.
	accounts []string
	catalogs bool
}

// Update implements projections.Model.
func (m *Model) Update(ctx context.Context, fn func(projections.Tx) error) error {
	select {
	case m.writing <- struct{}{}:
		defer func() { <-m.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.use(func(f *file) error {
		tx := &transaction{ctx: ctx, w: f.write}
		if err := f.write.in(ctx, func() error { return fn(tx) }); err != nil {
			return wrap("update the read model", err)
		}
		m.cache.forget(tx.accounts, tx.catalogs)
		return nil
	})
}

func (t *transaction) AccountOf(subscription string) (string, error) {
	accounts, err := t.texts(`SELECT account FROM subscriptions WHERE id = ?`, subscription)
	if len(accounts) == 0 {
		return "", err
	}
	return accounts[0], err
}

func (t *transaction) SubscriptionsOf(account string, known map[string]aggregate.SubscriptionTruth) ([]aggregate.SubscriptionTruth, error) {
	ids, err := t.texts(`SELECT id FROM subscriptions WHERE account = ? ORDER BY id`, account)
	if err != nil {
		return nil, err
	}
	truths := make([]aggregate.SubscriptionTruth, len(ids))
	for i, id := range ids {
		truth, found := known[id]
		if !found {
			if truth, err = t.truth(id); err != nil {
				return nil, err
			}
		}
		truths[i] = truth
	}
	return truths, nil
}

func (t *transaction) truth(id string) (truth aggregate.SubscriptionTruth, err error) {
	err = t.w.query(t.ctx, `SELECT doc FROM subscriptions WHERE id = ?`, func(row []driver.Value) error {
		doc, _ := row[0].([]byte)
		return json.Unmarshal(doc, &truth)
	}, id)
	return truth, err
}

func (t *transaction) Lapsed(now time.Time, limit int) ([]string, error) {
	return t.texts(`SELECT account FROM entitlements WHERE until > 0 AND until <= ? ORDER BY until LIMIT ?`, nanos(now), int64(limit))
}

func (t *transaction) Crowded(after string, limit int) ([]string, error) {
	return t.texts(`SELECT account FROM subscriptions WHERE account > ?
		GROUP BY account HAVING count(*) > 1 ORDER BY account LIMIT ?`, after, int64(limit))
}

func (t *transaction) Expiries(now time.Time, after projections.Expiry, limit int) ([]projections.Expiry, error) {
	var expiries []projections.Expiry
	err := t.w.query(t.ctx, `SELECT id, account, due FROM subscriptions
		WHERE due > 0 AND due <= ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?`,
		func(row []driver.Value) error {
			id, _ := row[0].(string)
			account, _ := row[1].(string)
			due, _ := row[2].(int64)
			expiries = append(expiries, projections.Expiry{Subscription: id, Account: account, At: moment(due)})
			return nil
		}, nanos(now), nanos(after.At), after.Subscription, int64(limit))
	return expiries, err
}

func (t *transaction) NextDue(now time.Time) (time.Time, error) {
	var due int64
	err := t.w.query(t.ctx, `SELECT coalesce(min(at), 0) FROM (
		SELECT min(due) AS at FROM subscriptions WHERE due > 0 AND due > ?1
		UNION ALL SELECT min(until) FROM entitlements WHERE until > 0 AND until > ?1)`,
		func(row []driver.Value) error {
			due, _ = row[0].(int64)
			return nil
		}, nanos(now))
	return moment(due), err
}

func (t *transaction) texts(query string, args ...driver.Value) ([]string, error) {
	var texts []string
	err := t.w.query(t.ctx, query, func(row []driver.Value) error {
		text, _ := row[0].(string)
		texts = append(texts, text)
		return nil
	}, args...)
	return texts, err
}

func (t *transaction) PutSubscription(r projections.SubscriptionRow) error {
	if r.StaysInPlace() {
		// SQLite writes every index on a column that is set, changed or not.
		n, err := t.w.change(t.ctx, `UPDATE subscriptions SET tier = ?, due = ?, doc = ? WHERE id = ?`,
			r.Truth.Tier, nanos(r.Due), r.Doc, r.Truth.ID)
		if err != nil || n == 1 {
			return err
		}
	}
	err := t.w.exec(t.ctx, `INSERT INTO subscriptions (id, account, customer, status, tier, due, doc)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET account = excluded.account,
		customer = excluded.customer, status = excluded.status, tier = excluded.tier,
		due = excluded.due, doc = excluded.doc`, subscriptionArgs(r)...)
	if err != nil {
		return err
	}
	if err := t.w.exec(t.ctx, `DELETE FROM subscription_flags WHERE id = ?`, r.Truth.ID); err != nil {
		return err
	}
	return t.w.putFlags(t.ctx, r)
}

func subscriptionArgs(r projections.SubscriptionRow) []driver.Value {
	return []driver.Value{r.Truth.ID, r.Account, r.Truth.Customer, string(r.Truth.Status), r.Truth.Tier, nanos(r.Due), r.Doc}
}

func (w *writer) putFlags(ctx context.Context, r projections.SubscriptionRow) error {
	for _, flag := range r.Truth.Flags {
		err := w.exec(ctx, `INSERT OR IGNORE INTO subscription_flags (flag, id) VALUES (?, ?)`, flag, r.Truth.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) Told(e projections.Expiry) error {
	return t.w.exec(t.ctx, `UPDATE subscriptions SET due = 0 WHERE id = ? AND due = ?`, e.Subscription, nanos(e.At))
}

func (t *transaction) PutEntitlement(r projections.EntitlementRow) error {
	t.accounts = append(t.accounts, r.Account)
	return t.w.putEntitlement(t.ctx, r)
}

func (w *writer) putEntitlement(ctx context.Context, r projections.EntitlementRow) error {
	// Not INSERT OR REPLACE: that would move the row to the end of the table.
	return w.exec(ctx, `INSERT INTO entitlements (account, until, doc) VALUES (?, ?, ?)
		ON CONFLICT (account) DO UPDATE SET until = excluded.until, doc = excluded.doc`,
		r.Account, nanos(r.Until), r.Doc)
}

func (t *transaction) DropEntitlement(account string) error {
	t.accounts = append(t.accounts, account)
	return t.w.exec(t.ctx, `DELETE FROM entitlements WHERE account = ?`, account)
}

func (t *transaction) PutFailure(f projections.Failure) error { return t.w.putFailure(t.ctx, f) }

func (w *writer) putFailure(ctx context.Context, f projections.Failure) error {
	doc, err := encode("a failure", f)
	if err != nil {
		return err
	}
	return w.exec(ctx, `INSERT OR REPLACE INTO failures (stripe_event_id, position, doc) VALUES (?, ?, ?)`,
		f.StripeEventID, int64(f.Position), doc)
}

func (t *transaction) DropFailure(stripeEventID string) error {
	return t.w.exec(t.ctx, `DELETE FROM failures WHERE stripe_event_id = ?`, stripeEventID)
}

func (t *transaction) Park(p projections.Parked) error { return t.w.park(t.ctx, p) }

func (w *writer) park(ctx context.Context, p projections.Parked) error {
	doc, err := encode("a parked stream", p)
	if err != nil {
		return err
	}
	return w.exec(ctx, `INSERT OR IGNORE INTO parked (stream, position, doc) VALUES (?, ?, ?)`,
		string(p.Stream), int64(p.Position), doc)
}

func (t *transaction) AddCatalog(a aggregate.CatalogAdopted) error {
	t.catalogs = true
	doc, err := encode("a catalog", a)
	if err != nil {
		return err
	}
	return t.w.exec(t.ctx, `INSERT INTO catalogs (doc) VALUES (?)`, doc)
}

func (t *transaction) SetCheckpoint(cp projections.Checkpoint) error {
	doc, err := encode("the checkpoint", cp)
	if err != nil {
		return err
	}
	return t.w.exec(t.ctx, `INSERT OR REPLACE INTO meta (key, value) VALUES ('checkpoint', ?)`, string(doc))
}
