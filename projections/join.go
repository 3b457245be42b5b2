package projections

import (
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// This file holds the joins: which subscriptions and which payments belong to
// which account. They ask a Lookup and change nothing, so the live path, a
// rebuild and an answer give the same.

// claimOf is the account that a customer's metadata claims, empty if none.
func claimOf(l Lookup, customer string) (string, error) {
	if customer == "" {
		return "", nil
	}
	row, _, err := l.Object(KindCustomer, customer)
	return row.Account, err
}

// customerOf is what a subscription is joined by: while no snapshot names its
// customer, the one to which it is linked for want of an account.
func customerOf(t aggregate.SubscriptionTruth) string {
	if t.Customer == "" && t.Link.Rank == aggregate.LinkCustomerID {
		return t.Link.Account
	}
	return t.Customer
}

// accountByClaim is where a subscription belongs: where its own link puts it,
// or where the claim of its customer does, which comes between.
func accountByClaim(link aggregate.Link, claim string) string {
	if claim != "" && (link.Rank == aggregate.LinkNone || link.Rank > aggregate.LinkCustomer) {
		return claim
	}
	return link.Account
}

// accountOfCustomer is where a customer's payments belong: where its metadata
// says, else where its subscriptions do, if that is one account.
func accountOfCustomer(l Lookup, customer string) (string, error) {
	claim, err := claimOf(l, customer)
	if err != nil || claim != "" || customer == "" {
		return claim, err
	}
	accounts, err := l.AccountsOfCustomer(customer)
	if err != nil || len(accounts) != 1 {
		return "", err
	}
	return accounts[0], nil
}

// holding is everything that an account's entitlement and its record rest on.
type holding struct {
	aggregate.Holding
	// decided says that operators decided on the account.
	decided bool
	// claimed are the customers whose metadata names the account; customers are
	// those, and the subscriptions'.
	claimed, customers []string
	// payments and bills are the account's, all or the noted ones; flags are those
	// of what is contradictory about them and its customers.
	payments []aggregate.PaymentTruth
	bills    []aggregate.BillTruth
	flags    []string
}

// known reports whether anything is known of the account.
func (h *holding) known() bool { return h.entitles() || len(h.claimed) > 0 }

// entitles reports whether there is anything that the free tier would not say.
func (h *holding) entitles() bool { return len(h.Subscriptions) > 0 || h.decided }

// holdingOf gathers what belongs to an account. With noted, only those payments
// and bills that show in its entitlement are gathered.
func holdingOf(l Lookup, account string, known map[string]aggregate.SubscriptionTruth, noted bool) (*holding, error) {
	h := &holding{}
	var err error
	if h.Subscriptions, err = l.SubscriptionsOf(account, known); err != nil {
		return nil, err
	}
	row, decided, err := l.Object(KindAccount, account)
	if err != nil {
		return nil, err
	}
	if decided {
		h.decided = true
		if err := row.decode(&h.Decisions); err != nil {
			return nil, err
		}
	}
	if h.claimed, err = l.CustomersClaiming(account); err != nil {
		return nil, err
	}
	if err := h.gatherClocks(l); err != nil {
		return nil, err
	}
	h.gatherCustomers()
	return h, h.gatherObjects(l, account, noted)
}

func (h *holding) gatherClocks(l Lookup) error {
	for _, s := range h.Subscriptions {
		if s.TestClock == "" {
			continue
		}
		row, found, err := l.Object(KindClock, s.TestClock)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		var clock aggregate.ClockTruth
		if err := row.decode(&clock); err != nil {
			return err
		}
		if clock.Now.IsZero() {
			continue
		}
		if h.Clocks == nil {
			h.Clocks = map[string]time.Time{}
		}
		h.Clocks[s.TestClock] = clock.Now
	}
	return nil
}

// gatherObjects finds the payments and bills of the subscriptions' invoices, and
// those of the account's customers that belong to no subscription. Only the
// first can change access.
func (h *holding) gatherObjects(l Lookup, account string, noted bool) error {
	rows := map[string]ObjectRow{}
	for _, s := range h.Subscriptions {
		for _, invoice := range s.Invoices {
			found, err := l.ObjectsOf(ByInvoice, invoice.ID, noted)
			if err != nil {
				return err
			}
			for _, row := range found {
				rows[string(row.Kind)+row.ID] = row
			}
		}
	}
	if err := h.take(rows, true); err != nil {
		return err
	}
	others := map[string]ObjectRow{}
	for _, customer := range h.customers {
		if err := gatherOfCustomer(l, account, customer, noted, others); err != nil {
			return err
		}
	}
	return h.take(others, false)
}

// gatherOfCustomer adds what a customer leads to, if it leads to the account.
func gatherOfCustomer(l Lookup, account, customer string, noted bool, to map[string]ObjectRow) error {
	found, err := l.ObjectsOf(ByCustomer, customer, noted)
	if err != nil || len(found) == 0 {
		return err
	}
	if of, err := accountOfCustomer(l, customer); err != nil || of != account {
		return err
	}
	for _, row := range found {
		owners, err := ownersOf(l, row.Invoice)
		if err != nil {
			return err
		}
		if len(owners) == 0 {
			to[string(row.Kind)+row.ID] = row
		}
	}
	return nil
}

// gatherCustomers lists the customers that lead to the account.
func (h *holding) gatherCustomers() {
	h.customers = slices.Clone(h.claimed)
	for _, s := range h.Subscriptions {
		if customer := customerOf(s); customer != "" {
			h.customers = append(h.customers, customer)
		}
	}
	slices.Sort(h.customers)
	h.customers = slices.Compact(h.customers)
}

func ownersOf(l Lookup, invoice string) ([]string, error) {
	if invoice == "" {
		return nil, nil
	}
	return l.AccountsOfInvoice(invoice)
}

// take decodes rows and adds them, in the order of their ids.
func (h *holding) take(rows map[string]ObjectRow, forAccess bool) error {
	for _, row := range rows {
		switch row.Kind {
		case KindPayment:
			var p aggregate.PaymentTruth
			if err := row.decode(&p); err != nil {
				return err
			}
			h.payments = append(h.payments, p)
			h.flags = append(h.flags, p.Flags...)
			if forAccess && countsForAccess(p) {
				h.Payments = append(h.Payments, p)
			}
		case KindBill:
			var b aggregate.BillTruth
			if err := row.decode(&b); err != nil {
				return err
			}
			h.bills = append(h.bills, b)
			h.flags = append(h.flags, b.Flags...)
		case KindCustomer:
			var c aggregate.CustomerTruth
			if err := row.decode(&c); err != nil {
				return err
			}
			h.flags = append(h.flags, c.Flags...)
		}
	}
	byID := func(x, y aggregate.PaymentTruth) int { return strings.Compare(x.ID, y.ID) }
	slices.SortFunc(h.payments, byID)
	slices.SortFunc(h.Payments, byID)
	slices.Sort(h.flags)
	h.flags = slices.Compact(h.flags)
	return nil
}

// entitle evaluates the account. What is contradictory about its money is shown
// with it, though it decides nothing.
func (h *holding) entitle(account string, c aggregate.Catalogs, now time.Time) (aggregate.Entitlement, time.Time) {
	e, until := aggregate.Entitle(account, h.Holding, c, now)
	e.Flags = h.withFlags(e.Flags)
	return e, until
}

func (h *holding) withFlags(flags []string) []string {
	if len(h.flags) == 0 {
		return flags
	}
	all := append(slices.Clone(flags), h.flags...)
	slices.Sort(all)
	return slices.Compact(all)
}
