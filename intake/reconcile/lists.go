package reconcile

import (
	"context"
	"time"

	"github.com/daybookhq/daybook/intake/stripeapi"
)

// part is one list of objects to go through.
type part struct {
	name    string
	listing stripeapi.Listing
}

// liveParts are the lists of what can change access now: subscriptions that are
// not canceled, and invoices that are owed.
func liveParts() []part {
	return []part{
		{"subscriptions", stripeapi.Listing{Resource: stripeapi.Subscriptions}},
		{"open invoices", stripeapi.Listing{Resource: stripeapi.Invoices, Where: map[string]string{"status": "open"}}},
	}
}

// allParts are the lists of everything that access follows from.
func allParts(now time.Time) []part {
	return []part{
		{"customers", stripeapi.Listing{Resource: stripeapi.Customers}},
		{"subscriptions", stripeapi.Listing{Resource: stripeapi.Subscriptions, Where: map[string]string{"status": "all"}}},
		{"checkout sessions", stripeapi.Listing{Resource: stripeapi.Sessions, Where: map[string]string{"status": "complete"}}},
		{"open invoices", stripeapi.Listing{Resource: stripeapi.Invoices, Where: map[string]string{"status": "open"}}},
		{"recent invoices", stripeapi.Listing{Resource: stripeapi.Invoices, Created: stripeapi.Range{From: now.Add(-recent)}}},
	}
}

// Needed are the resources that the key must be allowed to read.
var Needed = []stripeapi.Resource{stripeapi.Customers, stripeapi.Subscriptions, stripeapi.Invoices, stripeapi.Sessions, stripeapi.Events}

// goThrough takes in a list, from a place on, and tells after each page where it
// would go on.
func (r *run) goThrough(ctx context.Context, p part, from stripeapi.Place, passed func(stripeapi.Place) error) error {
	p.listing.After = from
	for page, err := range r.API.List(ctx, p.listing) {
		if err != nil {
			return err
		}
		if err := r.takePage(ctx, page.Objects); err != nil {
			return err
		}
		if err := passed(page.Next); err != nil {
			return err
		}
	}
	return nil
}
