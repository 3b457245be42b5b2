package e2e_test

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// restored is a store that is put back to a backup: acme has cancelled since, and
// lateco has come.
type restored struct {
	t     *testing.T
	redis *redistest.Server
	dir   string
	// events are what Stripe told, the last two of them since the backup.
	events [][]byte
	// told is the heartbeat that the store left in Redis.
	told string
}

// loseHistory lets a server take everything in and publish it, and puts its data
// dir back.
func loseHistory(t *testing.T, stripe *stripetest.Server) *restored {
	t.Helper()
	at := func(minutes int) time.Time {
		return time.Now().Add(time.Duration(minutes) * time.Minute).Truncate(time.Second)
	}
	r := &restored{t: t, redis: redistest.Start(t), dir: dataDir(t), events: [][]byte{
		subscriptionEvent("evt_a1", "customer.subscription.created", "sub_a", "acme", "active", at(-20), ""),
		subscriptionEvent("evt_b1", "customer.subscription.created", "sub_b", "bravo", "active", at(-19), ""),
		subscriptionEvent("evt_a2", "customer.subscription.deleted", "sub_a", "acme", "canceled", at(-10), ""),
		subscriptionEvent("evt_l1", "customer.subscription.created", "sub_l", "lateco", "active", at(-9), ""),
	}}
	// What is garbled tells of nothing.
	r.redis.Do("SET", published.HeartbeatKey, `{"position":1152921504606846976,"epoch"`)
	first := start(t, r.serving(stripe))
	r.deliver(first, stripe, r.events[:2]...)
	r.await(map[string]string{"acme": "basic", "bravo": "basic"})
	if first.log.count("the heartbeat that is there is ignored") != 1 || first.log.count("lacks history") > 0 {
		t.Errorf("of a garbled heartbeat the log says\n%s", first.log)
	}
	first.stop()
	backup := dataDir(t)
	r.copy(r.dir, backup)

	second := start(t, r.serving(stripe))
	r.deliver(second, stripe, r.events[2:]...)
	r.await(map[string]string{"acme": "starter", "lateco": "basic"})
	second.awaitPublished()
	eventually(t, "the heartbeat tells so", func() bool {
		h, err := published.OpenHeartbeat([]byte(r.heartbeat()), published.Keys{entitlementKey})
		return err == nil && h.Position >= uint64(second.publisher().Position)
	})
	second.kill()
	if second.log.count("lacks history") > 0 {
		t.Errorf("of a store that lacks nothing the log says\n%s", second.log)
	}
	r.told = r.heartbeat()
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	r.copy(backup, r.dir)
	return r
}

func (r *restored) serving(stripe *stripetest.Server) launch {
	l := publishing(r.dir, r.redis)
	if stripe != nil {
		l.env = append(l.env, withStripe(stripe)...)
	}
	return l
}

func (r *restored) copy(from, to string) {
	r.t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		r.t.Fatal(err)
	}
}

// deliver has Stripe know of events, and bring them.
func (r *restored) deliver(s *server, stripe *stripetest.Server, events ...[]byte) {
	r.t.Helper()
	for _, body := range events {
		if stripe != nil {
			putEvent(r.t, stripe, body)
		}
		s.mustDeliver(body, "recorded")
	}
}

func (r *restored) heartbeat() string {
	r.t.Helper()
	value, _ := r.redis.Do("GET", published.HeartbeatKey).(string)
	return value
}

// await waits until readers find each account on its tier.
func (r *restored) await(tiers map[string]string) {
	r.t.Helper()
	for account, tier := range tiers {
		eventually(r.t, account+" is published as "+tier, func() bool {
			e, found := inRedis(r.t, r.redis, account)
			return found && e.Tier == tier
		})
	}
}

// watch reads acme's entry without a pause until it is told to end. No reader may
// see again what acme has cancelled.
func (r *restored) watch() (end func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			if e, found := inRedis(r.t, r.redis, "acme"); found && e.Tier != "starter" {
				r.t.Errorf("a reader is told of the past: %+v", e)
				return
			}
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	return sync.OnceFunc(func() { close(done); watching.Wait() })
}

// wantHeld wants a server that takes webhooks, and that neither publishes nor
// beats, but says why and what to do.
func (r *restored) wantHeld(s *server, advice string) {
	r.t.Helper()
	eventually(r.t, "the publisher says what is missing", func() bool {
		return strings.Contains(s.publisher().LastError, "this store lacks history")
	})
	var status struct {
		HistoryLost *struct {
			ToldPosition, Head uint64
			Advice             string
		} `json:"history_lost"`
	}
	s.get("/v1/status", &status)
	if status.HistoryLost == nil || !strings.Contains(status.HistoryLost.Advice, advice) {
		r.t.Errorf("the status says %+v", status.HistoryLost)
	}
	if !strings.Contains(s.log.String(), `"level":"error","msg":"this store lacks history`) {
		r.t.Errorf("the log does not say so:\n%s", s.log)
	}
	if a := s.ask("/metrics", ""); !strings.Contains(string(a.body), "\ndaybook_history_lost 1\n") {
		r.t.Errorf("the metrics say\n%s", a.body)
	}
	if a := s.ask("/v1/entitlements/acme", s.key); a.status != http.StatusOK || !strings.Contains(string(a.body), `"stale":true`) {
		r.t.Errorf("the API answers %d %s", a.status, a.body)
	}
	if p := s.publisher(); len(p.Outcomes) > 0 || !p.BeatAt.IsZero() || r.heartbeat() != r.told {
		r.t.Errorf("it has published: %+v, %s", p, r.heartbeat())
	}
}

