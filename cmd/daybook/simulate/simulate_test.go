package simulate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"testing"
	"time"
)

var testEnd = time.Date(2025, 12, 31, 10, 30, 0, 0, time.UTC)

func testRun(seed uint64, accounts int) *Run {
	return Generate(Options{Seed: seed, Accounts: accounts, End: testEnd})
}

func TestSameOptionsGiveTheSameBytes(t *testing.T) {
	o := Options{Seed: 7, Accounts: 80, End: testEnd, Shuffle: 0.5, Duplicates: 0.3}
	var first, second, other bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := Generate(o).WriteJSONL(w); err != nil {
			t.Fatal(err)
		}
	}
	o.Seed = 8
	if err := Generate(o).WriteJSONL(&other); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same options gave different deliveries")
	}
	if bytes.Equal(first.Bytes(), other.Bytes()) {
		t.Error("another seed gave the same deliveries")
	}
}

// TestRunsOfAnotherEndAreOfOthers: who simulates again a minute later, with the same
// seed, meets nobody of the first run, or neither run would end as it must.
func TestRunsOfAnotherEndAreOfOthers(t *testing.T) {
	o := Options{Seed: 7, Accounts: 80, End: testEnd}
	first := Generate(o)
	o.End = o.End.Add(time.Minute)
	again := Generate(o)
	known := map[string]bool{}
	for _, d := range first.Deliveries {
		known[d.EventID] = true
	}
	for _, x := range first.Expect {
		known[x.Account] = true
	}
	for _, d := range again.Deliveries {
		if known[d.EventID] {
			t.Fatalf("event %s is of both", d.EventID)
		}
	}
	for _, x := range again.Expect {
		if known[x.Account] {
			t.Fatalf("account %s is of both", x.Account)
		}
	}
	if len(first.Expect) != len(again.Expect) || len(first.Deliveries) != len(again.Deliveries) {
		t.Errorf("%d accounts and %d deliveries, then %d and %d: the seed gives other lives", len(first.Expect), len(first.Deliveries), len(again.Expect), len(again.Deliveries))
	}
}

// A lifecycle does not depend on how many others are played.
func TestMoreAccountsLeaveTheFirstAsTheyAre(t *testing.T) {
	few, many := testRun(3, 20), testRun(3, 60)
	for i, x := range few.Expect {
		if got, want := asJSON(t, many.Expect[i]), asJSON(t, x); got != want {
			t.Fatalf("account %d: %s, among more accounts %s", i, want, got)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestShuffleAndDuplicatesKeepTheSetOfEvents(t *testing.T) {
	plain := testRun(5, 100)
	mixed := Generate(Options{Seed: 5, Accounts: 100, End: testEnd, Shuffle: 1, Duplicates: 0.4})
	if len(mixed.Deliveries) <= len(plain.Deliveries) {
		t.Errorf("%d deliveries with duplicates, %d without", len(mixed.Deliveries), len(plain.Deliveries))
	}
	want := map[string][]byte{}
	for _, d := range plain.Deliveries {
		want[d.EventID] = d.Body
	}
	if len(want) != plain.Events || mixed.Events != plain.Events {
		t.Fatalf("%d distinct ids, %d events, %d when mixed", len(want), plain.Events, mixed.Events)
	}
	seen, changed := map[string]bool{}, 0
	for _, d := range mixed.Deliveries {
		seen[d.EventID] = true
		if !bytes.Equal(d.Body, want[d.EventID]) {
			changed++
		}
		if !bytes.Equal(withPending(d.Body, 1), want[d.EventID]) {
			t.Fatalf("event %s: a delivery differs in more than pending_webhooks", d.EventID)
		}
	}
	if len(seen) != len(want) || changed == 0 {
		t.Errorf("%d of %d events delivered, %d with another pending_webhooks", len(seen), len(want), changed)
	}
	if asJSON(t, mixed.Expect) != asJSON(t, plain.Expect) {
		t.Error("the order of delivery changed what is expected")
	}
}

func TestTrueOrderIsByTime(t *testing.T) {
	run := testRun(11, 100)
	byTime := func(a, b Delivery) int { return a.Created.Compare(b.Created) }
	if !slices.IsSortedFunc(run.Deliveries, byTime) {
		t.Error("without shuffling, deliveries are not in the order of time")
	}
	mixed := Generate(Options{Seed: 11, Accounts: 100, End: testEnd, Shuffle: 0.5})
	if slices.IsSortedFunc(mixed.Deliveries, byTime) {
		t.Error("shuffled deliveries are in the order of time")
	}
}

// Every moment of the run lies between Start and End, for ends on awkward days.
func TestEventsLieWithinTheSpan(t *testing.T) {
	ends := []time.Time{testEnd, time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)}
	for seed := range uint64(6) {
		end := ends[seed%3]
		run := Generate(Options{Seed: seed, Accounts: 150, End: end})
		for _, d := range run.Deliveries {
			if d.Created.Before(run.Options.Start) || d.Created.After(end) {
				t.Fatalf("seed %d: %s at %s, outside %s to %s", seed, d.Type, d.Created, run.Options.Start, end)
			}
		}
	}
}

func TestEarlyStartGivesLongerHistories(t *testing.T) {
	short := testRun(2, 100)
	long := Generate(Options{Seed: 2, Accounts: 100, End: testEnd, Start: testEnd.AddDate(-2, 0, 0)})
	if long.Events <= short.Events {
		t.Errorf("%d events over two years, %d over half a year", long.Events, short.Events)
	}
}

// Same-second chains, told by previous_attributes, must occur.
func TestSomeSecondsHoldSeveralSnapshots(t *testing.T) {
	run := testRun(1, len(lifecycles))
	seconds := map[string]int{}
	for _, d := range run.Deliveries {
		if d.Type == "customer.subscription.updated" {
			seconds[decodeEvent(t, d.Body).id()+d.Created.String()]++
		}
	}
	most := 0
	for _, n := range seconds {
		most = max(most, n)
	}
	if most < 2 {
		t.Errorf("at most %d updates of one subscription in one second, want 2 or more", most)
	}
}

func TestEveryLifecycleHasItsEnd(t *testing.T) {
	run := testRun(1, len(lifecycles))
	var got []string
	for _, x := range run.Expect {
		got = append(got, cmp.Or(x.Status, "-")+" "+x.Reason)
	}
	for _, want := range []string{
		"active subscription", "trialing subscription", "past_due grace", "past_due expired_grace", "canceled canceled",
		"unpaid unpaid", "paused paused", "incomplete incomplete", "incomplete_expired canceled",
		"active unmapped_price", "- free", "past_due nothing_owed",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no account ends as %q", want)
		}
	}
}

func TestShowcase(t *testing.T) {
	run := testRun(1, 3)
	healthy, inGrace, cancelled := run.Showcase(testEnd)
	if healthy == "" || inGrace == "" || cancelled == "" {
		t.Errorf("healthy %q, in grace %q, cancelled %q: none may be missing", healthy, inGrace, cancelled)
	}
	if _, late, _ := run.Showcase(testEnd.Add(Grace)); late != "" {
		t.Errorf("%q still in grace a day later", late)
	}
}
