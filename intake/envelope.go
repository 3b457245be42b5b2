package intake

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of object that a webhook endpoint is sent.
const (
	// ObjectEvent is an event that carries a snapshot of what it is about.
	ObjectEvent = "event"
	// ObjectThinEvent is a thin event: it names an object and carries none of
	// it. Thin events are recorded and never posted.
	ObjectThinEvent = "v2.core.event"
)

// The bounds of what is taken for an event.
const (
	maxDepth   = 64  // levels of objects and arrays
	maxMembers = 256 // members of the envelope itself
	maxName    = 255 // bytes of an event's id and of its type
	maxUnix    = 253402300799
)

// Envelope is what Stripe says about an event, as opposed to what the event
// says.
type Envelope struct {
	ID   string
	Type string
	// Created is Stripe's time of the event, in UTC; in whole seconds but for
	// thin events.
	Created time.Time
	// Livemode is false also where the event does not tell, as a few very old
	// ones do not.
	Livemode bool
	// Account is the connected account that the event is about, empty for the
	// platform's own events.
	Account string
	// APIVersion is a label for people: nothing is decided by it.
	APIVersion string
	// Object is ObjectEvent or ObjectThinEvent.
	Object string
}

// Thin reports whether this is a thin event.
func (e Envelope) Thin() bool { return e.Object == ObjectThinEvent }

// NotAnEventError says why a body was not taken for a Stripe event. Reason is
// one of a few fixed phrases: it never quotes the body.
type NotAnEventError struct{ Reason string }

func (e *NotAnEventError) Error() string { return "not a Stripe event: " + e.Reason }

func notAnEvent(reason string) error { return &NotAnEventError{Reason: reason} }

// decodeOptions are those of every decoder here. Duplicate names below the
// envelope are Stripe's affair: the last one counts. Escaped lone surrogates
// are grammatical JSON; raw bytes that are not UTF-8 are refused beforehand.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// ParseEnvelope reads the envelope of a Stripe event and checks that the whole
// body is well-formed JSON with nothing behind it. Every error is a
// *NotAnEventError.
func ParseEnvelope(body []byte) (Envelope, error) {
	switch {
	case len(bytes.TrimLeft(body, " \t\r\n")) == 0:
		return Envelope{}, notAnEvent("empty")
	case !utf8.Valid(body):
		return Envelope{}, notAnEvent("not UTF-8")
	case deeperThan(body, maxDepth):
		return Envelope{}, notAnEvent("nested too deeply")
	}
	raw, err := readMembers(body)
	if err != nil {
		return Envelope{}, err
	}
	return raw.envelope()
}

// deeperThan reports whether text opens more than limit objects and arrays at
// once. It is right for well-formed JSON, and harmless for anything else.
func deeperThan(text []byte, limit int) bool {
	// Most events do not even have that many, strings included.
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= limit {
		return false
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		case '"':
			i = endOfString(text, i+1)
		}
	}
	return false
}

// endOfString returns the index of the quote that ends the string whose first
// byte is at i, or the text's length.
func endOfString(text []byte, i int) int {
	for i < len(text) {
		switch text[i] {
		case '"':
			return i
		case '\\':
			i++
		}
		i++
	}
	return len(text)
}

// members are the parts of an envelope that we read, as raw JSON.
type members struct {
	id, kind, created, livemode, account, apiVersion, object jsontext.Value
}

// readMembers walks the top level of body, and so checks all of it.
func readMembers(body []byte) (members, error) {
	var raw members
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), decodeOptions)
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return raw, syntaxFault(err)
		}
		return raw, notAnEvent("not an object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return raw, syntaxFault(err)
	}
	seen := make([]string, 0, 16)
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return raw, syntaxFault(err)
		}
		name := token.String()
		switch {
		case slices.Contains(seen, name):
			return raw, notAnEvent("a key is there twice")
		case len(seen) == maxMembers:
			return raw, notAnEvent("too many keys")
		}
		seen = append(seen, name)
		value, err := dec.ReadValue()
		if err != nil {
			return raw, syntaxFault(err)
		}
		raw.keep(name, value)
	}
	if _, err := dec.ReadToken(); err != nil {
		return raw, syntaxFault(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return raw, notAnEvent("something follows the object")
	}
	return raw, nil
}

// keep remembers a value that the envelope is made of. Values stay valid: the
// decoder reads from the body itself.
func (m *members) keep(name string, value jsontext.Value) {
	switch name {
	case "id":
		m.id = value
	case "type":
		m.kind = value
	case "created":
		m.created = value
	case "livemode":
		m.livemode = value
	case "account":
		m.account = value
	case "api_version":
		m.apiVersion = value
	case "object":
		m.object = value
	}
}

func syntaxFault(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return notAnEvent("truncated")
	}
	return notAnEvent("not JSON")
}

// envelope checks the members and gives them their types.
func (m *members) envelope() (Envelope, error) {
	var e Envelope
	var ok bool
	if e.Object, ok = text(m.object); !ok || e.Object != ObjectEvent && e.Object != ObjectThinEvent {
		return Envelope{}, notAnEvent("object is not an event")
	}
	if e.ID, ok = text(m.id); !ok || !validEventID(e.ID) {
		return Envelope{}, notAnEvent("no valid id")
	}
	if e.Type, ok = text(m.kind); !ok || !printable(e.Type) {
		return Envelope{}, notAnEvent("no valid type")
	}
	if e.Created, ok = m.createdTime(e.Thin()); !ok {
		return Envelope{}, notAnEvent("no valid created")
	}
	if e.Livemode, ok = boolean(m.livemode); !ok {
		return Envelope{}, notAnEvent("livemode is not a boolean")
	}
	if e.Account, ok = textOrNull(m.account); !ok {
		return Envelope{}, notAnEvent("account is not a string")
	}
	if e.APIVersion, ok = textOrNull(m.apiVersion); !ok {
		return Envelope{}, notAnEvent("api_version is not a string")
	}
	return e, nil
}

// createdTime reads whole seconds since 1970 or, in a thin event, RFC 3339.
func (m *members) createdTime(thin bool) (time.Time, bool) {
	if thin {
		s, ok := text(m.created)
		if !ok {
			return time.Time{}, false
		}
		t, err := time.Parse(time.RFC3339, s)
		return t.UTC(), err == nil && t.Unix() >= 0
	}
	n, err := strconv.ParseInt(string(m.created), 10, 64)
	if err != nil || n < 0 || n > maxUnix {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

// text reads a JSON string.
func text(v jsontext.Value) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	// A lone surrogate is an error here too, though its text is usable.
	b, _ := jsontext.AppendUnquote(nil, v)
	return string(b), true
}

func textOrNull(v jsontext.Value) (string, bool) {
	if absent(v) {
		return "", true
	}
	return text(v)
}

func boolean(v jsontext.Value) (value, ok bool) {
	if absent(v) {
		return false, true
	}
	return v.Kind() == 't', v.Kind() == 't' || v.Kind() == 'f'
}

// absent reports a value that is missing or null: Stripe means the same by both.
func absent(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == 'n' }

// validEventID reports [A-Za-z0-9_]{1,255}: what may follow "stripeEvent-" in
// a stream's name.
func validEventID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= maxName
}

// printable reports 1 to 255 visible ASCII characters: what Stripe's ids and
// type names are made of.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
