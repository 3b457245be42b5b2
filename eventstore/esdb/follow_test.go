package esdb_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// followed gathers what a subscription yields.
type followed struct {
	mu       sync.Mutex
	events   []eventstore.RecordedEvent
	position eventstore.Position // of the latest message that says CaughtUp
	err      error
	ended    chan struct{}
}

// follow subscribes until the test ends.
func follow(t *testing.T, s eventstore.Reader, from eventstore.Position, filter eventstore.Filter) *followed {
	t.Helper()
	f := &followed{ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(f.ended)
		for m, err := range s.Follow(ctx, from, filter) {
			f.take(m, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-f.ended
	})
	return f
}

func (f *followed) take(m eventstore.Message, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.err = err
	case m.Event != nil:
		f.events = append(f.events, *m.Event)
	case m.CaughtUp:
		f.position = m.Position
	}
}

func (f *followed) seen() []eventstore.RecordedEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events)
}

func (f *followed) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// sees waits until as many events have come as the server holds, and checks
// that they are those, each once and in order.
func (f *followed) sees(t *testing.T, server *esdbtest.Server) {
	t.Helper()
	eventually(t, "everything has come", func() bool { return len(f.seen()) >= server.Len() || f.fault() != nil })
	if err := f.fault(); err != nil {
		t.Fatalf("the subscription ended: %v", err)
	}
	got, at := map[string][]uuid.UUID{}, eventstore.Position(0)
	for _, e := range f.seen() {
		if e.Position <= at {
			t.Fatalf("position %d after %d", e.Position, at)
		}
		at = e.Position
		got[string(e.Stream)] = append(got[string(e.Stream)], e.ID)
	}
	for stream, want := range server.Streams() {
		if !slices.Equal(got[stream], want) {
			t.Errorf("of %s came %d events, or others: want %d", stream, len(got[stream]), len(want))
		}
	}
}

func fill(t *testing.T, s eventstore.Store, stream eventstore.Stream, n int) (last eventstore.AppendResult) {
	t.Helper()
	ctx := bounded(t)
	for range n {
		var err error
		if last, err = s.Append(ctx, stream, eventstore.Any, event()); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func TestASubscriptionOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	for _, after := range []int{0, 1, 17, 40} {
		server.Inject(esdbtest.Fault{Kind: esdbtest.CutRead, On: esdbtest.Subscriptions, After: after, Times: 2})
	}
	fill(t, s, "order-1", 50)
	f := follow(t, s, 0, eventstore.Filter{})
	for range 10 {
		f.sees(t, server)
		server.Drop()
		fill(t, s, "order-2", 5)
	}
	f.sees(t, server)
}

func TestACheckpointBeyondTheLogsEndIsRefused(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	kept := fill(t, s, "order-1", 3)
	lost := fill(t, s, "order-1", 3)
	running := follow(t, s, 0, eventstore.Filter{})
	running.sees(t, server)
	server.Cut(uint64(kept.Position)) // restored from a backup
	late := follow(t, s, lost.Position, eventstore.Filter{})
	<-late.ended
	if err := late.fault(); !errors.Is(err, eventstore.ErrPositionBeyondEnd) {
		t.Errorf("from beyond the end: %v", err)
	}
	server.Drop()
	<-running.ended
	if err := running.fault(); !errors.Is(err, eventstore.ErrPositionBeyondEnd) {
		t.Errorf("a subscription whose log was cut: %v", err)
	}
	follow(t, s, kept.Position, eventstore.Filter{}).goesOn(t, s, server)
}

// goesOn wants a subscription to yield what is appended now.
func (f *followed) goesOn(t *testing.T, s eventstore.Store, server *esdbtest.Server) {
	t.Helper()
	before := server.Len()
	fill(t, s, "order-9", 2)
	eventually(t, "the new events have come", func() bool { return len(f.seen()) == server.Len()-before || f.fault() != nil })
	if err := f.fault(); err != nil {
		t.Fatal(err)
	}
}

// TestALaggingNodeIsNotTakenForACutLog resumes where a node that has just lost
// its leadership has not got to yet.
func TestALaggingNodeIsNotTakenForACutLog(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	last := fill(t, s, "order-1", 10)
	server.Inject(esdbtest.Fault{Kind: esdbtest.StaleRead, On: esdbtest.Reads, Stale: 4, Times: 3})
	follow(t, s, last.Position, eventstore.Filter{}).goesOn(t, s, server)
}

// TestAFilterThatLetsLittleThrough subscribes to what is rare in a long log.
func TestAFilterThatLetsLittleThrough(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	rare := fill(t, s, "rare-1", 1)
	for range 50 { // more than one look takes in
		many := make([]eventstore.ProposedEvent, 100)
		for i := range many {
			many[i] = event()
		}
		if _, err := s.Append(bounded(t), "order-1", eventstore.Any, many...); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []eventstore.Position{0, rare.Position} {
		f := follow(t, s, from, eventstore.Filter{Prefixes: []string{"rare-"}})
		head, err := s.Head(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has caught up", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.position >= head
		})
		n := 0
		for _, err := range s.ReadAll(bounded(t), from, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"rare-"}}, 0) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if got := len(f.seen()); got != n || (n == 1) != (from == 0) {
			t.Errorf("from %d: followed %d, read %d", from, got, n)
		}
	}
}
