package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/cmd/daybook/tracing"
	"github.com/daybookhq/daybook/decisions"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/projections"
	modelsqlite "github.com/daybookhq/daybook/projections/sqlite"
	"github.com/daybookhq/daybook/recent"
)

// The files of a data dir.
func storePath(dir string) string  { return filepath.Join(dir, "daybook.db") }
func leftPath(dir string) string   { return storePath(dir) + ".migrated" }
func modelPath(dir string) string  { return filepath.Join(dir, "model.db") }
func socketPath(dir string) string { return filepath.Join(dir, "daybook.sock") }

// probeEvery is how often the store is asked whether it is there.
const probeEvery = 2 * time.Second

// node is everything that works behind the routes: the store, the journal,
// posting and the projection. It owns the data dir.
type node struct {
	cfg *config.Config
	log logrus.FieldLogger

	owned    *ownership
	store    eventstore.Store
	model    *modelsqlite.Model
	about    founded
	history  *historyBook
	catalogs *catalogBook

	verifier  *intake.Verifier
	journal   *intake.Journal
	poster    *posting.Poster
	runner    *projections.Runner
	decisions *decisions.Book
	answers   *projections.Answers
	probe     *api.Probe
	// redis is what publishes entitlements, nil if nothing does.
	redis *redisNode
	// reconciler asks Stripe's API; without a key it refuses to.
	reconciler *reconcile.Reconciler
	traffic    *reconcile.Traffic
	// tracing tells of events' ways, nil if nobody asked for it.
	tracing *tracing.Tracing
	// recordsOnly says that this process was told to post nothing.
	recordsOnly bool
}

// openNode opens the data dir, founding the store if it is new. The configured
// catalog comes into force only if there is none yet: to change it is serve's
// to do, not a command's that happens to run with other settings.
func openNode(ctx context.Context, cfg *config.Config, log logrus.FieldLogger, traces *tracing.Tracing) (n *node, err error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data dir: %w", err)
	}
	n = &node{cfg: cfg, log: log, tracing: traces}
	opened := n // a return of nil must not lose what is open already
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if n.owned, err = own(cfg); err != nil {
		return nil, err
	}
	if n.store, err = openStore(ctx, cfg, log); err != nil {
		return nil, err
	}
	if n.history, err = openHistory(ctx, n.store, storeKind(cfg) != clusterKind); err != nil {
		return nil, err
	}
	if n.about, err = foundStore(ctx, n.store, cfg.Livemode, systemClock()); err != nil {
		return nil, err
	}
	if err := n.history.load(ctx, n.about); err != nil {
		return nil, err
	}
	n.catalogs = newCatalogBook(n.store)
	if present, err := n.catalogs.load(ctx); err != nil {
		return nil, err
	} else if !present {
		if err := n.adopt(ctx, cfg); err != nil {
			return nil, err
		}
	}
	if n.model, err = modelsqlite.Open(ctx, modelPath(cfg.DataDir)); err != nil {
		return nil, err
	}
	if err := n.assemble(); err != nil {
		return nil, err
	}
	return n, n.reconciler.Load(ctx)
}

// adopt puts a configuration's catalog in force.
func (n *node) adopt(ctx context.Context, cfg *config.Config) error {
	adopted, err := n.catalogs.adopt(ctx, cfg.Catalog, systemClock())
	if adopted {
		n.log.WithField("catalog", cfg.Catalog.Hash()).Info("catalog adopted")
	}
	return err
}

// assemble connects the rooms.
func (n *node) assemble() (err error) {
	feed := n.newFeed()
	n.verifier = intake.NewVerifier(n.cfg.WebhookSecrets, systemClock)
	n.journal = intake.NewJournal(n.store, systemClock)
	posted, folded := n.newRecent()
	n.poster = posting.New(posting.Config{
		Store: n.store, Recent: posted, Translator: &intake.Translator{AccountKeys: n.cfg.AccountKeys},
		Catalogs: n.catalogs.History, MapPrices: n.mapPrices, WithdrawPrices: n.withdrawPrices,
		OnPosted: n.tracing.Posted(), Livemode: n.cfg.Livemode, ConnectAccounts: n.cfg.ConnectAccounts,
		Epoch: n.about.Epoch, Now: systemClock, Log: n.log,
	})
	n.runner = projections.NewRunner(projections.Options{
		Store: n.store, Recent: folded, Model: n.model, Epoch: n.about.Epoch, Livemode: n.cfg.Livemode,
		Now: systemClock, OnDue: n.noteGraceEnd, OnCatalog: n.catalogs.look, OnFolded: n.tracing.Folded(), Feed: feed, Log: n.log,
		Rebuild: projections.RebuildOptions{Dir: n.cfg.DataDir, Readers: rebuildReaders(n.cfg),
			Folders: runtime.GOMAXPROCS(0)}, // not on the spare ones that a server has later
	})
	n.decisions = decisions.NewBook(decisions.Config{Store: n.store, Catalogs: n.catalogs.History, Now: systemClock, AwaitModel: n.runner.WaitFor})
	n.answers = projections.NewAnswers(n.model, n.about.Epoch, n.cfg.Livemode)
	n.probe = api.NewProbe(n.store, systemClock)
	n.reconciler = n.newReconciler()
	n.redis, err = n.newRedis(feed)
	return err
}

