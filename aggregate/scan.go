package aggregate

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Nearly all that is ever decoded was encoded by this package: compact JSON,
// fields in the order of the struct, hardly ever an escape. A form reads just
// that, several times as fast as a decoder that must be ready for anything. It
// never guesses: at anything else it gives up, and the general decoder decides.

// form reads stored values of one type.
type form[T any] struct{ object *objectForm }

// reading is one use of a form.
type reading[T any] struct {
	scanner
	value T
}

// formOf returns the form of a struct. A field of a kind that no form reads is
// read by the general decoder, and everything around it with it.
func formOf[T any]() *form[T] { return &form[T]{object: objectFormOf(reflect.TypeFor[T]())} }

// read returns the value in data, or false if it takes the general decoder to
// say what that is. What it returns shares no memory with data.
func (f *form[T]) read(data []byte, known *Decoder) (T, bool) {
	return f.readWith(&reading[T]{}, data, known)
}

// readWith reads likewise, by a reading that can then be used again.
func (f *form[T]) readWith(r *reading[T], data []byte, known *Decoder) (T, bool) {
	*r = reading[T]{scanner: scanner{rest: data, known: known}}
	complete := f.object.read(&r.scanner, reflect.ValueOf(&r.value).Elem()) && len(r.rest) == 0
	return r.value, complete
}

// fieldReader reads a value into a field. It returns false to give up.
type fieldReader func(s *scanner, into reflect.Value) bool

// objectForm reads a struct: its fields in order, any of them left out.
type objectForm struct{ fields []fieldForm }

type fieldForm struct {
	key   string // with its quotation marks and colon
	index int
	read  fieldReader
}

func objectFormOf(t reflect.Type) *objectForm {
	o := &objectForm{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		o.fields = append(o.fields, fieldForm{key: `"` + name + `":`, index: i, read: readerOf(t.Field(i).Type)})
	}
	return o
}

var timeType = reflect.TypeFor[time.Time]()

func readerOf(t reflect.Type) fieldReader {
	switch t.Kind() {
	case reflect.String:
		return readText
	case reflect.Int, reflect.Int64:
		return readInteger
	case reflect.Bool:
		return readBool
	case reflect.Pointer:
		return readerOfPointer(t.Elem())
	case reflect.Slice:
		return readerOfList(t)
	case reflect.Struct:
		if t == timeType {
			return readMoment
		}
		return objectFormOf(t).read
	}
	return func(*scanner, reflect.Value) bool { return false }
}

func readText(s *scanner, into reflect.Value) bool {
	text, ok := s.text()
	if ok {
		into.SetString(s.known.word(text))
	}
	return ok
}

func readInteger(s *scanner, into reflect.Value) bool {
	n, ok := s.integer()
	into.SetInt(n)
	return ok
}

func readBool(s *scanner, into reflect.Value) bool {
	yes := s.take("true")
	into.SetBool(yes)
	return yes || s.take("false")
}

func readMoment(s *scanner, into reflect.Value) bool {
	t, ok := s.moment()
	*into.Addr().Interface().(*time.Time) = t
	return ok
}

func readerOfPointer(elem reflect.Type) fieldReader {
	read := readerOf(elem)
	return func(s *scanner, into reflect.Value) bool {
		p := reflect.New(elem)
		into.Set(p)
		return read(s, p.Elem())
	}
}

func readerOfList(t reflect.Type) fieldReader {
	read := readerOf(t.Elem())
	return func(s *scanner, into reflect.Value) bool {
		if !s.take("[") {
			return false
		}
		list := reflect.MakeSlice(t, 1, 1) // an empty list is left out where it is written
		for i := 0; ; i++ {
			if i == list.Len() {
				list = reflect.Append(list, reflect.Zero(t.Elem()))
			}
			if !read(s, list.Index(i)) {
				return false
			}
			if !s.take(",") {
				into.Set(list)
				return s.take("]")
			}
		}
	}
}

func (o *objectForm) read(s *scanner, into reflect.Value) bool {
	if !s.take("{") {
		return false
	}
	if s.take("}") {
		return true
	}
	for left := o.fields; ; {
		f := s.takeKey(left)
		if f == nil {
			return false // unknown, out of order, or twice
		}
		if !f.read(s, into.Field(f.index)) {
			return false
		}
		left = o.fields[f.index+1:]
		if !s.take(",") {
			return s.take("}")
		}
	}
}

// scanner reads the parts of compact JSON.
type scanner struct {
	rest  []byte
	known *Decoder // may be nil
}

func (s *scanner) take(text string) bool {
	if len(s.rest) < len(text) || string(s.rest[:len(text)]) != text {
		return false
	}
	s.rest = s.rest[len(text):]
	return true
}

