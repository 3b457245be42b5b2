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
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
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

// standing is the mapping of a price that stands, but for which reading showed it:
// the zero mapping if there is none.
func (b *priceBook) standing(price string) aggregate.PriceMapping {
	m, _ := b.history.MappingOf(price)
	m.Stream, m.Epoch = "", 0
	return m
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
	store := sqlitetest.Open(t)
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
	store := sqlitetest.Open(t)
	b := newPriceBook(fmt.Errorf("append: %w", eventstore.ErrUnavailable), errors.New("unreadable for good"))
	p := b.poster(store)
	postUpTo(t, p, record(t, store, keyed("evt_1", "price_x", "premium", now)))
	if len(b.calls) != 2 || p.Progress().Posted != 1 {
		t.Errorf("asked %v, progress %+v: want a second attempt, and then posting without the mapping", b.calls, p.Progress())
	}
}

func TestARepostMapsPricesUnlessItIsRehearsed(t *testing.T) {
	store := sqlitetest.Open(t)
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

// interrupted lets something happen just before the first append to a stream.
type interrupted struct {
	eventstore.Store
	stream eventstore.Stream
	happen func()
}

func (i *interrupted) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	if stream == i.stream && i.happen != nil {
		i.happen()
		i.happen = nil
	}
	return i.Store.Append(ctx, stream, expected, events...)
}

// TestAMappingThatIsWithdrawnMeanwhileMakesRoom: whoever withdrew it looked for
// other sightings when this one was not in yet.
func TestAMappingThatIsWithdrawnMeanwhileMakesRoom(t *testing.T) {
	store := sqlitetest.Open(t)
	b := newPriceBook()
	postUpTo(t, b.poster(store), record(t, store, keyed("evt_forged", "price_x", "elite", now)))
	meanwhile := &interrupted{Store: store, stream: "subscription-sub_1", happen: func() {
		b.history = b.history.WithWithdrawal(aggregate.MappingWithdrawal{Price: "price_x", StripeEventID: "evt_forged"})
	}}
	postUpTo(t, b.poster(meanwhile), record(t, store, keyed("evt_genuine", "price_x", "basic", now.Add(time.Hour))))
	if m, _ := b.history.MappingOf("price_x"); m.StripeEventID != "evt_genuine" {
		t.Errorf("%+v stands", m)
	}
}

// TestARepudiatedEventMapsNoPrice in whatever order it came: as if it had never
// been, though a crash comes in between.
func TestARepudiatedEventMapsNoPrice(t *testing.T) {
	forgery := keyed("evt_forged", "price_x", "elite", now.Add(time.Minute))
	genuine := []delivery{keyed("evt_1", "price_x", "premium", now.Add(time.Hour)), keyed("evt_2", "price_x", "basic", now.Add(2*time.Hour))}
	for name, order := range map[string][]delivery{
		"first": {forgery, genuine[0], genuine[1]}, "last": {genuine[1], genuine[0], forgery}, "between": {genuine[1], forgery, genuine[0]},
	} {
		store, b := sqlitetest.Open(t), newPriceBook()
		b.adoptIn(t, store)
		for _, d := range order {
			postUpTo(t, b.poster(store), record(t, store, d))
		}
		if m, _ := b.history.MappingOf("price_x"); m.Tier != "elite" {
			t.Fatalf("%s: before, %+v stands", name, m)
		}
		crashing := b.poster(store)
		crashing.MapPrices = func(context.Context, []aggregate.PriceMapping) error { return errors.New("a crash") }
		crashing.WithdrawPrices = func(ctx context.Context, w []aggregate.MappingWithdrawal, _ []aggregate.PriceMapping) error {
			return b.withdraw(ctx, w, nil)
		}
		plan := posting.RepudiationPlan{StripeEventID: "evt_forged", Actor: "ann", Reason: forged}
		if _, err := crashing.Repudiate(t.Context(), plan); err == nil {
			t.Fatal("no crash")
		}
		wantTypes(t, store, "posting-evt_forged")
		for _, again := range []bool{false, true} {
			result, err := b.poster(store).Repudiate(t.Context(), plan)
			if err != nil || result.Already != again {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
			if m, _ := b.history.MappingOf("price_x"); m.Tier != "premium" || m.StripeEventID != "evt_1" {
				t.Errorf("%s: %+v stands", name, m)
			}
		}
	}
}

// TestARepudiationTellsOfThePricesThatItRemaps and of those for which nothing is
// left.
func TestARepudiationTellsOfThePricesThatItRemaps(t *testing.T) {
	store, b := sqlitetest.Open(t), newPriceBook()
	b.adoptIn(t, store)
	postUpTo(t, b.poster(store), record(t, store, keyed("evt_1", "price_x", "elite", now), keyed("evt_2", "price_x", "basic", now.Add(time.Hour))))
	for _, step := range []struct{ event, now string }{{"evt_1", "basic"}, {"evt_2", ""}} {
		result, err := b.poster(store).Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: step.event, Actor: "ann", Reason: forged})
		if err != nil || len(result.Prices) != 1 || result.Prices[0].Price != "price_x" || (result.Prices[0].Mapping == nil) != (step.now == "") ||
			step.now != "" && result.Prices[0].Mapping.Tier != step.now {
			t.Errorf("%s: %+v, %v", step.event, result.Prices, err)
		}
	}
}

// TestARepostMendsTheMappingThatAnEarlierBuildLeft: one that tells of no fact, of an
// unsigned entry that a signed one had superseded.
func TestARepostMendsTheMappingThatAnEarlierBuildLeft(t *testing.T) {
	store, b := sqlitetest.Open(t), newPriceBook()
	b.adoptIn(t, store)
	b.history = b.history.WithMapping(aggregate.PriceMapping{Schema: 1, Price: "price_x", Tier: "elite", LookupKey: "elite", StripeEventID: "evt_1", SeenAt: now})
	last := record(t, store, unsigned(keyed("evt_1", "price_x", "elite", now)), keyed("evt_1", "price_x", "", now), keyed("evt_2", "price_x", "basic", now.Add(time.Hour)))
	postUpTo(t, newPoster(store), last)
	for range 2 {
		wantOutcome(t, mustRepost(t, b.poster(store), byID("evt_1")),
			posting.RepostedEvent{StripeEventID: "evt_1", EventType: updated, Outcome: posting.OutcomeUnchanged})
		if m := b.standing("price_x"); m.StripeEventID != "evt_2" || m.Tier != "basic" {
			t.Errorf("%+v stands", m)
		}
	}
}
