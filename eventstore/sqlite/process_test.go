package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// The environment in which the test binary is not the tests but another
// process beside them.
const (
	childRole = "DAYBOOK_TEST_ROLE"
	childFile = "DAYBOOK_TEST_FILE"
)

func TestMain(m *testing.M) {
	role, path := os.Getenv(childRole), os.Getenv(childFile)
	roles := map[string]func(path string, out io.Writer) error{
		"append": childAppends, "follow": childFollows, "own": childOwns, "pin": childPins,
	}
	run := roles[role]
	if run == nil {
		os.Exit(m.Run())
	}
	if err := run(path, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is another process, from which the test reads line by line.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	in    io.Closer
}

func startChild(t testing.TB, role, path string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childFile+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: cmd, lines: bufio.NewScanner(out), in: in}
	t.Cleanup(func() { c.kill() })
	return c
}

// kill ends the process as a power cut would, and returns the lines that were
// still on their way.
func (c *child) kill() (rest []string) {
	_ = c.Process.Kill() // it may have ended already
	for c.lines.Scan() {
		rest = append(rest, c.lines.Text())
	}
	_ = c.Wait() // killed, which is an error
	return rest
}

// childAppends appends from several goroutines and prints each acknowledgement,
// until it is killed.
func childAppends(path string, out io.Writer) error {
	s, err := Open(context.Background(), path, Options{WALBound: 256 << 10})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	acknowledge := func(stream eventstore.Stream, id uuid.UUID, r eventstore.AppendResult) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintln(out, stream, id, r.Revision, r.Position)
		return err
	}
	failed := make(chan error)
	for w := range 8 {
		go func() { failed <- childWriter(s, w, acknowledge) }()
	}
	return <-failed
}

func childWriter(s *Store, w int, acknowledge func(eventstore.Stream, uuid.UUID, eventstore.AppendResult) error) error {
	ctx := context.Background()
	long := eventstore.NewStream("long", fmt.Sprint(w))
	expected := eventstore.NoStream
	last, err := first(s.ReadStream(ctx, long, eventstore.LastRevision, eventstore.Backwards, 1))
	if err == nil {
		expected = eventstore.Exactly(last.Revision)
	} else if !errors.Is(err, eventstore.ErrStreamNotFound) {
		return err
	}
	for {
		e := proposed(strings.Repeat("x", 2000))
		r, err := s.Append(ctx, long, expected, e)
		if err != nil {
			return err
		}
		expected = eventstore.Exactly(r.Revision)
		if err := acknowledge(long, e.ID, r); err != nil {
			return err
		}
		pair := []eventstore.ProposedEvent{proposed("first"), proposed("second")}
		short := eventstore.NewStream("short", pair[1].ID.String())
		if r, err = s.Append(ctx, short, eventstore.NoStream, pair...); err != nil {
			return err
		}
		if err := acknowledge(short, pair[1].ID, r); err != nil {
			return err
		}
	}
}

// TestKilled kills a writing process at random moments: everything it
// acknowledged is there, once, where it said, and nothing is half.
func TestKilled(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "events.db")
	var lines []string
	for range 6 {
		c := startChild(t, "append", path)
		for range random.IntN(400) {
			if !c.lines.Scan() {
				t.Fatal("the writer ended by itself")
			}
			lines = append(lines, c.lines.Text())
		}
		lines = append(lines, c.kill()...)
	}
	s := openTest(t, path, Options{})
	log := checkLog(t, s)
	places := map[string]int{}
	for _, e := range log {
		places[fmt.Sprintln(e.Stream, e.ID, e.Revision, e.Position)]++
	}
	for _, line := range lines {
		if n := places[line+"\n"]; n != 1 {
			t.Errorf("acknowledged %q: there %d times", line, n)
		}
	}
	for i, e := range log {
		if e.Stream.Category() == "short" && e.Revision == 0 && (i+1 == len(log) || log[i+1].Stream != e.Stream) {
			t.Errorf("of %s only the first of two events is there", e.Stream)
		}
	}
	t.Logf("%d acknowledged, %d events", len(lines), len(log))
}

// childFollows prints the ID of every event that another process appends.
func childFollows(path string, out io.Writer) error {
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		return err
	}
	for m, err := range r.Follow(context.Background(), 0, eventstore.Filter{Prefixes: []string{"order-"}}) {
		if err != nil {
			return err
		}
		if m.Event == nil {
			continue
		}
		if _, err := fmt.Fprintln(out, m.Event.ID); err != nil {
			return err
		}
	}
	return nil
}

