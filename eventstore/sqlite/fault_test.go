package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// eventually waits for a condition that something else brings about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

func (q *queue) takenSoFar() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}

// halt keeps the writer from its next batch, of which it has taken one append
// already, and returns what lets it go on.
func halt(t testing.TB, s *Store) (goOn func()) {
	t.Helper()
	s.gate.Lock()
	before := s.queue.takenSoFar()
	done := make(chan error, 1)
	go func() {
		_, err := s.Append(context.Background(), "halt-1", eventstore.Any, proposed("halt"))
		done <- err
	}()
	eventually(t, "the writer takes an append", func() bool { return s.queue.takenSoFar() == before+1 })
	return func() {
		s.gate.Unlock()
		<-done
	}
}

// commits makes the writer's commits do something else, nil for the usual. The
// gate must be closed.
func commits(s *Store, as func(session) error) {
	if as == nil {
		as = commitTransaction
	}
	s.writer.commit = as
}

// gated runs f while the writer stands still.
func gated(s *Store, f func()) {
	s.gate.Lock()
	defer s.gate.Unlock()
	f()
}

var errInjected = errors.New("injected")

// TestFailedCommits breaks the commit of a batch twice: without effect, and
// only in its answer. Both times every append of the batch, the conflict in it
// too, is of unknown outcome, and repeating them settles it.
func TestFailedCommits(t *testing.T) {
	for _, c := range []struct {
		name      string
		commit    func(session) error
		persisted bool
	}{
		{"failed", func(session) error { return errInjected }, false},
		{"failed but persisted", func(s session) error { return errors.Join(commitTransaction(s), errInjected) }, true},
	} {
		t.Run(c.name, func(t *testing.T) { failedCommit(t, c.commit, c.persisted) })
	}
}

func failedCommit(t *testing.T, commit func(session) error, persisted bool) {
	s := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	ctx := context.Background()
	fillLog(t, s, 20)
	follower := followLog(t, s)

	const n = 10
	list := make([]eventstore.ProposedEvent, n)
	for i := range list {
		list[i] = proposed(fmt.Sprint(i))
	}
	stream := func(i int) eventstore.Stream { return eventstore.NewStream("fault", fmt.Sprint(i)) }
	begin, goOnFrom := proposed("begin"), proposed("go on")
	if _, err := s.Append(ctx, "exact-1", eventstore.NoStream, begin); err != nil {
		t.Fatal(err)
	}
	attempt := func(i int) (err error) {
		switch i {
		case n:
			_, err = s.Append(ctx, "order-0", eventstore.NoStream, proposed("conflict"))
		case n + 1:
			_, err = s.Append(ctx, "exact-1", eventstore.Exactly(0), goOnFrom)
		default:
			_, err = s.Append(ctx, stream(i), eventstore.NoStream, list[i])
		}
		return err
	}
	goOn := halt(t, s)
	commits(s, commit)
	errs := make([]error, n+2)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = attempt(i) })
	}
	eventually(t, "all appends wait", func() bool { return s.queue.length() == len(errs) })
	goOn()
	wg.Wait()
	for i, err := range errs {
		if !errors.Is(err, eventstore.ErrOutcomeUnknown) || !errors.Is(err, errInjected) {
			t.Errorf("append %d: %v, want an unknown outcome", i, err)
		}
	}
	gated(s, func() { commits(s, nil) })
	for i := range list {
		_, err := first(s.ReadStream(ctx, stream(i), 0, eventstore.Forwards, 0))
		if there := err == nil; there != persisted {
			t.Errorf("event %d: there %v, want %v (%v)", i, there, persisted, err)
		}
		if err := attempt(i); err != nil {
			t.Errorf("append %d again: %v", i, err)
		}
	}
	if err := attempt(n); !eventstore.IsConflict(err) {
		t.Errorf("the conflict again: %v", err)
	}
	for range 2 {
		if err := attempt(n + 1); err != nil {
			t.Errorf("the exact append again: %v", err)
		}
	}
	follower.checkLog(t, s)
	found := 0
	for _, err := range s.ReadAll(ctx, 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"fault-"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		found++
	}
	if found != n {
		t.Errorf("%d events of the category that was new in the failed batch, want %d", found, n)
	}
}

// first is the first event of a sequence, or its error.
func first(read func(func(eventstore.RecordedEvent, error) bool)) (got eventstore.RecordedEvent, failed error) {
	failed = eventstore.ErrStreamNotFound
	for e, err := range read {
		return e, err
	}
	return got, failed
}

