package aggregate

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A rebuild writes a document for each subscription and each account, posting
// one for each event. A print writes the JSON that encoding/json would, several
// times as fast; at anything that takes thought, such as an escape, it gives up,
// and encoding/json writes the whole.

// print writes values of one type.
type print[T any] struct {
	write fieldWriter
}

func printOf[T any]() *print[T] { return &print[T]{write: writerOf(reflect.TypeFor[T]())} }

// printBytes is room for most of what is printed, and invoiceBytes for each
// invoice in it.
const (
	printBytes   = 1 << 10
	invoiceBytes = 200
)

// encode returns a value as JSON.
func (p *print[T]) encode(value *T) ([]byte, error) { return p.encodeIn(printBytes, value) }

// encodeIn does so where it is known how much room that takes at most, or most
// of the time.
func (p *print[T]) encodeIn(room int, value *T) ([]byte, error) {
	text, complete := p.write(make([]byte, 0, room), reflect.ValueOf(value).Elem())
	if !complete {
		return json.Marshal(value)
	}
	return slices.Clone(text), nil
}

// The documents that a read model keeps.
var (
	truthPrint       = printOf[SubscriptionTruth]()
	entitlementPrint = printOf[Entitlement]()
)

// EncodeTruth returns the JSON of a truth: the same bytes for the same truth.
func EncodeTruth(t SubscriptionTruth) ([]byte, error) {
	doc, err := truthPrint.encodeIn(printBytes+invoiceBytes*len(t.Invoices), &t)
	if err != nil {
		return nil, fmt.Errorf("encode subscription %s: %w", t.ID, err)
	}
	return doc, nil
}

// EncodeEntitlement returns the JSON of an entitlement: the same bytes for the
// same entitlement.
func EncodeEntitlement(e Entitlement) ([]byte, error) {
	doc, err := entitlementPrint.encode(&e)
	if err != nil {
		return nil, fmt.Errorf("encode entitlement of %s: %w", e.Account, err)
	}
	return doc, nil
}

// fieldWriter appends a value. It returns false to give up.
type fieldWriter func(to []byte, from reflect.Value) ([]byte, bool)

func writerOf(t reflect.Type) fieldWriter {
	switch t {
	case timeType:
		return writeMoment
	case limitsType:
		return writeLimits
	}
	switch t.Kind() {
	case reflect.String:
		return writeText
	case reflect.Int, reflect.Int64:
		return func(to []byte, from reflect.Value) ([]byte, bool) { return strconv.AppendInt(to, from.Int(), 10), true }
	case reflect.Uint64:
		return func(to []byte, from reflect.Value) ([]byte, bool) {
			return strconv.AppendUint(to, from.Uint(), 10), true
		}
	case reflect.Bool:
		return func(to []byte, from reflect.Value) ([]byte, bool) { return strconv.AppendBool(to, from.Bool()), true }
	case reflect.Pointer:
		return writerOfPointer(t.Elem())
	case reflect.Slice:
		return writerOfList(t.Elem())
	case reflect.Struct:
		return writerOfStruct(t)
	}
	return func(to []byte, _ reflect.Value) ([]byte, bool) { return to, false }
}

func writerOfPointer(elem reflect.Type) fieldWriter {
	write := writerOf(elem)
	return func(to []byte, from reflect.Value) ([]byte, bool) {
		if from.IsNil() {
			return append(to, "null"...), true
		}
		return write(to, from.Elem())
	}
}

func writerOfList(elem reflect.Type) fieldWriter {
	write := writerOf(elem)
	return func(to []byte, from reflect.Value) (_ []byte, ok bool) {
		if from.IsNil() {
			return append(to, "null"...), true
		}
		to = append(to, '[')
		for i := range from.Len() {
			if i > 0 {
				to = append(to, ',')
			}
			if to, ok = write(to, from.Index(i)); !ok {
				return to, false
			}
		}
		return append(to, ']'), true
	}
}

