package projections

import (
	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// Owner names what streams belong to: an account or, where that is empty, a
// customer of Stripe's.
type Owner struct {
	Account  string
	Customer string
}

// StreamsOf lists the streams of what belongs to an owner now: the account's
// decisions, subscriptions, customers, payments with their charges, and bills.
// subscriptionsOf returns a customer's.
func StreamsOf(l Lookup, of Owner, subscriptionsOf func(customer string) ([]aggregate.SubscriptionTruth, error)) ([]eventstore.Stream, error) {
	s := streamSet{seen: map[eventstore.Stream]bool{}}
	if of.Account != "" {
		h, err := holdingOf(l, of.Account, nil, false)
		if err != nil {
			return nil, err
		}
		s.add(KindAccount, of.Account)
		s.addHolding(h)
		return s.streams, nil
	}
	s.add(KindCustomer, of.Customer)
	subscriptions, err := subscriptionsOf(of.Customer)
	if err != nil {
		return nil, err
	}
	h := holding{Holding: aggregate.Holding{Subscriptions: subscriptions}}
	rows := map[string]ObjectRow{}
	found, err := l.ObjectsOf(ByCustomer, of.Customer, false)
	for _, t := range subscriptions {
		for _, invoice := range t.Invoices {
			if err == nil {
				var more []ObjectRow
				more, err = l.ObjectsOf(ByInvoice, invoice.ID, false)
				found = append(found, more...)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	for _, row := range found {
		rows[string(row.Kind)+row.ID] = row
	}
	if err := h.take(rows, false); err != nil {
		return nil, err
	}
	s.addHolding(&h)
	return s.streams, nil
}

// streamSet gathers streams, each once.
type streamSet struct {
	streams []eventstore.Stream
	seen    map[eventstore.Stream]bool
}

func (s *streamSet) add(kind Kind, id string) {
	if stream := eventstore.NewStream(string(kind), id); id != "" && !s.seen[stream] {
		s.seen[stream] = true
		s.streams = append(s.streams, stream)
	}
}

func (s *streamSet) addHolding(h *holding) {
	for _, t := range h.Subscriptions {
		s.add(KindSubscription, t.ID)
	}
	for _, customer := range h.customers {
		s.add(KindCustomer, customer)
	}
	for _, p := range h.payments {
		s.add(KindPayment, p.ID)
		for _, charge := range p.Charges {
			s.add(KindPayment, charge)
		}
	}
	for _, b := range h.bills {
		s.add(KindBill, b.ID)
	}
}
