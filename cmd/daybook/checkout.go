package main

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

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
		Learn:       n.learn,
		Now:         systemClock,
	})
}

// learnTimeout bounds how long a buyer waits for what is recorded on the way.
const learnTimeout = 2 * time.Second

// learn records what Stripe has and no webhook has told of, or not yet. Where that
// fails, the next sweep does it.
func (n *node) learn(ctx context.Context, objects ...stripeapi.Object) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	for _, o := range objects {
		log := n.log.WithFields(logrus.Fields{"kind": o.Kind, "id": o.ID})
		if err := n.reconciler.Take(ctx, o); err != nil {
			log.WithError(err).Error("what a buyer already has at Stripe is not known here, and could not be recorded")
			return
		}
		log.Info("what a buyer already has at Stripe was not known here, and is recorded")
	}
}
