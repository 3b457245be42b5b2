package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
	"github.com/daybookhq/daybook/projections"
)

const stripeKey = "sk_test_desk"

// noon is when rigs begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// accounts are what the read model knows. The desk asks it, and is what is tested.
type accounts struct {
	mu      sync.Mutex
	records map[string]projections.AccountRecord
	moved   chan struct{}
	folded  bool
}

func (a *accounts) Account(_ context.Context, account string) (projections.AccountRecord, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	record, known := a.records[account]
	return record, known, nil
}

func (a *accounts) Subscription(_ context.Context, id string) (projections.SubscriptionRecord, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, record := range a.records {
		for _, s := range record.Subscriptions {
			if s.ID == id {
				return s, true, nil
			}
		}
	}
	return projections.SubscriptionRecord{}, false, nil
}

func (a *accounts) Entitlement(ctx context.Context, account string, now time.Time) (aggregate.Entitlement, error) {
	if !a.folded {
		return aggregate.Entitlement{}, projections.ErrNotFolded
	}
	record, _, _ := a.Account(ctx, account)
	e := aggregate.Entitlement{Account: account, Source: aggregate.FromFree}
	for _, s := range record.Subscriptions {
		if s.Status == aggregate.Active || s.Status == aggregate.Trialing {
			e.Source = aggregate.FromSubscription
		}
	}
	return e, nil
}

// Moved implements what a desk waits for.
func (a *accounts) Moved() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.moved
}

// has lets the model know of a subscription, and tells that it changed.
func (a *accounts) has(account, customer, subscription string, status aggregate.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	record := a.records[account]
	record.Account = account
	record.Customers = append(record.Customers, customer)
	record.Links = append(record.Links, projections.LinkRecord{Subscription: subscription, Customer: customer,
		Link: aggregate.Link{Account: account, OccurredAt: noon.Add(time.Duration(len(record.Links)) * time.Hour)}})
	if subscription != "" {
		record.Subscriptions = append(record.Subscriptions, projections.SubscriptionRecord{Account: account,
			SubscriptionTruth: aggregate.SubscriptionTruth{ID: subscription, Customer: customer, Status: status}})
	}
	a.records[account] = record
	close(a.moved)
	a.moved = make(chan struct{})
}

// change changes what is known of an account.
func (a *accounts) change(account string, how func(*projections.AccountRecord)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	record := a.records[account]
	how(&record)
	a.records[account] = record
}

// rig is a desk before a small Stripe.
type rig struct {
	*testing.T
	stripe  *stripetest.Server
	model   *accounts
	catalog *aggregate.Catalog
	desk    *checkout.Desk
	learned []string // what the desk has handed on
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, stripe: stripetest.New(stripeKey), catalog: aggregate.BuiltinCatalog(),
		model: &accounts{records: map[string]projections.AccountRecord{}, moved: make(chan struct{}), folded: true}}
	t.Cleanup(r.stripe.Close)
	r.stripe.SetClock(func() time.Time { return noon })
	r.desk = r.newDesk()
	r.sell("price_basic", "basic", "prod_basic", "month", 1, "usd")
	return r
}

// newDesk is another server's desk before the same Stripe and model.
func (r *rig) newDesk() *checkout.Desk {
	return checkout.NewDesk(checkout.Config{
		Stripe: stripeapi.New(stripeapi.Config{Key: stripeKey, Base: r.stripe.URL, PerSecond: 1e6,
			Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}),
		Model: r.model, Entitlements: r.model, Moved: r.model.Moved,
		Catalog:     func() *aggregate.Catalog { return r.catalog },
		AccountKeys: []string{"account_id", "community_id"},
		Redirects:   checkout.Redirects{Hosts: []checkout.Host{{Name: "app.example.com"}}},
		Learn: func(_ context.Context, objects ...stripeapi.Object) {
			for _, o := range objects {
				r.learned = append(r.learned, o.ID)
			}
		},
		Now: func() time.Time { return r.stripe.Now() },
	})
}

