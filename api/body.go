package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daybookhq/daybook/aggregate"
)

// maxRequestBytes bounds the body of a request that is not a webhook.
const maxRequestBytes = 64 << 10

var (
	errNotJSON      = problem(http.StatusUnsupportedMediaType, "Send the body as application/json.")
	errRequestLarge = problem(http.StatusRequestEntityTooLarge, "The body is larger than this route takes.")
)

// body is a request's JSON object, and everything that is wrong with it.
type body struct {
	fields map[string]json.RawMessage
	known  []string
	faults []Fault
}

// readBodyOf reads the body of a request: one JSON object. A body that is none
// is the error; what is wrong inside it is gathered as faults.
func readBodyOf(w http.ResponseWriter, r *http.Request) (*body, error) {
	media, params, err := mime.ParseMediaType(strings.Join(r.Header["Content-Type"], ", ")) // two are none
	if charset := params["charset"]; err != nil || media != "application/json" || charset != "" && charset != "utf-8" && charset != "UTF-8" {
		return nil, errNotJSON
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errRequestLarge
	case err != nil:
		return nil, errBodyCut
	}
	b := &body{}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &b.fields) != nil || b.fields == nil {
		return nil, badRequest(Fault{"body", "wants one JSON object"})
	}
	if name, twice := repeated(raw); twice {
		b.fault(printable(name), "is there more than once")
	}
	return b, nil
}

// repeated finds a field that a JSON object has twice: which of the two is
// meant, nobody can tell.
func repeated(object []byte) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	seen := map[string]bool{}
	if _, err := decoder.Token(); err != nil {
		return "", false
	}
	for decoder.More() {
		token, err := decoder.Token()
		name, is := token.(string)
		var value json.RawMessage
		if err != nil || !is || decoder.Decode(&value) != nil {
			return "", false
		}
		if seen[name] {
			return name, true
		}
		seen[name] = true
	}
	return "", false
}

func (b *body) fault(field, reason string) { b.faults = append(b.faults, Fault{field, reason}) }

// has reports whether a field is faulty already.
func (b *body) has(field string) bool {
	return slices.ContainsFunc(b.faults, func(f Fault) bool { return f.Field == field })
}

// field decodes a field, and reports whether it is there. Null is as missing.
func (b *body) field(name string, into any, want string) bool {
	b.known = append(b.known, name)
	raw, there := b.fields[name]
	if !there || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, into) != nil {
		b.fault(name, want)
		return false
	}
	return true
}

// text is a field that must be there.
func (b *body) text(name string) string {
	var value string
	if !b.field(name, &value, "wants a string") && !b.has(name) {
		b.fault(name, "is missing")
	}
	return value
}

// optional is a text that need not be there.
func (b *body) optional(name string) string {
	var value string
	b.field(name, &value, "wants a string")
	return value
}

// whole is a number from 1 to most, 0 if it is not there.
func (b *body) whole(name string, most int64) int64 {
	var n int64
	if b.field(name, &n, wholeReason(most)) && (n < 1 || n > most) {
		b.fault(name, wholeReason(most))
	}
	return n
}

func wholeReason(most int64) string { return fmt.Sprintf("wants a whole number from 1 to %d", most) }

// account is the account that the body names. It may be asked for more than once.
func (b *body) account() string {
	if b.has("account") {
		return ""
	}
	account := b.text("account")
	if !b.has("account") && !aggregate.ValidAccount(account) {
		b.fault("account", accountReason)
		return ""
	}
	return account
}

// moment is a time, zero if it is not there.
func (b *body) moment(name string) time.Time {
	var text string
	if !b.field(name, &text, momentReason) {
		return time.Time{}
	}
	t, ok := ParseMoment(text)
	if !ok {
		b.fault(name, momentReason)
	}
	return t
}

// close adds a fault for every field that nothing asked for: a misspelt one
// would otherwise be left out in silence.
func (b *body) close() {
	var unknown []string
	for name := range b.fields {
		if !slices.Contains(b.known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		b.fault(printable(name), "is no field of this request")
	}
}
