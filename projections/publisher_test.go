package projections_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// publishingRig is a rig whose runner feeds a publisher, and a real Redis. Its
// clock is the machine's, for Redis has no other.
type publishingRig struct {
	*rig
	redis     *redistest.Server
	publisher *projections.Publisher
	store     cutStore

	mu    sync.Mutex
	doubt error // why nothing is vouched for
	told  []projections.Told
}

// vouch stands in for whoever knows whether the record is whole.
func (r *publishingRig) vouch(_ context.Context, told projections.Told) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, told)
	return r.doubt
}

func (r *publishingRig) doubted(doubt error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubt = doubt
}

// asked is what was shown to vouch so far.
func (r *publishingRig) asked() []projections.Told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// cutStore is the store as the publisher sees it; it can be cut off.
type cutStore struct {
	eventstore.Reader
	cut *atomic.Bool
}

func (s cutStore) Head(ctx context.Context) (eventstore.Position, error) {
	if s.cut.Load() {
		return 0, eventstore.ErrUnavailable
	}
	return s.Reader.Head(ctx)
}

// always is the term of a leader that nobody asks.
type always struct{}

func (always) Elected() bool { return true }
func (always) Held() bool    { return true }

func newPublishingRig(t *testing.T, lease time.Duration) *publishingRig {
	t.Helper()
	return newPublishingRigWith(t, lease, func(*projections.PublisherOptions) {})
}

func newPublishingRigWith(t *testing.T, lease time.Duration, change func(*projections.PublisherOptions)) *publishingRig {
	t.Helper()
	r := preparePublishing(t)
	r.publish(lease, change)
	return r
}

// preparePublishing is a rig whose publisher has not begun.
func preparePublishing(t *testing.T) *publishingRig {
	t.Helper()
	return &publishingRig{rig: newRig(t), redis: redistest.Start(t)}
}

func (r *publishingRig) publish(lease time.Duration, change func(*projections.PublisherOptions)) {
	t := r.t
	t.Helper()
	r.clock.Set(time.Now())
	feed := projections.NewFeed(time.Now)
	opts := r.options()
	opts.Now, opts.Sleep, opts.Feed = time.Now, nil, feed
	r.startWith(opts)
	r.store = cutStore{r.rig.store, &atomic.Bool{}}
	outlet, err := redis.Open(r.redis.URL(), redis.Options{Epoch: epoch, FoundedAt: begin, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	publisher := projections.PublisherOptions{Outlet: outlet, Model: r.model, Feed: feed,
		Runner: r.runner, Store: r.store, Vouch: r.vouch, Lease: lease, Now: time.Now, Log: opts.Log, CheckEvery: time.Hour}
	change(&publisher)
	r.publisher = projections.NewPublisher(publisher)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.publisher.Publish(ctx, always{}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Publish returned %v", err)
		}
		_ = outlet.Close()
	})
}

// read is what a reader believes of an account.
func (r *publishingRig) read(account string) (published.Entry, bool) {
	r.t.Helper()
	now := time.Now()
	value, _ := r.redis.Do("EVAL", "return redis.call('GET', KEYS[1]) or ''", 1, published.Key(account)).(string)
	e, err := published.Open(account, []byte(value), nil, now)
	return e, err == nil
}

func (r *publishingRig) awaitTier(account, tier string) (e published.Entry) {
	r.t.Helper()
	r.eventually(account+" is published with "+tier, func() bool {
		var found bool
		e, found = r.read(account)
		return found && e.Tier == tier
	})
	return e
}

// TestLeasesAreRenewedOnlyByTheInformed: an entry is there for as long as the
// store can be asked, and lapses when it cannot, whatever the model says.
func TestLeasesAreRenewedOnlyByTheInformed(t *testing.T) {
	const lease = 5 * time.Second
	r := newPublishingRig(t, lease)
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	first := r.awaitTier("a", "basic")
	r.eventually("two leases have passed", func() bool {
		e, found := r.read("a")
		if !found {
			t.Fatalf("it lapsed; the publisher says %+v", r.publisher.Status())
		}
		return e.AsOf.Sub(first.AsOf) > 2*lease
	})
	r.store.cut.Store(true)
	cut := time.Now()
	// Changes that the model still hears of are not vouched for either.
	var last published.Entry
	r.eventually("it has lapsed", func() bool {
		e, found := r.read("a")
		if found {
			last = e
		}
		return !found
	})
	if last.AsOf.Sub(cut) > lease/4+time.Second {
		t.Errorf("renewed %s after the store was last heard of", last.AsOf.Sub(cut))
	}
	r.subscribed("sub_1", "a", aggregate.Active, "price_elite", begin.Add(time.Hour))
	r.settle()
	r.eventually("the status says why", func() bool { return r.publisher.Status().LastError != "" })
	if e, found := r.read("a"); found {
		t.Errorf("published without knowledge: %+v", e)
	}
	r.store.cut.Store(false)
	r.awaitTier("a", "elite")
	r.eventually("the trouble is over", func() bool { return r.publisher.Status().LastError == "" })
}

