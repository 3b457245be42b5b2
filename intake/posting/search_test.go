package posting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// logged is an event of a log that a search goes over.
type logged struct {
	event eventstore.RecordedEvent
	fact  *aggregate.Fact
}

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// adoption puts a catalog in force in which a lookup key names another tier each
// time.
func adoption(t rapid.TB, tier string) logged {
	catalog, err := aggregate.DecodeCatalog(fmt.Appendf(nil, `{"free_tier":"free","tiers":[{"id":"free"},{"id":%q,"prices":["lookup:key"]}]}`, tier))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(aggregate.CatalogAdopted{Schema: 1, Hash: catalog.Hash(), AdoptedAt: begin, Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	return logged{event: eventstore.RecordedEvent{Stream: "catalog-main", Type: aggregate.CatalogAdoptedType, Data: data}}
}

// drawLog draws facts that show a price, in any order, and then corrections of
// those that were seen first, most of which show it no more.
func drawLog(t *rapid.T) []logged {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	log := []logged{adoption(t, "first")}
	// What is drawn most often comes first: more than a search keeps, and all of
	// it corrected.
	shown := rapid.SampledFrom([]int{3 * mostCandidates, mostCandidates + 1, mostCandidates, 3, 1}).Draw(t, "shown")
	for _, id := range random.Perm(shown) {
		log = append(log, shows(id, 0, "key"))
	}
	epochs := map[int]int{}
	corrected := random.Perm(shown)[rapid.SampledFrom([]int{0, shown / 4, random.IntN(shown + 1), shown}).Draw(t, "uncorrected"):]
	for range random.IntN(shown) {
		corrected = append(corrected, random.IntN(shown))
	}
	for _, id := range corrected {
		epochs[id] += 8
		switch random.IntN(100) {
		case 0:
			log = append(log, shows(id, epochs[id], "key"))
		case 1:
			log = append(log, shows(id, epochs[id], "another"))
		default:
			silent := shows(id, epochs[id], "")
			silent.fact.Type, silent.fact.Subscription, silent.fact.Retraction = aggregate.Retracted, nil, &aggregate.Retraction{}
			log = append(log, silent)
		}
	}
	return slices.Insert(log, 1+random.IntN(len(log)), adoption(t, "second"))
}

// shows is a fact of an event, with the price under a lookup key.
func shows(id, epoch int, key string) logged {
	return logged{eventstore.RecordedEvent{Stream: eventstore.NewStream("subscription", fmt.Sprint(id%3))},
		&aggregate.Fact{Type: aggregate.SubscriptionChanged, OccurredAt: begin.Add(time.Duration(id/8) * time.Hour), Epoch: epoch,
			Key:          aggregate.FactKey{StripeEventID: fmt.Sprintf("evt_%03d", id)},
			Subscription: &aggregate.SubscriptionSnapshot{Items: []aggregate.Item{{Price: "price_x", LookupKey: key}, {Price: "price_y", LookupKey: "key"}}}}}
}

// expected goes over a log holding all of it, unlike a search.
func expected(log []logged, without string) []aggregate.PriceMapping {
	inForce, tiers, tier := map[string]logged{}, map[string]string{}, ""
	for _, l := range log {
		if l.fact == nil {
			tier = map[string]string{"": "first", "first": "second"}[tier]
			continue
		}
		inForce[l.fact.Key.StripeEventID], tiers[l.fact.Key.StripeEventID] = l, tier
	}
	var all []aggregate.PriceMapping
	for id, l := range inForce {
		for _, s := range l.fact.Sightings(string(l.event.Stream)) {
			if s.LookupKey == "key" && id != without {
				all = append(all, aggregate.PriceMapping{Schema: 1, Price: s.Price, Tier: tiers[id], LookupKey: "key", StripeEventID: id, SeenAt: s.SeenAt, Stream: s.Stream, Epoch: s.Epoch})
			}
		}
	}
	slices.SortFunc(all, func(a, b aggregate.PriceMapping) int {
		return cmp.Or(strings.Compare(a.Price, b.Price), a.CompareSeen(b))
	})
	return slices.CompactFunc(all, func(a, b aggregate.PriceMapping) bool { return a.Price == b.Price })
}

// TestASearchFindsTheFirstSightingInForce: with little memory, and however many of
// those before it were corrected.
func TestASearchFindsTheFirstSightingInForce(t *testing.T) {
	// All that is kept is corrected, and what was let go is not.
	log := []logged{adoption(t, "first")}
	for id := range 2 * mostCandidates {
		log = append(log, shows(id, 0, "key"))
	}
	for id := range mostCandidates + 1 {
		log = append(log, shows(id, 8, "another"))
	}
	if passes := wantFound(t, log, len(log)); passes < 2 {
		t.Error("the case needed no second pass: nothing is proved of it")
	}
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		wantFound(t, log, rapid.IntRange(0, len(log)).Draw(t, "begun again at"))
	})
}

