package aggregate

import (
	"errors"
	"fmt"
	"time"
)

// Schema is the version of the stored shape of every event of this package.
const Schema = 1

// ErrUnknownType is returned for an event type that this build does not know:
// a newer one wrote it.
var ErrUnknownType = errors.New("unknown event type")

// storedFact is the stored shape of a fact.
type storedFact struct {
	Schema        int                   `json:"schema"`
	StripeEventID string                `json:"stripe_event_id"`
	Ordinal       int                   `json:"ordinal,omitempty"`
	Epoch         int                   `json:"epoch,omitempty"`
	OccurredAt    time.Time             `json:"occurred_at"`
	Subscription  *SubscriptionSnapshot `json:"subscription,omitempty"`
	Invoice       *InvoiceSnapshot      `json:"invoice,omitempty"`
	Checkout      *CheckoutSnapshot     `json:"checkout,omitempty"`

	Payment        *PaymentSnapshot        `json:"payment,omitempty"`
	InvoicePayment *InvoicePaymentSnapshot `json:"invoice_payment,omitempty"`
	Refund         *RefundSnapshot         `json:"refund,omitempty"`
	Dispute        *DisputeSnapshot        `json:"dispute,omitempty"`
	CreditNote     *CreditNoteSnapshot     `json:"credit_note,omitempty"`
	Customer       *CustomerSnapshot       `json:"customer,omitempty"`
	Entitlements   *EntitlementsSnapshot   `json:"entitlements,omitempty"`
	Payout         *PayoutSnapshot         `json:"payout,omitempty"`
	Clock          *ClockSnapshot          `json:"clock,omitempty"`
	Repudiation    *Repudiation            `json:"repudiation,omitempty"`
	Retraction     *Retraction             `json:"retraction,omitempty"`
}

// storedNote is the stored shape of a note.
type storedNote struct {
	Schema        int       `json:"schema"`
	Note          bool      `json:"note"`
	StripeEventID string    `json:"stripe_event_id,omitempty"`
	ConcludedAt   time.Time `json:"concluded_at"`
	Anchor        time.Time `json:"anchor,omitzero"`
	Until         time.Time `json:"until,omitzero"`
	Invoice       string    `json:"invoice,omitempty"`
	Catalog       string    `json:"catalog,omitempty"`
	FromTier      string    `json:"from_tier,omitempty"`
	ToTier        string    `json:"to_tier,omitempty"`
	FromStatus    Status    `json:"from_status,omitempty"`
	ToStatus      Status    `json:"to_status,omitempty"`
}

// Encode returns the stored form of an event, to be kept under e.Type().
func Encode(e Event) ([]byte, error) {
	switch {
	case e.Fact != nil && e.Note == nil && e.Decision == nil:
		return encodeFact(*e.Fact)
	case e.Note != nil && e.Fact == nil && e.Decision == nil:
		return encodeNote(*e.Note)
	case e.Decision != nil && e.Fact == nil && e.Note == nil:
		return encodeDecision(*e.Decision)
	}
	return nil, errors.New("encode event: want a fact, a note or a decision, and one of them alone")
}

func encodeFact(f Fact) ([]byte, error) {
	b, err := factPrint.encode(&storedFact{
		Schema: Schema, StripeEventID: f.Key.StripeEventID, Ordinal: f.Key.Ordinal, Epoch: f.Epoch,
		OccurredAt:   f.OccurredAt.UTC(),
		Subscription: f.Subscription, Invoice: f.Invoice, Checkout: f.Checkout,
		Payment: f.Payment, InvoicePayment: f.InvoicePayment, Refund: f.Refund, Dispute: f.Dispute,
		CreditNote: f.CreditNote, Customer: f.Customer, Entitlements: f.Entitlements,
		Payout: f.Payout, Clock: f.Clock, Repudiation: f.Repudiation, Retraction: f.Retraction,
	})
	if err != nil {
		return nil, fmt.Errorf("encode fact %s: %w", f.Type, err)
	}
	return b, nil
}

func encodeNote(n Note) ([]byte, error) {
	b, err := notePrint.encode(&storedNote{
		Schema: Schema, Note: true, StripeEventID: n.StripeEventID, ConcludedAt: n.ConcludedAt.UTC(),
		Anchor: n.Anchor, Until: n.Until, Invoice: n.Invoice, Catalog: n.Catalog,
		FromTier: n.FromTier, ToTier: n.ToTier, FromStatus: n.FromStatus, ToStatus: n.ToStatus,
	})
	if err != nil {
		return nil, fmt.Errorf("encode note %s: %w", n.Type, err)
	}
	return b, nil
}

