// Package projections folds the domain streams into the local read model:
// subscriptions, accounts, entitlements and due times. The model is disposable.
// Whatever it says can be had again by folding the history from zero.
package projections

import (
	"context"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// Schema is the version of the read model's content and of the projectors that
// make it. A model of another schema is rebuilt.
const Schema = 5

// Checkpoint tells how far a model has been folded, and by what.
type Checkpoint struct {
	// Position is the place in the log up to which every event is in the model.
	Position eventstore.Position `json:"position"`
	// Epoch names the store in which Position counts.
	Epoch string `json:"epoch"`
	// Schema is that of the projectors that wrote the model.
	Schema int `json:"schema"`
	// Filter is what of the log was folded.
	Filter []string `json:"filter"`
	// At is our clock when the checkpoint was written.
	At time.Time `json:"at"`
}

// SubscriptionRecord is a subscription as the read model holds it.
type SubscriptionRecord struct {
	aggregate.SubscriptionTruth
	// Account is where the join puts the subscription.
	Account string `json:"account,omitempty"`
}

// SubscriptionDoc is a subscription as it is stored.
type SubscriptionDoc struct {
	ID string
	// Account is where the join puts the subscription, empty if nowhere.
	Account string
	// Doc is the subscription's truth as JSON.
	Doc []byte
}

// EntitlementRecord is an entitlement and how long it stays as it is.
type EntitlementRecord struct {
	aggregate.Entitlement
	// Until is the next moment at which time alone changes the answer, zero if
	// none does.
	Until time.Time `json:"-"`
	// JSON is the entitlement as it is stored. It is shared: leave it as it is.
	JSON []byte `json:"-"`
}

// Parked is a stream that a projector could not apply. Its account keeps its
// last state until the fault is mended and the model rebuilt.
type Parked struct {
	Stream   eventstore.Stream   `json:"stream"`
	Position eventstore.Position `json:"position"`
	// Revision is that of the first event that was not applied.
	Revision eventstore.Revision `json:"revision"`
	Error    string              `json:"error"`
	ParkedAt time.Time           `json:"parked_at"`
}

// Failure is a Stripe event that could not be posted.
type Failure struct {
	StripeEventID string              `json:"stripe_event_id"`
	EventType     string              `json:"event_type"`
	Reason        string              `json:"reason"`
	Position      eventstore.Position `json:"position"`
	FailedAt      time.Time           `json:"failed_at"`
}

// UnmappedPrice is a price that is in use and in no catalog entry.
type UnmappedPrice struct {
	Price         string   `json:"price"`
	LookupKey     string   `json:"lookup_key,omitempty"`
	Product       string   `json:"product,omitempty"`
	Subscriptions []string `json:"subscriptions"`
}

// SubscriptionFilter chooses subscriptions. Empty fields choose all.
type SubscriptionFilter struct {
	Status   aggregate.Status
	Account  string
	Customer string
	Tier     string
	Flag     string
	// After is the id of the last subscription of the page before.
	After string
	// Limit bounds the page; 0 means 100.
	Limit int
}

// SubscriptionName says which subscription it is, and which customer's: the one
// that it is joined by.
type SubscriptionName struct{ ID, Customer string }

// Reader answers from the read model. All methods may be called from many
// goroutines and processes; none waits for the writer.
type Reader interface {
	// Checkpoint tells how far the model is; the zero Checkpoint if it is empty.
	Checkpoint(ctx context.Context) (Checkpoint, error)
	// Entitlement returns what is recorded for an account, and whether anything is.
	Entitlement(ctx context.Context, account string) (EntitlementRecord, bool, error)
	// Subscription returns one subscription, and whether it is known.
	Subscription(ctx context.Context, id string) (SubscriptionRecord, bool, error)
	// Subscriptions returns a page, ordered by id.
	Subscriptions(ctx context.Context, filter SubscriptionFilter) ([]SubscriptionRecord, error)
	// SubscriptionNames returns the same page without what is true of them, which
	// costs most to read.
	SubscriptionNames(ctx context.Context, filter SubscriptionFilter) ([]SubscriptionName, error)
	// SubscriptionDocs and EntitlementDocs return a page of all there are, as
	// they are stored: up to limit of them behind after, ordered by id or by
	// account.
	SubscriptionDocs(ctx context.Context, after string, limit int) ([]SubscriptionDoc, error)
	EntitlementDocs(ctx context.Context, after string, limit int) ([]EntitlementRow, error)
	// EntitlementsOf returns the entitlements of accounts as they are stored, in
	// no order, those left out that have none.
	EntitlementsOf(ctx context.Context, accounts []string) ([]EntitlementRow, error)
	// Account returns an account with all that belongs to it, and whether anything
	// is known of it.
	Account(ctx context.Context, account string) (AccountRecord, bool, error)
	// Named lists the streams of subscriptions and customers that once named the
	// account, where nothing else leads from it to them now.
	Named(ctx context.Context, account string) ([]eventstore.Stream, error)
	// Streams lists the streams of what belongs to an account or to a customer.
	// Those of charges may have no events.
	Streams(ctx context.Context, of Owner) ([]eventstore.Stream, error)
	// Objects lists up to limit objects of a kind behind an id, in order.
	Objects(ctx context.Context, kind Kind, after string, limit int) ([]ObjectRow, error)
	// Catalogs returns the history of catalogs that the model was folded with:
	// the built-in one alone if none was adopted.
	Catalogs(ctx context.Context) (aggregate.Catalogs, error)
	// Parked, Failures and Unmapped list what a person should look at.
	Parked(ctx context.Context) ([]Parked, error)
	Failures(ctx context.Context) ([]Failure, error)
	Unmapped(ctx context.Context) ([]UnmappedPrice, error)
	// Counts tells how many rows the model has, by kind ("accounts",
	// "subscriptions", "subscriptions.active", …).
	Counts(ctx context.Context) (map[string]int64, error)
}
