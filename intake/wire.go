package intake

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// valueError is a fault of a value, told without quoting it.
type valueError struct{ reason string }

func (e *valueError) Error() string { return e.reason }

// maxReference bounds an id, in bytes. Those of plans and products are chosen
// by the merchant, and may hold spaces.
const maxReference = 500

// reference is an id that Stripe sends as a string, or as the whole object
// where it was expanded. Null is the empty reference.
type reference string

func (r *reference) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '{':
		var object struct {
			ID string `json:"id"`
		}
		if err := json.UnmarshalDecode(dec, &object); err != nil {
			return err
		}
		*r = reference(object.ID)
	case '"', 'n':
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		id, _ := text(value)
		*r = reference(id)
	default:
		return &valueError{"neither an id nor an object"}
	}
	if len(*r) > maxReference || strings.ContainsFunc(string(*r), unicode.IsControl) {
		return &valueError{"not an id"}
	}
	return nil
}

// maxWord bounds a word of Stripe's, in bytes.
const maxWord = 100

// word is one of Stripe's own words: a status, a reason, a code, a currency.
// Null is the empty word, and so is anything that is no single word: prose, and
// whom it may name, has no place in a fact.
type word string

func (w *word) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*w = ""
	switch value.Kind() {
	case 'n':
	case '"':
		if s, _ := text(value); len(s) <= maxWord && printable(s) {
			*w = word(s)
		}
	default:
		return &valueError{"not a word"}
	}
	return nil
}

// whole is an integer: an amount in minor units, a count. It is read from
// numbers in any writing, 1e3 included, and from strings, as long as the value
// is whole and fits.
type whole int64

func (w *whole) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	n, err := readWhole(dec)
	*w = whole(n)
	return err
}

func readWhole(dec *jsontext.Decoder) (int64, error) {
	v, err := dec.ReadValue()
	if err != nil {
		return 0, err
	}
	digits := v
	if v.Kind() == '"' {
		digits = v[1 : len(v)-1]
	} else if v.Kind() != '0' {
		return 0, &valueError{"not a number"}
	}
	if n, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
		return n, nil
	}
	return wholeOf(string(digits))
}

// named reports an id that can end a stream's name.
func (r reference) named() bool { return printable(string(r)) }

// wholeOf reads the rarer writings exactly. The length is bounded first: an
// exponent of a few digits can name a number of a million.
func wholeOf(s string) (int64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || len(s) > 64 || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, &valueError{"not a number that can be read"}
	}
	if math.Abs(f) >= 1<<63 {
		return 0, &valueError{"too large a number"}
	}
	if f == 0 || math.Abs(f) < 1 {
		if f == 0 && isZero(s) {
			return 0, nil
		}
		return 0, &valueError{"not a whole number"}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return 0, &valueError{"not a whole number"}
	}
	return r.Num().Int64(), nil
}

// isZero tells 0.00 from a number so small that it was rounded to zero.
func isZero(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == 'e' || c == 'E':
			return true
		case c >= '1' && c <= '9':
			return false
		}
	}
	return true
}

// moment is a time in whole seconds since 1970.
type moment int64

func (m *moment) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	n, err := readWhole(dec)
	if err == nil && (n < 0 || n > maxUnix) {
		return &valueError{"not a time"}
	}
	*m = moment(n)
	return err
}

func (m moment) time() time.Time { return time.Unix(int64(m), 0).UTC() }

// metadata holds an object's metadata. It is nil where there is none. Some
// renderings write empty metadata as an empty array.
type metadata map[string]string

// UnmarshalJSONFrom merges, as previous_attributes need: a key that is null was
// not there.
func (m *metadata) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case 'n':
		*m = nil
		return dec.SkipValue()
	case '[':
		*m = metadata{}
		return dec.SkipValue()
	case '{':
	default:
		return &valueError{"not an object"}
	}
	if *m == nil {
		*m = metadata{}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		if err := m.readMember(dec); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func (m *metadata) readMember(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	key := token.String()
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case 'n':
		delete(*m, key)
	case '"':
		(*m)[key], _ = text(value)
	case '{', '[':
		(*m)[key] = "" // present, and no name of anything
	default:
		(*m)[key] = string(value)
	}
	return nil
}

// wireList is a Stripe list, of which an event holds the first page.
type wireList[T any] struct {
	Data    []T  `json:"data"`
	HasMore bool `json:"has_more"`
}