// Decode reads the stored form of an event. A type that it does not know gives
// ErrUnknownType; a schema newer than ours, or a shape that does not fit the
// type, an error.
func Decode(eventType string, data []byte) (Event, error) {
	var keepsNothing *Decoder
	return keepsNothing.Decode(eventType, data)
}

// Decode reads the stored form of an event: see the function Decode.
func (d *Decoder) Decode(eventType string, data []byte) (Event, error) {
	switch NoteType(eventType) {
	case GracePeriodStarted, GracePeriodCleared, GracePeriodExpired, TierChanged, SubscriptionRestated:
		return d.decodeNote(NoteType(eventType), data)
	}
	if _, known := (&Fact{Type: FactType(eventType)}).snapshotOf(); known {
		return d.decodeFact(FactType(eventType), data)
	}
	if t := DecisionType(eventType); t.known() {
		return decodeDecision(t, data)
	}
	return Event{}, fmt.Errorf("decode %q: %w", eventType, ErrUnknownType)
}

func (d *Decoder) decodeFact(t FactType, data []byte) (Event, error) {
	s, complete := d.readFact(data)
	if !complete {
		var err error
		if s, err = decodeGenerally[storedFact](string(t), data); err != nil {
			return Event{}, err
		}
	}
	f := d.newFact()
	*f = Fact{
		Type: t, Key: FactKey{StripeEventID: s.StripeEventID, Ordinal: s.Ordinal}, Epoch: s.Epoch,
		OccurredAt:   s.OccurredAt,
		Subscription: s.Subscription, Invoice: s.Invoice, Checkout: s.Checkout,
		Payment: s.Payment, InvoicePayment: s.InvoicePayment, Refund: s.Refund, Dispute: s.Dispute,
		CreditNote: s.CreditNote, Customer: s.Customer, Entitlements: s.Entitlements,
		Payout: s.Payout, Clock: s.Clock, Repudiation: s.Repudiation, Retraction: s.Retraction,
	}
	if err := f.validate(); err != nil {
		return Event{}, fmt.Errorf("decode %s: %w", t, err)
	}
	return Event{Fact: f}, checkSchema(string(t), s.Schema)
}

func (d *Decoder) decodeNote(t NoteType, data []byte) (Event, error) {
	s, complete := noteForm.read(data, d)
	if !complete {
		var err error
		if s, err = decodeGenerally[storedNote](string(t), data); err != nil {
			return Event{}, err
		}
	}
	return Event{Note: &Note{
		Type: t, StripeEventID: s.StripeEventID, ConcludedAt: s.ConcludedAt,
		Anchor: s.Anchor, Until: s.Until, Invoice: s.Invoice, Catalog: s.Catalog,
		FromTier: s.FromTier, ToTier: s.ToTier, FromStatus: s.FromStatus, ToStatus: s.ToStatus,
	}}, checkSchema(string(t), s.Schema)
}

// How what is stored is read and written.
var (
	factForm, noteForm   = formOf[storedFact](), formOf[storedNote]()
	factPrint, notePrint = printOf[storedFact](), printOf[storedNote]()
)

// decodeGenerally reads what no form does.
func decodeGenerally[T any](eventType string, data []byte) (value T, err error) {
	err = decodeStored(eventType, data, &value)
	return value, err
}

func decodeStored(eventType string, data []byte, into any) error {
	if err := unmarshalStored(data, into); err != nil {
		return fmt.Errorf("decode %s: %w", eventType, err)
	}
	return nil
}

func checkSchema(eventType string, schema int) error {
	if schema < 1 || schema > Schema {
		return fmt.Errorf("decode %s: schema %d, this build reads up to %d", eventType, schema, Schema)
	}
	return nil
}

// validate checks that the fact has the one snapshot that its type needs.
func (f *Fact) validate() error {
	if present, _ := f.snapshotOf(); !present || f.snapshots() != 1 {
		return fmt.Errorf("%s without its snapshot", f.Type)
	}
	if f.Key.StripeEventID == "" {
		return fmt.Errorf("%s without a Stripe event id", f.Type)
	}
	return nil
}
