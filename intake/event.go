package intake

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wireEvent is a Stripe event about an object of type T.
type wireEvent[T any] struct {
	ID      string       `json:"id"`
	Created *moment      `json:"created"`
	Data    *wireData[T] `json:"data"`
	Account string       `json:"account"`
}

type wireData[T any] struct {
	Object *T `json:"object"`
	// Previous holds the old values of what the event changed, still unread.
	Previous jsontext.Value `json:"previous_attributes"`
}

// eventHead is what every fact of an event has from the event itself.
type eventHead struct {
	id      string
	created time.Time
}

// reader reads an event of one of the types that it is for.
type reader func(t *Translator, eventType string, body []byte) (eventHead, []StreamFact, error)

// wireObject is an object that can tell what an event of a type needs of it and
// it lacks.
type wireObject[T any] interface {
	*T
	check(eventType string) error
}

// reading makes the reader of events whose objects are of type T, from the
// function that says which facts a checked object states. The object is decoded
// together with the event: that is most of the work, and is done once.
func reading[T any, O wireObject[T]](facts func(*Translator, string, *wireData[T]) ([]StreamFact, error)) reader {
	return func(t *Translator, eventType string, body []byte) (eventHead, []StreamFact, error) {
		var event wireEvent[T]
		if err := json.Unmarshal(body, &event, decodeOptions); err != nil {
			return eventHead{}, nil, err
		}
		if err := event.check(); err != nil {
			return eventHead{}, nil, err
		}
		if err := O(event.Data.Object).check(eventType); err != nil {
			return eventHead{}, nil, inField("data.object", err)
		}
		out, err := facts(t.of(event.Account), eventType, event.Data)
		return eventHead{event.ID, event.Created.time()}, out, err
	}
}

func (e *wireEvent[T]) check() error {
	switch {
	case !printable(e.ID):
		return unreadable("id", "missing or malformed")
	case e.Created == nil:
		return unreadable("created", "missing")
	case e.Account != "" && !printable(e.Account):
		return unreadable("account", "malformed")
	case e.Data == nil || e.Data.Object == nil:
		return unreadable("data.object", "missing")
	}
	return nil
}

// eventID finds the id of an event that could not be read, as far as it can be:
// what is no id is not quoted.
func eventID(body []byte) string {
	var event struct {
		ID string `json:"id"`
	}
	// The id counts even if what follows it is broken.
	if _ = json.Unmarshal(body, &event, decodeOptions); !validEventID(event.ID) {
		return ""
	}
	return event.ID
}

// checkObject checks what all objects have: the name of their kind, and an id
// that can end a stream's name.
func checkObject(object *string, kind string, id reference) error {
	switch {
	case object != nil && *object != kind:
		return unreadable("object", "not a Stripe "+kind)
	case !id.named():
		return unreadable("id", "missing or malformed")
	}
	return nil
}
