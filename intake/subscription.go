package intake

import (
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// FlagItemsTruncated marks an object with more items than its event held.
const FlagItemsTruncated = "items_truncated"

// wireSubscription holds every place, of any API version, that we read in a
// subscription.
type wireSubscription struct {
	Object            *string             `json:"object"`
	ID                reference           `json:"id"`
	Customer          reference           `json:"customer"`
	Status            *string             `json:"status"`
	Metadata          metadata            `json:"metadata"`
	Items             *wireList[wireItem] `json:"items"`
	Created           *moment             `json:"created"`
	TrialEnd          *moment             `json:"trial_end"`
	CancelAt          *moment             `json:"cancel_at"`
	CancelAtPeriodEnd *bool               `json:"cancel_at_period_end"`
	CanceledAt        *moment             `json:"canceled_at"`
	EndedAt           *moment             `json:"ended_at"`
	CollectionMethod  *string             `json:"collection_method"`
	LatestInvoice     reference           `json:"latest_invoice"`
	PauseCollection   *wirePause          `json:"pause_collection"`
	StatusDetails     *wireStatusDetails  `json:"status_details"`
	TestClock         reference           `json:"test_clock"`

	// The periods stand here until 2025-03-31.basil, since then on each item.
	CurrentPeriodStart *moment `json:"current_period_start"`
	CurrentPeriodEnd   *moment `json:"current_period_end"`
	// The oldest subscriptions have no items, but one plan.
	Plan     *wirePrice `json:"plan"`
	Quantity *whole     `json:"quantity"`
	// Billing is the name of collection_method until 2019-10-17.
	Billing *string `json:"billing"`
}

// wireItem is one item of a subscription.
type wireItem struct {
	Price              *wirePrice `json:"price"`
	Plan               *wirePrice `json:"plan"`
	Quantity           *whole     `json:"quantity"`
	CurrentPeriodStart *moment    `json:"current_period_start"`
	CurrentPeriodEnd   *moment    `json:"current_period_end"`
}

// wirePrice is a price, or the plan that came before it.
type wirePrice struct {
	ID        reference `json:"id"`
	LookupKey *string   `json:"lookup_key"`
	Product   reference `json:"product"`
}

type wirePause struct {
	Behavior string `json:"behavior"`
}

type wireStatusDetails struct {
	Paused *struct {
		Subscription *struct {
			Type string `json:"type"`
		} `json:"subscription"`
	} `json:"paused"`
}

// subscription translates the customer.subscription events.
func (t *Translator) subscription(eventType string, data *wireData[wireSubscription]) ([]StreamFact, error) {
	snapshot := t.snapshotOf(data.Object)
	before, err := t.before(data)
	if err != nil {
		return nil, err
	}
	snapshot.Before = before
	if eventType == subscriptionDeleted && !snapshot.Status.Terminal() {
		// The event's name says that it ended, whatever moment the object shows.
		snapshot.Status = aggregate.Canceled
	}
	return []StreamFact{{
		Stream: eventstore.NewStream(SubscriptionCategory, snapshot.ID),
		Fact:   aggregate.Fact{Subscription: snapshot},
	}}, nil
}

func (s *wireSubscription) check(eventType string) error {
	if err := checkObject(s.Object, "subscription", s.ID); err != nil {
		return err
	}
	if valueOf(s.Status) == "" && eventType != subscriptionDeleted {
		return unreadable("status", "missing")
	}
	return nil
}

// snapshotOf normalises what any version may have rendered.
func (t *Translator) snapshotOf(s *wireSubscription) *aggregate.SubscriptionSnapshot {
	account, invalid := t.account(s.Metadata)
	snapshot := &aggregate.SubscriptionSnapshot{
		ID:                string(s.ID),
		Customer:          t.customer(s.Customer),
		Status:            aggregate.Status(valueOf(s.Status)),
		Account:           account,
		CreatedAt:         timeOf(s.Created),
		TrialEnd:          timeOf(s.TrialEnd),
		CancelAt:          timeOf(s.CancelAt),
		CancelAtPeriodEnd: valueOf(s.CancelAtPeriodEnd),
		CanceledAt:        timeOf(s.CanceledAt),
		EndedAt:           timeOf(s.EndedAt),
		CollectionMethod:  valueOf(first(s.CollectionMethod, s.Billing)),
		LatestInvoice:     string(s.LatestInvoice),
		PauseCollection:   valueOf(s.PauseCollection).Behavior,
		PausedFor:         s.StatusDetails.pausedFor(),
		TestClock:         string(s.TestClock),
	}
	if invalid {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagAccountInvalid)
	}
	snapshot.Items = s.items()
	for i := range snapshot.Items {
		if t.connected != "" { // only the price's id is Stripe's own
			snapshot.Items[i].LookupKey, snapshot.Items[i].Product = "", ""
		}
	}
	if len(snapshot.Items) == 0 || hasUnpriced(snapshot.Items) {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagNoPrice)
	}
	if s.Items != nil && s.Items.HasMore {
		snapshot.Flags = append(snapshot.Flags, FlagItemsTruncated)
	}
	return snapshot
}

// pausedFor is why a paused subscription is paused.
func (d *wireStatusDetails) pausedFor() string {
	if d == nil || d.Paused == nil || d.Paused.Subscription == nil {
		return ""
	}
	return d.Paused.Subscription.Type
}

func hasUnpriced(items []aggregate.Item) bool {
	for _, item := range items {
		if item.Price == "" {
			return true
		}
	}
	return false
}

// items are the subscription's items or, where it has none, its one plan.
func (s *wireSubscription) items() []aggregate.Item {
	if s.Items == nil || len(s.Items.Data) == 0 {
		if s.Plan == nil {
			return nil
		}
		return []aggregate.Item{s.item(wireItem{Plan: s.Plan, Quantity: s.Quantity})}
	}
	items := make([]aggregate.Item, 0, len(s.Items.Data))
	for _, wire := range s.Items.Data {
		if wire.Quantity == nil && len(s.Items.Data) == 1 {
			wire.Quantity = s.Quantity
		}
		items = append(items, s.item(wire))
	}
	return items
}

// item normalises one item. An absent quantity, as metered prices have, is 0.
func (s *wireSubscription) item(wire wireItem) aggregate.Item {
	price := valueOf(first(wire.Price, wire.Plan))
	return aggregate.Item{
		Price:       string(price.ID),
		LookupKey:   valueOf(price.LookupKey),
		Product:     string(price.Product),
		Quantity:    int64(valueOf(wire.Quantity)),
		PeriodStart: s.period(wire.CurrentPeriodStart, s.CurrentPeriodStart),
		PeriodEnd:   s.period(wire.CurrentPeriodEnd, s.CurrentPeriodEnd),
	}
}

func (s *wireSubscription) period(own, shared *moment) time.Time {
	return timeOf(first(own, shared))
}
