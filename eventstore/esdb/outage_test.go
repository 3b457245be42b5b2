package esdb_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// patience bounds every wait; only what never comes waits that long.
const patience = 60 * time.Second

func event() eventstore.ProposedEvent {
	return eventstore.ProposedEvent{ID: uuid.New(), Type: "Tested", Data: []byte(`{"n":1}`), Metadata: []byte(`{}`)}
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if is() {
			return
		}
	}
	t.Fatalf("did not come to pass: %s", what)
}

// writer appends to a stream of its own, one event after the other, and repeats
// what was not acknowledged, as its callers do.
type writer struct {
	stream       eventstore.Stream
	acknowledged []uuid.UUID
	refused      int
}

func (w *writer) run(ctx context.Context, s *esdb.Store, stop <-chan struct{}, total *atomic.Int64) error {
	expected := eventstore.NoStream
	for e := event(); ; {
		select {
		case <-stop:
			return nil
		default:
		}
		r, err := s.Append(ctx, w.stream, expected, e)
		switch {
		case err == nil:
			w.acknowledged = append(w.acknowledged, e.ID)
			total.Add(1)
			expected, e = eventstore.Exactly(r.Revision), event()
		case errors.Is(err, eventstore.ErrOutcomeUnknown), errors.Is(err, eventstore.ErrUnavailable):
			w.refused++
		default:
			return fmt.Errorf("append to %s: %w", w.stream, err)
		}
	}
}

// underLoad runs writers while it disturbs them, and checks that the server
// holds what was acknowledged, each event once and in order.
func underLoad(t *testing.T, server *esdbtest.Server, s *esdb.Store, writers int, disturb func(total *atomic.Int64)) {
	t.Helper()
	ctx := t.Context() // every append has a deadline, and every step of the disturbance
	stop := make(chan struct{})
	var total atomic.Int64
	var running sync.WaitGroup
	list, errs := make([]*writer, writers), make([]error, writers)
	for i := range list {
		list[i] = &writer{stream: eventstore.NewStream("order", fmt.Sprint(i))}
		running.Go(func() { errs[i] = list[i].run(ctx, s, stop, &total) })
	}
	disturb(&total)
	close(stop)
	running.Wait()
	held := server.Streams()
	for i, w := range list {
		if errs[i] != nil {
			t.Error(errs[i])
		}
		got := held[string(w.stream)]
		// At most the last one, whose outcome nobody waited for, is there besides.
		if n := len(w.acknowledged); len(got) < n || len(got) > n+1 {
			t.Errorf("%s holds %d events, %d were acknowledged", w.stream, len(got), n)
			continue
		}
		for at, id := range w.acknowledged {
			if got[at] != id {
				t.Errorf("%s holds another event at revision %d", w.stream, at)
				break
			}
		}
	}
}

// grows waits until n more appends were acknowledged.
func grows(t *testing.T, total *atomic.Int64, n int64) {
	t.Helper()
	until := total.Load() + n
	eventually(t, fmt.Sprintf("%d more appends", n), func() bool { return total.Load() >= until })
}

func TestAStoppedServerLosesNothing(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	followed := follow(t, s, 0, eventstore.Filter{Prefixes: []string{"order-"}})
	underLoad(t, server, s, 16, func(total *atomic.Int64) {
		for range 5 {
			grows(t, total, 300)
			server.Stop()
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
		}
		grows(t, total, 300)
	})
	followed.sees(t, server)
}

// TestALongOutage keeps the server away until appends are refused: longer than
// the client alone survives.
func TestALongOutage(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{AttemptTimeout: 300 * time.Millisecond, AppendTimeout: 500 * time.Millisecond, ReadTimeout: 500 * time.Millisecond})
	ctx := bounded(t)
	if _, err := s.Append(ctx, "order-before", eventstore.NoStream, event()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	// Before appends, which may be on their way when a connection breaks.
	if _, err := s.Head(ctx); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatalf("without a server: %v, want ErrUnavailable", err)
	}
	for range 4 {
		if _, err := s.Append(ctx, "order-during", eventstore.NoStream, event()); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Fatalf("without a server: %v, want ErrUnavailable", err)
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an append works again", func() bool {
		_, err := s.Append(ctx, "order-after", eventstore.Any, event())
		return err == nil
	})
	if len(server.Streams()["order-during"]) != 0 {
		t.Error("an append that was refused as unavailable was written")
	}
}

// TestABlackHole has a server that accepts and never answers.
func TestABlackHole(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]esdbtest.Fault{
		"of appends":    {Kind: esdbtest.BlackHole, On: esdbtest.Appends},
		"of everything": {Kind: esdbtest.BlackHole, Everything: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := esdbtest.Start(t)
			s := open(t, server, esdb.Options{AttemptTimeout: 200 * time.Millisecond, AppendTimeout: time.Second})
			ctx := bounded(t)
			if _, err := s.Append(ctx, "order-before", eventstore.NoStream, event()); err != nil {
				t.Fatal(err)
			}
			before := runtime.NumGoroutine()
			server.Inject(fault)
			const callers = 64
			errs := make([]error, callers)
			var calls sync.WaitGroup
			began := time.Now()
			for i := range callers {
				calls.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
					defer cancel()
					_, errs[i] = s.Append(ctx, eventstore.NewStream("order", fmt.Sprint(i)), eventstore.NoStream, event())
				})
			}
			calls.Wait()
			// The bound is generous: it tells a deadline that is kept from one that is not.
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the appends took %v", took)
			}
			for i, err := range errs {
				if !errors.Is(err, eventstore.ErrOutcomeUnknown) && !errors.Is(err, eventstore.ErrUnavailable) {
					t.Errorf("caller %d: %v", i, err)
				}
			}
			server.Heal()
			eventually(t, "an append works again", func() bool {
				_, err := s.Append(ctx, "order-after", eventstore.Any, event())
				return err == nil
			})
			eventually(t, "the goroutines of the calls have ended", func() bool {
				return runtime.NumGoroutine() < before+callers
			})
		})
	}
}
