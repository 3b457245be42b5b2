package e2e_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// pair is two servers on one store, each with a read model of its own.
type pair struct {
	t     *testing.T
	redis *redistest.Server
	nodes []*server
}

func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, redis: redistest.Start(t)}
	store := esdbtest.Start(t)
	for range 2 {
		p.nodes = append(p.nodes, start(t, publishing(clusterDir(t, store.URL(), "daybook."), p.redis, "REDIS_COMMAND_TIMEOUT=1s")))
	}
	return p
}

// leader waits until one of those that run leads, and returns it and the others.
func (p *pair) leader(among ...*server) (leader *server, others []*server) {
	p.t.Helper()
	eventually(p.t, "one of the servers leads", func() bool {
		leader, others = nil, nil
		for _, s := range among {
			if s.publisher().Leading {
				leader = s
			} else {
				others = append(others, s)
			}
		}
		return leader != nil && len(others) == len(among)-1
	})
	return leader, others
}

func (p *pair) awaitTier(account, tier string) {
	p.t.Helper()
	eventually(p.t, account+" is published as "+tier, func() bool {
		e, found := inRedis(p.t, p.redis, account)
		return found && e.Tier == tier
	})
}

// takeOver is how long it may take until a leader that is gone is replaced.
const takeOver = 10 * time.Second

// wantTakenOver has a customer buy at one server, loses the leader, and has the
// customer cancel at a server that is there: whoever leads then publishes it.
func (p *pair) wantTakenOver(sub string, bought, cancelled *server, lose func()) {
	p.t.Helper()
	when := quietTime()
	bought.mustDeliver(subscriptionEvent("evt_1", "customer.subscription.created", sub, "acme", "active", when, ""), "recorded")
	p.awaitTier("acme", "basic")
	lose()
	since := time.Now()
	cancelled.mustDeliver(subscriptionEvent("evt_2", "customer.subscription.deleted", sub, "acme", "canceled", when.Add(time.Hour), ""), "recorded")
	p.awaitTier("acme", "starter")
	if took := time.Since(since); took > takeOver {
		p.t.Errorf("the other took over after %s", took)
	}
}

// TestALeaderThatIsKilledIsReplaced: what the other takes in meanwhile is posted
// and published, each once.
func TestALeaderThatIsKilledIsReplaced(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	leader, others := p.leader(p.nodes...)
	other := others[0]
	p.wantTakenOver("sub_k", other, other, leader.kill)
	p.wantPostedOnce(other, "sub_k")
	other.stop()
}

// wantPostedOnce wants that a customer bought and cancelled exactly once.
func (p *pair) wantPostedOnce(s *server, sub string) {
	p.t.Helper()
	seen := map[string]int{}
	for _, e := range s.stream("subscription-" + sub) {
		seen[e.Type]++
	}
	for _, fact := range []string{"SubscriptionStarted", "SubscriptionCanceled"} {
		if seen[fact] != 1 {
			p.t.Errorf("%s is there %d times: %v", fact, seen[fact], seen)
		}
	}
}

// TestALeaderThatWasPausedOverwritesNothing stops the leader, as a machine that
// sleeps does, lets a customer cancel, and lets the old leader go on.
func TestALeaderThatWasPausedOverwritesNothing(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	paused, others := p.leader(p.nodes...)
	other := others[0]
	p.wantTakenOver("sub_p", paused, other, func() { paused.signal(syscall.SIGSTOP) })
	var resurrected atomic.Bool
	watching := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			if e, found := inRedis(t, p.redis, "acme"); found && e.Tier != "starter" {
				resurrected.Store(true)
			}
			select {
			case <-watching:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	paused.signal(syscall.SIGCONT)
	paused.awaitFollower("projection")
	leader, _ := p.leader(p.nodes...)
	// Whoever leads now publishes everything once more.
	mustRun(t, "rebuild", "--data-dir", leader.dir)
	leader.awaitPublished()
	close(watching)
	<-watched
	if resurrected.Load() {
		t.Error("a cancelled customer came back")
	}
	p.awaitTier("acme", "starter")
	p.wantPostedOnce(other, "sub_p")
	paused.stop()
	other.stop()
}

// TestALeaderThatIsCutOffIsReplaced: it is cut off from Redis alone, and goes on
// taking webhooks in; the other publishes what comes of them.
func TestALeaderThatIsCutOffIsReplaced(t *testing.T) {
	t.Parallel()
	p := &pair{t: t, redis: redistest.Start(t)}
	store := esdbtest.Start(t)
	proxy := redistest.NewProxy(t, p.redis)
	cutOff := start(t, publishing(clusterDir(t, store.URL(), "daybook."), proxy, "REDIS_COMMAND_TIMEOUT=500ms", "REDIS_CONNECT_TIMEOUT=500ms"))
	p.leader(cutOff)
	other := start(t, publishing(clusterDir(t, store.URL(), "daybook."), p.redis))
	p.wantTakenOver("sub_c", other, cutOff, func() { proxy.Break(redistest.Silent) })
	eventually(t, "the one that is cut off tells so", func() bool { return cutOff.publisher().LastError != "" })
	proxy.Mend()
	eventually(t, "one leads", func() bool {
		a, b := cutOff.publisher(), other.publisher()
		return a.Elected != b.Elected && a.Leading != b.Leading
	})
	p.awaitTier("acme", "starter")
	p.wantPostedOnce(other, "sub_c")
	cutOff.stop()
	other.stop()
}