// newRecent returns where posting and the projections keep streams: together where
// one process appends. On a cluster, a node that appends what another has appended
// just before is told that it is there, for the ids are the same; what it would keep
// may be another build's word, where the projections must have the store's.
func (n *node) newRecent() (posted, folded *recent.Streams) {
	if storeKind(n.cfg) != clusterKind {
		both := recent.New(n.store, 0)
		return both, both
	}
	return recent.New(n.store, recent.DefaultBytes/2), recent.New(n.store, recent.DefaultBytes/2)
}

// mapPrices records what posting first matched prices to.
func (n *node) mapPrices(ctx context.Context, mappings []aggregate.PriceMapping) error {
	return n.catalogs.mapPrices(ctx, mappings, systemClock())
}

// withdrawPrices records that mappings count no more, and what takes their place.
func (n *node) withdrawPrices(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, instead []aggregate.PriceMapping) error {
	return n.catalogs.withdrawPrices(ctx, withdrawals, instead, systemClock())
}

// noteGraceEnd has posting note, in the streams of subscriptions, that their
// grace has run out.
func (n *node) noteGraceEnd(ctx context.Context, _ string, subscriptions []string, _ time.Time) error {
	var all []error
	for _, id := range subscriptions {
		all = append(all, n.poster.Conclude(ctx, id))
	}
	return errors.Join(all...)
}

// run works until ctx ends, and returns when everything has stopped. Work that
// others may do as well is handed in.
func (n *node) run(ctx context.Context, shared ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, work := range shared {
		group.Go(func() error { return work(ctx) })
	}
	group.Go(func() error { return ignoreEnd(ctx, n.runner.Run(ctx)) })
	group.Go(func() error { n.catalogs.follow(ctx, n.log); return nil })
	group.Go(func() error { n.probe.Run(ctx, probeEvery); return nil })
	group.Go(func() error { keepGarbageRoom(ctx, n.garbageRoom); return nil })
	return group.Wait()
}

// ignoreEnd drops the error with which work ends because it was told to.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// settle waits until everything recorded so far is posted and in the model.
func (n *node) settle(ctx context.Context) error {
	last, err := lastOf(ctx, n.store, intake.JournalCategory+"-")
	if err != nil {
		return err
	}
	if err := n.poster.WaitFor(ctx, last); err != nil {
		return fmt.Errorf("wait for posting: %w", err)
	}
	return n.awaitProjected(ctx)
}

// awaitProjected waits until the read model has everything posted so far.
func (n *node) awaitProjected(ctx context.Context) error {
	last, err := lastOf(ctx, n.store, projections.Prefixes...)
	if err != nil {
		return err
	}
	if err := n.runner.WaitFor(ctx, last); err != nil {
		return fmt.Errorf("wait for the read model: %w", err)
	}
	return nil
}

// lastOf is the position of the last event whose stream has one of the prefixes.
func lastOf(ctx context.Context, store eventstore.Reader, prefixes ...string) (eventstore.Position, error) {
	for e, err := range store.ReadAll(ctx, eventstore.End, eventstore.Backwards, eventstore.Filter{Prefixes: prefixes}, 1) {
		if err != nil {
			return 0, fmt.Errorf("read the log's end: %w", err)
		}
		return e.Position, nil
	}
	return 0, nil
}

func (n *node) close() {
	if n.redis != nil {
		_ = n.redis.outlet.Close() // what was not acknowledged is published again
	}
	if n.model != nil {
		if err := n.model.Close(); err != nil {
			n.log.WithError(err).Warn("closing the read model")
		}
	}
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.log.WithError(err).Error("closing the event store")
		}
	}
	if err := n.owned.release(); err != nil {
		n.log.WithError(err).Warn("unlocking the data dir")
	}
}
