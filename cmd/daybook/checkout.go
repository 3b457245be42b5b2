package main

import (
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// saleTimeout bounds one attempt at asking Stripe while a buyer waits: there is
// time for another one.
const saleTimeout = 8 * time.Second

// newDesk returns what sells, nil where no key is configured. It has a client of
// its own, so that no buyer waits for a backfill's turn.
func (n *node) newDesk() *checkout.Desk {
	if n.cfg.StripeKey == "" {
		return nil
	}
	return checkout.NewDesk(checkout.Config{
		Stripe: stripeapi.New(stripeapi.Config{Key: n.cfg.StripeKey, Base: n.cfg.StripeBase, Livemode: n.cfg.Livemode, Timeout: saleTimeout}),
		Model:  n.model, Entitlements: n.answers, Moved: n.runner.Moved,
		Catalog:     func() *aggregate.Catalog { return n.catalogs.Current() },
		AccountKeys: n.cfg.AccountKeys,
		Redirects:   checkout.Redirects{Hosts: n.cfg.RedirectHosts, Dev: n.cfg.Dev},
		Now:         systemClock,
	})
}
