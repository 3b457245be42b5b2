package intake

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// sameContent reports whether two bodies say the same. They do if they are the
// same JSON value once the top-level pending_webhooks is taken away, which
// Stripe counts down between deliveries. White space, the order of an object's
// members, and the way characters are escaped do not matter; numbers are
// compared as they are written. What is not JSON is compared byte by byte.
func sameContent(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, ok := canonical(a)
	if !ok {
		return false
	}
	y, ok := canonical(b)
	return ok && bytes.Equal(x, y)
}

// canonical returns body without pending_webhooks in one fixed writing.
func canonical(body []byte) (jsontext.Value, bool) {
	v, err := withoutPending(body)
	if err != nil {
		return nil, false
	}
	err = v.Format(decodeOptions, jsontext.ReorderRawObjects(true), jsontext.PreserveRawStrings(false))
	return v, err == nil
}

func withoutPending(body []byte) (jsontext.Value, error) {
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), decodeOptions)
	enc := jsontext.NewEncoder(&out, decodeOptions)
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errors.Join(err, errors.New("not an object"))
	}
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return nil, err
	}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		if name == "pending_webhooks" {
			continue
		}
		if err := enc.WriteToken(jsontext.String(name)); err != nil {
			return nil, err
		}
		if err := enc.WriteValue(value); err != nil {
			return nil, err
		}
	}
	err := enc.WriteToken(jsontext.EndObject)
	return out.Bytes(), err
}
