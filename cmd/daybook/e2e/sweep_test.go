package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/cmd/daybook/simulate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// listedFirst is how many pages of events a sweep has when webhooks begin to bring
// the same: soon it records them, the oldest first, and they come the newest first.
const listedFirst = 7

// TestASweepBesideTheSameWebhooksCountsNothingTwice has sweeps fetch from Stripe
// what webhooks bring at the same moment, and compares what comes of it with a
// server that no sweep has helped.
func TestASweepBesideTheSameWebhooksCountsNothingTwice(t *testing.T) {
	t.Parallel()
	run := year(*stripeAccounts)
	stripe := stripeAfter(t, run)
	slices.Reverse(run.Deliveries)
	alone := start(t, development(""))
	deliverAll(t, alone, run, func() bool { return true })

	var pages atomic.Int64
	stripe.SetBefore(func(r *http.Request) {
		if r.URL.Path == "/v1/events" {
			pages.Add(1)
		}
	})
	swept := start(t, launch{args: []string{"--dev"}, env: withStripe(stripe)}) // it sweeps at once
	eventually(t, "the sweep has events", func() bool { return pages.Load() >= listedFirst })
	deliverAll(t, swept, run, func() bool { return true })
	o := commandWithin(t, manyMinutes, nil, "reconcile", "--dev", "--data-dir", swept.dir, "--since", "700h", "-o", "json")
	var last struct{ Found, Missing int64 }
	if err := json.Unmarshal([]byte(o.stdout), &last); err != nil || last.Found == 0 || last.Missing != 0 {
		t.Errorf("in the end a sweep says %+v, %v\n%s", last, err, o.stderr)
	}
	swept.settle()
	wantEntitlements(t, run, entitlements(t, swept, run), entitlements(t, alone, run))
	wantSameMoney(t, swept, alone)
	wantRebuildSame(t, swept)
	alone.stop()
	swept.stop()

	entries, met := journal(t, swept.dir), 0
	for _, id := range eventIDs(t, run) {
		met += wantRecordedOnce(t, id, entries[id])
	}
	if listed := int(last.Found); met == 0 || met >= listed {
		t.Errorf("of %d events %d were fetched before their webhooks came: they did not meet", listed, met)
	}
	got, want := factsInForce(t, swept.dir), factsInForce(t, alone.dir)
	if len(want) < 500 {
		t.Fatalf("only %d events gave facts: the test proves little", len(want))
	}
	for id, facts := range want {
		if !maps.Equal(got[id], facts) {
			t.Errorf("%s: facts in force %v, want %v", id, got[id], facts)
		}
	}
}

// eventIDs are those of a run, each once.
func eventIDs(t *testing.T, run *simulate.Run) (ids []string) {
	t.Helper()
	for _, d := range run.Deliveries {
		envelope, err := intake.ParseEnvelope(d.Body)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, envelope.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// wantRecordedOnce wants one signed entry of an event, and before it at most the
// one that a sweep had brought, and returns how many that are.
func wantRecordedOnce(t *testing.T, id string, entries []eventstore.RecordedEvent) (fetched int) {
	t.Helper()
	signed := 0
	for _, e := range entries {
		receipt, err := intake.DecodeReceipt(e.Metadata)
		switch {
		case err != nil:
			t.Fatal(err)
		case receipt.Signed():
			signed++
		case signed == 0:
			fetched++
		default:
			t.Errorf("%s was fetched although its webhook was there", id)
		}
	}
	if signed != 1 || fetched > 1 {
		t.Errorf("%s: %d signed entries and %d that were fetched", id, signed, fetched)
	}
	return fetched
}

// wantSameMoney compares what two servers say that each account has brought in.
func wantSameMoney(t *testing.T, a, b *server) {
	t.Helper()
	sum := int64(0)
	for _, account := range knownAccounts(b) {
		ours, theirs := a.received(account), b.received(account)
		if ours != theirs {
			t.Errorf("%s: received %d, want %d", account, ours, theirs)
		}
		sum += ours
	}
	if sum == 0 {
		t.Error("no money came in: the test proves nothing of it")
	}
}

// factsInForce are the facts that each Stripe event of the record stands for now,
// by stream and type, with how many there are: no fact may be written twice.
func factsInForce(t *testing.T, dir string) map[string]map[string]int {
	t.Helper()
	store := openReader(t, dir)
	defer store.Close()
	type place struct {
		stream eventstore.Stream
		key    aggregate.FactKey
	}
	latest := map[place]aggregate.Fact{}
	written := map[place]map[int]bool{}
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil || event.Fact == nil || !strings.HasPrefix(event.Fact.Key.StripeEventID, "evt_") {
			continue
		}
		f := *event.Fact
		at := place{e.Stream, f.Key}
		if written[at] == nil {
			written[at] = map[int]bool{}
		}
		if written[at][f.Epoch] {
			t.Errorf("%s is twice in %s", f.Key.StripeEventID, e.Stream)
		}
		written[at][f.Epoch] = true
		if before, there := latest[at]; !there || before.Epoch < f.Epoch {
			latest[at] = f
		}
	}
	facts := map[string]map[string]int{}
	for at, f := range latest {
		id := at.key.StripeEventID
		if facts[id] == nil {
			facts[id] = map[string]int{}
		}
		facts[id][string(at.stream)+" "+string(f.Type)]++
	}
	return facts
}
