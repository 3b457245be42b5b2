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
	// AccountOf returns the account that a subscription is recorded under,
	// empty if there is none.
	AccountOf(subscription string) (string, error)
	// SubscriptionsOf returns the subscriptions of an account, ordered by id.
	// Those in known, by id, were just written, and are not read again.
	SubscriptionsOf(account string, known map[string]aggregate.SubscriptionTruth) ([]aggregate.SubscriptionTruth, error)
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
	// Told records that the end of a subscription's grace was told of.
	Told(Expiry) error
	PutEntitlement(EntitlementRow) error
	DropEntitlement(account string) error
	PutFailure(Failure) error
	DropFailure(stripeEventID string) error
	Park(Parked) error
	// AddCatalog extends the history of catalogs.
	AddCatalog(aggregate.CatalogAdopted) error
	SetCheckpoint(Checkpoint) error
}

// Rows are what Load adds.
type Rows struct {
	Subscriptions []SubscriptionRow
	Entitlements  []EntitlementRow
	Failures      []Failure
	Parked        []Parked
}

// SubscriptionRow is a subscription as a model stores it.
type SubscriptionRow struct {
	Truth aggregate.SubscriptionTruth
	// Account is where the join puts the subscription, empty if nowhere.
	Account string
	// Due is when its grace ends, zero if there is none or its end was told of.
	Due time.Time
	// Doc is Truth as JSON.
	Doc []byte
	// Before is what the model is searched by for the subscription so far; nil
	// where that is not known, and the model has to look.
	Before *SubscriptionKeys
}

// SubscriptionKeys are what a model finds a subscription by, besides its id.
type SubscriptionKeys struct {
	Account  string
	Customer string
	Status   aggregate.Status
	Flags    []string
}

// Keys returns what the row is found by.
func (r *SubscriptionRow) Keys() SubscriptionKeys {
	return SubscriptionKeys{Account: r.Account, Customer: r.Truth.Customer, Status: r.Truth.Status, Flags: r.Truth.Flags}
}

// StaysInPlace reports whether the model is known to find the row where it
// found the one before.
func (r *SubscriptionRow) StaysInPlace() bool {
	b := r.Before
	return b != nil && b.Account == r.Account && b.Customer == r.Truth.Customer &&
		b.Status == r.Truth.Status && slices.Equal(b.Flags, r.Truth.Flags)
}

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
	At           time.Time
}

// newSubscriptionRow encodes a truth. Due is set only where no note tells of
// the end of this very grace; told holds such ends, in Unix nanoseconds.
func newSubscriptionRow(truth aggregate.SubscriptionTruth, told map[int64]bool) (SubscriptionRow, error) {
	doc, err := aggregate.EncodeTruth(truth)
	if err != nil {
		return SubscriptionRow{}, err
	}
	row := SubscriptionRow{Truth: truth, Account: truth.Link.Account, Doc: doc}
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
var Prefixes = []string{"subscription-", "catalog-", "account-", "customer-", "posting-"}

func filter() eventstore.Filter { return eventstore.Filter{Prefixes: Prefixes} }
