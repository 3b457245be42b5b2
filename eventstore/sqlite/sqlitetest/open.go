// Package sqlitetest opens embedded stores for the tests of those that work on one.
package sqlitetest

import (
	"path/filepath"
	"testing"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite"
)

// Open opens a new store, which closes with the test.
func Open(t testing.TB) eventstore.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
