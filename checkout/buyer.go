package checkout

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// buyer is an account as the read model knows it.
type buyer struct{ projections.AccountRecord }

// buyer looks an account up. A model that is not folded yet knows of no
// subscription, and is an error.
func (d *Desk) buyer(ctx context.Context, account string) (buyer, error) {
	if _, err := d.Entitlements.Entitlement(ctx, account, d.Now()); err != nil {
		return buyer{}, err
	}
	record, _, err := d.Model.Account(ctx, account)
	return buyer{record}, err
}

// lives are the statuses of a subscription that is to be changed, not bought anew.
var lives = []aggregate.Status{aggregate.Active, aggregate.Trialing, aggregate.PastDue, aggregate.Unpaid, aggregate.Paused}

// live returns the customer of a subscription of the account that lives.
func (b buyer) live() (customer string, found bool) {
	for _, s := range b.Subscriptions {
		if slices.Contains(lives, s.Status) && b.usable(s.Customer) {
			return s.Customer, true
		}
	}
	return "", false
}

// usable reports a customer of ours that Stripe has not deleted. One of a
// connected account is not ours.
func (b buyer) usable(customer string) bool {
	return customer != "" && !strings.Contains(customer, "/") && !slices.Contains(b.DeletedCustomers, customer)
}

// customers are those that may be sold to: the one with the newest link first.
func (b buyer) customers() []string {
	newest := map[string]time.Time{}
	for _, l := range b.Links {
		if at, seen := newest[l.Customer]; b.usable(l.Customer) && (!seen || l.OccurredAt.After(at)) {
			newest[l.Customer] = l.OccurredAt
		}
	}
	var found []string
	for _, c := range b.Customers {
		if b.usable(c) {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(x, y string) int { return cmp.Or(newest[y].Compare(newest[x]), cmp.Compare(x, y)) })
	return found
}
