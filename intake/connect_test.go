package intake_test

import (
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

// TestAConnectedAccountClaimsNothingOfOurs: whoever owns a connected account
// writes its metadata, products and lookup keys as he likes.
func TestAConnectedAccountClaimsNothingOfOurs(t *testing.T) {
	translator := &intake.Translator{AccountKeys: []string{"account_id"}}
	const object = `{"id":"sub_1","object":"subscription","status":"active","customer":"cus_1","created":1,
		"metadata":{"account_id":"victim"},
		"items":{"data":[{"quantity":1,"price":{"id":"price_1","lookup_key":"enterprise","product":"prod_enterprise"}}]}}`
	const session = `{"id":"cs_1","object":"checkout.session","mode":"subscription","subscription":"sub_1","customer":"cus_1",
		"client_reference_id":"victim","metadata":{"account_id":"victim"},"payment_status":"paid","status":"complete"}`
	sub := aggregate.NewSubscription("sub_1")
	for eventType, body := range map[string]string{
		"customer.subscription.updated": `{"id":"evt_1","object":"event","created":1,"account":"acct_9","data":{"object":` + object +
			`,"previous_attributes":{"metadata":{"account_id":"other"}}}}`,
		"checkout.session.completed": `{"id":"evt_2","object":"event","created":1,"account":"acct_9","data":{"object":` + session + `}}`,
	} {
		facts, err := translator.Translate(eventType, []byte(body))
		if err != nil || len(facts) != 1 {
			t.Fatalf("%s: %v, %v", eventType, facts, err)
		}
		f := facts[0].Fact
		if s := f.Subscription; s != nil {
			if s.Items[0].LookupKey != "" || s.Items[0].Product != "" || s.Items[0].Price != "price_1" {
				t.Errorf("items %+v: want the price's id alone", s.Items)
			}
			if s.Before != s.Digest() {
				t.Error("the snapshot before was read by other rules than the present one")
			}
		}
		sub.Evolve(aggregate.Event{Fact: &f}, aggregate.Place{})
	}
	catalog := aggregate.BuiltinCatalog()
	truth := sub.Derive(aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), Catalog: catalog}))
	if truth.Link.Account != "acct_9/cus_1" || truth.Customer != "acct_9/cus_1" || truth.Tier != "" {
		t.Errorf("account %q, customer %q, tier %q", truth.Link.Account, truth.Customer, truth.Tier)
	}
}
