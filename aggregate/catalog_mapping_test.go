package aggregate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// mappingCatalog has a tier and an add-on for every way of naming a price.
const mappingCatalog = `{"free_tier": "free", "tiers": [
  {"id": "free"},
  {"id": "team", "prices": ["price_t", "lookup:team", "product:prod_t"]},
  {"id": "all", "prices": ["price_all", "lookup:all", "product:prod_all"]}],
  "addons": [{"id": "seats", "prices": ["price_s", "lookup:seats", "product:prod_s"]}]}`

func catalogOf(t *testing.T, text string) *aggregate.Catalog {
	t.Helper()
	c, err := aggregate.DecodeCatalog([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func adopt(h aggregate.Catalogs, c *aggregate.Catalog, when time.Time) aggregate.Catalogs {
	return h.With(aggregate.CatalogAdopted{Schema: aggregate.Schema, Hash: c.Hash(), AdoptedAt: when, Catalog: c})
}

func mapping(price, tier, addon string, when time.Time) aggregate.PriceMapping {
	return aggregate.PriceMapping{Schema: aggregate.Schema, Price: price, Tier: tier, Addon: addon, LookupKey: "k", SeenAt: when, MappedAt: when}
}

// seen are items in events of one second, one each.
func seen(items ...aggregate.Item) []aggregate.Sighting {
	sightings := make([]aggregate.Sighting, len(items))
	for i, item := range items {
		sightings[i] = aggregate.Sighting{Item: item, StripeEventID: fmt.Sprintf("evt_%02d", i), SeenAt: at(day)}
	}
	return sightings
}

// placeOf names the tier or the add-on of an item, or is empty.
func placeOf(c *aggregate.Catalog, item aggregate.Item) string {
	tier, _ := c.TierOfItem(item)
	addon, _ := c.AddonOfItem(item)
	return tier.ID + addon.ID
}

func TestPriceThenRecordThenProductThenLookupKey(t *testing.T) {
	plain := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	recorded := plain.WithMapping(mapping("price_x", "team", "", day0)).
		WithMapping(mapping("price_y", "", "seats", day0)).
		WithMapping(mapping("price_all", "team", "", day0)).
		WithMapping(mapping("price_gone", "platinum", "", day0)).
		WithMapping(mapping("price_gone_too", "", "platinum_seats", day0))
	for name, test := range map[string]struct {
		item          aggregate.Item
		before, after string
	}{
		"a price of the catalog beats all":    {aggregate.Item{Price: "price_all", Product: "prod_t", LookupKey: "seats"}, "all", "all"},
		"a record beats product and key":      {aggregate.Item{Price: "price_x", Product: "prod_all", LookupKey: "all"}, "all", "team"},
		"a record of an add-on, likewise":     {aggregate.Item{Price: "price_y", Product: "prod_all", LookupKey: "all"}, "all", "seats"},
		"a record without anything else":      {aggregate.Item{Price: "price_x"}, "", "team"},
		"a product beats a lookup key":        {aggregate.Item{Price: "price_z", Product: "prod_t", LookupKey: "all"}, "team", "team"},
		"an add-on's product beats a key":     {aggregate.Item{Price: "price_z", Product: "prod_s", LookupKey: "all"}, "seats", "seats"},
		"an add-on's price, a tier's product": {aggregate.Item{Price: "price_s", Product: "prod_t"}, "seats", "seats"},
		"a lookup key at last":                {aggregate.Item{Price: "price_z", LookupKey: "all"}, "all", "all"},
		"a record of a tier that is gone":     {aggregate.Item{Price: "price_gone", LookupKey: "team"}, "team", "team"},
		"a record of an add-on that is gone":  {aggregate.Item{Price: "price_gone_too", Product: "prod_s"}, "seats", "seats"},
		"nothing":                             {aggregate.Item{Price: "price_z"}, "", ""},
	} {
		if got := placeOf(plain.Current(), test.item); got != test.before {
			t.Errorf("%s: %q without records, want %q", name, got, test.before)
		}
		if got := placeOf(recorded.Current(), test.item); got != test.after {
			t.Errorf("%s: %q with records, want %q", name, got, test.after)
		}
	}
}

// TestALookupKeyThatMovedLeavesWhatWasSoldUnderIt: Stripe's transfer_lookup_key
// takes the key away from the old price.
func TestALookupKeyThatMovedLeavesWhatWasSoldUnderIt(t *testing.T) {
	h := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	for _, m := range h.NewMappings(seen(aggregate.Item{Price: "price_old", LookupKey: "team"})) {
		h = h.WithMapping(m)
	}
	var s story
	s.started(day0, aggregate.Active, "price_old") // the key is gone from it
	if truth := fold(s.facts).Derive(h); truth.Tier != "team" || len(truth.Flags) != 0 {
		t.Errorf("tier %q, flags %v, want team and none", truth.Tier, truth.Flags)
	}
}

func TestOnlyWhatNothingButItsLookupKeyMatchesIsRecorded(t *testing.T) {
	h := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0).WithMapping(mapping("price_known", "team", "", day0))
	got := h.NewMappings(seen(
		aggregate.Item{Price: "price_new", LookupKey: "team"},
		aggregate.Item{Price: "price_new", LookupKey: "team"},
		aggregate.Item{Price: "price_addon", LookupKey: "seats"},
		aggregate.Item{Price: "price_t", LookupKey: "team"},
		aggregate.Item{Price: "price_p", Product: "prod_t", LookupKey: "team"},
		aggregate.Item{Price: "price_known", LookupKey: "team"},
		aggregate.Item{Price: "price_nobody_knows", LookupKey: "unheard_of"},
		aggregate.Item{LookupKey: "team"},
	))
	want := []aggregate.PriceMapping{
		{Schema: aggregate.Schema, Price: "price_new", Tier: "team", LookupKey: "team", StripeEventID: "evt_00", SeenAt: at(day)},
		{Schema: aggregate.Schema, Price: "price_addon", Addon: "seats", LookupKey: "seats", StripeEventID: "evt_02", SeenAt: at(day)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("new mappings %+v\nwant %+v", got, want)
	}
	if got := (aggregate.Catalogs{}).NewMappings(seen(aggregate.Item{Price: "p", LookupKey: "team"})); got != nil {
		t.Errorf("without a catalog: %+v", got)
	}
}

// TestWhatWasSeenFirstStandsWhateverWasRecordedFirst: a lookup key that moved
// on, told in either order.
func TestWhatWasSeenFirstStandsWhateverWasRecordedFirst(t *testing.T) {
	h := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	early := aggregate.Sighting{Item: aggregate.Item{Price: "price_x", LookupKey: "team"}, StripeEventID: "evt_1", SeenAt: at(day)}
	late := aggregate.Sighting{Item: aggregate.Item{Price: "price_x", LookupKey: "all"}, StripeEventID: "evt_2", SeenAt: at(2 * day)}
	for name, order := range map[string][][]aggregate.Sighting{
		"in order": {{early}, {late}}, "reversed": {{late}, {early}}, "together": {{late, early}}, "again": {{late}, {early}, {late}, {early}},
	} {
		told := h
		for _, sightings := range order {
			for _, m := range told.NewMappings(sightings) {
				told = told.WithMapping(m)
			}
		}
		if got := placeOf(told.Current(), aggregate.Item{Price: "price_x"}); got != "team" {
			t.Errorf("%s: maps to %q, want what was seen first", name, got)
		}
		if m, found := told.MappingOf("price_x"); !found || m.StripeEventID != "evt_1" {
			t.Errorf("%s: the mapping %+v stands", name, m)
		}
	}
}

func TestTheFirstRecordOfAPriceStands(t *testing.T) {
	h := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	first := h.WithMapping(mapping("price_x", "team", "", day0))
	second := first.WithMapping(mapping("price_x", "all", "", at(day)))
	if got := placeOf(second.Current(), aggregate.Item{Price: "price_x"}); got != "team" || len(second.Mappings()) != 1 {
		t.Errorf("place %q, mappings %v", got, second.Mappings())
	}
	if got := placeOf(h.Current(), aggregate.Item{Price: "price_x"}); got != "" {
		t.Errorf("the history that it was added to has it too: %q", got)
	}
}

func TestTwoContinuationsOfOneHistoryDoNotMeet(t *testing.T) {
	h := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	for _, price := range []string{"p1", "p2", "p3"} {
		h = h.WithMapping(mapping(price, "team", "", day0))
	}
	one, other := h.WithMapping(mapping("p4", "team", "", day0)), h.WithMapping(mapping("p5", "all", "", day0))
	if got := one.Mappings()[3].Price; got != "p4" {
		t.Errorf("the one has %s", got)
	}
	if placeOf(one.Current(), aggregate.Item{Price: "p5"}) != "" || placeOf(other.Current(), aggregate.Item{Price: "p5"}) != "all" {
		t.Error("what the other recorded is in the one, or not in the other")
	}
}

func TestRecordsOutliveACatalogAndThePastHasItsOwn(t *testing.T) {
	first, second := catalogOf(t, mappingCatalog), catalogOf(t, mappingCatalog[:1]+`"grace_period": "1h",`+mappingCatalog[1:])
	h := adopt(aggregate.Catalogs{}, first, day0).WithMapping(mapping("price_x", "team", "", at(day)))
	h = adopt(h, second, at(2*day))
	item := aggregate.Item{Price: "price_x"}
	if h.CurrentHash() != second.Hash() || h.Current().Hash() != second.Hash() || placeOf(h.Current(), item) != "team" {
		t.Errorf("now: %q by a catalog of hash %s", placeOf(h.Current(), item), h.Current().Hash())
	}
	for when, want := range map[time.Duration]string{-day: "", day - time.Nanosecond: "", day: "team", 3 * day: "team"} {
		c, hash := h.At(at(when))
		if got := placeOf(c, item); got != want || hash != c.Hash() {
			t.Errorf("at %s: %q, want %q", at(when), got, want)
		}
	}
	if c, _ := h.At(at(day)); c.GracePeriod != first.GracePeriod {
		t.Errorf("at %s: the catalog of later", at(day))
	}
}

// What a build of today stores, and what one stored that told of no fact, must be
// read for ever.
const (
	storedMapping  = `{"schema":1,"price":"price_x","tier":"team","lookup_key":"team","mapped_at":"2026-03-01T12:00:00Z"}`
	storedOfAFact  = `{"schema":1,"price":"price_x","tier":"team","lookup_key":"team","stripe_event_id":"evt_1","seen_at":"2026-03-01T12:00:00Z","stream":"subscription-sub_1","epoch":9,"mapped_at":"2026-03-01T12:00:00Z"}`
	storedOfNoFact = `{"schema":1,"price":"price_x","tier":"team","lookup_key":"team","stripe_event_id":"evt_1","seen_at":"2026-03-01T12:00:00Z","mapped_at":"2026-03-01T12:00:00Z"}`
)

func TestStoredMappingsAreReadForEver(t *testing.T) {
	plain := aggregate.PriceMapping{Schema: 1, Price: "price_x", Tier: "team", LookupKey: "team", MappedAt: day0}
	ofNoFact := plain
	ofNoFact.StripeEventID, ofNoFact.SeenAt = "evt_1", day0
	ofAFact := ofNoFact
	ofAFact.Stream, ofAFact.Epoch = "subscription-sub_1", 9
	for stored, want := range map[string]aggregate.PriceMapping{storedMapping: plain, storedOfAFact: ofAFact, storedOfNoFact: ofNoFact} {
		if data, err := json.Marshal(want); err != nil || string(data) != stored {
			t.Errorf("stored %s, %v", data, err)
		}
		if got, err := aggregate.DecodePriceMapped("PriceMapped", []byte(stored)); err != nil || got != want {
			t.Errorf("read %+v, %v", got, err)
		}
	}
	for name, data := range map[string]string{
		"a newer schema": `{"schema":2,"price":"p","tier":"t"}`, "no price": `{"schema":1,"tier":"t"}`,
		"nothing that it maps to": `{"schema":1,"price":"p"}`, "both": `{"schema":1,"price":"p","tier":"t","addon":"a"}`, "no JSON": `{`,
	} {
		if m, err := aggregate.DecodePriceMapped("PriceMapped", []byte(data)); err == nil {
			t.Errorf("%s: read %+v", name, m)
		}
	}
}

func TestTheCatalogsStreamIsFoldedAsItIs(t *testing.T) {
	c := catalogOf(t, mappingCatalog)
	adopted, err := json.Marshal(aggregate.CatalogAdopted{Schema: 1, Hash: c.Hash(), AdoptedAt: day0, Catalog: c})
	if err != nil {
		t.Fatal(err)
	}
	var h aggregate.Catalogs
	for _, e := range []struct{ eventType, data string }{{"PriceMapped", storedMapping}, {"CatalogAdopted", string(adopted)}} {
		if h, err = h.Evolve(e.eventType, []byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if h.CurrentHash() != c.Hash() || placeOf(h.Current(), aggregate.Item{Price: "price_x"}) != "team" {
		t.Errorf("folded %+v", h)
	}
	if _, err := h.Evolve("SomethingNewer", []byte(`{}`)); !errors.Is(err, aggregate.ErrUnknownType) {
		t.Errorf("error %v, want ErrUnknownType", err)
	}
	if _, err := h.Evolve("PriceMapped", []byte(`{}`)); err == nil {
		t.Error("an empty mapping was taken")
	}
}

// TestWhatWasDerivedByOtherMappingsIsDerivedAnew: a subscription that remembers
// its truth decides as one that was read afresh.
func TestWhatWasDerivedByOtherMappingsIsDerivedAnew(t *testing.T) {
	before := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	after := before.WithMapping(mapping("price_x", "team", "", day0))
	var s story
	s.started(day0, aggregate.Active, "price_x")
	s.changed(at(day), aggregate.Active, "price_x")
	remembers, afresh := aggregate.NewSubscription("sub_1"), aggregate.NewSubscription("sub_1")
	for _, e := range remembers.Decide(s.facts[:1], before, day0) {
		remembers.Evolve(e, aggregate.Place{Position: 1})
		afresh.Evolve(e, aggregate.Place{Position: 1})
	}
	got, want := remembers.Decide(s.facts[1:], after, at(day)), afresh.Decide(s.facts[1:], after, at(day))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decided %d events, want %d", len(got), len(want))
	}
}
