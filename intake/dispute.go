package intake

import "github.com/daybookhq/daybook/aggregate"

// wireDispute is a dispute. What was said in it is not read.
type wireDispute struct {
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

// name is the dispute's id. The oldest disputes have none, and are known by
// their charge, which can then have but one.
func (d *wireDispute) name() reference {
	if d.ID == "" {
		return d.Charge
	}
	return d.ID
}

func (d *wireDispute) check(string) error {
	if err := checkObject(d.Object, "dispute", d.name()); err != nil {
		return err
	}
	if err := checkParts(d.Intent, d.Charge); err != nil {
		return err
	}
	if d.Status == "" {
		return unreadable("status", "missing")
	}
	return checkMoney(d.Currency, d.Amount, "amount")
}

// dispute translates the events of disputes.
func (t *Translator) dispute(_ string, data *wireData[wireDispute]) ([]StreamFact, error) {
	d := data.Object
	snapshot := &aggregate.DisputeSnapshot{
		ID:        string(d.name()),
		Intent:    string(d.Intent),
		Charge:    string(d.Charge),
		Status:    string(d.Status),
		Reason:    string(d.Reason),
		Currency:  currency(d.Currency),
		Amount:    int64(valueOf(d.Amount)),
		CreatedAt: timeOf(d.Created),
	}
	snapshot.Flags = moneyFlags(d.Currency, snapshot.Amount)
	return paymentFact(d.Intent, d.Charge, aggregate.Fact{Dispute: snapshot}), nil
}
