package intake

import (
	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wirePayout is a payout. Until 2017 payouts were transfers, which are not
// posted.
type wirePayout struct {
	Object      *string   `json:"object"`
	ID          reference `json:"id"`
	Status      word      `json:"status"`
	Currency    *word     `json:"currency"`
	Amount      *whole    `json:"amount"`
	FailureCode word      `json:"failure_code"`
	ArrivalDate *moment   `json:"arrival_date"`
	Created     *moment   `json:"created"`
}

func (p *wirePayout) check(string) error {
	if err := checkObject(p.Object, "payout", p.ID); err != nil {
		return err
	}
	if p.Status == "" {
		return unreadable("status", "missing")
	}
	return checkMoney(p.Currency, p.Amount, "amount")
}

// payout translates the events of payouts. A negative amount is nothing odd
// here: it takes back from the bank what the merchant owes.
func (t *Translator) payout(_ string, data *wireData[wirePayout]) ([]StreamFact, error) {
	p := data.Object
	snapshot := &aggregate.PayoutSnapshot{
		ID:          string(p.ID),
		Status:      string(p.Status),
		Currency:    currency(p.Currency),
		Amount:      int64(valueOf(p.Amount)),
		FailureCode: string(p.FailureCode),
		ArrivesAt:   timeOf(p.ArrivalDate),
		CreatedAt:   timeOf(p.Created),
	}
	snapshot.Flags = moneyFlags(p.Currency)
	return []StreamFact{{
		Stream: eventstore.NewStream(PayoutCategory, snapshot.ID),
		Fact:   aggregate.Fact{Payout: snapshot},
	}}, nil
}
