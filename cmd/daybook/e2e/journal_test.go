package e2e_test

import (
	"testing"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// journal reads all entries of a data dir, by the id of their Stripe event,
// whether or not a server is at work there.
func journal(t testing.TB, dir string) map[string][]eventstore.RecordedEvent {
	t.Helper()
	store := openReader(t, dir)
	defer store.Close()
	entries := map[string][]eventstore.RecordedEvent{}
	filter := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, filter, 0) {
		if err != nil {
			t.Fatal(err)
		}
		entries[e.Stream.ID()] = append(entries[e.Stream.ID()], e)
	}
	return entries
}

// wantOnce checks that each of the events is in the journal, and none twice.
func wantOnce(t testing.TB, entries map[string][]eventstore.RecordedEvent, ids map[string]bool) {
	t.Helper()
	wrong := 0
	for id := range ids {
		if n := len(entries[id]); n != 1 {
			if wrong++; wrong <= 10 {
				t.Errorf("event %s was answered 200 and is %d times in the journal", id, n)
			}
		}
	}
	if wrong > 0 {
		t.Fatalf("%d of %d events are not in the journal exactly once", wrong, len(ids))
	}
}
