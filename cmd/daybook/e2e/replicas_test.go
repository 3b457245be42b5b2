package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// replicas are nodes on one cluster, each with a data dir of its own. One that
// is not there is nil.
type replicas struct {
	t  *testing.T
	mu sync.RWMutex
	of []*server
}

// startReplicas starts nodes on an empty cluster, all at once, so that each
// tries to found the store and to adopt the catalog.
func startReplicas(t *testing.T, c cluster, n int, args ...string) *replicas {
	t.Helper()
	r := &replicas{t: t}
	for range n {
		r.of = append(r.of, spawn(t, development(clusterDir(t, c.url, c.prefix), args...)))
	}
	for _, s := range r.of {
		s.connect()
	}
	return r
}

// any is a node that is there.
func (r *replicas) any() *server {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for {
		if s := r.of[rand.IntN(len(r.of))]; s != nil {
			return s
		}
	}
}

// both are all that are there, in no order.
func (r *replicas) both() []*server {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var there []*server
	for _, i := range rand.Perm(len(r.of)) {
		if r.of[i] != nil {
			there = append(there, r.of[i])
		}
	}
	return there
}

func (r *replicas) set(i int, s *server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[i] = s
}

// send sends all there is, each delivery to any node, one in three to all of
// them at the same moment, until everything was answered 200. Now and then it
// calls at, with how many were.
func (r *replicas) send(l *load) {
	r.t.Helper()
	var senders sync.WaitGroup
	for range crashSenders {
		senders.Go(func() {
			for d, ok := l.take(); ok; d, ok = l.take() {
				to := []*server{r.any()}
				if rand.IntN(3) == 0 {
					to = r.both()
				}
				var together sync.WaitGroup
				for _, s := range to {
					together.Go(func() {
						a, err := s.deliver(d.Body)
						l.note(d, a, err)
					})
				}
				together.Wait()
			}
		})
	}
	senders.Wait()
}

// TestReplicasConverge has two nodes take webhooks and post all of them, both,
// on one cluster. Nothing elects one of them: work is wasted, and nothing else.
// One is killed in the middle, and comes back.
func TestReplicasConverge(t *testing.T) {
	t.Parallel()
	onEachCluster(t, replicasConverge)
}

func replicasConverge(t *testing.T, c cluster) {
	t.Helper()
	r := startReplicas(t, c, 2)
	// A grace that runs out while both watch it.
	failed := time.Now().Add(3*time.Second - 24*time.Hour).Truncate(time.Second)
	for _, body := range [][]byte{
		subscriptionEvent("evt_g1", "customer.subscription.created", "sub_grace", "graced", "active", failed.Add(-720*time.Hour), ""),
		failedInvoice("evt_g2", "sub_grace", failed),
		subscriptionEvent("evt_g3", "customer.subscription.updated", "sub_grace", "graced", "past_due", failed, `,"previous_attributes":{"status":"active"}`),
	} {
		r.any().mustDeliver(body, "recorded")
	}
	end := time.Now().UTC().Truncate(time.Second)
	run := simulate.Generate(simulate.Options{Seed: uint64(time.Now().UnixNano()), Accounts: 150, End: end, Shuffle: 0.5, Duplicates: 0.3})
	t.Logf("seed %d", run.Options.Seed)
	load := &load{deliveries: run.Deliveries, acked: map[string]bool{}}
	var killing sync.WaitGroup
	killing.Go(func() { killAndRestart(r, load, len(run.Deliveries)/3) })
	r.send(load)
	killing.Wait()
	if load.failed == 0 {
		t.Error("the kill met no request under way: the test proves nothing")
	}
	for _, s := range r.both() {
		s.settle()
		wantExpected(t, s, run)
		eventually(t, "grace has run out", func() bool { return !s.entitlement("graced").InGrace })
		s.settle()
	}
	wantSameTruth(t, r)
	load.acked["evt_g1"], load.acked["evt_g2"], load.acked["evt_g3"] = true, true, true
	entries := journal(t, r.of[0].dir)
	wantOnce(t, entries, load.acked)
	if len(entries) != run.Events+3 || len(load.acked) != run.Events+3 {
		t.Errorf("%d events in the journal, %d acknowledged: want %d", len(entries), len(load.acked), run.Events+3)
	}
	for _, s := range r.both() {
		wantRebuildEqual(t, s.dir)
		s.stop()
	}
	wantNothingTwice(t, c, "sub_grace")
}

