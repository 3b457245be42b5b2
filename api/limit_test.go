package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// limit puts other limits in force.
func (r *rig) limit(l Limits) { r.server.limits = newLimits(l) }

// from asks for a path as a client behind the trusted proxy that this test is.
func (r *rig) from(client, path, key string) answer {
	r.Helper()
	return r.do(http.MethodGet, path, key, nil, http.Header{"X-Forwarded-For": {client}})
}

// wantLimited wants a refusal that says when to come again.
func (r *rig) wantLimited(a answer, status int, seconds string) {
	r.Helper()
	if a.status != status || a.header.Get("Retry-After") != seconds || a.header.Get("Content-Type") != "application/problem+json" {
		r.Errorf("%s, Retry-After %q: want %d and %s", a, a.header.Get("Retry-After"), status, seconds)
	}
}

func (r *rig) wantOK(answers ...answer) {
	r.Helper()
	for _, a := range answers {
		if a.status != http.StatusOK {
			r.Errorf("%s: want 200", a)
		}
	}
}

// wantUnrecorded wants an event not to be in the journal.
func (r *rig) wantUnrecorded(id string) {
	r.Helper()
	for _, err := range r.store.ReadStream(r.Context(), intake.JournalStream(id), 0, eventstore.Forwards, 1) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return
		}
		r.Errorf("event %s was refused, and is recorded (%v)", id, err)
	}
}

// loopbackProxy trusts this test to speak for others.
var loopbackProxy = Proxies{netip.MustParsePrefix("127.0.0.0/8")}

func TestAKeyIsLimited(t *testing.T) {
	r := newRig(t)
	r.limit(Limits{PerKey: Rate{PerSecond: 0.5, Burst: 2}})
	const path = "/v1/entitlements/team-1"
	r.wantOK(r.do(http.MethodGet, path, opsKey, nil, nil), r.do(http.MethodGet, path, opsKey, nil, nil))
	r.wantLimited(r.do(http.MethodGet, path, opsKey, nil, nil), http.StatusTooManyRequests, "2")
	r.wantOK(r.do(http.MethodGet, path, boundKey, nil, nil), r.do(http.MethodGet, "/livez", "", nil, nil))
	r.clock.Set(noon.Add(1500 * time.Millisecond))
	r.wantLimited(r.do(http.MethodGet, path, opsKey, nil, nil), http.StatusTooManyRequests, "1")
	r.clock.Set(noon.Add(2 * time.Second))
	r.wantOK(r.do(http.MethodGet, path, opsKey, nil, nil))
	r.wantMetric(r.scrape(), 2, "daybook_limited_total", "key")
}

func TestAnAddressIsLimited(t *testing.T) {
	r := newRig(t)
	r.limit(Limits{PerAddress: Rate{PerSecond: 1, Burst: 2}, Proxies: loopbackProxy})
	const path = "/v1/entitlements/team-1"
	r.wantOK(r.from("203.0.113.1", path, opsKey), r.from("203.0.113.1", "/readyz", ""))
	r.wantOK(r.from("203.0.113.1", "/livez", "")) // it always answers
	r.wantLimited(r.from("203.0.113.1", path, opsKey), http.StatusTooManyRequests, "1")
	r.wantLimited(r.from("203.0.113.1", path, "no key"), http.StatusTooManyRequests, "1") // before the key is looked at
	r.wantLimited(r.from("198.51.100.1, 203.0.113.1", path, opsKey), http.StatusTooManyRequests, "1")
	r.wantOK(r.from("203.0.113.2", path, opsKey))
	r.wantOK(r.from("2001:db8::1", path, opsKey), r.from("2001:db8::2", path, opsKey))
	r.wantLimited(r.from("2001:db8::3", path, opsKey), http.StatusTooManyRequests, "1")
	r.wantOK(r.from("2001:db8:0:1::1", path, opsKey))
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
}

func TestWebhooksHaveALimitOfTheirOwn(t *testing.T) {
	r := newRig(t)
	r.limit(Limits{Webhooks: Rate{PerSecond: 0.2, Burst: 1}})
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	second := subscriptionEvent("evt_2", subUpdated, noon, "sub_1", "team-1", "active", "price_basic")
	r.wantLimited(r.post(second), http.StatusServiceUnavailable, "5")
	r.wantUnrecorded("evt_2")
	r.wantOK(r.do(http.MethodGet, "/v1/entitlements/team-1", opsKey, nil, nil))
	r.clock.Set(noon.Add(5 * time.Second))
	r.send(second)
	r.wantMetric(r.scrape(), 1, "daybook_limited_total", "webhooks")
}

