package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// SourceAPI is the source of what Stripe's API answered: events that came by no
// webhook, and objects, which are no events at all.
const SourceAPI = "stripe-api"

// Observation is an object as Stripe's API answered with it. It is recorded like
// an event, in a stream of the journal of its own, with the raw answer as its
// content and the object's kind as its type, and states facts like one.
type Observation struct {
	// Kind is Stripe's name of the object's kind, as in "subscription".
	Kind string
	// ObjectID is the object's.
	ObjectID string
	Livemode bool
	// AskedAt is the second of the question: see aggregate.Fact.
	AskedAt time.Time
	// Raw is the answer, byte by byte.
	Raw []byte
}

// observedSession and observedInvoice are kinds whose objects are not always
// more than a plan.
const (
	observedSession = "checkout.session"
	observedInvoice = "invoice"
)

// observations says of which kinds of object the API is asked, and what an
// answer is a statement of.
var observations = map[string]struct {
	fact aggregate.FactType
	read observer
}{
	"subscription":  {aggregate.SubscriptionObserved, observing((*Translator).subscription)},
	"customer":      {aggregate.CustomerObserved, observing((*Translator).customerFacts)},
	observedInvoice: {aggregate.InvoiceObserved, observing((*Translator).invoice)},
	observedSession: {aggregate.CheckoutObserved, observing((*Translator).checkout)},
}

// observer reads an object without an event around it.
type observer func(t *Translator, kind string, raw []byte) ([]StreamFact, error)

// observing makes the observer from what reads the object in its events.
func observing[T any, O wireObject[T]](facts func(*Translator, string, *wireData[T]) ([]StreamFact, error)) observer {
	return func(t *Translator, kind string, raw []byte) ([]StreamFact, error) {
		object := new(T)
		if err := json.Unmarshal(raw, object, decodeOptions); err != nil {
			return nil, err
		}
		if err := O(object).check(kind); err != nil {
			return nil, err
		}
		return facts(t, kind, &wireData[T]{Object: object})
	}
}

// Observe returns the facts that an observation states: those that an event with
// the object's snapshot would. An invoice that is a draft, and a session that is
// not complete, state none yet. The facts have no Stripe event id: which is
// decided when the observation is recorded. Every error is a *TranslationError.
func (t *Translator) Observe(o Observation) ([]StreamFact, error) {
	return t.observe("", o.Kind, o.AskedAt, o.Raw)
}

func (t *Translator) observe(id, kind string, at time.Time, raw []byte) ([]StreamFact, error) {
	observation, known := observations[kind]
	if !known {
		return nil, nil
	}
	facts, err := observation.read(t, kind, raw)
	if err != nil {
		return nil, translationError(id, kind, err)
	}
	for i := range facts {
		facts[i].Fact.Type = observation.fact
		facts[i].Fact.Key.StripeEventID = id
		facts[i].Fact.OccurredAt = at
	}
	return facts, nil
}

// TranslateEntry returns the facts that an entry of the journal states, be it an
// event or an observation. Every error but that of a receipt that cannot be read
// is a *TranslationError.
func (t *Translator) TranslateEntry(entry eventstore.RecordedEvent) ([]StreamFact, error) {
	if _, may := observations[entry.Type]; !may {
		return t.Translate(entry.Type, entry.Data)
	}
	receipt, err := DecodeReceipt(entry.Metadata)
	if err != nil || receipt.Source != SourceAPI {
		return nil, err
	}
	return t.observe(entry.Stream.ID(), entry.Type, receipt.EventCreated, entry.Data)
}

// Entry makes the entry to record an observation that states fact, given the
// Stripe event (or the observation) that told of the object last, if any did.
// Its id follows from these: the same answer to the same state of the record is
// the same entry, whoever asked, and however often; and an answer that was given
// before is another one once something else was told in between.
func (o Observation) Entry(fact aggregate.Fact, last string) (Entry, error) {
	fact.Key.StripeEventID, fact.OccurredAt = "answer", time.Time{}
	says, err := aggregate.Encode(aggregate.Event{Fact: &fact})
	if err != nil {
		return Entry{}, fmt.Errorf("name the answer about %s: %w", o.ObjectID, err)
	}
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(o.Kind), []byte(o.ObjectID), []byte(last), says} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return Entry{
		Body: o.Raw,
		Envelope: Envelope{
			ID:   "api_" + plain(o.ObjectID) + "_" + hex.EncodeToString(sum.Sum(nil)[:8]),
			Type: o.Kind, Created: o.AskedAt, Livemode: o.Livemode,
		},
		Source: SourceAPI,
	}, nil
}

// maxPlain bounds how much of an object's id stands in the entry's.
const maxPlain = 200

// plain is an id with nothing in it that an event's id may not have.
func plain(id string) string {
	id = id[:min(len(id), maxPlain)]
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, id)
}
