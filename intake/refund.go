package intake

import "github.com/daybookhq/daybook/aggregate"

// wireRefund is a refund. Its shape is the same in all versions; the intent and
// the status are younger than the oldest of them.
type wireRefund struct {
	Object   *string   `json:"object"`
	ID       reference `json:"id"`
	Intent   reference `json:"payment_intent"`
	Charge   reference `json:"charge"`
	Status   word      `json:"status"`
	Reason   word      `json:"reason"`
	Currency *word     `json:"currency"`
	Amount   *whole    `json:"amount"`
	Created  *moment   `json:"created"`
}

func (r *wireRefund) check(string) error {
	if err := checkObject(r.Object, "refund", r.ID); err != nil {
		return err
	}
	if err := checkParts(r.Intent, r.Charge); err != nil {
		return err
	}
	return checkMoney(r.Currency, r.Amount, "amount")
}

// refund translates the events of refunds.
func (t *Translator) refund(_ string, data *wireData[wireRefund]) ([]StreamFact, error) {
	r := data.Object
	snapshot := &aggregate.RefundSnapshot{
		ID:        string(r.ID),
		Intent:    string(r.Intent),
		Charge:    string(r.Charge),
		Status:    string(r.Status),
		Reason:    string(r.Reason),
		Currency:  currency(r.Currency),
		Amount:    int64(valueOf(r.Amount)),
		CreatedAt: timeOf(r.Created),
	}
	snapshot.Flags = moneyFlags(r.Currency, snapshot.Amount)
	return paymentFact(r.Intent, r.Charge, aggregate.Fact{Refund: snapshot}), nil
}