// TestAFloodWaitsForItself: refusals are given at a pace, whoever has a valid
// signature or key from the same address is let through meanwhile, and what is
// beyond the line is told that it is.
func TestAFloodWaitsForItself(t *testing.T) {
	r := newRig(t)
	event := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	flood := map[string]struct {
		send    func() answer
		refused int
		beyond  int
		good    func()
	}{
		"bad signatures": {func() answer {
			return r.do(http.MethodPost, "/webhooks/stripe", "", event, signed(event, "whsec_nobody", noon))
		}, http.StatusBadRequest, http.StatusServiceUnavailable, func() { r.send(event) }},
		"bad keys": {func() answer {
			return r.do(http.MethodGet, "/v1/entitlements/team-1", "nobody", nil, nil)
		}, http.StatusUnauthorized, http.StatusTooManyRequests, func() { r.get("/v1/entitlements/team-1") }},
	}
	for name, f := range flood {
		t.Run(name, func(t *testing.T) {
			r.limit(Limits{})
			const inTime, tooLate = 11, 4 // the first, those within a second, and the rest
			r.server.limits.refusals = newBuckets[netip.Prefix]("refusals", Rate{PerSecond: 10, Burst: 1})
			answers := make(chan answer, inTime+tooLate)
			var senders sync.WaitGroup
			for range inTime + tooLate {
				senders.Go(func() { answers <- f.send() })
			}
			f.good()
			senders.Wait()
			close(answers)
			statuses := map[int]int{}
			for a := range answers {
				if statuses[a.status]++; a.status == f.beyond && a.header.Get("Retry-After") == "" {
					t.Error("nobody says when to come again")
				}
			}
			if statuses[f.refused] != inTime || statuses[f.beyond] != tooLate {
				t.Errorf("statuses %v", statuses)
			}
			if got := r.server.limits.counts.refusals.Load(); got != tooLate {
				t.Errorf("%d counted", got)
			}
		})
	}
}

func TestTooMuchAtOnceIsShed(t *testing.T) {
	r := newRig(t)
	event := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	r.server.limits.stripeNow.most = 0
	r.wantLimited(r.do(http.MethodGet, sessionsPath+"/cs_test_1", opsKey, nil, nil), http.StatusServiceUnavailable, "5")
	r.wantLimited(r.order(portalPath, opsKey, `{}`), http.StatusServiceUnavailable, "5")
	r.wantLimited(r.order(sessionsPath, opsKey, goodOrder), http.StatusServiceUnavailable, "5")
	r.get("/v1/entitlements/team-1") // Stripe's trouble is nobody else's
	r.server.limits.requestsNow.most = 0
	r.wantLimited(r.do(http.MethodGet, "/v1/entitlements/team-1", opsKey, nil, nil), http.StatusServiceUnavailable, "5")
	r.server.limits.webhooksNow.most = 0
	r.wantLimited(r.post(event), http.StatusServiceUnavailable, "5")
	r.wantEmptyStore()
	r.limit(Limits{})
	r.send(event)
	r.get("/v1/entitlements/team-1")
	if now := r.server.limits.requestsNow.in.Load() + r.server.limits.stripeNow.in.Load() + r.server.limits.webhooksNow.in.Load(); now != 0 {
		t.Errorf("%d never left", now)
	}
}

// TestLargeBodiesShareMemory: where others hold all of it, a large webhook is
// sent again later, and a small one is taken.
func TestLargeBodiesShareMemory(t *testing.T) {
	r := newRig(t)
	r.server.MaxWebhookBytes = 256 << 10
	held := &r.server.limits.bodies
	r.send(paddedEvent("evt_before", 200<<10))
	if left := held.Load(); left != 0 {
		t.Fatalf("%d bytes are held by nobody", left)
	}
	held.Store(largeBodies - 100<<10)
	large := paddedEvent("evt_large", 200<<10)
	r.wantLimited(r.post(large), http.StatusServiceUnavailable, "5")
	r.send(paddedEvent("evt_fits", smallBody+100<<10))
	r.send(subscriptionEvent("evt_small", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.wantUnrecorded("evt_large")
	if now := held.Load(); now != largeBodies-100<<10 {
		t.Errorf("%d bytes are held", now)
	}
	r.wantMetric(r.scrape(), 1, "daybook_limited_total", "large_bodies")
	held.Store(0)
	r.send(large)
}

// TestTheTableOfBucketsIsBounded: a client that comes steadily keeps its place
// among any number of others, and the silent ones lose theirs.
func TestTheTableOfBucketsIsBounded(t *testing.T) {
	b := newBuckets[int]("test", Rate{PerSecond: 1, Burst: 1})
	steady := -1
	b.take(steady, noon)
	b.take(0, noon)
	for i := range 2 * maxBuckets {
		b.take(i+1, noon)
		if _, ok := b.take(steady, noon); ok {
			t.Fatal("the steady client was forgotten")
		}
	}
	if got := b.len(); got != maxBuckets {
		t.Errorf("%d buckets", got)
	}
	if _, ok := b.take(0, noon); !ok {
		t.Error("the silent client was not forgotten")
	}
}

func openTally(t *testing.T, url string, command time.Duration) Tally {
	t.Helper()
	outlet, err := redis.Open(url, redis.Options{Epoch: "epoch-1", FoundedAt: noon, CommandTimeout: command})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outlet.Close() })
	return outlet.Tally()
}

