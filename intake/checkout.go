package intake

import (
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
	Currency        *word     `json:"currency"`
	AmountTotal     *whole    `json:"amount_total"`
}

func (c *wireCheckout) check(eventType string) error {
	if err := checkObject(c.Object, "checkout.session", c.ID); err != nil {
		return err
	}
	switch {
	case eventType == observedSession && !c.complete():
	case c.Subscription == "" && valueOf(c.Mode) == "subscription" && eventType != checkoutExpired:
		return unreadable("subscription", "missing")
	case c.Subscription != "" && !c.Subscription.named():
		return unreadable("subscription", "malformed")
	}
	return nil
}

func (c *wireCheckout) complete() bool { return valueOf(c.Status) == "complete" }

// checkout translates the events of checkout sessions. One that sold no
// subscription gives no facts.
func (t *Translator) checkout(eventType string, data *wireData[wireCheckout]) ([]StreamFact, error) {
	if data.Object.Subscription == "" || eventType == observedSession && !data.Object.complete() {
		return nil, nil
	}
	snapshot := t.checkoutSnapshot(data.Object)
	return []StreamFact{{
		Stream: eventstore.NewStream(SubscriptionCategory, snapshot.Subscription),
		Fact:   aggregate.Fact{Checkout: snapshot},
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
		Currency:        currency(c.Currency),
		AmountTotal:     int64(valueOf(c.AmountTotal)),
	}
	snapshot.Flags = moneyFlags(c.Currency, snapshot.AmountTotal)
	if invalid {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagAccountInvalid)
	}
	return snapshot
}
