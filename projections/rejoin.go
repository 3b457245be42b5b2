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
// come oldest first, so that what both lists have in common is mostly a prefix.
func changedInvoices(before []string, truth aggregate.SubscriptionTruth) (gained, lost []InvoiceRow) {
	after := truth.Invoices
	for len(before) > 0 && len(after) > 0 && before[0] == after[0].ID {
		before, after = before[1:], after[1:]
	}
	for _, invoice := range after {
		if !slices.Contains(before, invoice.ID) {
			gained = append(gained, InvoiceRow{invoice.ID, truth.ID})
		}
	}
	for _, id := range before {
		if !slices.ContainsFunc(after, func(i aggregate.InvoiceTruth) bool { return i.ID == id }) {
			lost = append(lost, InvoiceRow{id, truth.ID})
		}
	}
	return gained, lost
}

// rejoin writes the rows of a batch, and finds the accounts that are touched.
type rejoin struct {
	tx    Tx
	marks *marks
	// charges marks those by which streams are named, and facts reads what the
	// stream of a payment tells.
	charges *marks
	facts   func(payment string) (*aggregate.FactSet, error)
	affected
	// due hears the ends of grace that must be looked at.
	due func(time.Time)
	// forget hears of subscriptions that are moved by others than their own events.
	forget func(subscription string)

	gained, lost []InvoiceRow
	placed       []placed
}

// placed is a subscription that was recorded elsewhere before.
type placed struct {
	before Place
	row    SubscriptionRow
}

// objects writes the rows of a batch, and what follows for other payments. The
// subscriptions that they move come later.
func (j *rejoin) objects(rows []ObjectRow) ([]rewritten, error) {
	all := make([]rewritten, len(rows))
	for i, row := range rows {
		before, _, err := j.tx.Object(row.Kind, row.ID)
		if err != nil {
			return nil, err
		}
		all[i] = rewritten{before, row}
	}
	all, err := j.together(all)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		j.marks.add(r.row)
		if err := putAssembled(j.tx, r.row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// subscription writes a row, after the claims of customers.
func (j *rejoin) subscription(row SubscriptionRow) error {
	claim, err := claimOf(screened{j.tx, j.marks}, row.Customer)
	if err != nil {
		return err
	}
	row.Account = accountByClaim(row.Truth.Link, claim)
	before, err := j.placeBefore(&row)
	if err != nil {
		return err
	}
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
	if row.from != nil { // if the transaction fails, all that is kept is forgotten
		keys := row.Keys()
		row.from.written = &keys
	}
	j.due(row.Due)
	j.add(before.Account, row.Account)
	gained, lost := changedInvoices(row.invoices, row.Truth)
	j.gained, j.lost = append(j.gained, gained...), append(j.lost, lost...)
	if (before != Place{Account: row.Account, Customer: row.Customer}) {
		j.placed = append(j.placed, placed{before: before, row: row})
	}
	return nil
}

func (j *rejoin) placeBefore(row *SubscriptionRow) (Place, error) {
	if row.Before != nil {
		return row.Before.Place, nil
	}
	return j.tx.Place(row.Truth.ID)
}

// joined records what the subscriptions of the batch have gained and lost, and
// touches the accounts whose payments may belong elsewhere for it.
func (j *rejoin) joined() error {
	if err := j.tx.PutInvoices(j.gained); err != nil {
		return err
	}
	for _, row := range j.lost {
		if err := j.tx.DropInvoice(row); err != nil {
			return err
		}
	}
	for _, row := range append(j.gained, j.lost...) {
		if err := j.invoiceMoved(row.Invoice); err != nil {
			return err
		}
	}
	for _, p := range j.placed {
		if err := j.moved(p); err != nil {
			return err
		}
	}
	return nil
}

// invoiceMoved touches the accounts that showed the payments of an invoice, and
// those that do now.
func (j *rejoin) invoiceMoved(invoice string) error {
	rows, err := (screened{j.tx, j.marks}).ObjectsOf(ByInvoice, invoice, true)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := touchedBy(j.tx, row, j.affected); err != nil {
			return err
		}
	}
	return nil
}

// moved touches the accounts whose payments may belong elsewhere, now that a
// subscription does.
func (j *rejoin) moved(p placed) error {
	for _, customer := range []string{p.before.Customer, p.row.Customer} {
		if j.marks.has(markCustomer, customer) {
			if err := touchedByCustomer(j.tx, customer, j.affected); err != nil {
				return err
			}
		}
	}
	for _, invoice := range p.row.Truth.Invoices {
		if err := j.invoiceMoved(invoice.ID); err != nil {
			return err
		}
	}
	return nil
}

// follow touches what follows from an object that was written, once every
// subscription of the batch is.
func (j *rejoin) follow(r rewritten, now time.Time) error {
	before, row := r.before, r.row
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
		j.forget(s.Truth.ID)
	}
	return nil
}
