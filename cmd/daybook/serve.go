package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/cmd/daybook/tracing"
	"github.com/daybookhq/daybook/eventstore"
)

// progressTimeout bounds how long the status waits to hear how far the model is.
const progressTimeout = time.Second

// metricsConnections bounds those of a listener that serves nothing else.
const metricsConnections = 64

// drainTimeout bounds how long requests under way may take to finish at the end.
const drainTimeout = 15 * time.Second

func serveCommand() *cobra.Command {
	var posting, demo bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Receive webhooks, post them, and answer", Args: noArgs,
		Long: "Receives Stripe's webhooks, posts them into the ledgers and answers the API.\n" +
			"Stops on SIGINT and SIGTERM; re-reads secrets, keys and catalog on SIGHUP.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, true)
			if err != nil {
				return err
			}
			if demo && !cfg.Dev {
				return usagef("--demo sends simulated traffic, and needs --dev")
			}
			log := newLogger(cfg, cmd.ErrOrStderr())
			return serve(cmd.Context(), cfg, log, serveOptions{posting: posting, demo: demo, out: cmd})
		},
	}
	cmd.Flags().BoolVar(&posting, "posting", true, "post what is recorded; without it webhooks are only recorded")
	cmd.Flags().BoolVar(&demo, "demo", false, "send the traffic of a few hundred simulated accounts, and show what became of it")
	return cmd
}

type serveOptions struct {
	posting, demo bool
	out           *cobra.Command
}

