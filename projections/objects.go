package projections

import (
	"encoding/json"
	"fmt"

	"github.com/daybookhq/daybook/aggregate"
)

// Kind names what a stream is about: the category of its name.
type Kind string

// The kinds that become rows of a model: subscriptions, and what is joined to
// them and to their accounts.
const (
	KindSubscription Kind = "subscription"
	// KindAccount is what operators decided on an account.
	KindAccount  Kind = "account"
	KindClock    Kind = "clock"
	KindCustomer Kind = "customer"
	// KindBill is an invoice that names no subscription, and the credit notes of
	// any invoice.
	KindBill    Kind = "invoice"
	KindPayment Kind = "payment"
)

// objectKinds are those that are stored as an ObjectRow, in order.
var objectKinds = []Kind{KindAccount, KindClock, KindCustomer, KindBill, KindPayment}

// ObjectRow is what a model stores of everything but subscriptions: the truth
// as a document, and beside it only what joins need.
type ObjectRow struct {
	Kind Kind
	ID   string
	// Account is the account that a customer's metadata claims.
	Account string
	// Customer and Invoice are those that a payment or a bill names; a customer
	// names itself.
	Customer string
	Invoice  string
	// Charges are those that a payment has, Named the accounts that a customer once
	// named (see Reader.Named), of a row that was just derived.
	Charges, Named []string
	// Noted says that the object shows in an entitlement: a payment that was
	// refunded or disputed, and what is contradictory.
	Noted bool
	// Doc is the truth as JSON.
	Doc []byte
}

func (r ObjectRow) withDoc(truth any) (ObjectRow, error) {
	doc, err := json.Marshal(truth)
	if err != nil {
		return ObjectRow{}, fmt.Errorf("encode %s %s: %w", r.Kind, r.ID, err)
	}
	r.Doc = doc
	return r, nil
}

// decode reads the document.
func (r ObjectRow) decode(into any) error {
	if err := json.Unmarshal(r.Doc, into); err != nil {
		return fmt.Errorf("decode %s %s: %w", r.Kind, r.ID, err)
	}
	return nil
}

// newObjectRow derives what a model stores of an object of Stripe's.
func newObjectRow(kind Kind, id string, facts *aggregate.FactSet) (ObjectRow, error) {
	row := ObjectRow{Kind: kind, ID: id}
	switch kind {
	case KindPayment:
		return newPaymentRow(facts.DerivePayment(id))
	case KindBill:
		b := facts.DeriveBill(id)
		row.Customer, row.Invoice, row.Noted = b.Customer, id, len(b.Flags) > 0
		return row.withDoc(b)
	case KindCustomer:
		c := facts.DeriveCustomer(id)
		row.Account, row.Customer, row.Noted = c.Link.Account, id, len(c.Flags) > 0
		return row.withDoc(c)
	case KindClock:
		return row.withDoc(facts.DeriveClock(id))
	}
	return row, fmt.Errorf("%s: %w", kind, errNoRows)
}

func newPaymentRow(p aggregate.PaymentTruth) (ObjectRow, error) {
	return ObjectRow{Kind: KindPayment, ID: p.ID, Customer: p.Customer, Invoice: p.Invoice, Charges: p.Charges,
		Noted: countsForAccess(p) || len(p.Flags) > 0}.withDoc(p)
}

// decodeObject reads the truth of one object, and leaves into as it is if there
// is none.
func decodeObject(l Lookup, kind Kind, id string, into any) error {
	if id == "" {
		return nil
	}
	row, found, err := l.Object(kind, id)
	if err != nil || !found {
		return err
	}
	return row.decode(into)
}

// countsForAccess reports a payment that can change what its account may do.
func countsForAccess(p aggregate.PaymentTruth) bool {
	return len(p.Refunds) > 0 || len(p.Disputes) > 0 || p.Refunded > 0 || p.Lost > 0
}

// Lookup finds what belongs together. Answers are of one moment, and in the
// order of ids.
type Lookup interface {
	// SubscriptionsOf returns the subscriptions of an account. Those in known,
	// by id, were just written, and are not read again.
	SubscriptionsOf(account string, known map[string]aggregate.SubscriptionTruth) ([]aggregate.SubscriptionTruth, error)
	// AccountsOfCustomer returns the accounts that a customer's subscriptions
	// belong to, each once.
	AccountsOfCustomer(customer string) ([]string, error)
	// AccountsOfInvoice returns the accounts of the subscriptions that have an
	// invoice: one, unless Stripe contradicts itself.
	AccountsOfInvoice(invoice string) ([]string, error)
	// CustomersClaiming returns the customers whose metadata claims an account.
	CustomersClaiming(account string) ([]string, error)
	// Object returns one object, and whether it is known.
	Object(kind Kind, id string) (ObjectRow, bool, error)
	// ObjectsOf returns the objects that name an invoice or a customer: payments,
	// bills, and the customer itself; all of them or the noted.
	ObjectsOf(by Handle, id string, noted bool) ([]ObjectRow, error)
}

// Handle is what an object is found by.
type Handle string

// The handles.
const (
	ByInvoice  Handle = "invoice"
	ByCustomer Handle = "customer"
)
