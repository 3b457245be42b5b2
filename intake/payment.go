package intake

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wireCharge holds every place, of any API version, that we read in a charge.
type wireCharge struct {
	Object         *string   `json:"object"`
	ID             reference `json:"id"`
	Intent         reference `json:"payment_intent"`
	Customer       reference `json:"customer"`
	Status         word      `json:"status"`
	Currency       *word     `json:"currency"`
	Amount         *whole    `json:"amount"`
	AmountCaptured *whole    `json:"amount_captured"`
	AmountRefunded *whole    `json:"amount_refunded"`
	Captured       *bool     `json:"captured"`
	Refunded       *bool     `json:"refunded"`
	Disputed       *bool     `json:"disputed"`
	FailureCode    word      `json:"failure_code"`
	Created        *moment   `json:"created"`

	// Invoice is gone since 2025-03-31.basil: an invoice payment leads there.
	Invoice reference `json:"invoice"`
	// Paid told the status until 2014.
	Paid *bool `json:"paid"`
	// Dispute, the whole dispute or its id, came before disputed.
	Dispute jsontext.Value `json:"dispute"`
}

func (c *wireCharge) check(eventType string) error {
	if err := checkObject(c.Object, "charge", c.ID); err != nil {
		return err
	}
	if err := checkMoney(c.Currency, c.Amount, "amount"); err != nil {
		return err
	}
	switch {
	case c.Intent != "" && !c.Intent.named():
		return unreadable("payment_intent", "malformed")
	case c.Status == "" && c.Paid == nil:
		return unreadable("status", "missing, and paid too")
	case c.AmountRefunded == nil && eventType == chargeRefunded:
		return unreadable("amount_refunded", "missing")
	}
	return nil
}

// charge translates the events of charges.
func (t *Translator) charge(_ string, data *wireData[wireCharge]) ([]StreamFact, error) {
	c := data.Object
	snapshot := &aggregate.PaymentSnapshot{
		ID:             string(c.ID),
		Intent:         string(c.Intent),
		Charge:         string(c.ID),
		Customer:       t.customer(c.Customer),
		Invoice:        string(c.Invoice),
		Status:         c.status(),
		Currency:       currency(c.Currency),
		Amount:         int64(valueOf(c.Amount)),
		AmountReceived: c.received(),
		AmountRefunded: int64(valueOf(c.AmountRefunded)),
		Refunded:       valueOf(c.Refunded),
		Disputed:       valueOf(c.Disputed) || !absent(c.Dispute),
		FailureCode:    string(c.FailureCode),
		CreatedAt:      timeOf(c.Created),
	}
	snapshot.Flags = moneyFlags(c.Currency, snapshot.Amount, snapshot.AmountReceived, snapshot.AmountRefunded)
	if snapshot.AmountRefunded > max(snapshot.Amount, 0) {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagRefundExceedsCharge)
	}
	if c.contradicts() {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagStatusContradicted)
	}
	return paymentFact(c.Intent, c.ID, aggregate.Fact{Payment: snapshot}), nil
}

// status is Stripe's: its word for success was "paid" until 2015-02-18, and the
// oldest charges have none.
func (c *wireCharge) status() string {
	switch {
	case c.Status == "paid", c.Status == "" && valueOf(c.Paid):
		return "succeeded"
	case c.Status == "":
		return "failed"
	}
	return string(c.Status)
}

// contradicts reports a charge that says both that it was paid and that it was
// not.
func (c *wireCharge) contradicts() bool {
	status := c.status()
	return c.Paid != nil && (status == "succeeded" && !*c.Paid || status == "failed" && *c.Paid)
}

// received is what was taken: nothing while a charge is only authorised, or if
// it is not clear whether it was paid.
// How much was captured is told since 2020; before, a charge was captured whole
// and the rest refunded.
func (c *wireCharge) received() int64 {
	if c.status() != "succeeded" || c.contradicts() || c.Captured != nil && !*c.Captured {
		return 0
	}
	return int64(valueOf(first(c.AmountCaptured, c.Amount)))
}

// wireIntent holds every place, of any API version, that we read in a payment
// intent.
type wireIntent struct {
	Object         *string   `json:"object"`
	ID             reference `json:"id"`
	Customer       reference `json:"customer"`
	Status         word      `json:"status"`
	Currency       *word     `json:"currency"`
	Amount         *whole    `json:"amount"`
	AmountReceived *whole    `json:"amount_received"`
	LatestCharge   reference `json:"latest_charge"`
	LastError      *struct {
		Code word `json:"code"`
	} `json:"last_payment_error"`
	Created *moment `json:"created"`

	// Charges, the latest first, came before latest_charge, until 2022-11-15.
	Charges *wireList[reference] `json:"charges"`
	// Invoice is gone since 2025-03-31.basil.
	Invoice reference `json:"invoice"`
}

func (i *wireIntent) check(eventType string) error {
	if err := checkObject(i.Object, "payment_intent", i.ID); err != nil {
		return err
	}
	if err := checkMoney(i.Currency, i.Amount, "amount"); err != nil {
		return err
	}
	switch {
	case i.Status == "":
		return unreadable("status", "missing")
	case i.AmountReceived == nil && eventType == intentSucceeded:
		return unreadable("amount_received", "missing")
	}
	return nil
}

// intent translates the events of payment intents.
func (t *Translator) intent(_ string, data *wireData[wireIntent]) ([]StreamFact, error) {
	i := data.Object
	snapshot := &aggregate.PaymentSnapshot{
		ID:             string(i.ID),
		Intent:         string(i.ID),
		Charge:         string(i.charge()),
		Customer:       t.customer(i.Customer),
		Invoice:        string(i.Invoice),
		Status:         string(i.Status),
		Currency:       currency(i.Currency),
		Amount:         int64(valueOf(i.Amount)),
		AmountReceived: int64(valueOf(i.AmountReceived)),
		CreatedAt:      timeOf(i.Created),
	}
	if i.LastError != nil {
		snapshot.FailureCode = string(i.LastError.Code)
	}
	snapshot.Flags = moneyFlags(i.Currency, snapshot.Amount, snapshot.AmountReceived)
	return paymentFact(i.ID, "", aggregate.Fact{Payment: snapshot}), nil
}

func (i *wireIntent) charge() reference {
	if i.LatestCharge == "" && i.Charges != nil && len(i.Charges.Data) > 0 {
		return i.Charges.Data[0]
	}
	return i.LatestCharge
}

// paymentFact is a fact of a payment: of its intent's stream, where the event
// names one, else of its charge's. See aggregate.DerivePayments.
func paymentFact(intent, charge reference, fact aggregate.Fact) []StreamFact {
	if intent == "" {
		intent = charge
	}
	return []StreamFact{{Stream: eventstore.NewStream(PaymentCategory, string(intent)), Fact: fact}}
}

// checkParts checks the references by which something finds its payment.
func checkParts(intent, charge reference) error {
	switch {
	case intent != "" && !intent.named():
		return unreadable("payment_intent", "malformed")
	case intent == "" && charge == "":
		return unreadable("charge", "missing, and payment_intent too")
	case charge != "" && !charge.named():
		return unreadable("charge", "malformed")
	}
	return nil
}
