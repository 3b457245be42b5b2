package aggregate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

func withdrawal(price, event string) aggregate.MappingWithdrawal {
	return aggregate.MappingWithdrawal{Schema: aggregate.Schema, Price: price, StripeEventID: event}
}

// sighting is one event's, so many days after the first day.
func sighting(price, key, event string, days int) aggregate.Sighting {
	return aggregate.Sighting{Item: aggregate.Item{Price: price, LookupKey: key}, StripeEventID: event, SeenAt: at(time.Duration(days) * day)}
}

func TestWhatAnEventShowedIsWithdrawnForEver(t *testing.T) {
	forged, genuine := sighting("price_x", "all", "evt_forged", 1), sighting("price_x", "team", "evt_genuine", 2)
	plain := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	mapped := see(plain, genuine, forged)
	if got := placeOf(mapped.Current(), aggregate.Item{Price: "price_x"}); got != "all" {
		t.Fatalf("before: %q", got)
	}
	want := []aggregate.MappingWithdrawal{withdrawal("price_x", "evt_forged")}
	got := mapped.Withdrawals("evt_forged", []aggregate.Sighting{forged})
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("withdrawals %+v, want %+v", got, want)
	}
	after := mapped.WithWithdrawal(got[0])
	if m, found := after.MappingOf("price_x"); !found || m.StripeEventID != "evt_genuine" || placeOf(after.Current(), forged.Item) != "team" {
		t.Errorf("after: %+v stands, and the price is %q", m, placeOf(after.Current(), forged.Item))
	}
	if again := after.Withdrawals("evt_forged", []aggregate.Sighting{forged}); len(again) > 0 || !reflect.DeepEqual(after.WithWithdrawal(got[0]), after) {
		t.Errorf("withdrawn again: %+v", again)
	}
	if m := after.NewMappings([]aggregate.Sighting{forged}); len(m) > 0 {
		t.Errorf("to be recorded again: %+v", m)
	}
	if len(mapped.Mappings()) != 2 || len(after.Mappings()) != 1 || !slices.Equal(after.WithdrawnOf("evt_forged"), []string{"price_x"}) {
		t.Errorf("mappings %v, then %v; withdrawn %v", mapped.Mappings(), after.Mappings(), after.WithdrawnOf("evt_forged"))
	}
	if c, _ := after.At(at(30 * day)); placeOf(c, forged.Item) != "team" {
		t.Errorf("the catalog of a time maps to %q", placeOf(c, forged.Item))
	}
}

// TestAMappingThatIsRecordedBehindItsWithdrawalCountsNot: somebody may be posting
// an event while it is repudiated.
func TestAMappingThatIsRecordedBehindItsWithdrawalCountsNot(t *testing.T) {
	h := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	forged := sighting("price_x", "all", "evt_forged", 1)
	late := h.NewMappings([]aggregate.Sighting{forged})
	withdrawals := h.Withdrawals("evt_forged", []aggregate.Sighting{forged})
	if len(late) != 1 || len(withdrawals) != 1 {
		t.Fatalf("%d mappings, %d withdrawals, want one each", len(late), len(withdrawals))
	}
	if after := h.WithWithdrawal(withdrawals[0]).WithMapping(late[0]); len(after.Mappings()) > 0 || placeOf(after.Current(), aggregate.Item{Price: "price_x"}) != "" {
		t.Errorf("it counts: %+v", after.Mappings())
	}
}

