package intake

import (
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wireInvoice holds every place, of any API version, that we read in an
// invoice.
type wireInvoice struct {
	Object             *string             `json:"object"`
	ID                 reference           `json:"id"`
	Customer           reference           `json:"customer"`
	Status             *string             `json:"status"`
	BillingReason      *string             `json:"billing_reason"`
	CollectionMethod   *string             `json:"collection_method"`
	Currency           *word               `json:"currency"`
	AmountDue          *whole              `json:"amount_due"`
	AmountPaid         *whole              `json:"amount_paid"`
	AmountRemaining    *whole              `json:"amount_remaining"`
	Total              *whole              `json:"total"`
	AttemptCount       *whole              `json:"attempt_count"`
	Created            *moment             `json:"created"`
	DueDate            *moment             `json:"due_date"`
	NextPaymentAttempt *moment             `json:"next_payment_attempt"`
	Transitions        wireTransitions     `json:"status_transitions"`
	Lines              *wireList[wireLine] `json:"lines"`

	// Parent names the subscription since 2025-03-31.basil.
	Parent *struct {
		Details *wireDetails `json:"subscription_details"`
	} `json:"parent"`
	// Before that it stood here, its metadata beside it since 2023.
	Subscription reference    `json:"subscription"`
	Details      *wireDetails `json:"subscription_details"`
	// These are gone since 2025-03-31.basil.
	PaidOutOfBand *bool     `json:"paid_out_of_band"`
	PaymentIntent reference `json:"payment_intent"`
	Charge        reference `json:"charge"`
	// Paid and Forgiven told the status until 2018-11-08.
	Paid     *bool `json:"paid"`
	Forgiven *bool `json:"forgiven"`
	// Date is the name of created, and Billing that of collection_method, in
	// old versions; FinalizedAt stood on top for a few months.
	Date        *moment `json:"date"`
	Billing     *string `json:"billing"`
	FinalizedAt *moment `json:"finalized_at"`
}

// wireDetails is what an invoice says of its subscription.
type wireDetails struct {
	Subscription reference `json:"subscription"`
	Metadata     metadata  `json:"metadata"`
}

type wireTransitions struct {
	FinalizedAt     *moment `json:"finalized_at"`
	PaidAt          *moment `json:"paid_at"`
	VoidedAt        *moment `json:"voided_at"`
	UncollectibleAt *moment `json:"marked_uncollectible_at"`
}

// wireLine is one line of an invoice.
type wireLine struct {
	ID           reference `json:"id"`
	Type         *string   `json:"type"`
	Subscription reference `json:"subscription"`
	Metadata     metadata  `json:"metadata"`
	Parent       *struct {
		Type string `json:"type"`
	} `json:"parent"`
}

// ofSubscription reports a line that bills a subscription's item, and whose
// metadata is therefore the subscription's.
func (l *wireLine) ofSubscription() bool {
	if l.Parent != nil {
		return l.Parent.Type == "subscription_item_details"
	}
	return valueOf(l.Type) == "subscription"
}

// statusOf tells, for types of event whose name says it, what an invoice is.
// Versions before 2018-11-08 show neither word; a deleted invoice has none.
var statusOf = map[string]string{
	invoiceVoided:        "void",
	invoiceUncollectible: "uncollectible",
	invoiceDeleted:       "deleted",
}

// invoice translates the invoice events.
func (t *Translator) invoice(eventType string, data *wireData[wireInvoice]) ([]StreamFact, error) {
	snapshot := t.invoiceSnapshot(eventType, data.Object)
	if eventType == observedInvoice && snapshot.Status == "draft" {
		return nil, nil // nobody owes it yet, and Stripe's events that we post do not tell of it either
	}
	stream := eventstore.NewStream(InvoiceCategory, snapshot.ID)
	if snapshot.Subscription != "" {
		stream = eventstore.NewStream(SubscriptionCategory, snapshot.Subscription)
	}
	return []StreamFact{{Stream: stream, Fact: aggregate.Fact{Invoice: snapshot}}}, nil
}

func (i *wireInvoice) check(eventType string) error {
	if err := checkObject(i.Object, "invoice", i.ID); err != nil {
		return err
	}
	switch subscription := i.subscription(); {
	case subscription != "" && !subscription.named():
		return unreadable("subscription", "malformed")
	case i.status(eventType) == "":
		return unreadable("status", "missing, and paid too")
	case eventType == invoiceDeleted:
		return nil // it was a draft, and of what is gone no more need be shown
	case i.Total == nil:
		return unreadable("total", "missing")
	case first(i.Created, i.Date) == nil:
		return unreadable("created", "missing")
	}
	return checkMoney(i.Currency, i.AmountDue, "amount_due")
}

// status is Stripe's, or what the event's name or the fields say that stood for
// it until 2018-11-08. An invoice that was then closed unpaid was still owed.
func (i *wireInvoice) status(eventType string) string {
	named := statusOf[eventType]
	switch {
	case eventType == invoiceDeleted:
		return named // whatever moment the object shows
	case valueOf(i.Status) != "":
		return *i.Status
	case named != "":
		return named
	case i.Paid == nil:
		return ""
	case *i.Paid:
		return "paid"
	case valueOf(i.Forgiven):
		return "uncollectible"
	}
	return "open"
}

func (t *Translator) invoiceSnapshot(eventType string, i *wireInvoice) *aggregate.InvoiceSnapshot {
	account, invalid := t.account(i.subscriptionMetadata())
	snapshot := &aggregate.InvoiceSnapshot{
		ID:                 string(i.ID),
		Subscription:       string(i.subscription()),
		Customer:           t.customer(i.Customer),
		Account:            account,
		Status:             i.status(eventType),
		BillingReason:      valueOf(i.BillingReason),
		CollectionMethod:   valueOf(first(i.CollectionMethod, i.Billing)),
		Currency:           currency(i.Currency),
		AmountDue:          int64(valueOf(i.AmountDue)),
		Total:              int64(valueOf(i.Total)),
		AttemptCount:       int64(valueOf(i.AttemptCount)),
		CreatedAt:          timeOf(first(i.Created, i.Date)),
		DueDate:            timeOf(i.DueDate),
		FinalizedAt:        timeOf(first(i.Transitions.FinalizedAt, i.FinalizedAt)),
		PaidAt:             timeOf(i.Transitions.PaidAt),
		VoidedAt:           timeOf(i.Transitions.VoidedAt),
		UncollectibleAt:    timeOf(i.Transitions.UncollectibleAt),
		NextPaymentAttempt: timeOf(i.NextPaymentAttempt),
		PaidOutOfBand:      valueOf(i.PaidOutOfBand),
		PaymentIntent:      string(i.PaymentIntent),
		Charge:             string(i.Charge),
	}
	snapshot.AmountPaid, snapshot.AmountRemaining = i.amounts(snapshot.Status)
	// A total below zero is a credit, and nothing odd.
	snapshot.Flags = moneyFlags(i.Currency, snapshot.AmountDue, snapshot.AmountPaid, snapshot.AmountRemaining)
	if invalid {
		snapshot.Flags = append(snapshot.Flags, aggregate.FlagAccountInvalid)
	}
	return snapshot
}

// amounts returns what was paid and what is still owed. Until 2017 neither was
// told: an invoice was paid in full or not at all.
func (i *wireInvoice) amounts(status string) (paid, remaining int64) {
	due := int64(valueOf(i.AmountDue))
	if status == "paid" {
		paid = due
	}
	if i.AmountPaid != nil {
		paid = int64(*i.AmountPaid)
	}
	remaining = due - paid
	if i.AmountRemaining != nil {
		remaining = int64(*i.AmountRemaining)
	}
	return paid, remaining
}

// subscription is the one that the invoice bills, empty if it names none. The
// oldest invoices name it only as the id of a line.
func (i *wireInvoice) subscription() reference {
	if i.Parent != nil && i.Parent.Details != nil && i.Parent.Details.Subscription != "" {
		return i.Parent.Details.Subscription
	}
	if i.Subscription != "" || i.Lines == nil {
		return i.Subscription
	}
	for _, line := range i.Lines.Data {
		switch {
		case valueOf(line.Type) != "subscription":
		case line.Subscription != "":
			return line.Subscription
		case strings.HasPrefix(string(line.ID), "sub_"):
			return line.ID
		}
	}
	return ""
}

// subscriptionMetadata is the invoice's copy of its subscription's metadata:
// the newest place that has one.
func (i *wireInvoice) subscriptionMetadata() metadata {
	if i.Parent != nil && i.Parent.Details != nil && i.Parent.Details.Metadata != nil {
		return i.Parent.Details.Metadata
	}
	if i.Details != nil && i.Details.Metadata != nil {
		return i.Details.Metadata
	}
	if i.Lines == nil {
		return nil
	}
	for _, line := range i.Lines.Data {
		if line.ofSubscription() && len(line.Metadata) > 0 {
			return line.Metadata
		}
	}
	return nil
}
