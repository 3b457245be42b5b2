package intake

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// The categories of the streams that facts go to.
const (
	SubscriptionCategory = "subscription"
	InvoiceCategory      = "invoice"
)

// The types of Stripe event that are posted. All others are recorded only.
const (
	checkoutCompleted       = "checkout.session.completed"
	subscriptionCreated     = "customer.subscription.created"
	subscriptionUpdated     = "customer.subscription.updated"
	subscriptionDeleted     = "customer.subscription.deleted"
	invoicePaid             = "invoice.paid"
	invoicePaymentSucceeded = "invoice.payment_succeeded"
	invoicePaymentFailed    = "invoice.payment_failed"
)

// Posted reports whether events of a Stripe type are posted.
func Posted(eventType string) bool {
	_, posted := factTypes[eventType]
	return posted
}

// factTypes says what a Stripe event of a type is a statement of.
// invoice.payment_succeeded tells of the same money as invoice.paid, and Stripe
// sends either or both: both give facts, and an invoice counts once.
var factTypes = map[string]aggregate.FactType{
	checkoutCompleted:       aggregate.CheckoutCompleted,
	subscriptionCreated:     aggregate.SubscriptionStarted,
	subscriptionUpdated:     aggregate.SubscriptionChanged,
	subscriptionDeleted:     aggregate.SubscriptionCanceled,
	invoicePaid:             aggregate.PaymentSucceeded,
	invoicePaymentSucceeded: aggregate.PaymentSucceeded,
	invoicePaymentFailed:    aggregate.PaymentFailed,
}

// Translator turns Stripe events into facts. It has no state: one event gives
// the same facts whenever and however often it is translated.
type Translator struct {
	// AccountKeys are the metadata keys that may name the account, in order of
	// preference.
	AccountKeys []string
	// connected is the Stripe account that the event at hand belongs to, empty
	// for our own.
	connected string
}

// StreamFact is a fact and the stream that it belongs to.
type StreamFact struct {
	Stream eventstore.Stream
	Fact   aggregate.Fact
}

// TranslationError says what in an event of a posted type could not be read.
// It never quotes the payload.
type TranslationError struct {
	StripeEventID string
	EventType     string
	// Field is the place, as in "data.object.status".
	Field  string
	Reason string
}

func (e *TranslationError) Error() string {
	return fmt.Sprintf("translate %s (%s): %s: %s", e.StripeEventID, e.EventType, e.Field, e.Reason)
}

// wireEvent is a Stripe event, its object still unread.
type wireEvent struct {
	ID      string    `json:"id"`
	Created *moment   `json:"created"`
	Data    *wireData `json:"data"`
	Account string    `json:"account"`
}

type wireData struct {
	Object   unread `json:"object"`
	Previous unread `json:"previous_attributes"`
}

// unread is a value that is yet to be decoded. Unlike a jsontext.Value it is no
// copy: it stays valid because the decoder reads from the body itself.
type unread []byte

func (u *unread) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	*u = unread(value)
	return err
}

func (u unread) absent() bool { return absent(jsontext.Value(u)) }

// Translate returns the facts that an event states. It returns none for types
// that are not posted, and for checkout sessions that sell no subscription.
// Every error is a *TranslationError.
//
// The facts of a connected account name its customers as acct_…/cus_…, and
// nothing that its owner could write as he likes: neither accounts of ours nor
// products and lookup keys. Which mode an event belongs to makes no difference
// here.
func (t *Translator) Translate(eventType string, body []byte) ([]StreamFact, error) {
	factType, posted := factTypes[eventType]
	if !posted {
		return nil, nil
	}
	var event wireEvent
	err := json.Unmarshal(body, &event, decodeOptions)
	if err == nil {
		err = event.check()
	}
	var out []StreamFact
	if err == nil {
		out, err = t.of(event.Account).translate(eventType, &event)
	}
	if err != nil {
		return nil, translationError(event.ID, eventType, err)
	}
	for i := range out {
		out[i].Fact.Type = factType
		out[i].Fact.Key.StripeEventID = event.ID
		out[i].Fact.OccurredAt = event.Created.time()
	}
	return out, nil
}

func (e *wireEvent) check() error {
	switch {
	case !printable(e.ID):
		return unreadable("id", "missing or malformed")
	case e.Created == nil:
		return unreadable("created", "missing")
	case e.Data == nil || e.Data.Object.absent():
		return unreadable("data.object", "missing")
	}
	return nil
}

func (t *Translator) translate(eventType string, event *wireEvent) ([]StreamFact, error) {
	switch eventType {
	case subscriptionCreated, subscriptionUpdated, subscriptionDeleted:
		return t.subscription(eventType, event.Data)
	case invoicePaid, invoicePaymentSucceeded, invoicePaymentFailed:
		return t.invoice(jsontext.Value(event.Data.Object))
	case checkoutCompleted:
		return t.checkout(jsontext.Value(event.Data.Object))
	}
	return nil, unreadable("type", "posted, but without a translation")
}

// fieldError is a fault at a place; Translate adds which event it was.
type fieldError struct{ field, reason string }

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

func unreadable(field, reason string) error { return &fieldError{field, reason} }

// inField places an error of the decoder, or one of ours, below a field.
func inField(prefix string, err error) error {
	field, reason := faultOf(err)
	if field == "" {
		return unreadable(prefix, reason)
	}
	return unreadable(prefix+"."+field, reason)
}

// faultOf tells the place and the reason of an error, without the values that
// decoders like to quote.
func faultOf(err error) (field, reason string) {
	var ours *fieldError
	if errors.As(err, &ours) {
		return ours.field, ours.reason
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		reason = "has an unexpected type"
		var value *valueError
		if errors.As(semantic.Err, &value) {
			reason = value.reason
		}
		return dotted(semantic.JSONPointer), reason
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return dotted(syntactic.JSONPointer), "not well-formed JSON"
	}
	return "", "cannot be read"
}

func dotted(p jsontext.Pointer) string {
	return strings.Join(strings.FieldsFunc(string(p), func(r rune) bool { return r == '/' }), ".")
}

func translationError(id, eventType string, err error) error {
	field, reason := faultOf(err)
	return &TranslationError{StripeEventID: id, EventType: eventType, Field: field, Reason: reason}
}

// of returns the translator for the events of a Stripe account.
func (t *Translator) of(account string) *Translator {
	if account == "" {
		return t
	}
	return &Translator{connected: account}
}

// customer is the name of a customer, told apart from those of other accounts.
func (t *Translator) customer(id reference) string {
	if t.connected == "" || id == "" {
		return string(id)
	}
	return t.connected + "/" + string(id)
}

// account returns the account that metadata names, and whether it names one
// that cannot be.
func (t *Translator) account(m metadata) (account string, invalid bool) {
	for _, key := range t.AccountKeys {
		if name, found := m[key]; found {
			if aggregate.ValidAccount(name) {
				return name, false
			}
			return "", true
		}
	}
	return "", false
}

// timeOf is the time of a field that may be absent.
func timeOf(m *moment) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.time()
}

// valueOf is the value of a field whose absence means the zero value.
func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// first is the first of several places that is there, nil if none is.
func first[T any](places ...*T) *T {
	for _, p := range places {
		if p != nil {
			return p
		}
	}
	return nil
}
