package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// outage is how long the cluster is away: ten times what its client survives.
const outage = 10 * time.Second

// TestAnOutageOfTheClusterUnderLoad takes the cluster away while webhooks pour
// in. Stripe is asked to come again, and does; the process is never restarted.
func TestAnOutageOfTheClusterUnderLoad(t *testing.T) {
	t.Parallel()
	store := esdbtest.Start(t)
	away(t, store, store.Stop, func() {
		if err := store.Start(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestABlackHoleUnderLoad has the cluster accept and never answer.
func TestABlackHoleUnderLoad(t *testing.T) {
	t.Parallel()
	store := esdbtest.Start(t)
	away(t, store, func() { store.Inject(esdbtest.Fault{Kind: esdbtest.BlackHole, Everything: true}) }, store.Heal)
}

// away sends while the store is gone for the time of an outage, and to the end
// after it is back.
func away(t *testing.T, store *esdbtest.Server, leave, back func()) {
	t.Helper()
	end := time.Now().UTC().Truncate(time.Second)
	run := simulate.Generate(simulate.Options{Seed: 11, Accounts: 100, End: end, Shuffle: 0.3, Duplicates: 0.2})
	load := &load{deliveries: run.Deliveries, acked: map[string]bool{}}
	dir := clusterDir(t, store.URL(), "daybook.")
	s := start(t, development(dir))
	load.sendUntil(s, len(run.Deliveries)/3, 0, leave)
	load.sendUntil(s, 0, outage, func() {
		// Whoever comes in the meantime is answered, and in time.
		began := time.Now()
		a, err := s.deliver(customerEvent("evt_meanwhile"))
		if took := time.Since(began); err != nil || a.status != http.StatusServiceUnavailable || took > 10*time.Second {
			t.Errorf("without a store: %d %v after %v", a.status, err, took)
		}
		back()
	})
	load.sendUntil(s, len(run.Deliveries), 0, func() {})
	if load.failed == 0 {
		t.Error("the outage met no request: the test proves nothing")
	}
	report, err := simulate.Check(t.Context(), simulate.CheckOptions{URL: s.base, APIKey: devKey, Timeout: patience}, run, end)
	if err != nil || !report.OK() {
		t.Fatalf("%v %.4000s", err, report)
	}
	s.settle()
	wantOnce(t, journal(t, dir), load.acked)
	if len(load.acked) != run.Events {
		t.Errorf("%d events acknowledged: want %d", len(load.acked), run.Events)
	}
	s.stop()
}
