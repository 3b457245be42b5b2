package intake

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// pendingWebhooks is the member that differs between deliveries of one event.
const pendingWebhooks = "pending_webhooks"

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

// withoutPending copies an object, member by member but for one.
func withoutPending(body []byte) (jsontext.Value, error) {
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), decodeOptions)
	enc := jsontext.NewEncoder(&out, decodeOptions)
	if dec.PeekKind() != '{' {
		return nil, errors.New("not an object")
	}
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		kind := token.Kind() // the token is void once the decoder moves on
		if kind == '"' && token.String() == pendingWebhooks {
			err = dec.SkipValue()
		} else if err = enc.WriteToken(token); kind == '"' && err == nil {
			err = copyValue(enc, dec)
		}
		if err != nil {
			return nil, err
		}
		if kind == '}' {
			return out.Bytes(), nil
		}
	}
}

func copyValue(enc *jsontext.Encoder, dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	return enc.WriteValue(value)
}
