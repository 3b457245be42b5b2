package intake

import "github.com/daybookhq/daybook/aggregate"

// wireInvoicePayment is an invoice payment, which came with 2025-03-31.basil.
type wireInvoicePayment struct {
	Object      *string    `json:"object"`
	ID          reference  `json:"id"`
	Invoice     reference  `json:"invoice"`
	Status      word       `json:"status"`
	Currency    *word      `json:"currency"`
	AmountPaid  *whole     `json:"amount_paid"`
	Payment     wirePaidBy `json:"payment"`
	Transitions struct {
		PaidAt *moment `json:"paid_at"`
	} `json:"status_transitions"`
}

// wirePaidBy names the payment: an intent, a charge that has no intent, or the
// record of a payment that was made elsewhere.
type wirePaidBy struct {
	Intent reference `json:"payment_intent"`
	Charge reference `json:"charge"`
	Record reference `json:"payment_record"`
}

func (p *wireInvoicePayment) check(string) error {
	if err := checkObject(p.Object, "invoice_payment", p.ID); err != nil {
		return err
	}
	if !p.Invoice.named() {
		return unreadable("invoice", "missing or malformed")
	}
	if err := checkParts(p.Payment.Intent, p.Payment.part()); err != nil {
		return inField("payment", err)
	}
	return checkMoney(p.Currency, p.AmountPaid, "amount_paid")
}

// part is what the payment is known by if it has no intent.
func (p *wirePaidBy) part() reference {
	if p.Charge == "" {
		return p.Record
	}
	return p.Charge
}

// invoicePayment translates the events of invoice payments.
func (t *Translator) invoicePayment(_ string, data *wireData[wireInvoicePayment]) ([]StreamFact, error) {
	p := data.Object
	snapshot := &aggregate.InvoicePaymentSnapshot{
		ID:         string(p.ID),
		Invoice:    string(p.Invoice),
		Intent:     string(p.Payment.Intent),
		Charge:     string(p.Payment.Charge),
		Status:     string(p.Status),
		Currency:   currency(p.Currency),
		AmountPaid: int64(valueOf(p.AmountPaid)),
		PaidAt:     timeOf(p.Transitions.PaidAt),
	}
	snapshot.Flags = moneyFlags(p.Currency, snapshot.AmountPaid)
	return paymentFact(p.Payment.Intent, p.Payment.part(), aggregate.Fact{InvoicePayment: snapshot}), nil
}
