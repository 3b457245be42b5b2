package redis_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

const (
	epoch = "epoch-1"
	lease = 5 * time.Minute
)

var (
	founded = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	keyA    = bytes.Repeat([]byte{0xa}, 32)
	keyB    = bytes.Repeat([]byte{0xb}, 32)
)

// options are those of the store of these tests; change makes others of them.
func options(change ...func(*redis.Options)) redis.Options {
	o := redis.Options{Epoch: epoch, FoundedAt: founded, Lease: lease, ConnectTimeout: 2 * time.Second, CommandTimeout: 2 * time.Second}
	for _, c := range change {
		c(&o)
	}
	return o
}

func signed(keys ...[]byte) func(*redis.Options) {
	return func(o *redis.Options) { o.Keys = keys }
}

func impatient(o *redis.Options) {
	o.ConnectTimeout, o.CommandTimeout = 200*time.Millisecond, 100*time.Millisecond
}

func open(t testing.TB, url string, change ...func(*redis.Options)) *redis.Outlet {
	t.Helper()
	o, err := redis.Open(url, options(change...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// doc is the entitlement of an account on a tier.
func doc(t testing.TB, account, tier string) []byte {
	t.Helper()
	e := aggregate.Entitlement{Account: account, Known: true, Tier: tier, TierName: tier, Features: []string{}, Limits: map[string]aggregate.Limit{"members": 7},
		Source: aggregate.FromSubscription, Reason: aggregate.ReasonSubscription, Status: aggregate.Active, Items: []aggregate.EntitlementItem{},
		Flags: []string{}, Epoch: epoch, Position: 3, AsOf: founded, Schema: published.Schema}
	text, err := aggregate.EncodeEntitlement(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// publication is an entry as of now.
func publication(t testing.TB, account, tier string, position eventstore.Position) projections.Publication {
	t.Helper()
	return projections.Publication{Account: account, Doc: doc(t, account, tier), Position: position, AsOf: time.Now()}
}

// publish publishes one entry, and returns what became of it.
func publish(t testing.TB, o *redis.Outlet, p projections.Publication) projections.Outcome {
	t.Helper()
	results, err := o.Publish(t.Context(), []projections.Publication{p})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func want(t testing.TB, what string, got, want projections.Outcome) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// read is what a reader makes of an account's entry now; client.Nil is the error
// of none.
func read(t testing.TB, c client.Cmdable, account string, keys ...[]byte) (published.Entry, error) {
	t.Helper()
	value, err := c.Get(t.Context(), published.Key(account)).Bytes()
	if err != nil {
		return published.Entry{}, err
	}
	return published.Open(account, value, keys, time.Now())
}

// tier is the tier that a reader sees, or fails the test.
func tier(t testing.TB, c client.Cmdable, account string, keys ...[]byte) string {
	t.Helper()
	e, err := read(t, c, account, keys...)
	if err != nil {
		t.Fatalf("read %q: %v", account, err)
	}
	return e.Tier
}

func beat(t testing.TB, o *redis.Outlet, position eventstore.Position) projections.Beat {
	t.Helper()
	b, err := o.Beat(t.Context(), position, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: it has not come about", what)
		}
	}
}

// server is one that runs alone, with a client of it.
func server(t testing.TB, opts ...redistest.Option) (*redistest.Server, *client.Client) {
	t.Helper()
	s := redistest.Start(t, opts...)
	return s, s.Client()
}