// serve runs the whole service until ctx ends.
func serve(ctx context.Context, cfg *config.Config, log *logrus.Logger, o serveOptions) error {
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	// Listening comes first: an address that is taken should not found a store.
	listening, err := listen(ctx, cfg)
	defer listening.close()
	if err != nil {
		return err
	}
	waiting := api.NewWaiting()
	connections := api.NewConnections(cfg.MaxConnections)
	public := endpoint{server: api.HTTPServer(waiting, connections), listener: connections.Listen(listening.public)}
	traces, err := startTracing(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer stopTracing(ctx, traces, log)
	if storeKind(cfg) == clusterKind {
		public.begin() // whoever comes is told while the cluster is not reached
		tellSupervisor(log, stateReady, "waiting for the event store")
		defer public.server.Close() //nolint:errcheck // it was shut down already, or there is another error
	}
	n, err := openServing(ctx, cfg, log, traces, listening.public.Addr())
	if err != nil || n == nil {
		return err
	}
	defer n.close()
	server, err := n.newAPI(connections)
	if err != nil {
		return err
	}
	public.server.RegisterOnShutdown(server.EndTails)
	waiting.Serve(server)
	return n.serveOn(ctx, public, listening, server, o)
}

// reachEvery is how long it takes between attempts to open a store that could
// not be reached, and until it is first said that one is waited for: an attempt
// may take longer than whoever looks on has patience.
const reachEvery = time.Second

// openServing opens the node that is to serve, with the configured catalog in
// force. A cluster that cannot be reached is waited for; nil without an error
// says that ctx ended first.
func openServing(ctx context.Context, cfg *config.Config, log *logrus.Logger, traces *tracing.Tracing, addr net.Addr) (*node, error) {
	waiting := log.WithField("addr", addr.String())
	if storeKind(cfg) == clusterKind {
		early := time.AfterFunc(reachEvery, func() { waiting.Warn("waiting for the event store") })
		defer early.Stop()
	}
	for {
		n, err := openNode(ctx, cfg, log, traces)
		if err == nil {
			if err = n.adopt(ctx, cfg); err == nil {
				return n, nil
			}
			n.close()
		}
		switch {
		case storeKind(cfg) != clusterKind || !notReached(err):
			return nil, err
		case ctx.Err() != nil:
			return nil, nil
		}
		waiting.WithError(err).Warn("waiting for the event store")
		select {
		case <-time.After(reachEvery):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// notReached reports trouble with a store that may pass.
func notReached(err error) bool {
	return errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrOutcomeUnknown) || errors.Is(err, context.Canceled)
}

// serveOn runs the routes, the control socket and the work behind them. When
// ctx ends it stops in order: no new requests, those under way finished, then
// posting and the projection.
func (n *node) serveOn(ctx context.Context, public endpoint, listening listeners, server *api.Server, o serveOptions) error {
	control, err := listenControl(ctx, n.cfg.DataDir)
	if err != nil {
		return err
	}
	if storeKind(n.cfg) != clusterKind {
		spareProcessors()
	}
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	group, groupCtx := errgroup.WithContext(ctx)
	n.recordsOnly = !o.posting
	group.Go(func() error { return n.run(working, n.sharedWork()...) })
	group.Go(func() error {
		defer stopWorking()
		n.awaitModel(groupCtx)
		endpoints := []endpoint{public, {server: n.controlServer(groupCtx), listener: control}}
		if listening.metrics != nil {
			endpoints = append(endpoints, endpoint{server: api.HTTPServer(server.Metrics(), api.NewConnections(metricsConnections)), listener: listening.metrics})
			n.log.WithField("addr", listening.metrics.Addr().String()).Info("metrics are served")
		}
		if listening.profiles != nil {
			endpoints = append(endpoints, endpoint{server: profileServer(groupCtx), listener: listening.profiles})
			n.log.WithField("addr", listening.profiles.Addr().String()).Info("profiles are served")
		}
		n.log.WithFields(logrus.Fields{"addr": public.listener.Addr().String(), "data_dir": n.cfg.DataDir,
			"mode": modeName(n.cfg.Livemode), "epoch": n.about.Epoch, "version": version}).Info("daybook serves")
		tellSupervisor(n.log, stateReady, "serving on "+public.listener.Addr().String())
		return serveHTTP(groupCtx, endpoints...)
	})
	group.Go(func() error { n.reloadOnHangup(groupCtx, server); return nil })
	group.Go(func() error {
		<-groupCtx.Done()
		tellSupervisor(n.log, stateStopping, "finishing requests")
		return nil
	})
	if n.redis != nil {
		group.Go(func() error { server.ShareLimits(groupCtx, n.redis.outlet.Tally()); return nil })
	}
	if o.posting {
		group.Go(func() error { return n.watchStripe(groupCtx, server) })
	}
	if o.demo {
		group.Go(func() error { return n.demonstrate(groupCtx, "http://"+public.listener.Addr().String(), o.out) })
	}
	return group.Wait()
}

// modelPatience is how long serving waits for the read model. A model that is
// there, or a short history, needs milliseconds; webhooks should not wait for a
// long one to be folded, and the API says meanwhile that it cannot answer yet.
const modelPatience = 500 * time.Millisecond

func (n *node) awaitModel(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, modelPatience)
	defer cancel()
	if err := n.runner.WaitFor(ctx, 0); err != nil {
		n.log.Info("serving while the read model is still being folded")
	}
}

// newAPI makes the HTTP interface over the node.
func (n *node) newAPI(connections *api.Connections) (*api.Server, error) {
	return api.New(api.Config{
		Epoch: n.about.Epoch, Verifier: n.verifier, Journal: n.journal, OnWebhook: n.tracing.Webhooks(), Store: n.store, Health: n.probe, Model: n.model,
		Entitlements: n.answers, Decider: n.decisions, Catalog: func() *aggregate.Catalog { return n.catalogs.Current() },
		Checkout:  n.newDesk(),
		Progress:  []api.Follower{postingProgress{n}, projectionProgress{n}},
		Publisher: n.publisherStatus(), Drift: n.runner.Drift, EntitlementLease: n.cfg.EntitlementTTL,
		Reconciliation: n.reconciler.Status, HistoryLost: n.historyLost,
		Limits: n.cfg.Limits, Connections: connections,
		Keys: n.cfg.APIKeys, MaxWebhookBytes: n.cfg.WebhookMaxBytes, Version: version, StoreKind: storeKind(n.cfg),
		Rebuilding: n.runner.Rebuilding, DiskFree: func() (uint64, error) { return freeBytes(n.cfg.DataDir) },
		Silent: func() bool { return n.traffic.Silence() != "" }, Spans: n.tracing.Counts(),
		Livemode: n.cfg.Livemode, OwnMetrics: n.cfg.MetricsAddr != "", Clock: systemClock, Log: n.log,
	})
}

type postingProgress struct{ *node }

func (p postingProgress) Progress() api.Progress {
	g := p.poster.Progress()
	if !p.posts() {
		return api.Progress{Name: "posting", Position: g.Position, Standby: true}
	}
	return api.Progress{Name: "posting", Position: g.Position, CaughtUp: g.BehindSince.IsZero(),
		LagSeconds: g.Lag(systemClock()).Seconds(), Error: g.LastError}
}

type projectionProgress struct{ *node }

func (p projectionProgress) Progress() api.Progress {
	ctx, cancel := context.WithTimeout(context.Background(), progressTimeout)
	defer cancel()
	s := p.runner.Status(ctx)
	return api.Progress{Name: "projection", Position: s.Position, CaughtUp: s.LagSeconds == 0,
		LagSeconds: s.LagSeconds, Error: s.LastError}
}

// endpoint is a server and where it listens.
type endpoint struct {
	server   *http.Server
	listener net.Listener
	begun    <-chan error // ends with its error, if it serves already
}

// begin serves in a goroutine of its own, until the server is shut down.
func (e *endpoint) begin() {
	served := make(chan error, 1)
	e.begun = served
	go func() { served <- e.server.Serve(e.listener) }()
}

// serve returns when the server is shut down.
func (e *endpoint) serve() error {
	if e.begun == nil {
		return e.server.Serve(e.listener)
	}
	return <-e.begun
}

// serveHTTP serves until ctx ends, then lets the requests under way finish.
func serveHTTP(ctx context.Context, endpoints ...endpoint) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, e := range endpoints {
		group.Go(func() error {
			if err := e.serve(); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		})
	}
	for _, e := range endpoints {
		group.Go(func() error {
			<-groupCtx.Done()
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
			defer cancel()
			if e.server.Shutdown(drain) != nil {
				return e.server.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

// reloadOnHangup reads secrets, keys and the catalog again on SIGHUP. With a
// fault, everything stays as it was.
func (n *node) reloadOnHangup(ctx context.Context, server *api.Server) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			tellSupervisor(n.log, stateReloading, "reading the configuration again")
			if err := n.reload(ctx, server); err != nil {
				n.log.WithError(err).Error("reload refused: the old configuration stays in force")
			} else {
				n.log.Info("configuration reloaded")
			}
			tellSupervisor(n.log, stateReady, "serving")
		}
	}
}

func (n *node) reload(ctx context.Context, server *api.Server) error {
	next, err := n.cfg.Reload()
	if err != nil {
		return err
	}
	if err := n.adopt(ctx, next); err != nil {
		return err
	}
	n.verifier.SetSecrets(next.WebhookSecrets)
	server.SetKeys(next.APIKeys)
	n.signWith(next.EntitlementKeys)
	return nil
}
