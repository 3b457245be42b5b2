package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/projections"
)

// newStripe returns a client of Stripe's API, nil where no key is configured.
func newStripe(cfg *config.Config) *stripeapi.Client {
	if cfg.StripeKey == "" {
		return nil
	}
	return stripeapi.New(stripeapi.Config{Key: cfg.StripeKey, Base: cfg.StripeBase, Livemode: cfg.Livemode})
}

func (n *node) newReconciler() *reconcile.Reconciler {
	n.traffic = reconcile.NewTraffic(n.store, systemClock, n.log)
	return reconcile.New(reconcile.Config{
		API: newStripe(n.cfg), Store: n.store, Journal: n.journal,
		Translator: &intake.Translator{AccountKeys: n.cfg.AccountKeys},
		Catalogs:   n.catalogs.History, Ours: ourSubscriptions{n.model}, Livemode: n.cfg.Livemode,
		Traffic: n.traffic, Settle: n.settlePosted, Now: systemClock, Log: n.log,
	})
}

// watchStripe does what a server does beside serving: it counts webhooks by the
// hour, and compares the record with Stripe.
func (n *node) watchStripe(ctx context.Context, server *api.Server) error {
	if err := n.traffic.Load(ctx); err != nil {
		n.log.WithError(err).Warn("webhooks are not compared with earlier weeks")
	}
	for _, alert := range n.reconciler.Status().Alerts {
		n.log.Warn(alert)
	}
	n.reconciler.GiveWay(func() bool {
		lost, _ := n.history.present()
		return lost == nil && server.Busy() // what was lost is wanted before anything is published
	})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		n.traffic.Run(ctx, func() uint64 {
			c := server.WebhookCounts()
			return c.Recorded + c.Duplicate + c.NotDurable
		})
		return nil
	})
	group.Go(func() error { n.reconciler.Run(ctx); return nil })
	group.Go(func() error { n.recoverHistory(ctx); return nil })
	return group.Wait()
}

// settlePosted waits, like settle, for what was recorded so far, whichever server
// posts it. One that was told to post nothing has nothing to wait for.
func (n *node) settlePosted(ctx context.Context) error {
	if n.recordsOnly {
		return nil
	}
	last, err := lastOf(ctx, n.store, intake.JournalCategory+"-")
	if err != nil {
		return err
	}
	if err := n.awaitPosted(ctx, last); err != nil {
		return fmt.Errorf("wait for posting: %w", err)
	}
	return n.awaitProjected(ctx)
}

// awaitPosted waits until this server has posted everything up to a position, or
// the checkpoint says that another has.
func (n *node) awaitPosted(ctx context.Context, position eventstore.Position) error {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for n.poster.Progress().Position < position {
		if !n.posts() {
			at, err := posting.Checkpoint(ctx, n.store, n.about.Epoch)
			if err != nil || at >= position {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ourSubscriptions reads from the read model what is to be compared.
type ourSubscriptions struct{ model projections.Reader }

// Doubtful implements reconcile.Ours.
func (o ourSubscriptions) Doubtful(ctx context.Context) ([]string, error) {
	filters := []projections.SubscriptionFilter{{Status: aggregate.PastDue}}
	for _, flag := range reconcile.Doubts {
		filters = append(filters, projections.SubscriptionFilter{Flag: flag})
	}
	return o.list(ctx, filters)
}

// Live implements reconcile.Ours.
func (o ourSubscriptions) Live(ctx context.Context) ([]string, error) {
	var filters []projections.SubscriptionFilter
	for _, status := range []aggregate.Status{aggregate.PastDue, aggregate.Active, aggregate.Trialing, aggregate.Unpaid, aggregate.Paused, aggregate.Incomplete} {
		filters = append(filters, projections.SubscriptionFilter{Status: status})
	}
	return o.list(ctx, append(filters, projections.SubscriptionFilter{Flag: aggregate.FlagNoSnapshot}))
}

// comparedAtOnce is the size of a page of the read model.
const comparedAtOnce = 1000

// list returns the ids that any of the filters chooses, each once. Those of
// connected accounts belong to another key.
func (o ourSubscriptions) list(ctx context.Context, filters []projections.SubscriptionFilter) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	for _, f := range filters {
		for f.Limit = comparedAtOnce; ; {
			page, err := o.model.SubscriptionNames(ctx, f)
			if err != nil {
				return nil, err
			}
			for _, s := range page {
				if !seen[s.ID] && !connected(s.Customer) {
					seen[s.ID] = true
					ids = append(ids, s.ID)
				}
				f.After = s.ID
			}
			if len(page) < f.Limit {
				break
			}
		}
	}
	return ids, nil
}

// connected reports the name of a customer of a connected account.
func connected(customer string) bool { return strings.HasPrefix(customer, "acct_") }