// TestServersShareWhatIsSpent has three servers, each with limits of its own, and
// lets one client ask them in turn.
func TestServersShareWhatIsSpent(t *testing.T) {
	r := redistest.Start(t)
	now := noon
	var servers []*limits
	var tallies []Tally
	for range 3 {
		servers = append(servers, newLimits(Limits{PerKey: Rate{PerSecond: 10, Burst: 20}, PerAddress: Rate{PerSecond: 10, Burst: 20}}))
		tallies = append(tallies, openTally(t, r.URL(), 0))
	}
	client, key := netip.MustParsePrefix("203.0.113.1/32"), &Key{Name: "team"}
	ask := func(l *limits) bool {
		return errors.Join(l.admitAddress(client, now), l.admitKey(key, now)) == nil
	}
	exchange := func() {
		for i, l := range servers {
			if err := l.share(t.Context(), tallies[i], func() time.Time { return now }); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange() // each begins to share
	passed := 0
	const seconds, perSecond = 60, 5
	for range seconds * perSecond {
		for _, l := range servers {
			for range 10 {
				if ask(l) {
					passed++
				}
			}
		}
		exchange()
		now = now.Add(time.Second / perSecond)
	}
	// 600 by the rate; three bursts; and three servers' part of the rate in an exchange, at most.
	if most := 600 + 3*20 + 3*10/perSecond; passed > most || passed < 600-20 {
		t.Errorf("%d passed of 9000: want 580 to %d", passed, most)
	}
	keys := r.Do("KEYS", "*").([]any)
	for _, k := range keys {
		if name := k.(string); strings.Contains(name, "203.0.113") || !strings.HasPrefix(name, "daybook:rate:epoch-1:") {
			t.Errorf("Redis holds %s", name)
		}
		if ttl := r.Do("TTL", k).(int64); ttl < 60 || ttl > 120 {
			t.Errorf("%v is kept for %d s", k, ttl)
		}
	}
	if len(keys) != 2 {
		t.Errorf("%d keys, want one for the key and one for the address", len(keys))
	}
}

// lateTally adds, and then says that nothing is known of it.
type lateTally struct{ Tally }

func (l lateTally) Add(ctx context.Context, spent map[string]int64) (map[string]int64, error) {
	if _, err := l.Tally.Add(ctx, spent); err != nil {
		return nil, err
	}
	return nil, context.DeadlineExceeded
}

// TestWhatWasNotConfirmedIsNobodyElses: a server whose exchange reached Redis, but
// whose answer was lost, does not take its own spending for another's.
func TestWhatWasNotConfirmedIsNobodyElses(t *testing.T) {
	now := noon
	clock := func() time.Time { return now }
	l, tally := newLimits(Limits{PerKey: Rate{PerSecond: 1, Burst: 3}}), openTally(t, redistest.Start(t).URL(), 0)
	key := &Key{Name: "team"}
	spend := func(times int) {
		t.Helper()
		now = now.Add(time.Minute)
		for range times {
			if err := l.admitKey(key, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	share := func(tally Tally, want error) {
		t.Helper()
		if err := l.share(t.Context(), tally, clock); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	share(tally, nil) // it begins to share
	spend(3)
	share(tally, nil)
	spend(3)
	share(lateTally{tally}, context.DeadlineExceeded)
	spend(1)
	share(tally, nil)
	for range 2 {
		if err := l.admitKey(key, now); err != nil {
			t.Errorf("two tokens are left: %v", err)
		}
	}
}

// TestARedisThatHangsBlocksNobody: requests are answered, by the limits of this
// server alone, and shared again once it goes on.
func TestARedisThatHangsBlocksNobody(t *testing.T) {
	server := redistest.Start(t)
	r := newRig(t)
	r.limit(Limits{PerKey: Rate{PerSecond: 1, Burst: 3}})
	ctx, stop := context.WithCancel(t.Context())
	var sharing sync.WaitGroup
	sharing.Go(func() { r.server.ShareLimits(ctx, openTally(t, server.URL(), 50*time.Millisecond)) })
	defer func() { stop(); sharing.Wait() }()
	ask := func() answer { return r.do(http.MethodGet, "/v1/entitlements/team-1", opsKey, nil, nil) }
	askLater := func() {
		r.clock.Set(r.clock.Now().Add(time.Minute))
		r.wantOK(ask())
	}
	until(t, "the first share", func() bool { askLater(); return len(server.Do("KEYS", "*").([]any)) == 1 })
	server.Pause()
	until(t, "it is told", func() bool {
		askLater()
		return strings.Contains(r.log.String(), "rate limits are not shared")
	})
	r.clock.Set(r.clock.Now().Add(time.Minute))
	r.wantOK(ask(), ask(), ask())
	r.wantLimited(ask(), http.StatusTooManyRequests, "1")
	server.Resume()
	until(t, "it is shared again", func() bool {
		askLater()
		return strings.Contains(r.log.String(), "shared with other servers again")
	})
}

// until asks until it is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if is() {
			return
		}
	}
	t.Fatal("did not come to pass: " + what)
}
