package aggregate_test

import (
	"testing"

	"github.com/daybookhq/daybook/aggregate"
)

func TestAMatchTellsItsRule(t *testing.T) {
	catalog, err := aggregate.DecodeCatalog([]byte(`{"free_tier":"free","tiers":[{"id":"free","name":"Free"},
		{"id":"pro","name":"Pro","prices":["price_pro","product:prod_pro","lookup:pro"]}],
		"addons":[{"id":"seats","prices":["lookup:seats"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	history := aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Catalog: catalog}).
		WithMapping(aggregate.PriceMapping{Price: "price_old", Tier: "pro", LookupKey: "pro"})
	for item, want := range map[aggregate.Item]aggregate.PriceMatch{
		{Price: "price_pro", LookupKey: "seats"}:                    {Tier: "pro", Rule: aggregate.RulePrice},
		{Price: "price_old", LookupKey: "seats"}:                    {Tier: "pro", Rule: aggregate.RuleRecorded},
		{Price: "price_1", Product: "prod_pro", LookupKey: "seats"}: {Tier: "pro", Rule: aggregate.RuleProduct},
		{Price: "price_1", LookupKey: "seats"}:                      {Addon: "seats", Rule: aggregate.RuleLookupKey},
		{Price: "price_1", LookupKey: "other", Product: "prod_x"}:   {},
	} {
		if got := history.Current().Match(item); got != want {
			t.Errorf("%+v matches %+v, want %+v", item, got, want)
		}
	}
}