// memberWriter writes a field of a struct, with its name.
type memberWriter struct {
	index int
	key   string // with its quotation marks and colon
	write fieldWriter
	// absent reports a value that the field's options leave out.
	absent func(reflect.Value) bool
}

func writerOfStruct(t reflect.Type) fieldWriter {
	members := make([]memberWriter, t.NumField())
	for i := range members {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		members[i] = memberWriter{index: i, key: `"` + name + `":`, write: writerOf(f.Type), absent: absence(f.Type, options)}
	}
	return func(to []byte, from reflect.Value) (_ []byte, ok bool) {
		to = append(to, '{')
		for i := range members {
			m := &members[i]
			v := from.Field(m.index)
			if m.absent(v) {
				continue
			}
			if to[len(to)-1] != '{' {
				to = append(to, ',')
			}
			if to, ok = m.write(append(to, m.key...), v); !ok {
				return to, false
			}
		}
		return append(to, '}'), true
	}
}

// absence tells by a field's options when it is left out.
func absence(t reflect.Type, options string) func(reflect.Value) bool {
	switch {
	case options == "omitzero" && t == timeType:
		return func(v reflect.Value) bool { return v.Addr().Interface().(*time.Time).IsZero() }
	case options == "omitempty" && t.Kind() == reflect.Slice:
		return func(v reflect.Value) bool { return v.Len() == 0 }
	case options == "omitempty" && t.Kind() == reflect.String:
		return func(v reflect.Value) bool { return v.Len() == 0 }
	case options == "":
		return func(reflect.Value) bool { return false }
	}
	return reflect.Value.IsZero
}

// writeText writes a string that needs no escape. Beside what JSON asks for,
// encoding/json escapes what could be taken for HTML.
func writeText(to []byte, from reflect.Value) ([]byte, bool) { return appendText(to, from.String()) }

func appendText(to []byte, text string) ([]byte, bool) {
	for i := range len(text) {
		if !plain[text[i]] {
			return to, false
		}
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"'), true
}

// plain has the bytes that stand for themselves.
var plain = func() (p [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		p[c] = !strings.ContainsRune(`"\<>&`, rune(c))
	}
	return p
}()

func writeMoment(to []byte, from reflect.Value) ([]byte, bool) {
	t := *from.Addr().Interface().(*time.Time)
	if t.Location() != time.UTC {
		return to, false
	}
	if seconds := t.Unix(); t.Nanosecond() == 0 && firstSecond <= seconds && seconds <= lastSecond {
		return appendSecond(to, seconds), true
	}
	if t.Year() < 0 || t.Year() > 9999 {
		return to, false
	}
	return append(t.AppendFormat(append(to, '"'), time.RFC3339Nano), '"'), true
}

// The bounds of appendSecond: 1970-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const firstSecond, lastSecond = 0, 253402300799

// appendSecond writes a whole second of UTC: Stripe's times are such.
func appendSecond(to []byte, seconds int64) []byte {
	year, month, day := dateOf(int(seconds / 86400))
	second := int(seconds % 86400)
	to = append(append2(append2(append(to, '"'), year/100), year%100), '-')
	to = append(append2(append(append2(to, month), '-'), day), 'T')
	to = append(append2(append(append2(to, second/3600), ':'), second/60%60), ':')
	return append(append2(to, second%60), 'Z', '"')
}

func append2(to []byte, n int) []byte { return append(to, byte('0'+n/10), byte('0'+n%10)) }

var limitsType = reflect.TypeFor[map[string]Limit]()

func writeLimits(to []byte, from reflect.Value) (_ []byte, ok bool) {
	limits := from.Interface().(map[string]Limit)
	if limits == nil {
		return append(to, "null"...), true
	}
	to = append(to, '{')
	for i, name := range slices.Sorted(maps.Keys(limits)) {
		if i > 0 {
			to = append(to, ',')
		}
		if to, ok = appendText(to, name); !ok {
			return to, false
		}
		to = limits[name].appendJSON(append(to, ':'))
	}
	return append(to, '}'), true
}
