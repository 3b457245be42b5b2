package redis

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
)

// Options are the settings of an Outlet.
type Options struct {
	// Epoch names the store whose entitlements are published; FoundedAt is when
	// it was founded. Of two stores, what the one founded later published is the
	// newer. Both are required.
	Epoch     string
	FoundedAt time.Time
	// Lease is for how long an entry holds unless it is renewed. Default: 5 min.
	Lease time.Duration
	// Keys sign entries: the first signs, all verify. Without any, entries are
	// not signed, and what anybody writes to Redis is believed. SetKeys rolls them.
	Keys published.Keys
	// ConnectTimeout bounds the making of a connection. Default: 5 s.
	ConnectTimeout time.Duration
	// CommandTimeout bounds the wait for an answer, to one command or to a batch
	// of them. Default: 500 ms.
	CommandTimeout time.Duration
	// RootCAs are whose word is taken for a server's certificate; nil takes the
	// system's.
	RootCAs *x509.CertPool
	// Now is the clock that health is told by. Default: time.Now.
	Now func() time.Time
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{{&o.Lease, 5 * time.Minute}, {&o.ConnectTimeout, 5 * time.Second}, {&o.CommandTimeout, 500 * time.Millisecond}} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// allow is how long one call may take in all.
func (o *Options) allow() time.Duration { return o.ConnectTimeout + o.CommandTimeout }

// Outlet publishes to Redis. It implements projections.Outlet.
type Outlet struct {
	opts   Options
	client client.UniversalClient
	guard  *guard
	keys   atomic.Pointer[published.Keys]
	// founded is what the order of entries begins with.
	founded atomic.Pointer[time.Time]
	chunks  chunks

	mu sync.Mutex
	// servers are the replication ids seen at the last beat, nil before the first.
	servers map[string]bool
}

var _ projections.Outlet = (*Outlet)(nil)

// Open returns the outlet at a URL: redis:// or, with TLS, rediss://; with
// addr= parameters the nodes of a Cluster, with master_name= sentinels. It does
// not connect: the first call does, and again whenever need be. Close it when
// done.
func Open(url string, opts Options) (*Outlet, error) {
	opts.setDefaults()
	if opts.Epoch == "" || opts.FoundedAt.IsZero() {
		return nil, fmt.Errorf("publish to Redis: the store's epoch and founding are required")
	}
	connect, err := newClient(url, opts)
	if err != nil {
		return nil, fmt.Errorf("the URL of Redis: %w", err)
	}
	silence()
	o := &Outlet{opts: opts, client: connect(), guard: newGuard(opts.Now), chunks: newChunks()}
	o.SetKeys(opts.Keys)
	o.SetFounded(opts.FoundedAt)
	return o, nil
}

// SetKeys lets others sign and verify from the next call on. Publish everything
// again then: what the new keys do not verify counts as forged, and is replaced.
func (o *Outlet) SetKeys(keys published.Keys) { o.keys.Store(&keys) }

// SetFounded has what is published from the next call on count as that of a store
// that was founded at a moment, as when ours was restored from a backup: its log
// has gone back, and yet it says what is newer.
func (o *Outlet) SetFounded(at time.Time) { o.founded.Store(&at) }

// silence turns off the client's own log, which would go to the standard error:
// what it says comes back as errors too.
var silence = sync.OnceFunc(func() { client.SetLogger(&logging.VoidLogger{}) })

// Close ends the connections. Calls under way fail.
func (o *Outlet) Close() error { return o.client.Close() }

// Health implements projections.Outlet.
func (o *Outlet) Health() projections.OutletHealth { return o.guard.health() }

// do makes one call to the server, within the time that it may take.
func (o *Outlet) do(ctx context.Context, fn func(context.Context) error) error {
	return o.within(ctx, o.guard, fn)
}

func (o *Outlet) within(ctx context.Context, g *guard, fn func(context.Context) error) error {
	return g.do(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, o.opts.allow())
		defer cancel()
		return fn(ctx)
	})
}

// order is that of what is known up to a position, at a moment.
func (o *Outlet) order(position uint64, at time.Time) published.Order {
	return published.Order{Founded: *o.founded.Load(), Position: position, At: at}
}
