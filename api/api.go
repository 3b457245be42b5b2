// Package api is Daybook's HTTP interface: the webhook that takes Stripe's
// events in, and the routes that answer from the read model and from the
// record itself.
//
// The webhook does the least that makes an event safe: it reads the body,
// checks the signature, decodes the envelope and records the bytes. It answers
// 200 only for what is durable, and never any other 2xx.
//
// Every other answer is JSON. An error is application/problem+json (RFC 9457).
// Routes and the scopes they need stand in one table, routes.go. Callers send
// "Authorization: Bearer <key>"; the server knows keys by their SHA-256. A key
// that is bound to an account sees that account and nothing else: lists are
// narrowed to it, anything else answers 403, whether it exists or not.
//
// Times in parameters are RFC 3339 with any offset; times in answers are UTC.
package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/projections"
)

// Entitlements answers what an account may do at a moment. An account that
// nothing is known of is on the free tier.
type Entitlements interface {
	Entitlement(ctx context.Context, account string, now time.Time) (aggregate.Entitlement, error)
}

// StoreHealth tells whether the event store can be reached. It must answer at
// once: it is asked on every request for an entitlement.
type StoreHealth interface {
	StoreHealth() Health
}

// Health is what is known of the event store.
type Health struct {
	Reachable bool
	// LastReached is when it last answered, zero if it never did.
	LastReached time.Time
}

// SpanCounts tell what became of the spans of traces.
type SpanCounts struct {
	// Delivered were taken by the collector, Failed were not; Dropped found no room
	// among those that wait for it.
	Delivered, Failed, Dropped uint64
}

// Config is what a Server is made of. All fields without a default are
// required.
type Config struct {
	// Epoch names the store in which positions and cursors count.
	Epoch string
	// Verifier and Journal take webhooks in.
	Verifier Verifier
	Journal  Journal
	// OnWebhook is told of every signed event before it is answered, and must not
	// wait. Nil tells nobody.
	OnWebhook func(WebhookSteps)
	// Store is the record, for reading.
	Store eventstore.Reader
	// Health tells whether Store can be reached.
	Health StoreHealth
	// Model is the local read model.
	Model projections.Reader
	// Entitlements answers from the read model.
	Entitlements Entitlements
	// Decider records operators' decisions.
	Decider Decider
	// Catalog returns the catalog in force.
	Catalog func() *aggregate.Catalog
	// Checkout sells; nil where Stripe's API cannot be asked.
	Checkout *checkout.Desk
	// Publisher tells how the publishing of entitlements is doing; nil where there
	// is none.
	Publisher func() projections.PublisherStatus
	// Drift tells what the last comparison of the read model with one folded anew
	// found, nil if there was none yet.
	Drift func() *projections.DriftCheck
	// Progress lists those who follow the log.
	Progress []Follower
	// Reconciliation tells how the record was compared with Stripe; nil where it is
	// not.
	Reconciliation func() reconcile.Status
	// HistoryLost tells what history the store is known to lack, nil if it lacks
	// none; answers are marked stale then. nil itself where nobody would know.
	HistoryLost func() *HistoryLost
	// Rebuilding tells whether the read model is being folded from zero, DiskFree
	// how many bytes of room the data dir has. What is nil is not told.
	Rebuilding func() bool
	DiskFree   func() (uint64, error)
	// Silent says, for the metrics, that no webhook comes though at these hours
	// there always are some, and Spans counts the spans of traces. What is nil is
	// not told.
	Silent func() bool
	Spans  func() SpanCounts
	// Livemode says whose events are posted, for the metrics.
	Livemode bool
	// OwnMetrics says that Metrics is served elsewhere; else /metrics is one of
	// the routes, for clients on the loopback.
	OwnMetrics bool
	// Keys are the API keys; without any, all but the open routes answer 401.
	Keys []Key

	// Limits are what clients may ask for; the zero Limits limit no rate.
	Limits Limits
	// Connections are those of the server that this is the handler of, for the
	// metrics; nil where nobody bounds them.
	Connections *Connections
	// MaxWebhookBytes bounds a webhook's body; 0 means 1 MiB.
	MaxWebhookBytes int64
	// EntitlementLease is how long a reader may keep an entitlement; 0 means 5
	// minutes.
	EntitlementLease time.Duration
	// Version is that of the running program.
	Version string
	// StoreKind names the store in the status, as in "sqlite".
	StoreKind string
	// Clock is the time; nil means time.Now.
	Clock func() time.Time
	Log   logrus.FieldLogger
}

// The defaults of Config, and the deadlines.
const (
	defaultMaxWebhookBytes  = 1 << 20
	defaultEntitlementLease = 5 * time.Minute
	// recordTimeout bounds the time in which a webhook must become durable.
	// Stripe waits longer than this.
	recordTimeout = 5 * time.Second
	// queryTimeout bounds every other request.
	queryTimeout = 10 * time.Second
	// readyTimeout bounds the question whether the store is there.
	readyTimeout = 2 * time.Second
)

// Server is the HTTP interface. Make one with New.
type Server struct {
	Config
	started  time.Time
	record   *history.Record
	totals   history.Totals
	tails    chan struct{} // one for each that runs
	waits    chan struct{} // one for each that waits for access
	ended    chan struct{} // closed by EndTails
	endOnce  sync.Once
	keys     atomic.Pointer[keysInForce]
	limits   *limits
	counters counters
	timings  timings
	scrapes  http.Handler
	// lastEvent is when a delivery was last recorded, in nanoseconds since 1970, 0
	// while that is not known.
	lastEvent atomic.Int64
	requests  requestIDs
	handler   http.Handler
}

// New returns the HTTP interface. The error names every missing field.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{Config: cfg, started: cfg.Clock(), requests: newRequestIDs(), timings: newTimings(), limits: newLimits(cfg.Limits),
		record: &history.Record{Store: cfg.Store, Model: cfg.Model, Epoch: cfg.Epoch},
		tails:  make(chan struct{}, maxTails), waits: make(chan struct{}, maxWaits), ended: make(chan struct{})}
	s.counters.events = newEventCounters()
	s.scrapes = s.newScrapes()
	if cfg.Connections != nil {
		shuns := func(peer netip.Addr) bool { return s.limits.shuns(peer, s.now()) }
		cfg.Connections.shuns.Store(&shuns)
	}
	s.SetKeys(cfg.Keys)
	s.handler = s.guard(s.router(s.routes()))
	return s, nil
}

// complete sets the defaults and reports what is missing.
func (c *Config) complete() error {
	var missing []error
	require := func(name string, present bool) {
		if !present {
			missing = append(missing, errors.New("api: Config."+name+" is missing"))
		}
	}
	require("Epoch", c.Epoch != "")
	require("Verifier", c.Verifier != nil)
	require("Journal", c.Journal != nil)
	require("Store", c.Store != nil)
	require("Health", c.Health != nil)
	require("Model", c.Model != nil)
	require("Entitlements", c.Entitlements != nil)
	require("Decider", c.Decider != nil)
	require("Catalog", c.Catalog != nil)
	require("Log", c.Log != nil)
	if c.MaxWebhookBytes == 0 {
		c.MaxWebhookBytes = defaultMaxWebhookBytes
	}
	if c.EntitlementLease == 0 {
		c.EntitlementLease = defaultEntitlementLease
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return errors.Join(missing...)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// now is the present moment in UTC.
func (s *Server) now() time.Time { return s.Clock().UTC() }
