package projections

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// AccountThen returns an account as it is, or as it was at the moments, and tells
// whether anything was known of it.
func AccountThen(ctx context.Context, store eventstore.Reader, model Reader, account string, at Moments) (AccountRecord, bool, error) {
	if !at.Past() {
		return model.Account(ctx, account)
	}
	ever, err := EverOf(ctx, model, account)
	if err != nil {
		return AccountRecord{}, false, err
	}
	return AccountAt(ctx, store, account, at, ever...)
}

// AccountAt returns an account as it was: of what belongs to the accounts in
// present, that which was its own then, as it was then. It tells whether anything
// was known of it. See EverOf for what else may have been its own.
func AccountAt(ctx context.Context, store eventstore.Reader, account string, at Moments, present ...AccountRecord) (AccountRecord, bool, error) {
	p := past{objects: map[Kind]map[string]ObjectRow{}}
	for _, kind := range objectKinds {
		p.objects[kind] = map[string]ObjectRow{}
	}
	if err := p.foldObjects(ctx, store, KindAccount, []string{account}, at); err != nil {
		return AccountRecord{}, false, err
	}
	for _, record := range present {
		if err := p.fold(ctx, store, record, at); err != nil {
			return AccountRecord{}, false, err
		}
	}
	return AccountOf(p, account)
}

// EverOf returns the present records of the account, and of those others that
// have what was once said to be its own.
func EverOf(ctx context.Context, model Reader, account string) ([]AccountRecord, error) {
	own, _, err := model.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	once, err := model.Named(ctx, account)
	if err != nil {
		return nil, err
	}
	own.Customers = append(slices.Clone(own.Customers), account) // an account may be named like its customer
	named := map[string]bool{}
	for _, stream := range once {
		if Kind(stream.Category()) == KindSubscription {
			named[stream.ID()] = true
		} else {
			own.Customers = append(own.Customers, stream.ID())
		}
	}
	for _, customer := range own.Customers {
		if err := eachSubscriptionOf(ctx, model, customer, func(s SubscriptionRecord) { named[s.ID] = true }); err != nil {
			return nil, err
		}
	}
	records, seen := []AccountRecord{own}, map[string]bool{account: true}
	for _, id := range slices.Sorted(maps.Keys(named)) {
		s, known, err := model.Subscription(ctx, id)
		if err != nil {
			return nil, err
		}
		if !known || seen[s.Account] {
			continue
		}
		record := AccountRecord{Subscriptions: []SubscriptionRecord{s}} // it may belong to nobody now
		if s.Account != "" {
			seen[s.Account] = true
			if record, _, err = model.Account(ctx, s.Account); err != nil {
				return nil, err
			}
		}
		records = append(records, record)
	}
	return records, nil
}

func eachSubscriptionOf(ctx context.Context, model Reader, customer string, fn func(SubscriptionRecord)) error {
	const page = 100
	filter := SubscriptionFilter{Customer: customer, Limit: page}
	for {
		rows, err := model.Subscriptions(ctx, filter)
		if err != nil {
			return err
		}
		for _, row := range rows {
			fn(row)
			filter.After = row.ID
		}
		if len(rows) < page {
			return nil
		}
	}
}

// past is a Lookup in a few streams, folded as far as moments allow.
type past struct {
	subscriptions []SubscriptionRecord
	objects       map[Kind]map[string]ObjectRow
}

func (p *past) fold(ctx context.Context, store eventstore.Reader, present AccountRecord, at Moments) error {
	ids, payments := map[Kind][]string{KindCustomer: present.Customers}, []string{}
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
			payments = append(append(payments, payment.ID), payment.Charges...)
		}
		for _, bill := range h.bills {
			ids[KindBill] = append(ids[KindBill], bill.ID)
		}
	}
	for kind, ids := range ids {
		if err := p.foldObjects(ctx, store, kind, ids, at); err != nil {
			return err
		}
	}
	return p.foldPayments(ctx, store, payments, at)
}

// foldPayments folds the streams of payments and those of their charges, which
// need not have been known to be theirs then.
func (p *past) foldPayments(ctx context.Context, store eventstore.Reader, ids []string, at Moments) error {
	streams := map[string]*aggregate.FactSet{}
	for _, id := range ids {
		f, known, err := foldedAt(ctx, store, KindPayment, id, at)
		if err != nil {
			return err
		}
		if known {
			streams[id] = f.facts
		}
	}
	rows, err := paymentRows(streams)
	for _, row := range rows {
		if row.Doc != nil {
			p.objects[KindPayment][row.ID] = row
		}
	}
	return err
}

func (p *past) foldObjects(ctx context.Context, store eventstore.Reader, kind Kind, ids []string, at Moments) error {
	for _, id := range ids {
		row, known, err := objectAt(ctx, store, kind, id, at)
		if err != nil {
			return err
		}
		if known {
			p.objects[kind][id] = row
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
