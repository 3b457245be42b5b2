package intake

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// Posted reports whether the journal's entries of a type are posted: events of a
// Stripe type, or observations of a kind of object.
func Posted(entryType string) bool {
	_, observed := observations[entryType]
	return observed || Told(entryType)
}

// Told reports whether events of a Stripe type state facts.
func Told(eventType string) bool {
	_, told := translations[eventType]
	return told
}

// ToldTypes lists the types of Stripe event that state facts: those, and no
// others, an endpoint should be sent. Test clocks exist in test mode alone.
func ToldTypes(livemode bool) []string {
	types := slices.Sorted(maps.Keys(translations))
	return slices.DeleteFunc(types, func(t string) bool { return livemode && strings.HasPrefix(t, "test_helpers.") })
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

// Translate returns the facts that an event states. It returns none for types
// that are not posted, and for checkout sessions that sell no subscription.
// Every error is a *TranslationError.
//
// The facts of a connected account name its customers as acct_…/cus_…, and
// nothing that its owner could write as he likes: neither accounts of ours nor
// products and lookup keys. Which mode an event belongs to makes no difference
// here.
func (t *Translator) Translate(eventType string, body []byte) ([]StreamFact, error) {
	translation, posted := translations[eventType]
	if !posted {
		return nil, nil
	}
	head, out, err := translation.read(t, eventType, body)
	if err != nil {
		return nil, translationError(eventID(body), eventType, err)
	}
	for i := range out {
		out[i].Fact.Type = translation.fact
		out[i].Fact.Key.StripeEventID = head.id
		out[i].Fact.OccurredAt = head.created
	}
	return out, nil
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
