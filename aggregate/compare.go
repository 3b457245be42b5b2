package aggregate

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Difference is one field of a truth that is not what Stripe says it is. The
// values are JSON, empty for a field that is not there.
type Difference struct {
	Field  string `json:"field"`
	Ours   string `json:"ours,omitempty"`
	Stripe string `json:"stripe,omitempty"`
}

// bookkeeping are the fields of truths that tell on what they rest.
var bookkeeping = []string{"position", "last_occurred_at", "sources"}

// Differences lists what would be true otherwise if a fact were taken in: what
// Stripe says and we do not know. It changes nothing.
func (s *Subscription) Differences(f Fact, c Catalogs) []Difference {
	stripe := s.with([]Fact{f}).Derive(c)
	if f.Subscription != nil {
		stripe.Status = f.Subscription.Status // though ours is terminal, and stays so
	}
	return differences(claimed(s.Derive(c)), claimed(stripe))
}

// claimed leaves of a link who has it, and by what right.
func claimed(t SubscriptionTruth) SubscriptionTruth {
	t.Link = Link{Account: t.Link.Account, Rank: t.Link.Rank, ConflictsWith: t.Link.ConflictsWith}
	return t
}

// Differences lists what would be true otherwise of the customer or the invoice
// that a fact is about, whose own stream the set was gathered from.
func (s *FactSet) Differences(f Fact) []Difference {
	next := s.clone()
	next.add(held{Fact: &f})
	switch {
	case f.Customer != nil:
		ours, stripe := s.DeriveCustomer(f.Customer.ID), next.DeriveCustomer(f.Customer.ID)
		ours.Link, stripe.Link = Link{Account: ours.Link.Account}, Link{Account: stripe.Link.Account}
		return differences(ours, stripe)
	case f.Invoice != nil:
		return differences(s.DeriveBill(f.Invoice.ID), next.DeriveBill(f.Invoice.ID))
	}
	return nil
}

// LatestOf returns, of the facts about the object that a fact is about, the
// latest in Stripe's order, and whether there is one.
func (s *FactSet) LatestOf(f Fact) (Fact, bool) {
	for _, known := range slices.Backward(inStripesOrder(s.facts)) {
		if known.about() == f.about() {
			return *known.Fact, true
		}
	}
	return Fact{}, false
}

// about names the object of a fact of a kind that Stripe can be asked for.
func (f *Fact) about() string {
	switch {
	case f.Subscription != nil:
		return "subscription " + f.Subscription.ID
	case f.Invoice != nil:
		return "invoice " + f.Invoice.ID
	case f.Checkout != nil:
		return "checkout " + f.Checkout.ID
	case f.Customer != nil:
		return "customer " + f.Customer.ID
	}
	return ""
}

// differences compares two truths field by field.
func differences(ours, stripe any) []Difference {
	a, b := fieldsOf(ours), fieldsOf(stripe)
	var found []Difference
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Contains(bookkeeping, name) && !bytes.Equal(a[name], b[name]) {
			found = append(found, Difference{Field: name, Ours: string(a[name]), Stripe: string(b[name])})
		}
	}
	return found
}

// fieldsOf are the fields of a truth as JSON; the same truth gives the same.
func fieldsOf(truth any) map[string]json.RawMessage {
	data, err := json.Marshal(truth)
	if err != nil {
		panic("aggregate: a truth is JSON: " + err.Error())
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		panic("aggregate: a truth is an object: " + err.Error())
	}
	return fields
}