func TestNothingIsWithdrawnThatNobodyMaps(t *testing.T) {
	h := see(adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0), sighting("price_x", "team", "evt_1", 1))
	for name, s := range map[string]aggregate.Sighting{
		"another event":          sighting("price_x", "all", "evt_3", 2),
		"a price of the catalog": sighting("price_t", "all", "evt_2", 2),
		"a key of nothing":       sighting("price_y", "nothing", "evt_2", 2),
	} {
		if got := h.Withdrawals("evt_2", []aggregate.Sighting{s}); len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestWhatAnEarlierSightingForestallsIsWithdrawnToo: that one may be withdrawn
// already, which whoever withdraws this one does not know yet, or be withdrawn soon.
func TestWhatAnEarlierSightingForestallsIsWithdrawnToo(t *testing.T) {
	plain := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	first, forged := sighting("price_x", "team", "evt_1", 1), sighting("price_x", "all", "evt_forged", 2)
	lags := see(plain, first)
	h := see(lags.WithWithdrawal(withdrawal("price_x", "evt_1")), forged)
	if m, _ := h.MappingOf("price_x"); m.StripeEventID != "evt_forged" {
		t.Fatalf("before: %+v stands", m)
	}
	for _, w := range lags.Withdrawals("evt_forged", []aggregate.Sighting{forged}) {
		h = h.WithWithdrawal(w)
	}
	if m, found := h.MappingOf("price_x"); found {
		t.Errorf("after: %+v stands", m)
	}
}

// read is a sighting in a fact of some epoch of a stream.
func read(s aggregate.Sighting, stream string, epoch int) aggregate.Sighting {
	s.Stream, s.Epoch = stream, epoch
	return s
}

// TestWhatOneReadingShowedIsWithdrawnAndNoOther: whichever of what is told of the
// two readings of an event is recorded first.
func TestWhatOneReadingShowedIsWithdrawnAndNoOther(t *testing.T) {
	plain := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	early := plain.NewMappings([]aggregate.Sighting{read(sighting("price_x", "all", "evt_1", 1), "subscription-1", 0)})[0]
	late := plain.NewMappings([]aggregate.Sighting{read(sighting("price_x", "team", "evt_1", 1), "subscription-1", 1)})[0]
	elsewhere := plain.NewMappings([]aggregate.Sighting{read(sighting("price_x", "team", "evt_1", 1), "subscription-2", 0)})[0]
	gone := withdrawal("price_x", "evt_1")
	gone.Stream, gone.SupersededBy = "subscription-1", 1
	for name, h := range map[string]aggregate.Catalogs{
		"withdrawn before both": plain.WithWithdrawal(gone).WithMapping(early).WithMapping(late),
		"withdrawn between":     plain.WithMapping(early).WithWithdrawal(gone).WithMapping(late),
		"the later one first":   plain.WithMapping(late).WithMapping(early).WithWithdrawal(gone),
		"again":                 plain.WithMapping(early).WithWithdrawal(gone).WithMapping(late).WithMapping(early).WithWithdrawal(gone),
		"in another stream":     plain.WithMapping(early).WithWithdrawal(gone).WithMapping(elsewhere),
	} {
		m, found := h.MappingOf("price_x")
		if !found || m.Tier != "team" || placeOf(h.Current(), aggregate.Item{Price: "price_x"}) != "team" || len(h.Mappings()) != 1 {
			t.Errorf("%s: %+v stands, of %v", name, m, h.Mappings())
		}
		after := h.WithWithdrawal(withdrawal("price_x", "evt_1"))
		if len(after.WithMapping(late).WithMapping(elsewhere).Mappings()) > 0 {
			t.Errorf("%s: after all is withdrawn, %v count", name, after.Mappings())
		}
		if !h.Holds(gone) || h.Holds(withdrawal("price_x", "evt_1")) || !after.Holds(withdrawal("price_x", "evt_1")) {
			t.Errorf("%s: it is not known what is withdrawn", name)
		}
		if blank := h.Blank(); blank.Current() != nil || len(blank.WithMapping(early).Mappings()) > 0 {
			t.Errorf("%s: blank, it is %+v", name, blank)
		}
	}
}

// TestWhatALaterReadingDoesNotShowIsWithdrawn, and nothing else.
func TestWhatALaterReadingDoesNotShowIsWithdrawn(t *testing.T) {
	const one, other = "subscription-1", "subscription-2"
	shows := func(key, product string, days, epoch int) []aggregate.Sighting {
		s := read(sighting("price_x", key, "evt_1", days), one, epoch)
		s.Product = product
		return []aggregate.Sighting{s}
	}
	was := shows("team", "prod", 1, 0)
	plain := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	mapped := see(plain, was[0])
	old := plain.WithMapping(aggregate.PriceMapping{Schema: 1, Price: "price_x", Tier: "team", LookupKey: "team", StripeEventID: "evt_1", SeenAt: at(day)})
	at1 := map[string]int{one: 1}
	for name, test := range map[string]struct {
		history aggregate.Catalogs
		was, is []aggregate.Sighting
		epochs  map[string]int
		want    *aggregate.MappingWithdrawal
	}{
		"another key":              {mapped, was, shows("all", "prod", 1, 1), at1, &aggregate.MappingWithdrawal{Stream: one, SupersededBy: 1}},
		"no key":                   {mapped, was, nil, at1, &aggregate.MappingWithdrawal{Stream: one, SupersededBy: 1}},
		"another time":             {mapped, was, shows("team", "prod", 2, 1), at1, &aggregate.MappingWithdrawal{Stream: one, SupersededBy: 1}},
		"another product":          {mapped, was, shows("team", "prod_all", 1, 1), at1, &aggregate.MappingWithdrawal{Stream: one, SupersededBy: 1}},
		"the same in a later fact": {mapped, was, shows("team", "prod", 1, 1), at1, nil},
		"no later fact":            {mapped, was, nil, map[string]int{one: 0}, nil},
		"a later fact elsewhere":   {mapped, was, nil, map[string]int{one: 0, other: 8}, nil},
		"nothing recorded, but to be expected": {plain, was, shows("all", "prod", 1, 1), at1,
			&aggregate.MappingWithdrawal{Stream: one, SupersededBy: 1}},
		"forestalled by an earlier sighting, as things stand": {see(plain, sighting("price_x", "all", "evt_0", 0)), was, nil, at1,
			&aggregate.MappingWithdrawal{Stream: one, SupersededBy: 1}},
		"withdrawn already":            {plain.WithWithdrawal(withdrawal("price_x", "evt_1")), was, nil, at1, nil},
		"a key of nothing":             {plain, shows("nothing", "prod", 1, 0), nil, at1, nil},
		"recorded without a stream":    {old, nil, nil, map[string]int{one: 1, other: 8}, &aggregate.MappingWithdrawal{SupersededBy: 8}},
		"recorded so, and shown still": {old, was, shows("team", "prod", 1, 1), at1, nil},
	} {
		var want []aggregate.MappingWithdrawal
		if w := test.want; w != nil {
			w.Schema, w.Price, w.StripeEventID = aggregate.Schema, "price_x", "evt_1"
			want = append(want, *w)
		}
		got := test.history.Superseded("evt_1", test.was, test.is, test.epochs)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if other := test.history.Superseded("evt_2", nil, nil, test.epochs); len(other) > 0 {
			t.Errorf("%s: of another event, %+v", name, other)
		}
	}
}

// see posts events that show prices, one after the other.
func see(h aggregate.Catalogs, sightings ...aggregate.Sighting) aggregate.Catalogs {
	for _, s := range sightings {
		for _, m := range h.NewMappings([]aggregate.Sighting{s}) {
			h = h.WithMapping(m)
		}
	}
	return h
}

// TestAStoreForgetsWhatRepudiatedEventsShowed: whatever came in which order, and
// whatever was repudiated in between, prices map as if the repudiated events had
// never been told.
func TestAStoreForgetsWhatRepudiatedEventsShowed(t *testing.T) {
	plain := adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0)
	rapid.Check(t, func(t *rapid.T) {
		var all, kept []aggregate.Sighting
		repudiated := map[string]bool{}
		for i := range rapid.IntRange(1, 8).Draw(t, "events") {
			s := sighting(drawOne(t, "price", "price_x", "price_y"), drawOne(t, "key", "team", "all", "seats", "nothing"),
				fmt.Sprintf("evt_%d", i), rapid.IntRange(1, 3).Draw(t, "day"))
			all = append(all, s)
			if repudiated[s.StripeEventID] = rapid.Bool().Draw(t, "repudiated"); !repudiated[s.StripeEventID] {
				kept = append(kept, s)
			}
		}
		h := plain
		var told []aggregate.Sighting
		out := map[string]bool{}
		repudiate := func(s aggregate.Sighting) {
			if !repudiated[s.StripeEventID] || out[s.StripeEventID] {
				return
			}
			out[s.StripeEventID] = true
			for _, w := range h.Withdrawals(s.StripeEventID, []aggregate.Sighting{s}) {
				h = h.WithWithdrawal(w)
			}
			h = see(h, slices.DeleteFunc(slices.Clone(told), func(s aggregate.Sighting) bool { return out[s.StripeEventID] })...)
		}
		for _, s := range rapid.Permutation(all).Draw(t, "order") {
			if early := rapid.Bool().Draw(t, "repudiated while others are still to come"); early && len(told) > 0 {
				repudiate(drawOne(t, "early", told...))
			}
			if !out[s.StripeEventID] {
				h, told = see(h, s), append(told, s)
			}
		}
		for _, s := range rapid.Permutation(all).Draw(t, "order of repudiation") {
			repudiate(s)
		}
		want := see(plain, kept...)
		for _, item := range []aggregate.Item{{Price: "price_x"}, {Price: "price_y"}, {Price: "price_x", LookupKey: "all"}} {
			got, _ := h.MappingOf(item.Price)
			expected, _ := want.MappingOf(item.Price)
			if got != expected || h.Current().Match(item) != want.Current().Match(item) {
				t.Fatalf("%+v: %+v stands, want %+v", item, got, expected)
			}
		}
	})
}

