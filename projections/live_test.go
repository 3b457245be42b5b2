package projections_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

func TestASubscriptionGivesItsAccountATier(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "team-42", aggregate.Active, "price_premium", begin)
	r.settle()

	e := r.entitlement("team-42")
	if !e.Known || e.Tier != "premium" || e.SubscriptionID != "sub_1" || e.Epoch != epoch {
		t.Errorf("entitlement %+v", e)
	}
	record, known, err := r.model.Subscription(t.Context(), "sub_1")
	if err != nil || !known || record.Account != "team-42" || record.Status != aggregate.Active {
		t.Errorf("subscription %+v, %v, %v", record, known, err)
	}
	account, known, err := r.model.Account(t.Context(), "team-42")
	if err != nil || !known || len(account.Subscriptions) != 1 || !slices.Equal(account.Customers, []string{"cus_sub_1"}) {
		t.Errorf("account %+v, %v, %v", account, known, err)
	}
	r.sameAsRebuilt()
}

func TestAnUnknownAccountIsOnTheFreeTier(t *testing.T) {
	r := newRig(t)
	r.start()
	r.settle()
	if e := r.entitlement("nobody"); e.Known || e.Tier != "starter" || e.Epoch != epoch {
		t.Errorf("entitlement %+v", e)
	}
}

func TestTheBestOfSeveralSubscriptionsDecides(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.subscribed("sub_2", "a", aggregate.Active, "price_elite", begin)
	r.settle()
	if e := r.entitlement("a"); e.Tier != "elite" || e.SubscriptionID != "sub_2" {
		t.Errorf("entitlement %+v", e)
	}
	r.subscribed("sub_2", "a", aggregate.Canceled, "price_elite", begin.Add(time.Minute))
	r.settle()
	if e := r.entitlement("a"); e.Tier != "basic" || e.SubscriptionID != "sub_1" {
		t.Errorf("after the better one ended: %+v", e)
	}
	r.sameAsRebuilt()
}

func TestABetterLinkMovesTheSubscriptionWhole(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "", aggregate.Active, "price_basic", begin)
	r.settle()
	r.wantTier("cus_sub_1", "basic", "before")
	r.subscribed("sub_1", "team", aggregate.Active, "price_basic", begin.Add(time.Minute))
	r.settle()
	if e := r.entitlement("cus_sub_1"); e.Known {
		t.Errorf("the old account still has %+v", e)
	}
	r.wantTier("team", "basic", "the new account")
	if counts, err := r.model.Counts(t.Context()); err != nil || counts["accounts"] != 1 || counts["subscriptions.active"] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
	r.sameAsRebuilt()
}

func TestAPriceInNoCatalogIsListed(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_unheard_of", begin)
	r.settle()
	unmapped, err := r.model.Unmapped(t.Context())
	if err != nil || len(unmapped) != 1 || unmapped[0].Price != "price_unheard_of" || !slices.Equal(unmapped[0].Subscriptions, []string{"sub_1"}) {
		t.Errorf("unmapped %+v, %v", unmapped, err)
	}
	flagged, err := r.model.Subscriptions(t.Context(), projections.SubscriptionFilter{Flag: aggregate.FlagUnmappedPrice})
	if err != nil || len(flagged) != 1 {
		t.Errorf("flagged %+v, %v", flagged, err)
	}
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin.Add(time.Minute))
	r.settle()
	if unmapped, err = r.model.Unmapped(t.Context()); err != nil || len(unmapped) != 0 {
		t.Errorf("once it maps: %+v, %v", unmapped, err)
	}
	r.sameAsRebuilt()
}

func TestANewCatalogIsAppliedToEverySubscription(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_gold", begin)
	r.settle()
	r.wantTier("a", "starter", "before")
	catalog := aggregate.BuiltinCatalog()
	catalog.Tiers[3].Prices = append(catalog.Tiers[3].Prices, "price_gold")
	r.adopt(catalog)
	r.settle()
	if e := r.entitlement("a"); e.Tier != catalog.Tiers[3].ID {
		t.Errorf("after: %+v", e)
	}
	if h, err := r.model.Catalogs(t.Context()); err != nil || h.CurrentHash() != catalog.Hash() {
		t.Errorf("catalogs %v, %v", h.CurrentHash(), err)
	}
	r.subscribed("sub_2", "b", aggregate.Active, "price_gold", begin)
	r.settle()
	r.sameAsRebuilt()
}