// killAndRestart kills one of the nodes when so many webhooks were acknowledged,
// and starts it again when twice as many were.
func killAndRestart(r *replicas, l *load, acks int) {
	eventually(r.t, "a third is sent", func() bool { return l.count() >= acks })
	gone := r.of[1]
	gone.kill()
	r.set(1, nil)
	eventually(r.t, "two thirds are sent", func() bool { return l.count() >= 2*acks })
	r.set(1, start(r.t, development(gone.dir)))
}

// wantSameTruth wants all nodes to say the same.
func wantSameTruth(t *testing.T, r *replicas) {
	t.Helper()
	first := string(r.of[0].truth())
	for _, s := range r.of[1:] {
		if other := string(s.truth()); other != first {
			t.Errorf("one node says %.2000s\nand another %.2000s", first, other)
		}
	}
}

// wantNothingTwice reads the whole log: the store is founded once, the catalog
// adopted once, no fact is there twice, no note, and the checkpoint of posting
// only ever advances. The grace of one subscription has run out, once.
func wantNothingTwice(t *testing.T, c cluster, graced string) {
	t.Helper()
	store := c.open(t)
	defer store.Close()
	seen := map[uuid.UUID]eventstore.RecordedEvent{}
	said := map[string]bool{}
	types := map[string]int{}
	checkpoint, expired := uint64(0), 0
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		types[e.Type]++
		if first, twice := seen[e.ID]; twice {
			t.Errorf("the %s at revision %d of %s has the ID of the one at revision %d of %s", e.Type, e.Revision, e.Stream, first.Revision, first.Stream)
		}
		seen[e.ID] = e
		var content struct {
			Position      uint64
			StripeEventID string `json:"stripe_event_id"`
			Note          bool
			Ordinal       int
		}
		if e.Stream.Category() == "stripeEvent" {
			continue
		}
		if err := json.Unmarshal(e.Data, &content); err != nil {
			t.Fatal(err)
		}
		says := fmt.Sprint(e.Stream, e.Type, content.StripeEventID, content.Ordinal)
		if content.StripeEventID != "" && !content.Note && e.Stream.Category() != "catalog" { // one event may show several prices
			if said[says] {
				t.Errorf("the fact %s is there twice", says)
			}
			said[says] = true
		}
		switch {
		case e.Stream == "checkpoint-posting" && content.Position <= checkpoint:
			t.Errorf("the checkpoint goes from %d to %d", checkpoint, content.Position)
		case e.Stream == "checkpoint-posting":
			checkpoint = content.Position
		case e.Type == "GracePeriodExpired" && e.Stream.ID() == graced:
			expired++
		}
	}
	if types["StoreFounded"] != 1 || types["CatalogAdopted"] != 1 || types["PriceMapped"] == 0 || types["GracePeriodExpired"] == 0 || types["SubscriptionStarted"] == 0 || checkpoint == 0 {
		t.Errorf("in the log: %v", types)
	}
	if expired != 1 {
		t.Errorf("the end of one grace is noted %d times", expired)
	}
}

