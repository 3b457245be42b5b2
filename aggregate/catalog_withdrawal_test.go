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

func TestNothingIsWithdrawnThatNobodyMapped(t *testing.T) {
	h := see(adopt(aggregate.Catalogs{}, catalogOf(t, mappingCatalog), day0), sighting("price_x", "team", "evt_1", 1))
	for name, s := range map[string]aggregate.Sighting{
		"what was seen before stands": sighting("price_x", "all", "evt_2", 2),
		"a price of the catalog":      sighting("price_t", "all", "evt_2", 2),
		"a key of nothing":            sighting("price_y", "nothing", "evt_2", 2),
	} {
		if got := h.Withdrawals("evt_2", []aggregate.Sighting{s}); len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
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

// storedWithdrawal is what a build of today stores; it must be read for ever.
const storedWithdrawal = `{"schema":1,"price":"price_x","stripe_event_id":"evt_1","withdrawn_at":"2026-03-01T12:00:00Z"}`

func TestStoredWithdrawalsAreReadForEver(t *testing.T) {
	want := withdrawal("price_x", "evt_1")
	want.WithdrawnAt = day0
	if data, err := json.Marshal(want); err != nil || string(data) != storedWithdrawal {
		t.Errorf("stored %s, %v", data, err)
	}
	got, err := aggregate.DecodeCatalogEvent("PriceMappingWithdrawn", []byte(storedWithdrawal))
	if err != nil || got.Withdrawn == nil || *got.Withdrawn != want || got.Price() != "price_x" || !got.RecordedAt().Equal(day0) {
		t.Errorf("read %+v, %v", got, err)
	}
	for name, data := range map[string]string{
		"a newer schema": `{"schema":2,"price":"p","stripe_event_id":"e"}`, "no price": `{"schema":1,"stripe_event_id":"e"}`,
		"no event": `{"schema":1,"price":"p"}`, "no JSON": `{`,
	} {
		if w, err := aggregate.DecodeMappingWithdrawn("PriceMappingWithdrawn", []byte(data)); err == nil {
			t.Errorf("%s: read %+v", name, w)
		}
	}
	if _, err := aggregate.DecodeMappingWithdrawn("PriceMapped", []byte(storedMapping)); !errors.Is(err, aggregate.ErrUnknownType) {
		t.Errorf("error %v, want ErrUnknownType", err)
	}
}