// TestNothingIsPublishedBeforeTheRecordIsWhole: neither entries nor a heartbeat,
// which would take the place of the one that tells of what was lost.
func TestNothingIsPublishedBeforeTheRecordIsWhole(t *testing.T) {
	r := preparePublishing(t)
	r.doubted(errors.New("history is missing"))
	before := published.Heartbeat{Position: 1 << 40, At: time.Now().Add(-time.Hour), Epoch: epoch, FoundedAt: begin}
	value, err := before.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.redis.Do("SET", published.HeartbeatKey, value)
	r.publish(time.Minute, func(*projections.PublisherOptions) {})
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.settle()
	r.eventually("it was asked for often", func() bool { return len(r.asked()) > 3 })
	if got := r.redis.Do("GET", published.HeartbeatKey); got != string(value) {
		t.Errorf("the heartbeat is %v", got)
	}
	if e, found := r.read("a"); found {
		t.Errorf("published: %+v", e)
	}
	if s := r.publisher.Status(); s.LastError != "history is missing" {
		t.Errorf("the status says %+v", s)
	}
	if told := r.asked()[0]; told.Position != 1<<40 || told.Epoch != epoch || !told.FoundedAt.Equal(begin) || told.Ignored != "" {
		t.Errorf("told %+v", told)
	}
	r.doubted(nil)
	r.awaitTier("a", "basic")
	// A log that was cut under the publisher shows by a model that is folded anew.
	asked := len(r.asked())
	r.doubted(errors.New("the log was cut"))
	if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{}); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is asked for again", func() bool {
		return len(r.asked()) > asked && r.publisher.Status().LastError == "the log was cut"
	})
	r.doubted(nil)
	r.eventually("it is published again", func() bool { return r.publisher.Status().LastError == "" })
}

// TestAnAccountThatHasNothingLeftIsWithdrawn at once, not when its lease ends.
func TestAnAccountThatHasNothingLeftIsWithdrawn(t *testing.T) {
	r := newPublishingRig(t, time.Hour)
	r.subscribed("sub_1", "", aggregate.Active, "price_basic", begin)
	r.awaitTier("cus_sub_1", "basic")
	r.subscribed("sub_1", "team", aggregate.Active, "price_basic", begin.Add(time.Minute))
	r.awaitTier("team", "basic")
	r.eventually("the old account's entry is gone", func() bool {
		return r.redis.Do("EXISTS", published.Key("cus_sub_1")) == int64(0)
	})
	r.settle()
	r.eventually("everything is acknowledged", func() bool {
		head, err := r.rig.store.Head(t.Context())
		return err == nil && r.publisher.Status().Position == head
	})
}

// TestARoundMendsAndSweeps: what is foreign is replaced, what belongs to nobody
// is removed, and what a new catalog changes is published.
func TestARoundMendsAndSweeps(t *testing.T) {
	r := newPublishingRig(t, time.Hour)
	r.subscribed("sub_1", "a", aggregate.Active, "price_gold", begin)
	r.awaitTier("a", "starter")
	r.redis.Do("SET", published.Key("a"), "nonsense")
	r.redis.Do("SET", published.Key("ghost"), "nonsense")
	round := r.publisher.Republish("the test wants it")
	if done, err := r.publisher.AwaitRound(t.Context(), round); err != nil || !done {
		t.Fatal(done, err)
	}
	r.awaitTier("a", "starter")
	if n := r.redis.Do("EXISTS", published.Key("ghost")); n != int64(0) {
		t.Error("the entry of nobody is still there")
	}
	s := r.publisher.Status()
	if s.Outcomes["replaced"] != 1 || s.Check == nil || s.Check.Orphans != 1 || s.Check.Error != "" || s.Republishing != "" {
		t.Errorf("status %+v, check %+v", s, s.Check)
	}
	catalog := aggregate.BuiltinCatalog()
	catalog.Tiers[3].Prices = append(catalog.Tiers[3].Prices, "price_gold")
	r.adopt(catalog)
	r.awaitTier("a", catalog.Tiers[3].ID)
}

// TestGraceEndsAtTheOutlet: the entry lapses by itself when grace does, and the
// next takes its place.
func TestGraceEndsAtTheOutlet(t *testing.T) {
	r := newPublishingRig(t, time.Hour)
	failed := time.Now().Add(3*time.Second - 24*time.Hour).Truncate(time.Second)
	ends := failed.Add(24 * time.Hour)
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", failed.Add(-48*time.Hour))
	r.paymentFailed("sub_1", "a", failed)
	r.subscribed("sub_1", "a", aggregate.PastDue, "price_premium", failed)
	if e := r.awaitTier("a", "premium"); !e.InGrace || !e.ValidUntil.Equal(ends) {
		t.Errorf("in grace: %+v", e)
	}
	if e := r.awaitTier("a", "starter"); e.AsOf.Before(ends) || e.Reason != aggregate.ReasonExpiredGrace {
		t.Errorf("after it: %+v", e)
	}
}

// TestDriftIsTold: a model that was tampered with is found out, and left alone.
func TestDriftIsTold(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.settle()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.runner.WatchDrift(ctx, 20*time.Millisecond) }()
	r.eventually("the model was compared", func() bool {
		d := r.runner.Drift()
		return d != nil && d.Compared && d.Differences == 0 && d.Error == ""
	})
	e := r.entitlement("a")
	e.Tier = "enterprise"
	doc, err := aggregate.EncodeEntitlement(e)
	if err != nil {
		t.Fatal(err)
	}
	err = r.model.Update(t.Context(), func(tx projections.Tx) error {
		return tx.PutEntitlement(projections.EntitlementRow{Account: "a", Doc: doc})
	})
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("the drift is told", func() bool { return r.runner.Drift().Differences == 1 })
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := r.entitlement("a"); got.Tier != "enterprise" {
		t.Errorf("it was mended in silence: %+v", got)
	}
}
