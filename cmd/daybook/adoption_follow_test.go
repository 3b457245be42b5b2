package main

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
)

// lagging is a store that does not show a stream's second event at first, as a
// node of a cluster that follows its leader.
type lagging struct {
	eventstore.Store
	reads atomic.Int64
}

func (l *lagging) ReadStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	if n := l.reads.Add(1); n == 2 || n == 3 {
		limit = 1
	}
	return l.Store.ReadStream(ctx, stream, from, dir, limit)
}

// TestANodeHearsOfAnothersCatalog has one node adopt a catalog while another,
// which was told to adopt a different one, goes on.
func TestANodeHearsOfAnothersCatalog(t *testing.T) {
	t.Parallel()
	store := sqlitetest.Open(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	mine, theirs := aggregate.BuiltinCatalog(), aggregate.BuiltinCatalog()
	theirs.GracePeriod = aggregate.Span(48 * time.Hour)
	behind := &lagging{Store: store}
	here, there := newCatalogBook(behind), newCatalogBook(store)
	if _, err := here.adopt(t.Context(), mine, now); err != nil {
		t.Fatal(err)
	}
	log, said := logtest.NewNullLogger()
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { here.follow(ctx, log) })
	here.look(0) // its own adoption is no news
	if _, err := there.adopt(t.Context(), theirs, now); err != nil {
		t.Fatal(err)
	}
	here.look(1)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); here.Current().Hash() != theirs.Hash() || said.LastEntry() == nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it goes by its own catalog still")
		}
	}
	stop()
	following.Wait()
	if entries := said.AllEntries(); len(entries) != 1 || entries[0].Level != logrus.WarnLevel || entries[0].Data["configured"] != mine.Hash() {
		t.Errorf("said %+v", entries)
	}
	here.writing.Lock()
	defer here.writing.Unlock()
	if here.keep(aggregate.Catalogs{}, 1); here.Current().Hash() != theirs.Hash() {
		t.Error("an older history took the place of a newer one")
	}
}
