package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/eventstoretest"
)

func TestConformance(t *testing.T) {
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		return openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	})
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
