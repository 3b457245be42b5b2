package projections

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// ErrModelBroken is returned by a model whose file is damaged. Nothing is lost:
// Discard it, and fold again.
var ErrModelBroken = errors.New("read model is damaged")

// Model is a read model that can also be written. It has one writer at a time;
// its Reader methods may be called meanwhile, and see whole transactions.
type Model interface {
	Reader

	// Update runs fn in one transaction: all that fn wrote, or nothing if it
	// returns an error.
	Update(ctx context.Context, fn func(Tx) error) error
	// Load adds rows to a model made by Beside, without looking for older ones
	// of the same key, entitlements excepted: a later one takes the place of
	// an earlier. It is for one goroutine.
	Load(ctx context.Context, rows Rows) error
	// Beside makes an empty model next to this one, for a rebuild. What an
	// earlier rebuild left there is removed; while another one is there, it
	// waits. Discard it when done.
	Beside(ctx context.Context) (Model, error)
	// Seal ends the loading of a model made by Beside. Only then may it be read
	// and updated.
	Seal(ctx context.Context) error
	// Adopt replaces the whole content by that of a sealed model made by
	// Beside. Readers, in any process, see the old content or the new.
	Adopt(ctx context.Context, beside Model) error
	// Discard throws the content away. A model made by Beside is closed and
	// gone; any other is empty and usable.
	Discard(ctx context.Context) error
}

// Tx is one transaction on a model. Its reads see its own writes.
type Tx interface {
	Lookup

	// Place returns where a subscription is recorded, the zero Place if nowhere.
	Place(subscription string) (Place, error)
	// Subscription returns what is recorded of one, and whether anything is.
	Subscription(id string) (aggregate.SubscriptionTruth, bool, error)
	// SubscriptionsOfCustomer lists the subscriptions of a customer, by id.
	SubscriptionsOfCustomer(customer string) ([]SubscriptionRow, error)
	// AccountsOnClock lists the accounts of subscriptions that live by a clock.
	AccountsOnClock(clock string) ([]string, error)
	// Objects lists up to limit objects of a kind behind an id, in order,
	// without their documents.
	Objects(kind Kind, which Which, after string, limit int) ([]ObjectRow, error)
	// PaymentsOf lists the payments whose streams name a charge, by id.
	PaymentsOf(charge string) ([]string, error)
	// Charges lists up to limit charges behind after by which streams are named,
	// in order: all of them, or those that other streams name as well.
	Charges(shared bool, after string, limit int) ([]string, error)
	// Lapsed lists up to limit accounts whose entitlement time alone has
	// changed by now, earliest first.
	Lapsed(now time.Time, limit int) ([]string, error)
	// Crowded lists up to limit accounts behind after that have more than one
	// subscription, in order.
	Crowded(after string, limit int) ([]string, error)
	// Expiries lists up to limit subscriptions behind after whose grace ended
	// by now and was not yet told of, ordered by that end and id.
	Expiries(now time.Time, after Expiry, limit int) ([]Expiry, error)
	// NextDue is the earliest moment after now at which an entitlement lapses
	// or a grace ends, zero if there is none.
	NextDue(now time.Time) (time.Time, error)

	PutSubscription(SubscriptionRow) error
	// MoveSubscription records a subscription under another account.
	MoveSubscription(id, account string) error
	// PutInvoices and DropInvoice record that subscriptions have invoices, and
	// that one has it no more.
	PutInvoices([]InvoiceRow) error
	DropInvoice(InvoiceRow) error
	// PutCharges and DropCharge record that streams of payments name charges, and
	// that one does no more.
	PutCharges([]ChargeRow) error
	DropCharge(ChargeRow) error
	PutObject(ObjectRow) error
	DropObject(kind Kind, id string) error
	// PutPrice records that a subscription held a price; Prices lists up to limit
	// of those.
	PutPrice(price string) error
	Prices(limit int) ([]string, error)
	// Told records that the end of a subscription's grace was told of.
	Told(Expiry) error
	PutEntitlement(EntitlementRow) error
	DropEntitlement(account string) error
	PutFailure(Failure) error
	DropFailure(stripeEventID string) error
	Park(Parked) error
	// AddCatalog extends the history of catalogs by an event of its stream, as
	// aggregate.Catalogs evolves.
	AddCatalog(eventType string, data []byte) error
	SetCheckpoint(Checkpoint) error
}

// Rows are what Load adds.
type Rows struct {
	Subscriptions []SubscriptionRow
	Objects       []ObjectRow
	// Prices are those that the subscriptions ever held.
	Prices       map[string]bool
	Entitlements []EntitlementRow
	Failures     []Failure
	Parked       []Parked
}

