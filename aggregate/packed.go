package aggregate

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The events of the streams that are busy are folded again and again, and there
// are many of them. As values they are large: half a kilobyte each, most of it
// fields that are not set, times, and words that the event before has, too.

// Packed holds events of one stream, in order, in a fraction of the memory that
// they take as values. It is for memory alone: the form is nobody else's, and is
// not stored. The zero Packed is empty.
//
// A copy of a Packed stays as it is, whatever is added to the original, and may
// be read beside that.
type Packed struct {
	events int
	// words are all texts, most of them once; bytes are the events, in which a
	// text is a place among the words.
	words []string
	bytes []byte
	// text is the length of the words together.
	text int
}

// Len is the number of events.
func (p *Packed) Len() int { return p.events }

// Size is about how many bytes of memory the events take.
func (p *Packed) Size() int { return cap(p.words)*16 + p.text + cap(p.bytes) }

// Add adds an event, behind the others. It comes out as it would if it had been
// encoded and decoded. Add returns false, and adds nothing, if that takes more
// than a Packed holds of it: if it has a time that is not in UTC.
func (p *Packed) Add(e Event) bool {
	w := packing{words: p.words, bytes: p.bytes}
	if !eventPacker.pack(&w, reflect.ValueOf(&e).Elem()) {
		return false
	}
	p.text += joined(w.words[len(p.words):])
	p.words, p.bytes = w.words, w.bytes
	p.events++
	return true
}

// joined lets words lie side by side in memory that is theirs alone, and returns
// how much that is.
func joined(words []string) int {
	text := strings.Join(words, "")
	for i, at := 0, 0; i < len(words); i++ {
		end := at + len(words[i])
		words[i], at = text[at:end], end
	}
	return len(text)
}

// Events returns the first n events, or all if there are fewer. They are the
// caller's own, but lists that say the same may be one list: leave these as they
// are.
func (p *Packed) Events(n int) []Event {
	events := make([]Event, min(n, p.events))
	r := unpacking{words: p.words, bytes: p.bytes}
	for i := range events {
		r.last = 0
		eventPacker.unpack(&r, reflect.ValueOf(&events[i]).Elem())
	}
	return events
}

// packing is what is being packed, and unpacking what is yet to be unpacked. The
// times of an event, and those of a list, are told by how far each is from the one
// before.
type (
	packing struct {
		words []string
		bytes []byte
		last  int64
	}
	unpacking struct {
		words []string
		bytes []byte
		last  int64
		// list is the last list there was, and packed what it was unpacked from:
		// a subscription has the same items again and again.
		list   reflect.Value
		packed []byte
	}
)

// packer packs values of one type. A pack that returns false leaves a mess.
type packer struct {
	pack   func(w *packing, from reflect.Value) bool
	unpack func(r *unpacking, into reflect.Value)
}

var eventPacker = packerOf(reflect.TypeFor[Event]())

func packerOf(t reflect.Type) packer {
	switch t.Kind() {
	case reflect.String:
		return packer{packText, unpackText}
	case reflect.Int, reflect.Int64:
		return packer{packInteger, unpackInteger}
	case reflect.Bool:
		return packer{packBool, unpackBool}
	case reflect.Pointer:
		return packerOfPointer(t.Elem())
	case reflect.Slice:
		return packerOfList(t)
	case reflect.Struct:
		if t == timeType {
			return packer{packMoment, unpackMoment}
		}
		return packerOfStruct(t)
	}
	panic("no event has a " + t.String())
}

// How far an earlier place of a word is looked for: among the first, which are
// those of the object itself, and the last, which are those of what happened just
// now. What is not found is there twice.
const (
	firstWords = 48
	lastWords  = 16
)

func (w *packing) word(text string) int {
	first := w.words[:min(len(w.words), firstWords)]
	if i := slices.Index(first, text); i >= 0 {
		return i
	}
	last := max(len(first), len(w.words)-lastWords)
	if i := slices.Index(w.words[last:], text); i >= 0 {
		return last + i
	}
	w.words = append(w.words, text)
	return len(w.words) - 1
}

func packText(w *packing, from reflect.Value) bool {
	w.bytes = binary.AppendUvarint(w.bytes, uint64(w.word(from.String())))
	return true
}

func unpackText(r *unpacking, into reflect.Value) { into.SetString(r.words[r.uvarint()]) }

