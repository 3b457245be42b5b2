package esdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// Options are the settings of a Store. The zero value is a good choice.
type Options struct {
	// Prefix is put before the name of every stream.
	Prefix string
	// Connections is how many connections are used side by side: a server
	// takes 100 calls at a time on each. Default: 4.
	Connections int
	// AttemptTimeout bounds one attempt of an append, and the wait for the next
	// event of a read. Default: 3 s.
	AttemptTimeout time.Duration
	// AppendTimeout bounds an append with all its attempts, where the caller's
	// context does not do so earlier. Default: 10 s.
	AppendTimeout time.Duration
	// ReadTimeout bounds the attempts to go on with a read that has failed.
	// Default: 10 s.
	ReadTimeout time.Duration
	// Report is told of trouble with connections, in words without secrets; nil
	// for nobody. It may be called from many goroutines.
	Report func(error)
}

func (o *Options) setDefaults() {
	if o.Connections <= 0 {
		o.Connections = 4
	}
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{{&o.AttemptTimeout, 3 * time.Second}, {&o.AppendTimeout, 10 * time.Second}, {&o.ReadTimeout, 10 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
}

// Store is an event store in a cluster. It implements eventstore.Store.
type Store struct {
	Options
	pool *pool

	once   sync.Once
	closed context.Context // ends when the store is closed
	close  context.CancelFunc

	mu      sync.Mutex
	ended   bool           // no more appends
	pending sync.WaitGroup // appends under way
}

var _ eventstore.Store = (*Store)(nil)

// Open returns the store at a connection string, "esdb://host:port?tls=false" or
// "esdb+discover://user:password@host". It does not connect: that is done by
// the first call, and again whenever need be.
func Open(url string, opts Options) (*Store, error) {
	opts.setDefaults()
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{Options: opts, pool: newPool(config, opts.Connections, opts.AttemptTimeout+2*patience, opts.Report)}
	s.closed, s.close = context.WithCancel(context.Background())
	return s, nil
}

// User is the user that the connection string names, empty for none. Without
// TLS it is not told to the server.
func (s *Store) User() string { return s.pool.config.Username }

// Secure reports whether connections are made by TLS. A server that takes others
// neither knows users nor enforces anything.
func (s *Store) Secure() bool { return !s.pool.config.DisableTLS }

// Validate reports what is wrong with a connection string, without quoting it.
func Validate(url string) error {
	_, err := parse(url)
	return err
}

// The client's settings that a connection string may not decide: a client that
// cannot connect should say so soon, for it is replaced then.
const (
	discoverAttempts = 1
	discoverEvery    = 1 // milliseconds; it waits even after the last attempt
	gossipTimeout    = 2 // seconds
)

func parse(url string) (*client.Configuration, error) {
	if !strings.HasPrefix(url, "esdb://") && !strings.HasPrefix(url, "esdb+discover://") {
		return nil, fmt.Errorf("connection string: want esdb://host:2113?tls=false or esdb+discover://host")
	}
	config, err := client.ParseConnectionString(url)
	if err != nil {
		// The client quotes what it cannot read, passwords included.
		return nil, fmt.Errorf("connection string: not one that can be read, want esdb://user:password@host:2113?tls=true")
	}
	config.MaxDiscoverAttempts = discoverAttempts
	config.DiscoveryInterval = discoverEvery
	config.GossipTimeout = gossipTimeout
	config.NodePreference = client.NodePreferenceLeader
	config.Logger = client.NoopLogging()
	return config, nil
}

// beginRead gives a read a context that ends with the store too, or refuses
// because the store is closed. Close does not wait for reads: one may be under
// way in the very goroutine that closes.
func (s *Store) beginRead(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.closed.Err() != nil {
		return nil, nil, eventstore.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.closed, func() { cancel(eventstore.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }, nil
}

// beginAppend counts an append in, or refuses because the store is closed.
// Close waits until it ends.
func (s *Store) beginAppend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return eventstore.ErrClosed
	}
	s.pending.Add(1)
	return nil
}

// closing reports that no append is to be tried again.
func (s *Store) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// over is why a read is to end: the store was closed, or the context has ended.
// The context learns of the store's closing only a moment later.
func (s *Store) over(ctx context.Context) error {
	switch {
	case s.closed.Err() != nil:
		return eventstore.ErrClosed
	case ctx.Err() != nil:
		return cause(ctx)
	}
	return nil
}

// cause is why a context ended: the store's closing, or what it says itself.
func cause(ctx context.Context) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return ctx.Err()
}

// Head implements eventstore.Reader. Events of others count: it is the end of
// the whole log, the server's own events left out.
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	for e, err := range s.raw(ctx, allBackwards(eventstore.End)) {
		if err != nil {
			return 0, fmt.Errorf("find the log's end: %w", err)
		}
		if !isSystem(e.StreamID) {
			return eventstore.Position(e.Position.Commit), nil
		}
	}
	return 0, nil
}

// Close implements eventstore.Store. An append whose attempt fails meanwhile is
// not tried again.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.pending.Wait()
		s.close()
		s.pool.close()
	})
	return nil
}

// isSystem reports a stream of the server's own.
func isSystem(stream string) bool { return strings.HasPrefix(stream, "$") }
