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

// TestAConnectedAccountsCustomersAreItsOwn: their names, and the streams of what
// is known of them, cannot be mistaken for those of our own customers.
func TestAConnectedAccountsCustomersAreItsOwn(t *testing.T) {
	connected := func(kind, object string) aggregate.Fact {
		t.Helper()
		body := []byte(`{"id":"evt_1","object":"event","created":1,"account":"acct_9","data":{"object":` + object + `}}`)
		facts, err := translator.Translate(kind, body)
		if err != nil || len(facts) != 1 {
			t.Fatalf("%s: %v, %v", kind, facts, err)
		}
		if f := facts[0].Fact; (f.Customer != nil || f.Entitlements != nil) && facts[0].Stream != "customer-acct_9/cus_1" {
			t.Errorf("%s: a fact of %s", kind, facts[0].Stream)
		}
		return facts[0].Fact
	}
	c := connected("customer.updated", `{"id":"cus_1","object":"customer","metadata":{"account_id":"victim"}}`).Customer
	if c.ID != "acct_9/cus_1" || c.Account != "" || c.Flags != nil {
		t.Errorf("customer %+v", c)
	}
	e := connected("entitlements.active_entitlement_summary.updated", `{"customer":"cus_1","entitlements":{"data":[{"lookup_key":"enterprise"}]}}`).Entitlements
	if e.Customer != "acct_9/cus_1" || e.Features != nil {
		t.Errorf("entitlements %+v: lookup keys are the owner's to write", e)
	}
	i := connected("invoice.paid", inv(`"customer":"cus_1","parent":{"subscription_details":{"subscription":"sub_1","metadata":{"account_id":"victim"}}}`)).Invoice
	if i.Customer != "acct_9/cus_1" || i.Account != "" {
		t.Errorf("invoice %+v", i)
	}
	for kind, object := range map[string]string{
		"charge.succeeded":         `{"id":"ch_1","customer":"cus_1","status":"succeeded","currency":"usd","amount":5}`,
		"payment_intent.succeeded": `{"id":"pi_1","customer":"cus_1","status":"succeeded","currency":"usd","amount":5,"amount_received":5}`,
	} {
		if p := connected(kind, object).Payment; p.Customer != "acct_9/cus_1" {
			t.Errorf("%s: customer %q", kind, p.Customer)
		}
	}
	n := connected("credit_note.created", `{"id":"cn_1","invoice":"in_1","customer":"cus_1","status":"issued","currency":"usd","amount":5}`).CreditNote
	if n.Customer != "acct_9/cus_1" {
		t.Errorf("credit note %+v", n)
	}
}

func TestAMalformedConnectedAccount(t *testing.T) {
	for _, account := range []string{`"acct 9"`, `"acct_\u0000"`, `7`, `{}`} {
		facts, err := translator.Translate("customer.updated", []byte(`{"id":"evt_1","created":1,"account":`+account+`,"data":{"object":{"id":"cus_1"}}}`))
		if err == nil || facts != nil {
			t.Errorf("%s: %v", account, facts)
		}
	}
}