func packInteger(w *packing, from reflect.Value) bool {
	w.bytes = binary.AppendVarint(w.bytes, from.Int())
	return true
}

func unpackInteger(r *unpacking, into reflect.Value) { into.SetInt(r.varint()) }

func packBool(w *packing, from reflect.Value) bool {
	truth := byte(0)
	if from.Bool() {
		truth = 1
	}
	w.bytes = append(w.bytes, truth)
	return true
}

func unpackBool(r *unpacking, into reflect.Value) { into.SetBool(r.uvarint() == 1) }

// packMoment writes twice the seconds since the last time, and one more if there
// are nanoseconds.
func packMoment(w *packing, from reflect.Value) bool {
	t := *from.Addr().Interface().(*time.Time)
	seconds, nanos := t.Unix(), t.Nanosecond()
	since := 2 * (seconds - w.last)
	w.last = seconds
	if nanos == 0 {
		w.bytes = binary.AppendVarint(w.bytes, since)
	} else {
		w.bytes = binary.AppendUvarint(binary.AppendVarint(w.bytes, since+1), uint64(nanos))
	}
	return t.Location() == time.UTC
}

func unpackMoment(r *unpacking, into reflect.Value) {
	since, nanos := r.varint(), int64(0)
	if since&1 != 0 {
		nanos = int64(r.uvarint())
	}
	r.last += since >> 1
	*into.Addr().Interface().(*time.Time) = time.Unix(r.last, nanos).UTC()
}

func packerOfPointer(elem reflect.Type) packer {
	p := packerOf(elem)
	return packer{
		func(w *packing, from reflect.Value) bool { return p.pack(w, from.Elem()) },
		func(r *unpacking, into reflect.Value) {
			into.Set(reflect.New(elem))
			p.unpack(r, into.Elem())
		},
	}
}

func packerOfList(t reflect.Type) packer {
	p := packerOf(t.Elem())
	return packer{
		func(w *packing, from reflect.Value) bool {
			last := w.last
			w.last = 0
			w.bytes = binary.AppendUvarint(w.bytes, uint64(from.Len()))
			for i := range from.Len() {
				if !p.pack(w, from.Index(i)) {
					return false
				}
			}
			w.last = last
			return true
		},
		func(r *unpacking, into reflect.Value) {
			if r.list.IsValid() && r.list.Type() == t && bytes.HasPrefix(r.bytes, r.packed) {
				into.Set(r.list)
				r.bytes = r.bytes[len(r.packed):]
				return
			}
			last, packed := r.last, r.bytes
			r.last = 0
			n := int(r.uvarint())
			list := reflect.MakeSlice(t, n, n)
			for i := range n {
				p.unpack(r, list.Index(i))
			}
			into.Set(list)
			r.list, r.packed, r.last = list, packed[:len(packed)-len(r.bytes)], last
		},
	}
}

// packerOfStruct packs which fields are set, one bit each, and then these.
func packerOfStruct(t reflect.Type) packer {
	fields := make([]packer, t.NumField())
	for i := range fields {
		fields[i] = packerOf(t.Field(i).Type)
	}
	return packer{
		func(w *packing, from reflect.Value) bool {
			set := uint64(0)
			for i := range fields {
				if f := from.Field(i); !f.IsZero() && (f.Kind() != reflect.Slice || f.Len() > 0) {
					set |= 1 << i
				}
			}
			w.bytes = binary.AppendUvarint(w.bytes, set)
			for i := range fields {
				if set&(1<<i) != 0 && !fields[i].pack(w, from.Field(i)) {
					return false
				}
			}
			return true
		},
		func(r *unpacking, into reflect.Value) {
			for i, set := 0, r.uvarint(); set != 0; i, set = i+1, set>>1 {
				if set&1 != 0 {
					fields[i].unpack(r, into.Field(i))
				}
			}
		},
	}
}

func (r *unpacking) uvarint() uint64 {
	if b := r.bytes[0]; b < 0x80 { // as most are
		r.bytes = r.bytes[1:]
		return uint64(b)
	}
	n, length := binary.Uvarint(r.bytes)
	r.bytes = r.bytes[length:]
	return n
}

func (r *unpacking) varint() int64 {
	n, length := binary.Varint(r.bytes)
	r.bytes = r.bytes[length:]
	return n
}
