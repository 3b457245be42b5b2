package migration_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
	"github.com/daybookhq/daybook/eventstore/migration"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
)

const about = eventstore.Stream("store-main")

// original makes a store with events of many streams, in no order that streams
// would give: some stand together, some do not.
func original(t *testing.T, events int) eventstore.Store {
	t.Helper()
	store := sqlitetest.Open(t)
	put(t, store, about, event("what the store is"))
	rng := rand.New(rand.NewPCG(7, uint64(events)))
	for left := events; left > 0; {
		run := make([]eventstore.ProposedEvent, min(left, 1+rng.IntN(4)))
		for i := range run {
			run[i] = event(fmt.Sprint(left, i))
		}
		put(t, store, eventstore.NewStream("order", fmt.Sprint(rng.IntN(events/4+1))), run...)
		left -= len(run)
	}
	put(t, store, about, event("what it is besides"))
	return store
}

func event(data string) eventstore.ProposedEvent {
	return eventstore.ProposedEvent{ID: uuid.New(), Type: "Tested", Data: []byte(data), Metadata: []byte(`{"of":"` + data + `"}`)}
}

func put(t *testing.T, store eventstore.Store, stream eventstore.Stream, events ...eventstore.ProposedEvent) {
	t.Helper()
	if _, err := store.Append(t.Context(), stream, eventstore.Any, events...); err != nil {
		t.Fatal(err)
	}
}

func cluster(t *testing.T, server *esdbtest.Server) *esdb.Store {
	t.Helper()
	store, err := esdb.Open(server.URL(), esdb.Options{Prefix: "daybook."})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // what it wrote is compared
	return store
}

func between(from eventstore.Reader, to eventstore.Store) *migration.Migration {
	return &migration.Migration{From: from, To: to, Own: []eventstore.Stream{about}, Patience: time.Minute}
}

// log lists what of a store is copied, but for positions.
func log(t *testing.T, store eventstore.Reader) []eventstore.RecordedEvent {
	t.Helper()
	var events []eventstore.RecordedEvent
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position = 0; e.Stream != about {
			events = append(events, e)
		}
	}
	return events
}

func same(a, b eventstore.RecordedEvent) bool {
	return a.ID == b.ID && a.Stream == b.Stream && a.Revision == b.Revision && a.Type == b.Type &&
		string(a.Data) == string(b.Data) && string(a.Metadata) == string(b.Metadata)
}

// wantCopied wants the copy to be what the original is, by Compare's word and
// by an eye of the test's own.
func wantCopied(t *testing.T, m *migration.Migration) migration.Comparison {
	t.Helper()
	c, err := m.Compare(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	want, got := log(t, m.From), log(t, m.To)
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("%d events in the copy are not the original's %d, in order", len(got), len(want))
	}
	if c.Events != uint64(len(want)) || c.Streams == 0 || c.Streams >= c.Events || len(c.SHA256) != 64 || c.More != 0 || c.To == 0 {
		t.Errorf("compared %d events: %+v", len(want), c)
	}
	return c
}

func TestACopyIsTheOriginalInOrder(t *testing.T) {
	t.Parallel()
	from := original(t, 400)
	large := event("large")
	large.Data = []byte(strings.Repeat("x", eventstore.MaxAppendBytes-len(large.Metadata)-2*len(large.Type)))
	put(t, from, "order-large", event("small"))
	put(t, from, "order-large", large) // as large as may be, and too large to go with the other
	m := between(from, cluster(t, esdbtest.Start(t)))
	put(t, m.To, about, event("what the copy is"))
	var told []uint64
	m.Progress = func(done, _ uint64) { told = append(told, done) }
	for range 2 { // a second time there is nothing to do
		if err := m.Copy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if head, err := from.Head(t.Context()); err != nil || told[len(told)-1] != uint64(head) || told[0] >= told[1] {
		t.Errorf("progress to %d: %v %v", head, told, err)
	}
	first := wantCopied(t, m)
	// What the copy takes in afterwards is its own, and the digest stays.
	put(t, m.To, "order-later", event("later"))
	second, err := m.Compare(t.Context(), 0)
	if second.More--; err != nil || second != first {
		t.Errorf("after more was appended to the copy: %+v, %v; want %+v", second, err, first)
	}
	if other := original(t, 399); other != nil {
		if err := between(other, m.To).Copy(t.Context()); !differs(err, "order-later") {
			t.Errorf("copying another original into it: %v", err)
		}
	}
}

func differs(err error, stream eventstore.Stream) bool {
	var d *migration.DifferenceError
	return errors.As(err, &d) && d.Stream == stream
}

// broken is a store that fails after a number of appends, as a process that is
// killed does: the last one may have been written.
type broken struct {
	eventstore.Store
	left    int
	written bool
}

var errBroken = errors.New("killed on command")

func (b *broken) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	if b.left--; b.left >= 0 {
		return b.Store.Append(ctx, stream, expected, events...)
	}
	if b.written {
		if _, err := b.Store.Append(ctx, stream, expected, events...); err != nil {
			return eventstore.AppendResult{}, err
		}
	}
	return eventstore.AppendResult{}, errBroken
}

