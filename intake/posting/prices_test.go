package posting_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake/posting"
)

// keyed is a subscription event whose price has a lookup key.
func keyed(id, price, key string, created time.Time) delivery {
	d := subscriptionEvent(id, updated, "active", price, created)
	item := d.object["items"].(map[string]any)["data"].([]any)[0].(map[string]any)
	item["price"].(map[string]any)["lookup_key"] = key
	return d
}

// priceBook keeps mappings as the record of catalogs does.
type priceBook struct {
	history aggregate.Catalogs
	calls   []string
	errs    []error
}

func newPriceBook(errs ...error) *priceBook {
	catalog := aggregate.BuiltinCatalog()
	return &priceBook{errs: errs, history: aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), AdoptedAt: now, Catalog: catalog})}
}

func (b *priceBook) record(_ context.Context, mappings []aggregate.PriceMapping) error {
	for _, m := range mappings {
		b.calls = append(b.calls, fmt.Sprintf("%s by %s is %s", m.Price, m.LookupKey, m.Tier))
	}
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return err
	}
	for _, m := range mappings {
		b.history = b.history.WithMapping(m)
	}
	return nil
}

func (b *priceBook) withdraw(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, instead []aggregate.PriceMapping) error {
	for _, w := range withdrawals {
		b.history = b.history.WithWithdrawal(w)
	}
	return b.record(ctx, instead)
}

func (b *priceBook) poster(store eventstore.Store) *posting.Poster {
	p := newPoster(store)
	p.Catalogs, p.MapPrices, p.WithdrawPrices = func() aggregate.Catalogs { return b.history }, b.record, b.withdraw
	return p
}

// adoptIn records in a store that the book's catalog is in force.
func (b *priceBook) adoptIn(t *testing.T, store eventstore.Store) {
	t.Helper()
	catalog := b.history.Current()
	data, err := json.Marshal(aggregate.CatalogAdopted{Schema: 1, Hash: catalog.Hash(), AdoptedAt: now, Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	event := eventstore.ProposedEvent{ID: eventstore.DeriveID("catalog-main", catalog.Hash()), Type: aggregate.CatalogAdoptedType, Data: data, Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), "catalog-main", eventstore.Any, event); err != nil {
		t.Fatal(err)
	}
}

func TestAPriceThatOnlyItsKeyMapsIsRecordedOnce(t *testing.T) {
	store := openStore(t)
	b := newPriceBook()
	last := record(t, store,
		keyed("evt_1", "price_x", "premium", now),
		keyed("evt_2", "price_x", "premium", now.Add(time.Minute)),
		keyed("evt_3", "price_basic", "premium", now.Add(2*time.Minute)),
		keyed("evt_4", "price_y", "of_nobody", now.Add(3*time.Minute)),
		subscriptionEvent("evt_5", updated, "active", "price_z", now.Add(4*time.Minute)))
	postUpTo(t, b.poster(store), last)
	postUpTo(t, b.poster(store), record(t, store, keyed("evt_6", "price_x", "premium", now.Add(5*time.Minute))))
	if want := []string{"price_x by premium is premium"}; !slices.Equal(b.calls, want) {
		t.Errorf("recorded %v, want %v", b.calls, want)
	}
}

func TestAMappingHoldsUpPostingOnlyWhileTheStoreIsAway(t *testing.T) {
	store := openStore(t)
	b := newPriceBook(fmt.Errorf("append: %w", eventstore.ErrUnavailable), errors.New("unreadable for good"))
	p := b.poster(store)
	postUpTo(t, p, record(t, store, keyed("evt_1", "price_x", "premium", now)))
	if len(b.calls) != 2 || p.Progress().Posted != 1 {
		t.Errorf("asked %v, progress %+v: want a second attempt, and then posting without the mapping", b.calls, p.Progress())
	}
}

func TestARepostMapsPricesUnlessItIsRehearsed(t *testing.T) {
	store := openStore(t)
	b := newPriceBook()
	record(t, store, keyed("evt_1", "price_x", "premium", now))
	plan := posting.RepostPlan{Selection: posting.Selection{Unposted: true}, Rehearse: true}
	mustRepost(t, b.poster(store), plan)
	if len(b.calls) != 0 {
		t.Errorf("rehearsing recorded %v", b.calls)
	}
	plan.Rehearse = false
	mustRepost(t, b.poster(store), plan)
	if len(b.calls) != 1 {
		t.Errorf("recorded %v", b.calls)
	}
}
