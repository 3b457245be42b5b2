package aggregate

import (
	"testing"
	"time"
)

func TestFactsSayTheSameWhateverTheirFormInMemory(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fresh := Fact{Type: SubscriptionChanged, Key: FactKey{StripeEventID: "evt_1"}, OccurredAt: at.In(time.FixedZone("", 3600)),
		Subscription: &SubscriptionSnapshot{ID: "sub_1", Status: Active, Items: []Item{}, Flags: []string{}}}
	data, err := Encode(Event{Fact: &fresh})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := Decode(string(SubscriptionChanged), data)
	if err != nil {
		t.Fatal(err)
	}
	later := *stored.Fact
	later.Epoch = 8
	if !fresh.SaysAs(later) {
		t.Error("a fact differs from itself, stored and read")
	}
	paused := later
	paused.Type = SubscriptionPaused
	other := later
	other.Subscription = &SubscriptionSnapshot{ID: "sub_1", Status: PastDue}
	for _, g := range []Fact{paused, other} {
		if fresh.SaysAs(g) {
			t.Errorf("%s %+v says the same as %s %+v", g.Type, g.Subscription, fresh.Type, fresh.Subscription)
		}
	}
}

func TestASetKnowsWhatItHolds(t *testing.T) {
	var set FactSet
	for i := range 2 * indexedFrom {
		id := []string{"evt_a", "evt_b"}[i%2]
		set.Evolve(Event{Fact: &Fact{Type: ClockTold, Key: FactKey{id, 2*indexedFrom - i}, Clock: &ClockSnapshot{}}}, Place{})
	}
	keys := set.KeysOf("evt_a")
	if len(keys) != indexedFrom || keys[0].Ordinal > keys[1].Ordinal {
		t.Errorf("keys %v", keys)
	}
	correction := Fact{Type: Repudiated, Key: keys[0], Epoch: RepudiatedEpoch, Repudiation: &Repudiation{}}
	set.Evolve(Event{Fact: &correction}, Place{})
	if f, found := set.Held(keys[0]); !found || f.Type != Repudiated {
		t.Errorf("held %+v, %v", f, found)
	}
	if _, found := set.Held(FactKey{StripeEventID: "evt_c"}); found {
		t.Error("holds what nobody told")
	}
}
