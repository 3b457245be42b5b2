package checkout

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// accountIn is whom metadata names, empty if nobody.
func (d *Desk) accountIn(metadata map[string]string) string {
	for _, key := range d.AccountKeys {
		if account := metadata[key]; aggregate.ValidAccount(account) {
			return account
		}
	}
	return ""
}

// atStripe asks what the account's customers have at Stripe: their sessions, those
// of the first customer first, and a subscription that lives, nil if there is none.
func (d *Desk) atStripe(ctx context.Context, customers []string, account string) (sessions []stripeapi.Session, found *stripeapi.Subscription, err error) {
	var subscriptions []stripeapi.Subscription
	group, asking := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		sessions, err = ofEach(asking, customers, d.Stripe.SessionsOf)
		return err
	})
	group.Go(func() (err error) {
		subscriptions, err = ofEach(asking, customers, d.Stripe.SubscriptionsOf)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	found, err = d.unheardOf(ctx, subscriptions, account)
	if err == nil && found != nil && d.Learn != nil {
		d.handOn(ctx, sessions, *found)
	}
	return sessions, found, err
}

// handOn tells of a subscription, and first of what tells whose it is and whether it
// is paid: its customer, where it names no account itself, and the session by which it
// was bought. Without the customer nothing is told: it would be taken for nobody's.
func (d *Desk) handOn(ctx context.Context, sessions []stripeapi.Session, s stripeapi.Subscription) {
	var told []stripeapi.Object
	if d.accountIn(s.Metadata) == "" {
		customer, err := d.Stripe.Fetch(ctx, stripeapi.Customers, s.Customer)
		if err != nil {
			return
		}
		told = append(told, customer)
	}
	for _, by := range sessions {
		if by.Subscription == s.ID {
			told = append(told, by.Object)
		}
	}
	d.Learn(ctx, append(told, s.Object)...)
}

// ofEach lists what customers have, that of the first one first. Of the others, one
// that is gone has nothing.
func ofEach[T any](ctx context.Context, customers []string, list func(ctx context.Context, customer string) ([]T, error)) (all []T, err error) {
	for i, customer := range customers {
		some, err := list(ctx, customer)
		if err != nil && (i == 0 || !stripeapi.IsMissing(err, "customer")) {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// unheardOf finds a subscription of the account's that lives. The read model knows
// of none, or nobody would look here.
func (d *Desk) unheardOf(ctx context.Context, subscriptions []stripeapi.Subscription, account string) (*stripeapi.Subscription, error) {
	for _, s := range subscriptions {
		if its, err := d.livesFor(ctx, s, account); err != nil || its {
			return &s, err
		}
	}
	return nil, nil
}

// livesFor reports that a subscription lives, and is an account's: a customer may
// have bought for several. Of one that names nobody, the read model may know whose it
// is, and else it is taken for the account's; what is known to be over is over, for
// Stripe may have been asked before.
func (d *Desk) livesFor(ctx context.Context, s stripeapi.Subscription, account string) (bool, error) {
	named := d.accountIn(s.Metadata)
	if !slices.Contains(lives, aggregate.Status(s.Status)) || named != "" && named != account {
		return false, nil
	}
	known, is, err := d.Model.Subscription(ctx, s.ID)
	switch {
	case err != nil:
		return false, err
	case !is:
		return true, nil
	case known.Status.Terminal():
		return false, nil
	}
	return named != "" || known.Account == "" || known.Account == account, nil
}

// unheardCustomers are those at Stripe whose metadata names an account, and that are
// not among the account's customers as the read model knows them, the newest first.
func (d *Desk) unheardCustomers(ctx context.Context, b buyer, account string) ([]string, error) {
	found, err := d.Stripe.CustomersNaming(ctx, d.AccountKeys, account)
	if stripeapi.IsKind(err, stripeapi.Refused) {
		return nil, nil // nor will it find any later: see there
	}
	found = slices.DeleteFunc(found, func(c stripeapi.Customer) bool {
		return d.accountIn(c.Metadata) != account || slices.Contains(b.Customers, c.ID) && !b.onlyClaimed(c.ID)
	})
	slices.SortFunc(found, func(x, y stripeapi.Customer) int {
		return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(x.ID, y.ID))
	})
	ids := make([]string, min(len(found), mostCustomers))
	for i := range ids {
		ids[i] = found[i].ID
	}
	return ids, err
}
