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

// live are the customers that have a subscription of the account that lives.
func (b buyer) live() []string {
	return slices.DeleteFunc(b.customers(), func(customer string) bool {
		return !slices.ContainsFunc(b.Subscriptions, func(s projections.SubscriptionRecord) bool {
			return s.Customer == customer && slices.Contains(lives, s.Status)
		})
	})
}

// trialed is when the last trial of the account ends or ended, zero if it had none.
func (b buyer) trialed() (end time.Time) {
	for _, s := range b.Subscriptions {
		if s.TrialEnd.After(end) {
			end = s.TrialEnd
		}
	}
	return end
}

// usable reports a customer of ours that Stripe has not deleted. One of a
// connected account is not ours.
func (b buyer) usable(customer string) bool {
	return customer != "" && !strings.Contains(customer, "/") && !slices.Contains(b.DeletedCustomers, customer)
}

// customers are those of the account that can be used: those that only a buyer
// calls the account's last, and of the others the one with the newest link first.
func (b buyer) customers() []string {
	newest := map[string]time.Time{}
	for _, l := range b.Links {
		if at, seen := newest[l.Customer]; !seen || l.OccurredAt.After(at) {
			newest[l.Customer] = l.OccurredAt
		}
	}
	found := slices.DeleteFunc(slices.Clone(b.Customers), func(c string) bool { return !b.usable(c) })
	claimed := func(c string) int { return map[bool]int{true: 1}[b.onlyClaimed(c)] }
	slices.SortStableFunc(found, func(x, y string) int {
		return cmp.Or(cmp.Compare(claimed(x), claimed(y)), newest[y].Compare(newest[x]), cmp.Compare(x, y))
	})
	return found
}

// mostCustomers bounds the customers of one account that are looked at.
const mostCustomers = 5

// sellable are the customers that may be sold to. A buyer can write any account's
// name into a payment link: were a customer taken for the account's because of
// that, the account's card would end up with somebody else.
func (b buyer) sellable() []string {
	found := slices.DeleteFunc(b.customers(), b.onlyClaimed)
	return found[:min(len(found), mostCustomers)]
}

// onlyClaimed reports a customer that nothing links to the account but what a buyer
// could write.
func (b buyer) onlyClaimed(customer string) bool {
	claimed := false
	for _, l := range b.Links {
		if l.Customer == customer && l.Rank != aggregate.LinkClientReference {
			return false
		}
		claimed = claimed || l.Customer == customer
	}
	return claimed
}