// checkLog wants positions without gaps, and revisions in every stream.
func checkLog(t testing.TB, r eventstore.Reader) []eventstore.RecordedEvent {
	t.Helper()
	var log []eventstore.RecordedEvent
	next := map[eventstore.Stream]eventstore.Revision{}
	for e, err := range r.ReadAll(context.Background(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, e)
		if e.Position != eventstore.Position(len(log)) || e.Revision != next[e.Stream] {
			t.Errorf("%s: revision %d at %d; want revision %d at %d", e.Stream, e.Revision, e.Position, next[e.Stream], len(log))
		}
		next[e.Stream] = e.Revision + 1
	}
	return log
}

// logFollower collects what a subscription to the whole log delivers.
type logFollower struct {
	mu   sync.Mutex
	seen []uuid.UUID
}

func followLog(t testing.TB, r eventstore.Reader) *logFollower {
	f := &logFollower{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m, err := range r.Follow(ctx, 0, eventstore.Filter{}) {
			if err == nil && m.Event != nil {
				f.mu.Lock()
				f.seen = append(f.seen, m.Event.ID)
				f.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

func (f *logFollower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// checkLog wants the subscription to have delivered the log, each event once.
func (f *logFollower) checkLog(t testing.TB, r eventstore.Reader) {
	t.Helper()
	log := checkLog(t, r)
	eventually(t, "the subscriber has it all", func() bool { return f.count() >= len(log) })
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, id := range f.seen {
		if i >= len(log) || log[i].ID != id {
			t.Fatalf("message %d of %d is not event %d of %d", i, len(f.seen), i, len(log))
		}
	}
}

// TestDiskFull fills the room there is, wants errors that say so, makes room,
// and wants everything to go on, with everything acknowledged there and
// nothing half.
func TestDiskFull(t *testing.T) {
	t.Run("page limit", func(t *testing.T) {
		s := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{WALBound: 1 << 20})
		limit := func(pages int64) {
			gated(s, func() {
				err := s.writer.conn.hold(func(ses session) error {
					return ses.run(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		limit(300)
		diskFull(t, s, func() { limit(1 << 30) })
	})
	dir, ok := smallDisk(t)
	if !ok {
		return // the page limit stands for it
	}
	t.Run("file system", func(t *testing.T) {
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		// Checkpoints fail here too, and are reported: that is no fault.
		s := openTest(t, filepath.Join(dir, "events.db"), Options{WALBound: 1 << 20, Report: func(Finding) {}})
		diskFull(t, s, func() {
			if err := os.Remove(ballast); err != nil {
				t.Error(err)
			}
		})
	})
}

func diskFull(t *testing.T, s *Store, makeRoom func()) {
	follower := followLog(t, s)
	payload := string(bytes.Repeat([]byte("x"), 10_000))
	acknowledged := map[uuid.UUID]eventstore.Stream{}
	var asked []eventstore.ProposedEvent
	name := func(i int) eventstore.Stream { return eventstore.NewStream("full", fmt.Sprint(i)) }
	attempt := func(i int) error {
		_, err := s.Append(context.Background(), name(i), eventstore.NoStream, asked[i])
		if err == nil {
			acknowledged[asked[i].ID] = name(i)
		}
		return err
	}
	failures := 0
	for i := 0; failures < 5; i++ {
		asked = append(asked, proposed(payload))
		err := attempt(i)
		if err == nil {
			continue
		}
		failures++
		if !errors.Is(err, ErrDiskFull) || !errors.Is(err, eventstore.ErrUnavailable) && !errors.Is(err, eventstore.ErrOutcomeUnknown) {
			t.Fatalf("append %d: %v, want one that says that the disk is full", i, err)
		}
		if got := len(checkLog(t, s)); got < len(acknowledged) {
			t.Fatalf("%d events can be read, %d were acknowledged", got, len(acknowledged))
		}
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing fitted at all")
	}
	makeRoom()
	for i := range asked {
		if err := attempt(i); err != nil {
			t.Fatalf("append %d with room: %v", i, err)
		}
	}
	log := checkLog(t, s)
	if len(log) != len(asked) {
		t.Errorf("%d events, want %d", len(log), len(asked))
	}
	for _, e := range log {
		if acknowledged[e.ID] != e.Stream || string(e.Data) != payload {
			t.Errorf("event %d is not the one of %s", e.Position, e.Stream)
		}
	}
	follower.checkLog(t, s)
}

func TestLockedByAnotherConnection(t *testing.T) {
	t.Parallel()
	path := newFile(t, 3)
	s := openTest(t, path, Options{})
	db := tool(t, path)
	execTool(t, db, "BEGIN IMMEDIATE")
	e := proposed("{}")
	_, err := s.Append(context.Background(), "order-new", eventstore.NoStream, e)
	if !errors.Is(err, eventstore.ErrUnavailable) || !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if log := checkLog(t, s); len(log) != 3 {
		t.Errorf("%d events can be read, want 3", len(log))
	}
	execTool(t, db, "ROLLBACK")
	if r, err := s.Append(context.Background(), "order-new", eventstore.NoStream, e); err != nil || r.Position != 4 {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

// TestAnIntruder wants the writer to notice what another program wrote, and to
// go on behind it.
func TestAnIntruder(t *testing.T) {
	path := newFile(t, 20)
	s := openTest(t, path, Options{})
	execTool(t, tool(t, path), `INSERT INTO events SELECT position + 20, category, 'order-forged' || position, 0,
		id, type, metadata, data FROM events WHERE position = 1`)
	e := proposed("{}")
	_, err := s.Append(context.Background(), "order-new", eventstore.NoStream, e)
	for attempts := 0; err != nil && attempts < 3; attempts++ {
		_, err = s.Append(context.Background(), "order-new", eventstore.NoStream, e)
	}
	if err != nil {
		t.Fatalf("append behind an intruder: %v", err)
	}
	if log := checkLog(t, s); len(log) != 22 || log[21].ID != e.ID {
		t.Errorf("%d events, want 22, ours last", len(log))
	}
}

func TestFullQueue(t *testing.T) {
	for name, opts := range map[string]Options{
		"by number": {QueueAppends: 4},
		"by bytes":  {QueueBytes: 4 * 1100},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, filepath.Join(t.TempDir(), "events.db"), opts)
			payload := string(bytes.Repeat([]byte("x"), 1000))
			goOn := halt(t, s)
			errs := make(chan error, 4)
			for i := range 4 {
				go func() {
					_, err := s.Append(context.Background(), eventstore.NewStream("order", fmt.Sprint(i)), eventstore.NoStream, proposed(payload))
					errs <- err
				}()
			}
			eventually(t, "four appends wait", func() bool { return s.queue.length() == 4 })
			_, err := s.Append(context.Background(), "order-late", eventstore.NoStream, proposed(payload))
			if !errors.Is(err, eventstore.ErrUnavailable) || !errors.Is(err, ErrQueueFull) {
				t.Errorf("got %v, want ErrQueueFull", err)
			}
			goOn()
			for range 4 {
				if err := <-errs; err != nil {
					t.Errorf("an append that waited: %v", err)
				}
			}
			if log := checkLog(t, s); len(log) != 5 {
				t.Errorf("%d events, want 5", len(log))
			}
		})
	}
}

func TestContextsEnd(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	s.gate.Lock()
	ctx, cancel := context.WithCancel(context.Background())
	begun, queued := make(chan error, 1), make(chan error, 1)
	const data = `{"n":1}`
	attempt := func(stream eventstore.Stream, done chan<- error) {
		e := proposed(data)
		_, err := s.Append(ctx, stream, eventstore.NoStream, e)
		clear(e.Data) // the caller goes on to use its buffer for something else
		done <- err
	}
	go attempt("order-begun", begun)
	eventually(t, "the writer takes an append", func() bool { return s.queue.takenSoFar() == 1 })
	go attempt("order-queued", queued)
	eventually(t, "another one waits", func() bool { return s.queue.length() == 1 })
	cancel()
	if err := <-begun; !errors.Is(err, eventstore.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("in the writer's hands: %v, want an unknown outcome", err)
	}
	if err := <-queued; !errors.Is(err, eventstore.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("in the queue: %v, want ErrUnavailable", err)
	}
	s.gate.Unlock()
	if _, err := s.Append(context.Background(), "order-last", eventstore.NoStream, proposed("{}")); err != nil {
		t.Fatal(err)
	}
	log := checkLog(t, s)
	if len(log) != 2 || log[0].Stream != "order-begun" || log[1].Stream != "order-last" || string(log[0].Data) != data {
		t.Errorf("the log has %d events: %v", len(log), log)
	}
}
