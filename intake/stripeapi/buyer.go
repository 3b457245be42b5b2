package stripeapi

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/stripe/stripe-go/v76"
)

// Customer is somebody who buys, as far as it matters to selling.
type Customer struct {
	Object
	Metadata map[string]string
	// Replayed says that an earlier request of the same idempotency key has made it.
	Replayed bool
}

// CreateCustomer makes a customer of whom nothing is known but the metadata. Two
// requests of one idempotency key make one.
func (c *Client) CreateCustomer(ctx context.Context, metadata map[string]string, key string) (Customer, error) {
	made, err := c.create(ctx, request{path: Customers.Path, form: formOf(&stripe.CustomerParams{Metadata: metadata}), idempotencyKey: key, doing: "create a customer"})
	return Customer{Object: made.Object, Metadata: metadata, Replayed: made.replayed}, err
}

// mostClauses is how many conditions a search may have.
const mostClauses = 10

// CustomersNaming searches for customers whose metadata has a value under one of the
// keys, and returns at most a hundred. Stripe takes upper and lower case for the
// same, and a minute or so to find whom it has just made; for accounts of some
// countries (India) it does not search at all: then the error is of the kind Refused.
func (c *Client) CustomersNaming(ctx context.Context, keys []string, value string) ([]Customer, error) {
	clauses := make([]string, min(len(keys), mostClauses))
	for i := range clauses {
		clauses[i] = "metadata[" + inQuery(keys[i]) + "]:" + inQuery(value)
	}
	page, err := c.page(ctx, Listing{Resource: Customers, query: strings.Join(clauses, " OR ")})
	if err != nil {
		return nil, err
	}
	customers := make([]Customer, len(page.Objects))
	for i, o := range page.Objects {
		var wire struct {
			Metadata map[string]string `json:"metadata"`
		}
		if err := json.Unmarshal(o.Raw, &wire); err != nil {
			return nil, &Error{Kind: Unreadable, Doing: Customers.searching()}
		}
		customers[i] = Customer{Object: o, Metadata: wire.Metadata}
	}
	return customers, nil
}

// inQuery writes a text as the search query language has it.
func inQuery(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Subscription is what a customer has bought, as far as it matters to selling.
type Subscription struct {
	Object
	Customer string
	// Status is Stripe's word.
	Status   string
	Metadata map[string]string
}

// SubscriptionsOf lists the subscriptions of a customer that are not canceled, the
// newest first.
func (c *Client) SubscriptionsOf(ctx context.Context, customer string) (subscriptions []Subscription, err error) {
	for page, err := range c.List(ctx, Listing{Resource: Subscriptions, Where: map[string]string{"customer": customer}}) {
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			var wire struct {
				Status   string            `json:"status"`
				Metadata map[string]string `json:"metadata"`
			}
			if err := json.Unmarshal(o.Raw, &wire); err != nil {
				return nil, &Error{Kind: Unreadable, Doing: Subscriptions.listing()}
			}
			subscriptions = append(subscriptions, Subscription{Object: o, Customer: customer, Status: wire.Status, Metadata: wire.Metadata})
		}
	}
	return subscriptions, nil
}
