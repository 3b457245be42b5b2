package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// transaction implements projections.Tx on the writing connection.
type transaction struct {
	lookup
	ctx context.Context
	w   *writer
	// accounts and catalogs say what a cache must forget after the commit.
	accounts []string
	catalogs bool
}

// write waits until nobody else writes. The caller must call release.
func (m *Model) write(ctx context.Context) (release func(), err error) {
	select {
	case m.writing <- struct{}{}:
		return func() { <-m.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Update implements projections.Model.
func (m *Model) Update(ctx context.Context, fn func(projections.Tx) error) error {
	release, err := m.write(ctx)
	if err != nil {
		return err
	}
	defer release()
	return m.use(ctx, func(f *file) error {
		tx := &transaction{ctx: ctx, w: f.write}
		tx.query = func(query string, each func(row []driver.Value) error, args ...driver.Value) error {
			return f.write.query(ctx, query, each, args...)
		}
		if err := f.write.in(ctx, func() error { return fn(tx) }); err != nil {
			return wrap("update the read model", err)
		}
		m.cache.forget(tx.accounts, tx.catalogs)
		return nil
	})
}

func (t *transaction) Place(subscription string) (p projections.Place, err error) {
	return p, t.query(`SELECT account, customer FROM subscriptions WHERE id = ?`, func(row []driver.Value) error {
		p.Account, _ = row[0].(string)
		p.Customer, _ = row[1].(string)
		return nil
	}, subscription)
}

func (t *transaction) SubscriptionsOfCustomer(customer string) (subs []projections.SubscriptionRow, err error) {
	err = t.query(`SELECT account, customer, due, doc FROM subscriptions WHERE customer = ? ORDER BY id`,
		func(row []driver.Value) error {
			var r projections.SubscriptionRow
			r.Account, _ = row[0].(string)
			r.Customer, _ = row[1].(string)
			due, _ := row[2].(int64)
			r.Due = moment(due)
			r.Doc, _ = row[3].([]byte)
			err := json.Unmarshal(r.Doc, &r.Truth)
			subs = append(subs, r)
			return err
		}, customer)
	return subs, err
}

func (t *transaction) AccountsOnClock(clock string) ([]string, error) {
	if clock == "" {
		return nil, nil
	}
	return t.texts(`SELECT DISTINCT account FROM subscriptions WHERE clock = ? AND clock > '' AND account > ''`, clock)
}

func (t *transaction) Objects(kind projections.Kind, which projections.Which, after string, limit int) ([]projections.ObjectRow, error) {
	query := `SELECT kind, id, account, customer, invoice, noted, x'' FROM objects WHERE kind = ? AND id > ?`
	switch which {
	case projections.Claiming:
		query += ` AND account > ''`
	case projections.Noted:
		query += ` AND noted > 0`
	}
	return t.objects(query+` ORDER BY id LIMIT ?`, string(kind), after, int64(limit))
}

func (t *transaction) PaymentsOf(charge string) ([]string, error) {
	return t.texts(`SELECT payment FROM charges WHERE id = ? ORDER BY payment`, charge)
}

func (t *transaction) Charges(shared bool, after string, limit int) ([]string, error) {
	query := `SELECT id FROM charges AS c WHERE payment = id AND id > ?`
	if shared {
		query += ` AND EXISTS (SELECT 1 FROM charges WHERE id = c.id AND payment <> c.id)`
	}
	return t.texts(query+` ORDER BY id LIMIT ?`, after, int64(limit))
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
	err := t.query(`SELECT id, account, clock, due FROM subscriptions
		WHERE due > 0 AND due <= ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?`,
		func(row []driver.Value) error {
			var e projections.Expiry
			for i, text := range []*string{&e.Subscription, &e.Account, &e.Clock} {
				*text, _ = row[i].(string)
			}
			due, _ := row[3].(int64)
			e.At = moment(due)
			expiries = append(expiries, e)
			return nil
		}, nanos(now), nanos(after.At), after.Subscription, int64(limit))
	return expiries, err
}

func (t *transaction) NextDue(now time.Time) (time.Time, error) {
	var due int64
	err := t.query(`SELECT coalesce(min(at), 0) FROM (
		SELECT min(due) AS at FROM subscriptions WHERE due > 0 AND due > ?1
		UNION ALL SELECT min(until) FROM entitlements WHERE until > 0 AND until > ?1)`,
		func(row []driver.Value) error {
			due, _ = row[0].(int64)
			return nil
		}, nanos(now))
	return moment(due), err
}

func (t *transaction) PutSubscription(r projections.SubscriptionRow) error {
	if err := t.w.putNamed(t.ctx, projections.KindSubscription, r.Truth.ID, r.Named); err != nil {
		return err
	}
	if r.StaysInPlace() {
		// SQLite writes every index on a column that is set, changed or not.
		n, err := t.w.change(t.ctx, `UPDATE subscriptions SET tier = ?, due = ?, doc = ? WHERE id = ?`,
			r.Truth.Tier, nanos(r.Due), r.Doc, r.Truth.ID)
		if err != nil || n == 1 {
			return err
		}
	}
	err := t.w.exec(t.ctx, `INSERT INTO subscriptions (id, account, customer, status, tier, clock, due, doc)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET account = excluded.account,
		customer = excluded.customer, status = excluded.status, tier = excluded.tier,
		clock = excluded.clock, due = excluded.due, doc = excluded.doc`, subscriptionArgs(&r)...)
	if err != nil {
		return err
	}
	if err := t.w.exec(t.ctx, `DELETE FROM subscription_flags WHERE id = ?`, r.Truth.ID); err != nil {
		return err
	}
	return t.w.putFlags(t.ctx, &r)
}

func subscriptionArgs(r *projections.SubscriptionRow) []driver.Value {
	return []driver.Value{r.Truth.ID, r.Account, r.Customer, string(r.Truth.Status), r.Truth.Tier, r.Truth.TestClock, nanos(r.Due), r.Doc}
}

// putNamed records that a stream once named accounts; that it did stays.
func (w *writer) putNamed(ctx context.Context, kind projections.Kind, id string, accounts []string) error {
	for _, account := range accounts {
		stream := eventstore.NewStream(string(kind), id)
		if err := w.exec(ctx, `INSERT OR IGNORE INTO named (account, stream) VALUES (?, ?)`, account, string(stream)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) putFlags(ctx context.Context, r *projections.SubscriptionRow) error {
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

func (t *transaction) AddCatalog(eventType string, data []byte) error {
	t.catalogs = true
	return t.w.exec(t.ctx, `INSERT INTO catalogs (type, doc) VALUES (?, ?)`, eventType, data)
}

func (t *transaction) MoveSubscription(id, account string) error {
	return t.w.exec(t.ctx, `UPDATE subscriptions SET account = ? WHERE id = ?`, account, id)
}

func (t *transaction) PutInvoices(rows []projections.InvoiceRow) error {
	return t.w.insert(t.ctx, invoiceRows(rows))
}

func (t *transaction) DropInvoice(r projections.InvoiceRow) error {
	return t.w.exec(t.ctx, `DELETE FROM invoices WHERE id = ? AND subscription = ?`, r.Invoice, r.Subscription)
}

func (t *transaction) PutCharges(rows []projections.ChargeRow) error {
	return t.w.insert(t.ctx, chargeRows(rows))
}

func (t *transaction) DropCharge(r projections.ChargeRow) error {
	return t.w.exec(t.ctx, `DELETE FROM charges WHERE id = ? AND payment = ?`, r.Charge, r.Payment)
}

func (t *transaction) PutPrice(price string) error { return t.w.putPrice(t.ctx, price) }

func (w *writer) putPrice(ctx context.Context, price string) error {
	return w.exec(ctx, `INSERT OR IGNORE INTO prices (price) VALUES (?)`, price)
}

func (t *transaction) Prices(limit int) ([]string, error) {
	return t.texts(`SELECT price FROM prices ORDER BY price LIMIT ?`, int64(limit))
}

func (t *transaction) PutObject(r projections.ObjectRow) error { return t.w.putObject(t.ctx, r) }

func (w *writer) putObject(ctx context.Context, r projections.ObjectRow) error {
	if err := w.putNamed(ctx, r.Kind, r.ID, r.Named); err != nil {
		return err
	}
	return w.exec(ctx, `INSERT OR REPLACE INTO objects (kind, id, account, customer, invoice, noted, doc)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, objectArgs(&r)...)
}

func (t *transaction) DropObject(kind projections.Kind, id string) error {
	return t.w.exec(t.ctx, `DELETE FROM objects WHERE kind = ? AND id = ?`, string(kind), id)
}

func objectArgs(r *projections.ObjectRow) []driver.Value {
	return []driver.Value{string(r.Kind), r.ID, r.Account, r.Customer, r.Invoice, r.Noted, r.Doc}
}

func (t *transaction) SetCheckpoint(cp projections.Checkpoint) error {
	doc, err := encode("the checkpoint", cp)
	if err != nil {
		return err
	}
	return t.w.exec(t.ctx, `INSERT OR REPLACE INTO meta (key, value) VALUES ('checkpoint', ?)`, string(doc))
}