// wantFound searches a log, up to a place and then to its end, and returns how
// often it was gone over.
func wantFound(t rapid.TB, log []logged, cut int) (passes int) {
	t.Helper()
	const without = "evt_000"
	s := newPriceSearch(aggregate.Catalogs{}, without, []string{"price_x", "price_y"})
	goOver := func(part []logged) {
		for i := range part {
			s.take(&part[i].event, part[i].fact)
		}
	}
	goOver(log[:cut])
	for passes = 1; s.again(); passes++ {
		goOver(log[:cut])
	}
	goOver(log[cut:])
	for ; s.again(); passes++ {
		goOver(log)
	}
	if got, want := s.found(), expected(log, without); !slices.Equal(got, want) {
		t.Fatalf("found %+v, want %+v", got, want)
	}
	return passes
}

// TestWhatWasFoundIsWithdrawnIfItIsSupersededMeanwhile, unless it is found again.
func TestWhatWasFoundIsWithdrawnIfItIsSupersededMeanwhile(t *testing.T) {
	catalog, err := aggregate.DecodeCatalog([]byte(`{"free_tier":"free","tiers":[{"id":"free"},{"id":"team","prices":["lookup:key"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	silent := shows(1, 8, "")
	silent.fact.Type, silent.fact.Subscription, silent.fact.Retraction = aggregate.Retracted, nil, &aggregate.Retraction{}
	gone := aggregate.MappingWithdrawal{Schema: 1, Price: "price_x", StripeEventID: "evt_001", Stream: "subscription-1"}
	for name, test := range map[string]struct {
		since        logged
		supersededBy int
		found        string
	}{
		"by another key":       {shows(1, 1, "another"), 1, "evt_009"},
		"by nothing":           {silent, 8, "evt_009"},
		"by the same":          {shows(1, 1, "key"), 0, "evt_001"},
		"not at all":           {shows(2, 1, "another"), 0, "evt_001"},
		"by what came before":  {shows(1, 0, "another"), 0, "evt_001"},
		"by one that is later": {shows(17, 0, "key"), 0, "evt_001"},
	} {
		s := newPriceSearch(aggregate.Catalogs{}, "", []string{"price_x"})
		s.adopted = s.adopted.With(aggregate.CatalogAdopted{Catalog: catalog})
		for _, l := range []logged{shows(9, 0, "key"), shows(1, 0, "key")} {
			s.take(&l.event, l.fact)
		}
		if first := s.found(); len(first) != 1 || first[0].StripeEventID != "evt_001" {
			t.Fatalf("found %+v", first)
		}
		s.take(&test.since.event, test.since.fact)
		var want []aggregate.MappingWithdrawal
		if gone.SupersededBy = test.supersededBy; gone.SupersededBy > 0 {
			want = append(want, gone)
		}
		if got := s.overtaken(); !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if found := s.found(); len(found) != 1 || found[0].StripeEventID != test.found || len(s.overtaken()) > 0 {
			t.Errorf("%s: found %+v, then %+v", name, found, s.overtaken())
		}
	}
}