// takeKey takes the key of one of the fields, nil if none has it. Most are told
// apart by the first letter of their names.
func (s *scanner) takeKey(fields []fieldForm) *fieldForm {
	if len(s.rest) < 2 {
		return nil
	}
	for i, letter := 0, s.rest[1]; i < len(fields); i++ {
		if f := &fields[i]; f.key[1] == letter && s.take(f.key) {
			return f
		}
	}
	return nil
}

// text reads a string without escapes. The bytes are those of the input.
func (s *scanner) text() ([]byte, bool) {
	if !s.take(`"`) {
		return nil, false
	}
	n := plainLength(s.rest)
	ascii := true
	for ; n < len(s.rest) && s.rest[n] != '"'; n++ {
		if c := s.rest[n]; c < ' ' || c == '\\' {
			return nil, false
		}
		ascii = ascii && s.rest[n] < utf8.RuneSelf
	}
	if n == len(s.rest) {
		return nil, false
	}
	text := s.rest[:n]
	s.rest = s.rest[n+1:]
	return text, ascii || utf8.Valid(text)
}

// plainLength returns a number of bytes at the beginning of b, eight at a time
// as long as it can, that are ASCII and stand for themselves in a string.
func plainLength(b []byte) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, escape := x^each*'"', x^each*'\\'
		// The lowest high bit that is set marks the first byte that is a
		// quotation mark, a backslash, below a space, or not ASCII.
		odd := ((quote-each)&^quote | (escape-each)&^escape | (x-each*' ')&^x | x) & high
		if odd != 0 {
			return n + bits.TrailingZeros64(odd)/8
		}
	}
	return n
}

// integer reads a number of at most 18 digits.
func (s *scanner) integer() (int64, bool) {
	negative := s.take("-")
	n, digits := int64(0), 0
	for digits < len(s.rest) && digits < 19 && '0' <= s.rest[digits] && s.rest[digits] <= '9' {
		n = 10*n + int64(s.rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits == 19 || digits > 1 && s.rest[0] == '0' {
		return 0, false
	}
	s.rest = s.rest[digits:]
	if negative {
		return -n, true
	}
	return n, true
}

// moment reads a time in UTC and in whole seconds: "2006-01-02T15:04:05Z".
func (s *scanner) moment() (time.Time, bool) {
	const length = len(`"2006-01-02T15:04:05Z"`)
	if len(s.rest) < length {
		return time.Time{}, false
	}
	b := s.rest[:length]
	if b[0] != '"' || b[5] != '-' || b[8] != '-' || b[11] != 'T' || b[14] != ':' || b[17] != ':' || b[20] != 'Z' || b[21] != '"' {
		return time.Time{}, false
	}
	century, ok1 := twoDigits(b[1:])
	year, ok2 := twoDigits(b[3:])
	month, ok3 := twoDigits(b[6:])
	day, ok4 := twoDigits(b[9:])
	hour, ok5 := twoDigits(b[12:])
	minute, ok6 := twoDigits(b[15:])
	second, ok7 := twoDigits(b[18:])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || !ok7 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	days, ok := unixDays(100*century+year, month, day)
	s.rest = s.rest[length:]
	return time.Unix(int64(days)*86400+int64(hour*3600+minute*60+second), 0).UTC(), ok
}

func twoDigits(b []byte) (int, bool) {
	tens, ones := b[0]-'0', b[1]-'0'
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

// Decoder decodes one event after the other, as Decode does. Facts say the same
// again and again: the ids of one customer, the names of prices and statuses. A
// Decoder keeps the words it read last, and uses them again. The zero Decoder is
// ready; it is for one goroutine.
type Decoder struct {
	words [wordSlots]string
	fact  reading[storedFact]
	room  []Fact // for those that follow
}

// factsAtOnce are made with one allocation.
const factsAtOnce = 16

func (d *Decoder) newFact() *Fact {
	if d == nil {
		return new(Fact)
	}
	if len(d.room) == 0 {
		d.room = make([]Fact, factsAtOnce)
	}
	f := &d.room[0]
	d.room = d.room[1:]
	return f
}

// readFact reads a fact by its form.
func (d *Decoder) readFact(data []byte) (storedFact, bool) {
	if d == nil {
		return factForm.read(data, nil)
	}
	return factForm.readWith(&d.fact, data, d)
}

const (
	wordSlots = 512
	maxWord   = 64 // bytes
)

var wordSeed = maphash.MakeSeed()

// word returns text as a string. A nil Decoder keeps none.
func (d *Decoder) word(text []byte) string {
	if d == nil || len(text) > maxWord {
		return string(text)
	}
	slot := &d.words[maphash.Bytes(wordSeed, text)%wordSlots]
	if *slot != string(text) {
		*slot = string(text)
	}
	return *slot
}
