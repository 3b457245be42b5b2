package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

func ignoreProgress(_, _ eventstore.Position) {}

// TestACopyHasWhatWasAcknowledged copies a store while it is written to. The copy
// has everything from before, a whole beginning of the log, and can be written to.
func TestACopyHasWhatWasAcknowledged(t *testing.T) {
	path, target := filepath.Join(t.TempDir(), "events.db"), filepath.Join(t.TempDir(), "copy.db")
	store := openTest(t, path, Options{})
	one := func(s *Store, stream string) {
		t.Helper()
		event := eventstore.ProposedEvent{ID: uuid.New(), Type: "Happened", Data: []byte(`{}`)}
		if _, err := s.Append(context.Background(), eventstore.NewStream("thing", stream), eventstore.NoStream, event); err != nil {
			t.Error(err)
		}
	}
	const before = 200
	for i := range before {
		one(store, fmt.Sprint("early-", i))
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				one(store, fmt.Sprint("late-", i))
			}
		}
	}()
	last, err := Copy(t.Context(), path, target, ignoreProgress)
	close(stop)
	<-stopped
	if err != nil || last < before {
		t.Fatalf("copied up to %d: %v", last, err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has %v, %v", info, err)
	}
	if _, err := Copy(t.Context(), path, target, ignoreProgress); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	wantBeginning(t, path, target, last)
	copied := openTest(t, target, Options{})
	one(copied, "later")
	if head, err := copied.Head(t.Context()); err != nil || head != last+1 {
		t.Errorf("the copy goes on at %d, %v", head, err)
	}
}

// wantBeginning wants the copy to be the original up to a position.
func wantBeginning(t *testing.T, path, target string, last eventstore.Position) {
	t.Helper()
	logOf := func(path string) (all []eventstore.RecordedEvent) {
		for e, err := range openReader(t, path).ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	original, copied := logOf(path), logOf(target)
	if len(copied) != int(last) || len(original) < len(copied) {
		t.Fatalf("%d events copied, of %d, up to %d", len(copied), len(original), last)
	}
	for i, e := range copied {
		if e.ID != original[i].ID || e.Position != original[i].Position || e.Stream != original[i].Stream {
			t.Fatalf("event %d is %+v, and was %+v", i, e, original[i])
		}
	}
}

// TestNoCopyIsLeftBehind: of what is no store, or cannot be written, nothing is.
func TestNoCopyIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "events.db"), filepath.Join(dir, "copy.db")
	if err := os.WriteFile(source, []byte("no database at all, but long enough to be looked at as one by anybody who wonders"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), source, target, ignoreProgress); err == nil {
		t.Error("what is no store was copied")
	}
	good := filepath.Join(dir, "good.db")
	openTest(t, good, Options{})
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Copy(ended, good, target, ignoreProgress); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is there: %v", err)
	}
}
