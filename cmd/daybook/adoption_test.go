package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
)

func TestACatalogIsAdoptedOnceThoughTheClockWentBack(t *testing.T) {
	store := sqlitetest.Open(t)
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
		book := newCatalogBook(store)
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
	store := sqlitetest.Open(t)
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

func TestPricesAreMappedOnceWhileCatalogsAreAdopted(t *testing.T) {
	store := sqlitetest.Open(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := newCatalogBook(store)
	if _, err := first.adopt(t.Context(), aggregate.BuiltinCatalog(), now); err != nil {
		t.Fatal(err)
	}
	second := newCatalogBook(store) // as another process has one
	if _, err := second.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for i := range 12 {
		running.Go(func() {
			book := []*catalogBook{first, second}[i%2]
			mapping := aggregate.PriceMapping{Schema: aggregate.Schema, Price: fmt.Sprintf("price_%d", i%6), LookupKey: "basic", Tier: "basic"}
			if err := book.mapPrices(t.Context(), []aggregate.PriceMapping{mapping, mapping}, now); err != nil {
				t.Error(err)
			}
		})
	}
	longer := aggregate.BuiltinCatalog()
	longer.GracePeriod = aggregate.Span(48 * time.Hour)
	running.Go(func() {
		if _, err := first.adopt(t.Context(), longer, now); err != nil {
			t.Error(err)
		}
	})
	running.Wait()
	if n := count(t, store, catalogStream); n != 8 {
		t.Errorf("%d events recorded, want 2 catalogs and 6 mappings", n)
	}
	again := newCatalogBook(store)
	if found, err := again.load(t.Context()); err != nil || !found {
		t.Fatal(found, err)
	}
	if len(again.History().Mappings()) != 6 || again.History().CurrentHash() != longer.Hash() {
		t.Errorf("read back %d mappings, catalog %.8s", len(again.History().Mappings()), again.History().CurrentHash())
	}
	item := aggregate.Item{Price: "price_3", LookupKey: "premium"}
	if tier, _ := again.Current().TierOfItem(item); tier.ID != "basic" {
		t.Errorf("a price whose key was moved maps to %q, want what was recorded", tier.ID)
	}
}

func TestMappingsAreWithdrawnOnceWithWhatTakesTheirPlace(t *testing.T) {
	store := sqlitetest.Open(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	book := &catalogBook{store: store}
	if _, err := book.adopt(t.Context(), aggregate.BuiltinCatalog(), now); err != nil {
		t.Fatal(err)
	}
	shown := func(event, tier string, when time.Time) aggregate.PriceMapping {
		return aggregate.PriceMapping{Schema: aggregate.Schema, Price: "price_x", LookupKey: tier, Tier: tier, StripeEventID: event, SeenAt: when}
	}
	if err := book.mapPrices(t.Context(), []aggregate.PriceMapping{shown("evt_forged", "elite", now)}, now); err != nil {
		t.Fatal(err)
	}
	gone := []aggregate.MappingWithdrawal{{Schema: aggregate.Schema, Price: "price_x", StripeEventID: "evt_forged"}}
	stale := &catalogBook{store: store} // as another process has one
	if _, err := stale.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			other := []*catalogBook{book, stale}[i%2]
			if err := other.withdrawPrices(t.Context(), gone, []aggregate.PriceMapping{shown("evt_1", "basic", now.Add(time.Hour))}, now); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if err := stale.mapPrices(t.Context(), []aggregate.PriceMapping{shown("evt_forged", "elite", now)}, now); err != nil {
		t.Fatal(err)
	}
	if n := count(t, store, catalogStream); n != 4 {
		t.Errorf("%d events recorded, want a catalog, two mappings and a withdrawal", n)
	}
	if tier, _ := book.Current().TierOfItem(aggregate.Item{Price: "price_x"}); tier.ID != "basic" {
		t.Errorf("the price maps to %q", tier.ID)
	}
}

// TestWhatALaterReadingShowsOutlivesTheWithdrawal of what an earlier one showed,
// of the same price in the same Stripe event.
func TestWhatALaterReadingShowsOutlivesTheWithdrawal(t *testing.T) {
	store := sqlitetest.Open(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	book := &catalogBook{store: store}
	if _, err := book.adopt(t.Context(), aggregate.BuiltinCatalog(), now); err != nil {
		t.Fatal(err)
	}
	shown := func(tier string, epoch int) []aggregate.PriceMapping {
		return []aggregate.PriceMapping{{Schema: aggregate.Schema, Price: "price_x", LookupKey: tier, Tier: tier, StripeEventID: "evt_1", SeenAt: now, Stream: "subscription-1", Epoch: epoch}}
	}
	gone := func(by int) []aggregate.MappingWithdrawal {
		return []aggregate.MappingWithdrawal{{Schema: aggregate.Schema, Price: "price_x", StripeEventID: "evt_1", Stream: "subscription-1", SupersededBy: by}}
	}
	if err := book.mapPrices(t.Context(), shown("elite", 0), now); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for epoch, tier := range []string{"", "basic", "premium"} {
			if epoch == 0 {
				continue
			}
			if err := book.withdrawPrices(t.Context(), gone(epoch), shown(tier, epoch), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := count(t, store, catalogStream); n != 6 {
		t.Errorf("%d events recorded, want a catalog, three mappings and two withdrawals", n)
	}
	again := &catalogBook{store: store}
	if _, err := again.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tier, _ := again.Current().TierOfItem(aggregate.Item{Price: "price_x"}); tier.ID != "premium" {
		t.Errorf("the price maps to %q", tier.ID)
	}
}
