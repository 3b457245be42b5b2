package intake

import (
	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wireCreditNote holds every place, of any API version, that we read in a
// credit note.
type wireCreditNote struct {
	Object   *string   `json:"object"`
	ID       reference `json:"id"`
	Invoice  reference `json:"invoice"`
	Customer reference `json:"customer"`
	Status   word      `json:"status"`
	Reason   word      `json:"reason"`
	Currency *word     `json:"currency"`
	Amount   *whole    `json:"amount"`
	Total    *whole    `json:"total"`
	Created  *moment   `json:"created"`
	VoidedAt *moment   `json:"voided_at"`

	// Refunds are those that the note led to, since 2025-03-31.basil.
	Refunds []struct {
		Refund reference `json:"refund"`
	} `json:"refunds"`
	// Before that there was at most one.
	Refund reference `json:"refund"`
}

func (n *wireCreditNote) check(string) error {
	if err := checkObject(n.Object, "credit_note", n.ID); err != nil {
		return err
	}
	switch {
	case !n.Invoice.named():
		return unreadable("invoice", "missing or malformed")
	case n.Status == "":
		return unreadable("status", "missing")
	}
	return checkMoney(n.Currency, first(n.Amount, n.Total), "amount")
}

// creditNote translates the events of credit notes.
func (t *Translator) creditNote(_ string, data *wireData[wireCreditNote]) ([]StreamFact, error) {
	n := data.Object
	snapshot := &aggregate.CreditNoteSnapshot{
		ID:        string(n.ID),
		Invoice:   string(n.Invoice),
		Customer:  t.customer(n.Customer),
		Status:    string(n.Status),
		Reason:    string(n.Reason),
		Currency:  currency(n.Currency),
		Amount:    int64(valueOf(first(n.Amount, n.Total))),
		Refunds:   n.refunds(),
		CreatedAt: timeOf(n.Created),
		VoidedAt:  timeOf(n.VoidedAt),
	}
	snapshot.Flags = moneyFlags(n.Currency, snapshot.Amount)
	return []StreamFact{{
		Stream: eventstore.NewStream(InvoiceCategory, snapshot.Invoice),
		Fact:   aggregate.Fact{CreditNote: snapshot},
	}}, nil
}

func (n *wireCreditNote) refunds() []string {
	var refunds []string
	for _, r := range n.Refunds {
		if r.Refund != "" {
			refunds = append(refunds, string(r.Refund))
		}
	}
	if len(refunds) == 0 && n.Refund != "" {
		return []string{string(n.Refund)}
	}
	return refunds
}