func TestAFailureStandsUntilItIsRepaired(t *testing.T) {
	r := newRig(t)
	r.start()
	failed, err := json.Marshal(map[string]any{"schema": 1, "stripe_event_id": "evt_1", "event_type": "invoice.paid",
		"reason": "no subscription", "failed_at": begin})
	if err != nil {
		t.Fatal(err)
	}
	r.appendRaw("posting-evt_1", "PostingFailed", failed)
	r.settle()
	failures, err := r.model.Failures(t.Context())
	if err != nil || len(failures) != 1 || failures[0].StripeEventID != "evt_1" || failures[0].Reason != "no subscription" ||
		!failures[0].FailedAt.Equal(begin) || failures[0].EventType != "invoice.paid" {
		t.Errorf("failures %+v, %v", failures, err)
	}
	r.sameAsRebuilt()
	r.appendRaw("posting-evt_1", "PostingRepaired", []byte(`{"schema":1,"stripe_event_id":"evt_1"}`))
	r.settle()
	if failures, err = r.model.Failures(t.Context()); err != nil || len(failures) != 0 {
		t.Errorf("after the repair: %+v, %v", failures, err)
	}
	r.sameAsRebuilt()
	r.appendRaw("posting-evt_1", "PostingFailed", failed)
	r.appendRaw("posting-evt_1", "EventRepudiated", []byte(`{"schema":1,"stripe_event_id":"evt_1","actor":"ann","reason":"forged by hand"}`))
	r.settle()
	if failures, err = r.model.Failures(t.Context()); err != nil || len(failures) != 0 {
		t.Errorf("after the repudiation: %+v, %v", failures, err)
	}
	if parked, err := r.model.Parked(t.Context()); err != nil || len(parked) != 0 {
		t.Errorf("parked %+v, %v", parked, err)
	}
	r.sameAsRebuilt()
}

func TestOneStreamThatCannotBeAppliedStopsNoOther(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.appendRaw("subscription-sub_1", "SomethingNewer", []byte(`{}`))
	r.subscribed("sub_1", "a", aggregate.Canceled, "price_basic", begin.Add(time.Minute))
	r.subscribed("sub_2", "b", aggregate.Active, "price_elite", begin)
	r.appendRaw("customer-cus_1", "SubscriptionStarted", []byte(`not JSON`))
	r.appendRaw("posting-evt_9", "PostingFailed", []byte(`{"schema":99}`))
	r.appendRaw("catalog-main", aggregate.CatalogAdoptedType, []byte(`{"schema":99}`))
	r.settle()

	r.wantTier("a", "basic", "the parked stream's account")
	r.wantTier("b", "elite", "the other account")
	parked, err := r.model.Parked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	streams := []eventstore.Stream{}
	for _, p := range parked {
		streams = append(streams, p.Stream)
		if p.Error == "" || p.Position == 0 {
			t.Errorf("parked without a reason: %+v", p)
		}
	}
	if want := []eventstore.Stream{"subscription-sub_1", "customer-cus_1", "posting-evt_9", "catalog-main"}; !slices.Equal(streams, want) {
		t.Errorf("parked %v, want %v", streams, want)
	}
	if parked[0].Revision != 1 {
		t.Errorf("parked at revision %d, want 1", parked[0].Revision)
	}
	if s := r.runner.Status(t.Context()); s.Parked != 4 {
		t.Errorf("status %+v", s)
	}
	r.sameAsRebuilt()

	// A restart keeps what is parked, and what was last known.
	r.start()
	r.subscribed("sub_1", "a", aggregate.Canceled, "price_basic", begin.Add(time.Hour))
	r.settle()
	r.wantTier("a", "basic", "after a restart")
	r.sameAsRebuilt()
}

func TestSubscriptionsAreListedByWhatTheyAre(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.subscribed("sub_2", "a", aggregate.Trialing, "price_elite", begin)
	r.subscribed("sub_3", "b", aggregate.Active, "price_elite", begin)
	r.settle()
	for name, filter := range map[string]struct {
		filter projections.SubscriptionFilter
		want   []string
	}{
		"all":      {projections.SubscriptionFilter{}, []string{"sub_1", "sub_2", "sub_3"}},
		"status":   {projections.SubscriptionFilter{Status: aggregate.Active}, []string{"sub_1", "sub_3"}},
		"account":  {projections.SubscriptionFilter{Account: "a"}, []string{"sub_1", "sub_2"}},
		"customer": {projections.SubscriptionFilter{Customer: "cus_sub_3"}, []string{"sub_3"}},
		"tier":     {projections.SubscriptionFilter{Tier: "elite"}, []string{"sub_2", "sub_3"}},
		"two":      {projections.SubscriptionFilter{Tier: "elite", Status: aggregate.Active}, []string{"sub_3"}},
		"page":     {projections.SubscriptionFilter{After: "sub_1", Limit: 1}, []string{"sub_2"}},
		"none":     {projections.SubscriptionFilter{Flag: "x"}, nil},
	} {
		records, err := r.model.Subscriptions(t.Context(), filter.filter)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, record := range records {
			ids = append(ids, record.ID)
		}
		if !slices.Equal(ids, filter.want) {
			t.Errorf("%s: %v, want %v", name, ids, filter.want)
		}
	}
}
