package main

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
)

// TestOnAClusterTheModelRestsOnTheStoresWord: two nodes of two builds read one
// Stripe event otherwise. The second appends where the first did, under the same
// id, and is told that the event is there.
func TestOnAClusterTheModelRestsOnTheStoresWord(t *testing.T) {
	const stream eventstore.Stream = "clock-clock_1"
	store := sqlitetest.Open(t)
	told := func(status string) aggregate.Event {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		return aggregate.Event{Fact: &aggregate.Fact{Type: aggregate.ClockTold, OccurredAt: at, Key: aggregate.FactKey{StripeEventID: "evt_1"},
			Clock: &aggregate.ClockSnapshot{ID: "clock_1", Status: status, FrozenAt: at}}}
	}
	id := uuid.New()
	post := func(e aggregate.Event) {
		data, err := aggregate.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), stream, eventstore.NoStream,
			eventstore.ProposedEvent{ID: id, Type: e.Type(), Data: data, Metadata: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	n := &node{store: store, cfg: &config.Config{EventStoreURL: "esdb://cluster"}}
	posted, folded := n.newRecent()
	post(told("ready")) // by the other node
	post(told("advancing"))
	posted.Add(stream, 0, told("advancing"))
	events, err := folded.Before(t.Context(), stream, 1)
	if err != nil || len(events) != 1 || events[0].Fact.Clock.Status != "ready" {
		t.Errorf("the model is folded of %+v, %v", events, err)
	}
}
