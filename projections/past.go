package projections

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// AccountThen returns an account as it is, or as it was at the moments, and tells
// whether anything was known of it. A look into the past reads the whole log, for
// what was its own then may be another's now.
func AccountThen(ctx context.Context, store eventstore.Reader, model Reader, account string, at Moments) (AccountRecord, bool, error) {
	if !at.Past() {
		return model.Account(ctx, account)
	}
	ever, err := EverOf(ctx, store, model, account)
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
// have what facts once said to be its own. It reads the whole log.
func EverOf(ctx context.Context, store eventstore.Reader, model Reader, account string) ([]AccountRecord, error) {
	own, _, err := model.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	named, customers, err := everNamed(ctx, store, account)
	if err != nil {
		return nil, err
	}
	own.Customers = append(slices.Clone(own.Customers), customers...)
	for _, customer := range customers {
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

// everNamed finds the subscriptions and the customers that a fact ever said to be
// the account's.
func everNamed(ctx context.Context, store eventstore.Reader, account string) (subscriptions map[string]bool, customers []string, err error) {
	subscriptions = map[string]bool{}
	filter := eventstore.Filter{DataOnly: true, Prefixes: []string{string(KindSubscription) + "-", string(KindCustomer) + "-"}}
	spelt := plainName(account)
	for e, err := range store.ReadAll(ctx, 0, eventstore.Forwards, filter, 0) {
		if err != nil {
			return nil, nil, fmt.Errorf("look for what was ever of account %q: %w", account, err)
		}
		if spelt && !bytes.Contains(e.Data, []byte(account)) {
			continue
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil || event.Fact == nil || !names(event.Fact, account) {
			continue // what cannot be read is parked, and says nothing
		}
		switch id := e.Stream.ID(); {
		case Kind(e.Stream.Category()) == KindSubscription:
			subscriptions[id] = true
		case !slices.Contains(customers, id):
			customers = append(customers, id)
		}
	}
	return subscriptions, customers, nil
}

// plainName reports a name that stands in JSON as it is, however that was
// written.
func plainName(account string) bool {
	return !strings.ContainsFunc(account, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"\/<>&'`, c)
	})
}

// names reports whether a fact says that what it is about belongs to the
// account, by whichever link.
func names(f *aggregate.Fact, account string) bool {
	switch {
	case f.Subscription != nil:
		return f.Subscription.Account == account || f.Subscription.Customer == account
	case f.Invoice != nil:
		return f.Invoice.Account == account || f.Invoice.Customer == account
	case f.Checkout != nil:
		return f.Checkout.Account == account || f.Checkout.ClientReference == account || f.Checkout.Customer == account
	case f.Customer != nil:
		return f.Customer.Account == account
	}
	return false
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
