package aggregate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

const fullCatalog = `{
  "grace_period": "7d", "free_tier": "free", "upgrade_url": "https://example.com/up",
  "on_dispute": "keep", "async_payment": "grant",
  "tiers": [
    {"id": "free", "name": "Free", "features": ["read"], "limits": {"members": 5}},
    {"id": "team", "name": "Team", "features": ["write"], "limits": {"members": {"per_unit": 10}, "rooms": 3},
     "prices": ["price_t", "lookup:team", "product:prod_t"]},
    {"id": "all", "name": "All", "limits": {"members": "unlimited"}, "prices": ["price_all"]}
  ],
  "addons": [{"id": "seats", "features": ["sso"], "limits_add": {"members": {"per_unit": 50}, "rooms": 1}, "prices": ["lookup:seats"]}]
}`

func decodeFull(t *testing.T) aggregate.Catalogs {
	t.Helper()
	c, err := aggregate.DecodeCatalog([]byte(fullCatalog))
	if err != nil {
		t.Fatal(err)
	}
	return aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: c.Hash(), Catalog: c})
}

func TestQuantitiesAndAddons(t *testing.T) {
	catalogs := decodeFull(t)
	truth := aggregate.SubscriptionTruth{ID: "sub_1", Status: aggregate.Active, Tier: "team", Items: []aggregate.Item{
		{Price: "price_x", LookupKey: "team", Quantity: 4}, {Price: "price_s", LookupKey: "seats", Quantity: 2}}}
	e, _ := aggregate.Entitle("a", aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{truth}}, catalogs, day0)
	if e.Limits["members"] != 4*10+2*50 || e.Limits["rooms"] != 4 {
		t.Errorf("limits %v, want members 140, rooms 4", e.Limits)
	}
	if got := strings.Join(e.Features, ","); got != "read,write,sso" {
		t.Errorf("features %s", got)
	}
	kept := truth
	kept.Items = []aggregate.Item{{Price: "price_nobody_knows", Quantity: 7}}
	e, _ = aggregate.Entitle("a", aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{kept}}, catalogs, day0)
	if e.Limits["members"] != 70 {
		t.Errorf("a tier kept from an earlier price: members %d, want those of 7 units", e.Limits["members"])
	}
	truth.Status = aggregate.Canceled
	e, _ = aggregate.Entitle("a", aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{truth}}, catalogs, day0)
	if e.Limits["members"] != 5 || strings.Join(e.Features, ",") != "read" {
		t.Errorf("cancelled: limits %v, features %v: add-ons must end with the subscription", e.Limits, e.Features)
	}
}

func TestUnlimitedSurvivesEveryEncoding(t *testing.T) {
	for _, want := range []string{`"unlimited"`, `0`, `2500`} {
		var l aggregate.Limit
		if err := l.UnmarshalJSON([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, _ := l.MarshalJSON(); string(got) != want {
			t.Errorf("%s became %s", want, got)
		}
	}
}

func TestBuiltinCatalogIsValid(t *testing.T) {
	c := aggregate.BuiltinCatalog()
	if c.LimitsOf("enterprise", 1)["members"] != aggregate.Unlimited || len(c.FeaturesOf("elite")) != 17 {
		t.Errorf("enterprise %v, elite %v", c.LimitsOf("enterprise", 1), c.FeaturesOf("elite"))
	}
	if time.Duration(c.GracePeriod) != 24*time.Hour || c.Rank("premium") != 2 {
		t.Errorf("grace %v, rank of premium %d", c.GracePeriod, c.Rank("premium"))
	}
}

func TestEveryFaultOfACatalogIsListed(t *testing.T) {
	_, err := aggregate.DecodeCatalog([]byte(`{
	  "grace_period": "31d", "free_tier": "nope", "colour": "red", "on_dispute": "sulk",
	  "tiers": [
	    {"id": "a", "limits": {"n": 9}, "prices": ["p", "lookup:"], "price": "x"},
	    {"id": "a", "limits": {"n": 8}, "prices": ["p"]}],
	  "addons": [{"id": "", "prices": ["p"]}]}`))
	var faults aggregate.CatalogFaults
	if !errors.As(err, &faults) {
		t.Fatalf("error %v, want CatalogFaults", err)
	}
	for _, want := range []string{"grace_period", "free_tier", "colour: unknown", "on_dispute", "tiers[0].price: unknown",
		`tiers[0].prices: "lookup:"`, "tiers[1].id", "tiers[1].limits.n", `tiers[1].prices: "p"`, "addons[0].id", `addons[0].prices: "p"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault for %s in: %v", want, err)
		}
	}
}

func TestAWrongTypeNamesItsPlace(t *testing.T) {
	for bad, want := range map[string]string{
		`[]`:            "wrong kind of value: array",
		`{"tiers": 3}`:  "tiers: wrong kind of value: number",
		`{"tiers":[7]}`: "tiers[0]: wrong kind of value: number",
		`{"tiers":[{"id":"a"},{"id":"b","limits":{"n":-1}}]}`:            "tiers[1].limits: limit -1: want a whole number from 0, or unlimited",
		`{"tiers":[{"id":"a","limits":{"n":{"per_unit":0}}}]}`:           "tiers[0].limits: limit {\"per_unit\":0}: want {per_unit: N} with N of at least 1",
		`{"tiers":[{"id":"a"},{"id":"b"},{"id":"c","features":"read"}]}`: "tiers[2].features: wrong kind of value: string",
		`{"tiers":[{"id":"a","features":["read",{"of":7}]}]}`:            "tiers[0].features: wrong kind of value: object",
		`{"tiers":[{"id":7,"prices":{}}],"addons":[{"prices":1}],"upgrade_url":[]}`: "addons[0].prices: wrong kind of value: number; tiers[0].id: wrong kind of value: number; " +
			"tiers[0].prices: wrong kind of value: object; upgrade_url: wrong kind of value: array",
		`{"grace_period":"soon","tiers":[{"id":"a"}]}`: `grace_period: duration "soon": want one like 24h or 7d`,
	} {
		if _, err := aggregate.DecodeCatalog([]byte(bad)); err == nil || err.Error() != "catalog: "+want {
			t.Errorf("%s: %v, want %s", bad, err, want)
		}
	}
}
