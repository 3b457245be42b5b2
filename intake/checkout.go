package intake

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wireCheckout is a checkout session. Its shape is the same in all versions.
type wireCheckout struct {
	Object          *string   `json:"object"`
	ID              reference `json:"id"`
	Subscription    reference `json:"subscription"`
	Customer        reference `json:"customer"`
	Metadata        metadata  `json:"metadata"`
	ClientReference *string   `json:"client_reference_id"`
	Mode            *string   `json:"mode"`
	Status          *string   `json:"status"`
	PaymentStatus   *string   `json:"payment_status"`
	Currency        *string   `json:"currency"`
	AmountTotal     *whole    `json:"amount_total"`
}

// checkout translates checkout.session.completed. A session that sells no
// subscription gives no facts.
func (t *Translator) checkout(object jsontext.Value) ([]StreamFact, error) {
	var wire wireCheckout
	if err := json.Unmarshal(object, &wire, decodeOptions); err != nil {
		return nil, inField("data.object", err)
	}
	switch {
	case wire.Object != nil && *wire.Object != "checkout.session":
		return nil, unreadable("data.object.object", "not a checkout session")
	case !wire.ID.named():
		return nil, unreadable("data.object.id", "missing or malformed")
	case wire.Subscription == "" && valueOf(wire.Mode) == "subscription":
		return nil, unreadable("data.object.subscription", "missing")
	case wire.Subscription == "":
		return nil, nil
	case !wire.Subscription.named():
		return nil, unreadable("data.object.subscription", "malformed")
	}
	return []StreamFact{{
		Stream: eventstore.NewStream(SubscriptionCategory, string(wire.Subscription)),
		Fact:   aggregate.Fact{Checkout: t.checkoutSnapshot(&wire)},
	}}, nil
}

func (t *Translator) checkoutSnapshot(c *wireCheckout) *aggregate.CheckoutSnapshot {
	account, invalid := t.account(c.Metadata)
	client := valueOf(c.ClientReference)
	if t.connected != "" {
		client = "" // not ours to trust
	}
	if client != "" && !aggregate.ValidAccount(client) {
		client, invalid = "", true
	}
	snapshot := &aggregate.CheckoutSnapshot{
		ID:              string(c.ID),
		Subscription:    string(c.Subscription),
		Customer:        t.customer(c.Customer),
		Account:         account,
		ClientReference: client,
		Mode:            valueOf(c.Mode),
		Status:          valueOf(c.Status),
		PaymentStatus:   valueOf(c.PaymentStatus),
		Currency:        strings.ToLower(valueOf(c.Currency)),
		AmountTotal:     int64(valueOf(c.AmountTotal)),
	}
	if invalid {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagAccountInvalid)
	}
	return snapshot
}