// TestReplicasShareTheCatalog configures two nodes with different catalogs: the
// one adopted last is in force at both, and whoever wanted another is told.
func TestReplicasShareTheCatalog(t *testing.T) {
	t.Parallel()
	c := cluster{esdbtest.Start(t).URL(), "daybook."}
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	writeFile(t, file, `
free_tier: none
tiers:
  - {id: none, name: None, features: [reading]}
  - {id: gold, name: Gold, features: [writing], prices: [price_basic]}
`)
	a := start(t, development(clusterDir(t, c.url, c.prefix)))
	a.mustDeliver(subscriptionEvent("evt_c1", "customer.subscription.created", "sub_c", "acme", "active", quietTime(), ""), "recorded")
	a.settle()
	if e := a.entitlement("acme"); e.Tier != "basic" {
		t.Fatalf("%+v", e)
	}
	b := start(t, development(clusterDir(t, c.url, c.prefix), "--catalog", file))
	wantTier := func(s *server, tier, feature string) {
		t.Helper()
		eventually(t, "the catalog is in force", func() bool { return s.entitlement("acme").Tier == tier })
		eventually(t, "the feature is known", func() bool { return s.ask("/v1/entitlements/acme/features/"+feature, s.key).status == 200 })
	}
	wantTier(a, "gold", "writing")
	wantTier(b, "gold", "writing")
	a.log.wait(t, "configure the same one on all", a.exited)
	a.stop()
	a = start(t, development(a.dir)) // and puts its own in force
	wantTier(a, "basic", "custom_nym")
	wantTier(b, "basic", "custom_nym")
	b.log.wait(t, "configure the same one on all", b.exited)
	for _, s := range []*server{a, b} {
		s.settle()
		wantRebuildEqual(t, s.dir)
		s.stop()
	}
}

// TestReplicasKnowWhatWasRepudiated repudiates at one node what came in unsigned,
// and delivers it, signed and in another shape, to the other: that is the entry
// which would be posted.
func TestReplicasKnowWhatWasRepudiated(t *testing.T) {
	t.Parallel()
	c := cluster{esdbtest.Start(t).URL(), "daybook."}
	r := startReplicas(t, c, 2)
	a, b := r.of[0], r.of[1]
	forged := func(sub string) []byte {
		return subscriptionEvent("evt_forged", "customer.subscription.created", sub, "acme", "active", quietTime(), "")
	}
	file := filepath.Join(t.TempDir(), "events.jsonl")
	writeFile(t, file, strings.ReplaceAll(string(forged("sub_1")), "\n", " "))
	mustRun(t, "ingest", file, "--dev", "--data-dir", a.dir)
	for _, s := range r.both() {
		if s.settle(); s.entitlement("acme").Tier != "basic" {
			t.Fatal("what is to be repudiated was not posted")
		}
	}
	mustRun(t, "repudiate", "evt_forged", "--dev", "--data-dir", a.dir, "--reason", "nobody at Stripe knows of it")
	b.settle()
	b.mustDeliver(forged("sub_2"), "recorded")
	for _, s := range r.both() {
		s.settle()
		if e := s.entitlement("acme"); e.Tier != "starter" {
			t.Errorf("granted by what was repudiated: %+v", e)
		}
		if found := s.stream("subscription-sub_2"); len(found) > 0 {
			t.Errorf("posted: %+v", found)
		}
		s.stop()
	}
}

// TestReplicasDecideOnce asks both nodes for one waiver at the same moment, as a
// client does that got no answer, and then for two blocks.
func TestReplicasDecideOnce(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, cluster{esdbtest.Start(t).URL(), "daybook."}, 2)
	ask := func(what, body string, header ...string) []answer {
		t.Helper()
		answers := make([]answer, len(r.of))
		var asking sync.WaitGroup
		for i, s := range r.both() {
			asking.Go(func() {
				var err error
				if answers[i], err = s.trySend(http.MethodPost, "/v1/accounts/acme/"+what, devKey, body, header...); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		return answers
	}
	for i := range 10 {
		granted := ask("waivers", `{"tier":"premium","reason":"`+why+`"}`, "Idempotency-Key", fmt.Sprint("key-", i))
		if granted[0].status != http.StatusCreated || granted[1].status != http.StatusCreated || string(granted[0].body) != string(granted[1].body) {
			t.Fatalf("%d %s, and %d %s", granted[0].status, granted[0].body, granted[1].status, granted[1].body)
		}
	}
	blocked := ask("block", `{"reason":"`+why+`"}`)
	if blocked[0].status != http.StatusOK || blocked[1].status != http.StatusOK {
		t.Fatalf("%d %s, and %d %s", blocked[0].status, blocked[0].body, blocked[1].status, blocked[1].body)
	}
	for _, s := range r.both() {
		s.settle()
		if e := s.entitlement("acme"); e.Source != "blocked" {
			t.Errorf("%+v", e)
		}
		if events := s.stream("account-acme"); len(events) != 11 {
			t.Errorf("recorded: %+v", events)
		}
		s.stop()
	}
}
