package projections

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// AccountAt returns an account as it was: of what belongs to it now, that which
// did then, as it was then. It tells whether anything was known of it.
func AccountAt(ctx context.Context, store eventstore.Reader, present AccountRecord, at Moments) (AccountRecord, bool, error) {
	p := past{objects: map[Kind]map[string]ObjectRow{}}
	for _, kind := range objectKinds {
		p.objects[kind] = map[string]ObjectRow{}
	}
	if err := p.fold(ctx, store, present, at); err != nil {
		return AccountRecord{}, false, err
	}
	return AccountOf(p, present.Account)
}

// past is a Lookup in a few streams, folded as far as moments allow.
type past struct {
	subscriptions []SubscriptionRecord
	objects       map[Kind]map[string]ObjectRow
}

func (p *past) fold(ctx context.Context, store eventstore.Reader, present AccountRecord, at Moments) error {
	ids := map[Kind][]string{KindAccount: {present.Account}, KindCustomer: present.Customers}
	for _, s := range present.Subscriptions {
		then, facts, err := SubscriptionAt(ctx, store, s.ID, at)
		if err != nil && !errors.Is(err, eventstore.ErrStreamNotFound) {
			return err
		}
		if facts > 0 {
			p.subscriptions = append(p.subscriptions, then)
			ids[KindClock] = append(ids[KindClock], then.TestClock)
		}
	}
	if h := present.holding; h != nil {
		for _, payment := range h.payments {
			ids[KindPayment] = append(ids[KindPayment], payment.ID)
		}
		for _, bill := range h.bills {
			ids[KindBill] = append(ids[KindBill], bill.ID)
		}
	}
	for kind, ids := range ids {
		for _, id := range ids {
			row, known, err := objectAt(ctx, store, kind, id, at)
			if err != nil {
				return err
			}
			if known {
				p.objects[kind][id] = row
			}
		}
	}
	return nil
}

func (p past) SubscriptionsOf(account string, _ map[string]aggregate.SubscriptionTruth) ([]aggregate.SubscriptionTruth, error) {
	var truths []aggregate.SubscriptionTruth
	for _, s := range p.subscriptions {
		if s.Account == account {
			truths = append(truths, s.SubscriptionTruth)
		}
	}
	return truths, nil
}

func (p past) AccountsOfCustomer(customer string) ([]string, error) {
	return p.accountsWhere(func(s SubscriptionRecord) bool { return customerOf(s.SubscriptionTruth) == customer }), nil
}

func (p past) AccountsOfInvoice(invoice string) ([]string, error) {
	return p.accountsWhere(func(s SubscriptionRecord) bool {
		return slices.ContainsFunc(s.Invoices, func(i aggregate.InvoiceTruth) bool { return i.ID == invoice })
	}), nil
}

func (p past) accountsWhere(chosen func(SubscriptionRecord) bool) []string {
	var accounts []string
	for _, s := range p.subscriptions {
		if s.Account != "" && chosen(s) {
			accounts = append(accounts, s.Account)
		}
	}
	slices.Sort(accounts)
	return slices.Compact(accounts)
}

func (p past) CustomersClaiming(account string) ([]string, error) {
	var ids []string
	for id, row := range p.objects[KindCustomer] {
		if row.Account == account {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (p past) Object(kind Kind, id string) (ObjectRow, bool, error) {
	row, known := p.objects[kind][id]
	return row, known, nil
}

func (p past) ObjectsOf(by Handle, id string, noted bool) ([]ObjectRow, error) {
	var rows []ObjectRow
	for _, kind := range objectKinds {
		for _, row := range p.objects[kind] {
			named := row.Invoice
			if by == ByCustomer {
				named = row.Customer
			}
			if id != "" && named == id && (row.Noted || !noted) {
				rows = append(rows, row)
			}
		}
	}
	slices.SortFunc(rows, func(x, y ObjectRow) int { return strings.Compare(x.ID, y.ID) })
	return rows, nil
}