// TestAnotherProcessReads lets another process follow while this one writes
// and checkpoints.
func TestAnotherProcessReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	pins := make(chan bool, 1000)
	s := openTest(t, path, Options{WALBound: 256 << 10, Report: func(f Finding) {
		switch {
		case f.Kind == WALPinned || f.Kind == WALReleased:
			pins <- f.Kind == WALPinned
		case f.Bad():
			t.Errorf("finding: %s at %d: %v", f.Kind, f.Position, f.Err)
		}
	}})
	fillLog(t, s, 20)
	c := startChild(t, "follow", path)
	fillLog(t, s, 2000)
	checked := 0
	for _, e := range checkLog(t, s) {
		if e.Stream.Category() != "order" {
			continue
		}
		if !c.lines.Scan() || c.lines.Text() != e.ID.String() {
			t.Fatalf("event %d: the other process has %q, want %s", e.Position, c.lines.Text(), e.ID)
		}
		checked++
	}
	if checked != 1010 {
		t.Errorf("%d events, want 1010", checked)
	}
	wantReleased(t, pins)
}

// wantReleased wants the log to be free in the end: a reader that is kept
// waiting for a processor may pin it, but one that has read all does not.
func wantReleased(t *testing.T, pins <-chan bool) {
	t.Helper()
	pinned := false
	for len(pins) > 0 {
		pinned = <-pins
	}
	for pinned {
		select {
		case pinned = <-pins:
		case <-time.After(30 * time.Second):
			t.Fatal("the other process has read all, and still pins the log")
		}
	}
}

// childOwns owns a file until its input ends.
func childOwns(path string, out io.Writer) error {
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "owned")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

func TestAnotherProcessOwns(t *testing.T) {
	path := newFile(t, 1)
	c := startChild(t, "own", path)
	if !c.lines.Scan() {
		t.Fatal("the other process did not get the file")
	}
	_, err := Open(context.Background(), path, Options{})
	var used *InUseError
	if !errors.As(err, &used) || used.PID != c.Process.Pid {
		t.Errorf("got %v, want an InUseError of process %d", err, c.Process.Pid)
	}
	c.kill()
	openTest(t, path, Options{})
}

// childPins keeps a snapshot of the file open until its input ends.
func childPins(path string, out io.Writer) error {
	db, err := pool(path, connMode{readOnly: true, cacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	var n int
	if _, err := db.Exec("BEGIN"); err != nil {
		return err
	}
	if err := db.QueryRow("SELECT count(*) FROM events").Scan(&n); err != nil {
		return err
	}
	fmt.Fprintln(out, "pinned")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return db.Close()
}

// TestTheWALStaysBounded writes many times the bound, while reading.
func TestTheWALStaysBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	const bound = 1 << 20
	s := openTest(t, path, Options{WALBound: bound})
	follower := followLog(t, s)
	load(t, s, 12<<20)
	eventually(t, "the WAL is small", func() bool { return walSize(t, path) <= 2*bound })
	follower.checkLog(t, s)
}

// load appends about size bytes from several goroutines.
func load(t testing.TB, s *Store, size int) {
	t.Helper()
	const writers, payload = 16, 4000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range size / payload / writers {
				e := proposed(strings.Repeat("x", payload))
				if _, err := s.Append(context.Background(), eventstore.NewStream("load", e.ID.String()), eventstore.NoStream, e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func walSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestAPinnedWALIsReported wants to hear of another process's open snapshot,
// and of its end.
func TestAPinnedWALIsReported(t *testing.T) {
	t.Parallel()
	path := newFile(t, 10)
	findings := make(chan Finding, 100)
	const bound = 1 << 20
	s := openTest(t, path, Options{WALBound: bound, SkipCheck: true, Report: func(f Finding) { findings <- f }})
	c := startChild(t, "pin", path)
	if !c.lines.Scan() {
		t.Fatal("the other process could not read")
	}
	load(t, s, 6<<20)
	if f := <-findings; f.Kind != WALPinned || f.Bytes < bound {
		t.Errorf("found %+v, want a pinned WAL", f)
	}
	c.kill()
	if f := <-findings; f.Kind != WALReleased {
		t.Errorf("found %+v, want the WAL released", f)
	}
	eventually(t, "the WAL is small", func() bool {
		load(t, s, 64<<10)
		return walSize(t, path) <= 2*bound
	})
	checkLog(t, s)
}
