package intake

import (
	"slices"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wireCustomer is a customer, without what tells who it is.
type wireCustomer struct {
	Object    *string   `json:"object"`
	ID        reference `json:"id"`
	Metadata  metadata  `json:"metadata"`
	TestClock reference `json:"test_clock"`
	Deleted   *bool     `json:"deleted"`
	Created   *moment   `json:"created"`
}

func (c *wireCustomer) check(string) error { return checkObject(c.Object, "customer", c.ID) }

// customerFacts translates the customer events.
func (t *Translator) customerFacts(eventType string, data *wireData[wireCustomer]) ([]StreamFact, error) {
	c := data.Object
	account, invalid := t.account(c.Metadata)
	snapshot := &aggregate.CustomerSnapshot{
		ID:        t.customer(c.ID),
		Account:   account,
		Deleted:   valueOf(c.Deleted) || eventType == customerDeleted,
		TestClock: string(c.TestClock),
		CreatedAt: timeOf(c.Created),
	}
	if invalid {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagAccountInvalid)
	}
	return customerFact(snapshot.ID, aggregate.Fact{Customer: snapshot}), nil
}

// wireSummary is the summary of a customer's active entitlements. It has no id.
type wireSummary struct {
	Object       *string                    `json:"object"`
	Customer     reference                  `json:"customer"`
	Entitlements *wireList[wireEntitlement] `json:"entitlements"`
}

type wireEntitlement struct {
	LookupKey reference `json:"lookup_key"`
}

func (s *wireSummary) check(string) error {
	switch {
	case s.Object != nil && *s.Object != "entitlements.active_entitlement_summary":
		return unreadable("object", "not a summary of entitlements")
	case !s.Customer.named():
		return unreadable("customer", "missing or malformed")
	case s.Entitlements == nil:
		return unreadable("entitlements", "missing")
	}
	return nil
}

// entitlements translates entitlements.active_entitlement_summary.updated. The
// lookup keys of a connected account's features are its owner's.
func (t *Translator) entitlements(_ string, data *wireData[wireSummary]) ([]StreamFact, error) {
	s := data.Object
	snapshot := &aggregate.EntitlementsSnapshot{Customer: t.customer(s.Customer)}
	for _, e := range s.Entitlements.Data {
		if e.LookupKey != "" && t.connected == "" {
			snapshot.Features = append(snapshot.Features, string(e.LookupKey))
		}
	}
	slices.Sort(snapshot.Features)
	if s.Entitlements.HasMore {
		snapshot.Flags = append(snapshot.Flags, FlagItemsTruncated)
	}
	return customerFact(snapshot.Customer, aggregate.Fact{Entitlements: snapshot}), nil
}

func customerFact(customer string, fact aggregate.Fact) []StreamFact {
	return []StreamFact{{Stream: eventstore.NewStream(CustomerCategory, customer), Fact: fact}}
}