// What a build of today stores must be read for ever: of a repudiated event, and of
// one that was read otherwise later.
const (
	storedWithdrawal   = `{"schema":1,"price":"price_x","stripe_event_id":"evt_1","withdrawn_at":"2026-03-01T12:00:00Z"}`
	storedSupersession = `{"schema":1,"price":"price_x","stripe_event_id":"evt_1","superseded_by":9,"stream":"subscription-sub_1","withdrawn_at":"2026-03-01T12:00:00Z"}`
)

func TestStoredWithdrawalsAreReadForEver(t *testing.T) {
	repudiated, superseded := withdrawal("price_x", "evt_1"), withdrawal("price_x", "evt_1")
	superseded.Stream, superseded.SupersededBy = "subscription-sub_1", 9
	for stored, want := range map[string]aggregate.MappingWithdrawal{storedWithdrawal: repudiated, storedSupersession: superseded} {
		want.WithdrawnAt = day0
		if data, err := json.Marshal(want); err != nil || string(data) != stored {
			t.Errorf("stored %s, %v", data, err)
		}
		got, err := aggregate.DecodeCatalogEvent("PriceMappingWithdrawn", []byte(stored))
		if err != nil || got.Withdrawn == nil || *got.Withdrawn != want || got.Price() != "price_x" || !got.RecordedAt().Equal(day0) {
			t.Errorf("read %+v, %v", got, err)
		}
	}
	for name, data := range map[string]string{
		"a newer schema": `{"schema":2,"price":"p","stripe_event_id":"e"}`, "no price": `{"schema":1,"stripe_event_id":"e"}`,
		"no event": `{"schema":1,"price":"p"}`, "no JSON": `{`, "before all": `{"schema":1,"price":"p","stripe_event_id":"e","superseded_by":-1}`,
		"a stream for ever": `{"schema":1,"price":"p","stripe_event_id":"e","stream":"s-1"}`,
	} {
		if w, err := aggregate.DecodeMappingWithdrawn("PriceMappingWithdrawn", []byte(data)); err == nil {
			t.Errorf("%s: read %+v", name, w)
		}
	}
	if _, err := aggregate.DecodeMappingWithdrawn("PriceMapped", []byte(storedMapping)); !errors.Is(err, aggregate.ErrUnknownType) {
		t.Errorf("error %v, want ErrUnknownType", err)
	}
}