// sell lets Stripe have a price.
func (r *rig) sell(id, lookupKey, product, interval string, count int, currency string) {
	r.put(id, lookupKey, product, true, fmt.Sprintf(`{"interval": %q, "interval_count": %d, "usage_type": "licensed"}`, interval, count), currency)
}

func (r *rig) put(id, lookupKey, product string, active bool, recurring, currency string) {
	kind := "recurring"
	if recurring == "null" {
		kind = "one_time"
	}
	r.stripe.Put("/v1/prices", fmt.Appendf(nil, `{"id": %q, "object": "price", "created": 1, "livemode": false, "active": %t, "type": %q, "currency": %q,
		"lookup_key": %q, "product": %q, "unit_amount": 100, "recurring": %s}`, id, active, kind, currency, lookupKey, product, recurring))
}

// customer lets Stripe have a customer.
func (r *rig) customer(id string) {
	r.stripe.Put("/v1/customers", fmt.Appendf(nil, `{"id": %q, "object": "customer", "created": 1, "livemode": false}`, id))
}

// named lets Stripe have a customer whose metadata names an account.
func (r *rig) named(id, account string, created int64) {
	r.stripe.Put(customersPath, fmt.Appendf(nil, `{"id": %q, "object": "customer", "created": %d, "livemode": false, "metadata": {"account_id": %q}}`, id, created, account))
}

// subscribed lets Stripe have a subscription; account is whom its metadata names.
func (r *rig) subscribed(id, customer, account string, status aggregate.Status) {
	metadata := ""
	if account != "" {
		metadata = fmt.Sprintf(`"account_id": %q`, account)
	}
	r.stripe.Put(subscriptionsPath, fmt.Appendf(nil, `{"id": %q, "object": "subscription", "created": 1, "livemode": false, "customer": %q, "status": %q, "metadata": {%s}}`,
		id, customer, status, metadata))
}

// order is one that nothing is wrong with.
func order(account, tier string) checkout.Order {
	return checkout.Order{Account: account, Tier: tier,
		SuccessURL: "https://app.example.com/done?s={CHECKOUT_SESSION_ID}", CancelURL: "https://app.example.com/plans"}
}

// mustSell wants a checkout session.
func (r *rig) mustSell(o checkout.Order) checkout.Sale {
	r.Helper()
	sale, err := r.desk.Sell(r.Context(), o)
	if err != nil || sale.Kind != checkout.KindCheckout || sale.SessionID == "" || sale.URL == "" {
		r.Fatalf("%+v, %v", sale, err)
	}
	return sale
}

// refused wants an order to have one fault, of a field, that says something.
func (r *rig) refused(o checkout.Order, field string, says ...string) {
	r.Helper()
	sale, err := r.desk.Sell(r.Context(), o)
	var faults checkout.Faults
	if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Field != field {
		r.Errorf("%+v, %v: want a fault of %s", sale, err, field)
		return
	}
	for _, want := range says {
		if !strings.Contains(faults[0].Reason, want) {
			r.Errorf("%s %q does not say %q", field, faults[0].Reason, want)
		}
	}
}

const (
	sessionsPath      = "/v1/checkout/sessions"
	customersPath     = "/v1/customers"
	searchPath        = "/v1/customers/search"
	subscriptionsPath = "/v1/subscriptions"
	portalPath        = "/v1/billing_portal/sessions"
)

// made lists the different sessions that were asked for.
func (r *rig) made() []string {
	seen := map[string]bool{}
	var keys []string
	for _, p := range r.stripe.Posts(sessionsPath) {
		if !seen[p.Key] {
			seen[p.Key] = true
			keys = append(keys, p.Key)
		}
	}
	return keys
}

type record = projections.AccountRecord

var errNotFolded = projections.ErrNotFolded
