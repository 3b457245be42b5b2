package projections

import (
	"errors"
	"slices"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// affected collects the accounts that must be evaluated again.
type affected map[string]bool

func (a affected) add(accounts ...string) {
	for _, account := range accounts {
		if account != "" {
			a[account] = true
		}
	}
}

// sorted lists them in order.
func (a affected) sorted() []string {
	accounts := make([]string, 0, len(a))
	for account := range a {
		accounts = append(accounts, account)
	}
	slices.Sort(accounts)
	return accounts
}

// errEnough ends a walk over objects.
var errEnough = errors.New("enough")

// eachObject walks over the objects of a kind, page by page.
func eachObject(tx Tx, kind Kind, which Which, fn func(ObjectRow) error) error {
	const page = 1000
	after := ""
	for {
		rows, err := tx.Objects(kind, which, after, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
			after = row.ID
		}
		if len(rows) < page {
			return nil
		}
	}
}

// moveByClaim puts a customer's subscriptions where its claim, or the want of
// one, says, and returns those that are now due to be looked at.
func moveByClaim(tx Tx, customer, claim string, to affected) ([]SubscriptionRow, error) {
	rows, err := tx.SubscriptionsOfCustomer(customer)
	if err != nil {
		return nil, err
	}
	var moved []SubscriptionRow
	for _, row := range rows {
		account := accountByClaim(row.Truth.Link, claim)
		if account == row.Account {
			continue
		}
		if err := tx.MoveSubscription(row.Truth.ID, account); err != nil {
			return nil, err
		}
		to.add(row.Account, account)
		row.Account = account
		moved = append(moved, row)
	}
	return moved, nil
}

// touchedBy adds the accounts whose entitlement shows a payment or a bill.
func touchedBy(l Lookup, r ObjectRow, to affected) error {
	if !r.Noted {
		return nil
	}
	owners, err := ownersOf(l, r.Invoice)
	if err != nil {
		return err
	}
	to.add(owners...)
	return touchedByCustomer(l, r.Customer, to)
}

// touchedByCustomer adds the accounts to which a customer leads.
func touchedByCustomer(l Lookup, customer string, to affected) error {
	if customer == "" {
		return nil
	}
	claim, err := claimOf(l, customer)
	if err != nil {
		return err
	}
	accounts, err := l.AccountsOfCustomer(customer)
	if err != nil {
		return err
	}
	to.add(claim)
	to.add(accounts...)
	return nil
}

// invoiceIDs are those of a truth.
func invoiceIDs(truth aggregate.SubscriptionTruth) []string {
	ids := make([]string, len(truth.Invoices))
	for i, invoice := range truth.Invoices {
		ids[i] = invoice.ID
	}
	return ids
}

// changedInvoices tells which invoices a subscription has gained and lost. They
// come oldest first, so that what two lists have in common is mostly a prefix.
func changedInvoices(before, after []string) (gained, lost []string) {
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for _, id := range after {
		if !slices.Contains(before, id) {
			gained = append(gained, id)
		}
	}
	for _, id := range before {
		if !slices.Contains(after, id) {
			lost = append(lost, id)
		}
	}
	return gained, lost
}

// rejoin writes the rows of a batch, and finds the accounts that are touched.
type rejoin struct {
	tx    Tx
	marks *marks
	affected
	// due hears the ends of grace that must be looked at.
	due func(time.Time)
}

// object writes a row. The subscriptions that it moves come later.
func (j *rejoin) object(row ObjectRow) (before ObjectRow, err error) {
	if before, _, err = j.tx.Object(row.Kind, row.ID); err != nil {
		return before, err
	}
	j.marks.add(row)
	return before, j.tx.PutObject(row)
}

// subscription writes a row, after the claims of customers.
func (j *rejoin) subscription(row SubscriptionRow) error {
	claim, err := claimOf(screened{j.tx, j.marks}, row.Customer)
	if err != nil {
		return err
	}
	row.Account = accountByClaim(row.Truth.Link, claim)
	before, err := j.tx.Place(row.Truth.ID)
	if err != nil {
		return err
	}
	invoices := invoiceIDs(row.Truth)
	if row.invoices == nil {
		truth, _, err := j.tx.Subscription(row.Truth.ID)
		if err != nil {
			return err
		}
		row.invoices = invoiceIDs(truth)
	}
	if err := j.tx.PutSubscription(row); err != nil {
		return err
	}
	j.due(row.Due)
	j.add(before.Account, row.Account)
	if err := j.invoices(row.Truth.ID, row.invoices, invoices); err != nil {
		return err
	}
	if (before == Place{Account: row.Account, Customer: row.Customer}) {
		return nil
	}
	return j.placed(row, before)
}

// invoices records which invoices a subscription has, where that changed.
func (j *rejoin) invoices(subscription string, before, after []string) error {
	gained, lost := changedInvoices(before, after)
	for _, invoice := range gained {
		if err := j.tx.PutInvoice(invoice, subscription); err != nil {
			return err
		}
	}
	for _, invoice := range lost {
		if err := j.tx.DropInvoice(invoice, subscription); err != nil {
			return err
		}
	}
	return j.invoicesMoved(append(gained, lost...))
}

// invoicesMoved touches the accounts that showed the payments of invoices, and
// those that do now.
func (j *rejoin) invoicesMoved(invoices []string) error {
	for _, invoice := range invoices {
		rows, err := (screened{j.tx, j.marks}).ObjectsOf(ByInvoice, invoice, true)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := touchedBy(j.tx, row, j.affected); err != nil {
				return err
			}
		}
	}
	return nil
}

// placed touches the accounts whose payments may belong elsewhere, now that a
// subscription does.
func (j *rejoin) placed(row SubscriptionRow, before Place) error {
	for _, customer := range []string{before.Customer, row.Customer} {
		if j.marks.has(markCustomer, customer) {
			if err := touchedByCustomer(j.tx, customer, j.affected); err != nil {
				return err
			}
		}
	}
	return j.invoicesMoved(invoiceIDs(row.Truth))
}

// follow touches what follows from an object that was written, once every
// subscription of the batch is.
func (j *rejoin) follow(before, row ObjectRow, now time.Time) error {
	switch row.Kind {
	case KindAccount:
		j.add(row.ID)
	case KindClock:
		j.due(now)
		accounts, err := j.tx.AccountsOnClock(row.ID)
		j.add(accounts...)
		return err
	case KindCustomer:
		if err := j.customer(before.Account, row); err != nil {
			return err
		}
	}
	if err := touchedBy(j.tx, before, j.affected); err != nil {
		return err
	}
	return touchedBy(j.tx, row, j.affected)
}

// customer moves what a customer's claim moves.
func (j *rejoin) customer(before string, row ObjectRow) error {
	if before == row.Account {
		return nil
	}
	j.add(before, row.Account)
	if err := touchedByCustomer(j.tx, row.ID, j.affected); err != nil {
		return err
	}
	moved, err := moveByClaim(j.tx, row.ID, row.Account, j.affected)
	if err != nil {
		return err
	}
	for _, s := range moved {
		j.due(s.Due)
	}
	return nil
}
