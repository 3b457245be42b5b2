package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/eventstoretest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		return openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	})
}

// beside appends through the owner and reads as another process does.
type beside struct {
	*Reader
	owner *Store
}

func (b beside) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	return b.owner.Append(ctx, stream, expected, events...)
}

func (b beside) Close() error { return errors.Join(b.Reader.Close(), b.owner.Close()) }

func TestReadersConform(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		path := filepath.Join(t.TempDir(), "events.db")
		owner := openTest(t, path, Options{})
		return beside{Reader: openReader(t, path), owner: owner}
	})
}

// TestAReaderOutlivesTheOwner follows while owners come and go.
func TestAReaderOutlivesTheOwner(t *testing.T) {
	path := newFile(t, 10)
	r := openReader(t, path)
	follower := followLog(t, r)
	for range 3 {
		s := openTest(t, path, Options{})
		fillLog(t, s, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		follower.checkLog(t, r)
	}
	if n := follower.count(); n != 40 {
		t.Errorf("%d events, want 40", n)
	}
}

// TestProgressIsTold wants a subscriber for whom nothing comes to hear how far
// the log has got.
func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	s := openTest(t, path, Options{})
	for _, r := range []eventstore.Reader{s, openReader(t, path)} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var head eventstore.Position
		messages := 0
		for m, err := range r.Follow(ctx, 0, eventstore.Filter{Prefixes: []string{"nothing-"}}) {
			if err != nil || m.Event != nil || !m.CaughtUp {
				t.Fatalf("got %+v, %v", m, err)
			}
			if messages++; messages == 1 {
				fillLog(t, s, 50)
				head, _ = s.Head(ctx)
			}
			if head > 0 && m.Position == head {
				break
			}
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := openTest(t, path, Options{})
	fillLog(t, s, 1)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", info.Name(), info.Mode().Perm())
		}
	}
}

func openReader(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// openTest opens a store that the test closes at the latest at its end.
func openTest(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	if opts.Report == nil {
		opts.Report = func(f Finding) {
			if f.Bad() {
				t.Errorf("finding: %s at %d: %v", f.Kind, f.Position, f.Err)
			}
		}
	}
	s, err := Open(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