// Invoices are those of the subscriptions.
func (r Rows) Invoices() []InvoiceRow {
	n := 0
	for i := range r.Subscriptions {
		n += len(r.Subscriptions[i].Truth.Invoices)
	}
	invoices := make([]InvoiceRow, 0, n)
	for i := range r.Subscriptions {
		truth := &r.Subscriptions[i].Truth
		for j := range truth.Invoices {
			invoices = append(invoices, InvoiceRow{truth.Invoices[j].ID, truth.ID})
		}
	}
	return invoices
}

// Charges are those of the payments.
func (r Rows) Charges() []ChargeRow {
	var charges []ChargeRow
	for _, o := range r.Objects {
		for _, charge := range o.Charges {
			charges = append(charges, ChargeRow{charge, o.ID})
		}
	}
	return charges
}

// SubscriptionRow is a subscription as a model stores it.
type SubscriptionRow struct {
	Truth aggregate.SubscriptionTruth
	// Account is where the join puts the subscription, empty if nowhere, and
	// Customer what it is joined by.
	Account  string
	Customer string
	// Named are the accounts that it once named; see Reader.Named.
	Named []string
	// Due is when its grace ends, zero if there is none or its end was told of.
	Due time.Time
	// Doc is Truth as JSON.
	Doc []byte
	// Before is what the model finds the subscription by so far; nil where that
	// is not known, and the model has to look.
	Before *SubscriptionKeys
	// invoices are those that the model has under the subscription, nil if it
	// must be asked.
	invoices []string
	// from is what the row was folded from, nil if that is not kept.
	from *folded
}

// SubscriptionKeys are what a model finds a subscription by, besides its id.
type SubscriptionKeys struct {
	Place
	Status aggregate.Status
	Clock  string
	Flags  []string
}

// Keys returns what the row is found by.
func (r *SubscriptionRow) Keys() SubscriptionKeys {
	return SubscriptionKeys{Place: Place{Account: r.Account, Customer: r.Customer},
		Status: r.Truth.Status, Clock: r.Truth.TestClock, Flags: r.Truth.Flags}
}

// StaysInPlace reports whether the model is known to find the row where it
// found the one before.
func (r *SubscriptionRow) StaysInPlace() bool {
	b, now := r.Before, r.Keys()
	return b != nil && b.Place == now.Place && b.Status == now.Status && b.Clock == now.Clock && slices.Equal(b.Flags, now.Flags)
}

// InvoiceRow says that a subscription has an invoice.
type InvoiceRow struct{ Invoice, Subscription string }

// ChargeRow says that the stream of a payment names a charge. Both are the same
// where the stream is named by the charge.
type ChargeRow struct{ Charge, Payment string }

// Place is where a subscription is recorded.
type Place struct {
	Account  string
	Customer string
}

// Which chooses among the objects of a kind.
type Which int

// The choices.
const (
	// Every is all of them.
	Every Which = iota
	// Claiming are the customers that claim an account.
	Claiming
	// Noted are those that show in entitlements.
	Noted
)

// EntitlementRow is an entitlement as a model stores it.
type EntitlementRow struct {
	Account string
	// Until is the next moment at which time alone changes it, zero if none.
	Until time.Time
	// Doc is the entitlement as JSON.
	Doc []byte
}

// Expiry is a grace that has ended.
type Expiry struct {
	Subscription string
	Account      string
	// Clock is the Stripe test clock that the subscription lives by, if any.
	Clock string
	At    time.Time
}

// newSubscriptionRow encodes a truth. Due is set only where no note tells of
// the end of this very grace; told holds such ends, in Unix nanoseconds.
func newSubscriptionRow(truth aggregate.SubscriptionTruth, told map[int64]bool) (SubscriptionRow, error) {
	doc, err := aggregate.EncodeTruth(truth)
	if err != nil {
		return SubscriptionRow{}, err
	}
	row := SubscriptionRow{Truth: truth, Account: truth.Link.Account, Customer: customerOf(truth), Doc: doc}
	if d := truth.Delinquency; d != nil && !told[d.GraceUntil.UnixNano()] {
		row.Due = d.GraceUntil
	}
	return row, nil
}

func newEntitlementRow(e aggregate.Entitlement, until time.Time) (EntitlementRow, error) {
	doc, err := aggregate.EncodeEntitlement(e)
	if err != nil {
		return EntitlementRow{}, err
	}
	return EntitlementRow{Account: e.Account, Until: until, Doc: doc}, nil
}

// Prefixes are the streams that the projection follows.
var Prefixes = []string{
	"subscription-", "catalog-", "account-", "customer-", "posting-", "payment-", "invoice-", "clock-",
}

func filter() eventstore.Filter { return eventstore.Filter{Prefixes: Prefixes} }