// wantWhole wants a server that publishes again, what is true now.
func (r *restored) wantWhole(s *server) {
	r.t.Helper()
	r.await(map[string]string{"acme": "starter", "bravo": "basic", "lateco": "basic"})
	s.awaitPublished()
	wantPublished(r.t, s, r.redis, []string{"acme", "bravo", "lateco"})
	if a := s.ask("/metrics", ""); !strings.Contains(string(a.body), "\ndaybook_history_lost 0\n") {
		r.t.Errorf("the metrics say\n%s", a.body)
	}
	if a := s.ask("/v1/entitlements/acme", s.key); strings.Contains(string(a.body), "stale") {
		r.t.Errorf("the API answers %s", a.body)
	}
	told, before := r.heartbeat(), r.told
	now, err := published.OpenHeartbeat([]byte(told), published.Keys{entitlementKey})
	if err != nil || told == before || now.FoundedAt.Before(time.Now().Add(-patience)) {
		r.t.Errorf("the heartbeat says %s, %v", told, err)
	}
}

// TestARestoredStoreFetchesWhatItLacksBeforeItPublishes puts a store back to a
// backup. While Stripe does not answer, nothing is published; once it does, what
// was lost is fetched, and what was published before wins over nothing.
func TestARestoredStoreFetchesWhatItLacksBeforeItPublishes(t *testing.T) {
	t.Parallel()
	stripe := newStripe(t)
	open := make(chan struct{})
	close(open)
	var gate sync.Mutex
	closed := open
	stripe.SetBefore(func(r *http.Request) {
		gate.Lock()
		wait := closed
		gate.Unlock()
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	})
	r := loseHistory(t, stripe)
	shut := make(chan struct{})
	release := sync.OnceFunc(func() { close(shut) })
	defer release()
	gate.Lock()
	closed = shut
	gate.Unlock()

	end := r.watch()
	defer end()
	s := start(t, r.serving(stripe))
	r.wantHeld(s, "fetched from Stripe, which is under way")
	s.mustDeliver(customerEvent("evt_meanwhile"), "recorded")
	release()
	r.wantWhole(s)
	if s.log.count("lost history counts as made good") != 1 {
		t.Errorf("the log says\n%s", s.log)
	}
	if out := mustRun(t, "events", "--dev", "--data-dir", r.dir, "--stream", "store-main"); !strings.Contains(out, "HistoryLost") || !strings.Contains(out, "HistoryRecovered") {
		t.Errorf("the record says\n%s", out)
	}
	wantRebuildSame(t, s)
	s.stop()
	again := start(t, r.serving(stripe))
	r.wantWhole(again)
	if again.log.count("lacks history") > 0 {
		t.Errorf("after it was made good, the log says\n%s", again.log)
	}
	again.stop()
}

// TestARestoredStoreWithoutAKeyIsSilentUntilAnOperatorSpeaks: it does not reach
// Redis at first, and its log grows past what Redis was told of. It is noticed all
// the same, and not forgotten by a restart.
func TestARestoredStoreWithoutAKeyIsSilentUntilAnOperatorSpeaks(t *testing.T) {
	t.Parallel()
	r := loseHistory(t, nil)
	end := r.watch()
	defer end()
	proxy := redistest.NewProxy(t, r.redis)
	proxy.Break(redistest.Silent)
	l := publishing(r.dir, proxy, "REDIS_CONNECT_TIMEOUT=500ms", "REDIS_COMMAND_TIMEOUT=200ms")
	s := start(t, l)
	before, err := published.OpenHeartbeat([]byte(r.told), published.Keys{entitlementKey})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; s.position("projection") <= before.Position; i++ {
		if i == 100 {
			t.Fatal("the log does not grow")
		}
		wantUnimpressed(t, s, "evt_meanwhile_"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	proxy.Mend()
	r.wantHeld(s, "set STRIPE_API_KEY")
	s.kill()
	s = start(t, r.serving(nil))
	eventually(t, "it is still known", func() bool { return strings.Contains(s.publisher().LastError, "daybook accept-loss") })

	for _, body := range r.events[2:] {
		s.mustDeliver(body, "recorded") // Stripe was told to send them again
	}
	s.settle()
	accept := []string{"accept-loss", "--dev", "--data-dir", r.dir}
	wantSaid(t, command(t, nil, append(accept, "--reason", "why")...), 2, "--reason")
	wantSaid(t, command(t, nil, append(accept, "--reason", "resent from Stripe's dashboard", "--actor", "night shift")...), 0, "is accepted")
	r.wantWhole(s)
	wantSaid(t, command(t, nil, append(accept, "--reason", "resent from Stripe's dashboard")...), 1, "nothing is known to be lost")
	if out := mustRun(t, "events", "--dev", "--data-dir", r.dir, "--stream", "store-main", "-o", "json"); !strings.Contains(out, "night shift") {
		t.Errorf("the record does not say who:\n%s", out)
	}
	s.stop()
}
