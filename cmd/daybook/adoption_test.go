package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite"
)

func openTestStore(t *testing.T) eventstore.Store {
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

func TestACatalogIsAdoptedOnceThoughTheClockWentBack(t *testing.T) {
	store := openTestStore(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	longer := aggregate.BuiltinCatalog()
	longer.GracePeriod = aggregate.Span(48 * time.Hour)
	for _, step := range []struct {
		catalog *aggregate.Catalog
		now     time.Time
		want    bool
	}{
		{aggregate.BuiltinCatalog(), now, true},
		{aggregate.BuiltinCatalog(), now, false},
		{longer, now.Add(-time.Hour), true},
		{longer, now, false},
		{aggregate.BuiltinCatalog(), now, true},
	} {
		book := &catalogBook{store: store}
		adopted, err := book.adopt(t.Context(), step.catalog, step.now)
		if err != nil || adopted != step.want {
			t.Fatalf("adopted %v, %v; want %v", adopted, err, step.want)
		}
		if book.Current().Hash() != step.catalog.Hash() {
			t.Fatal("the catalog that was adopted is not in force")
		}
	}
	if n := count(t, store, catalogStream); n != 3 {
		t.Errorf("%d adoptions recorded, want 3", n)
	}
}

func TestAStoreIsFoundedOnceAndKeepsItsMode(t *testing.T) {
	store := openTestStore(t)
	first, err := foundStore(t.Context(), store, true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := foundStore(t.Context(), store, true, time.Now())
	if err != nil || again != first {
		t.Errorf("founded again: %+v, %v; want %+v", again, err, first)
	}
	if _, err := foundStore(t.Context(), store, false, time.Now()); err == nil {
		t.Error("a live store was opened in test mode")
	}
	if n := count(t, store, storeStream); n != 1 {
		t.Errorf("%d foundings recorded", n)
	}
}

func count(t *testing.T, store eventstore.Reader, stream eventstore.Stream) int {
	t.Helper()
	n := 0
	for _, err := range store.ReadStream(t.Context(), stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