func TestACopyGoesOnWhereItWasBrokenOff(t *testing.T) {
	t.Parallel()
	from := original(t, 200)
	server := esdbtest.Start(t)
	to := cluster(t, server)
	m := between(from, to)
	for kills := 0; ; kills++ {
		m.To = &broken{Store: to, left: kills % 9, written: kills%2 == 0}
		err := m.Copy(t.Context())
		if err == nil {
			if kills < 10 {
				t.Errorf("only %d kills", kills)
			}
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		m.To = to
		if _, err := m.Compare(t.Context(), 0); err == nil && kills < 10 {
			t.Fatal("half a copy was taken for a whole one")
		}
	}
	m.To = to
	wantCopied(t, m)
	if n := len(log(t, to)); server.Len() != n {
		t.Errorf("%d events on the server: want %d, none twice", server.Len(), n)
	}
}

func TestTheOriginalMayHaveGrown(t *testing.T) {
	t.Parallel()
	m := between(original(t, 60), cluster(t, esdbtest.Start(t)))
	for range 2 {
		if err := m.Copy(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantCopied(t, m)
		put(t, m.From.(eventstore.Store), "order-grown", event("grown"), event("more"))
	}
	if _, err := m.Compare(t.Context(), 0); !differs(err, "order-grown") {
		t.Errorf("a copy that lacks the end: %v", err)
	}
}

func TestACopyOutlivesTroubleWithTheServer(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	m := between(original(t, 300), cluster(t, server))
	for _, f := range []esdbtest.Fault{
		{Kind: esdbtest.PersistThenFail, On: esdbtest.Appends, Times: 5},
		{Kind: esdbtest.Refuse, Everything: true, Times: 5},
		{Kind: esdbtest.PersistThenDrop, On: esdbtest.Appends, Times: 3},
		{Kind: esdbtest.ConflictThenLose, On: esdbtest.Appends, Stream: "daybook.order-1", Times: 1},
		{Kind: esdbtest.Abort, On: esdbtest.Appends, Times: 2},
	} {
		server.Inject(f)
	}
	reports := make(chan error, 100)
	m.Report = func(err error) {
		select {
		case reports <- err:
		default:
		}
	}
	done := false
	m.Progress = func(uint64, uint64) {
		if !done && server.Len() > 50 {
			done = true
			server.Stop()
			go func() { // it comes back once it is missed
				<-reports
				if err := server.Start(); err != nil {
					t.Error(err)
				}
			}()
		}
	}
	if err := m.Copy(t.Context()); err != nil || !done {
		t.Fatal(err, done)
	}
	m.Progress = nil
	wantCopied(t, m)
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	to := cluster(t, server)
	m := between(original(t, 10), to)
	m.Patience = time.Millisecond
	server.Inject(esdbtest.Fault{Kind: esdbtest.Deny, On: esdbtest.Appends})
	if err := m.Copy(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("a server that refuses: %v", err)
	}
	server.Heal()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Copy(ctx); err == nil {
		t.Error("it ended well, though it was told to stop")
	}
	if empty, err := m.Empty(t.Context()); err != nil || !empty {
		t.Errorf("the target is empty: %v, %v", empty, err)
	}
	put(t, to, about, event("something"))
	if empty, err := m.Empty(t.Context()); err != nil || empty {
		t.Errorf("the target is empty: %v, %v", empty, err)
	}
}

// altered is a store whose log is read with one event changed.
type altered struct {
	eventstore.Store
	at     int
	change func(*eventstore.RecordedEvent)
}

func (a altered) ReadAll(ctx context.Context, from eventstore.Position, dir eventstore.Direction, filter eventstore.Filter, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		n := 0
		for e, err := range a.Store.ReadAll(ctx, from, dir, filter, limit) {
			if n++; n == a.at {
				a.change(&e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestEveryDifferenceIsFound(t *testing.T) {
	t.Parallel()
	from, to := original(t, 40), cluster(t, esdbtest.Start(t))
	if err := between(from, to).Copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*eventstore.RecordedEvent){
		"stands in its place": func(e *eventstore.RecordedEvent) { e.Revision++ },
		"of order-x":          func(e *eventstore.RecordedEvent) { e.Stream = "order-x" },
		"another ID":          func(e *eventstore.RecordedEvent) { e.ID[3]++ },
		"another type":        func(e *eventstore.RecordedEvent) { e.Type += "s" },
		"other data":          func(e *eventstore.RecordedEvent) { e.Data = append(slices.Clone(e.Data), ' ') },
		"other metadata":      func(e *eventstore.RecordedEvent) { e.Metadata = nil },
	} {
		for _, at := range []int{1, 17, 40} {
			m := between(from, altered{to, at, change})
			_, err := m.Compare(t.Context(), 0)
			var d *migration.DifferenceError
			if !errors.As(err, &d) || !strings.Contains(err.Error(), what) {
				t.Errorf("event %d, %s: %v", at, what, err)
			}
		}
	}
}

// TestMarks compares with every position of the original as the mark.
func TestMarks(t *testing.T) {
	t.Parallel()
	from, to := original(t, 30), cluster(t, esdbtest.Start(t))
	m := between(from, to)
	if err := m.Copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	head, err := from.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for mark := eventstore.Position(0); mark <= head+1; mark++ {
		c, err := m.Compare(t.Context(), mark)
		if err != nil {
			t.Fatal(err)
		}
		up := 0 // copied events up to the mark, in the original
		for e, err := range from.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"order-"}}, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Position <= mark {
				up++
			}
		}
		there := 0 // in the copy
		for e, err := range to.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Position <= c.Marked {
				there++
			}
		}
		if up != there {
			t.Fatalf("mark %d: %d events up to it, and %d up to %d in the copy", mark, up, there, c.Marked)
		}
	}
}
