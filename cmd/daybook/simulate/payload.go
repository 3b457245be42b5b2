package simulate

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// object is a JSON object whose members keep their order, so that the same
// state always gives the same bytes.
type object []field

type field struct {
	key   string
	value any
}

// list is a JSON array.
type list []any

// moment is a Unix time that is null where there is none.
type moment int64

// text is a string that is null where it is empty.
type text string

// get returns a member, and whether there is one.
func (o object) get(key string) (any, bool) {
	for _, f := range o {
		if f.key == key {
			return f.value, true
		}
	}
	return nil, false
}

// with returns the object with further members behind it.
func (o object) with(fields ...field) object {
	return append(o[:len(o):len(o)], fields...)
}

// appendJSON writes a value as Stripe does: indented by two spaces.
func appendJSON(dst []byte, value any, depth int) []byte {
	switch v := value.(type) {
	case object:
		return appendMembers(dst, '{', '}', len(v), depth, func(dst []byte, i int) []byte {
			dst = append(appendString(dst, v[i].key), ": "...)
			return appendJSON(dst, v[i].value, depth+1)
		})
	case list:
		return appendMembers(dst, '[', ']', len(v), depth, func(dst []byte, i int) []byte {
			return appendJSON(dst, v[i], depth+1)
		})
	default:
		return appendScalar(dst, value)
	}
}

func appendMembers(dst []byte, first, last byte, n, depth int, member func([]byte, int) []byte) []byte {
	dst = append(dst, first)
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendLine(dst, depth+1)
		dst = member(dst, i)
	}
	if n > 0 {
		dst = appendLine(dst, depth)
	}
	return append(dst, last)
}

// indent is deeper than any payload.
const indent = "                                                                "

func appendLine(dst []byte, depth int) []byte {
	return append(append(dst, '\n'), indent[:2*depth]...)
}

func appendScalar(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case moment:
		if v == 0 {
			return append(dst, "null"...)
		}
		return strconv.AppendInt(dst, int64(v), 10)
	case text:
		if v == "" {
			return append(dst, "null"...)
		}
		return appendString(dst, string(v))
	case string:
		return appendString(dst, v)
	}
	// Only the builders of this package make values: another type is a mistake
	// in one of them.
	panic("simulate: payload value of an unknown type")
}

// appendString quotes a string; most need no escapes.
func appendString(dst []byte, s string) []byte {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return append(append(append(dst, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("simulate: string cannot be quoted: " + err.Error())
	}
	return append(dst, quoted...)
}

// previous tells what a change left behind, as previous_attributes does:
// members that differ, nested objects in part, arrays whole, null for a member
// that was not there.
func previous(before, after object) object {
	var changed object
	for _, f := range after {
		old, had := before.get(f.key)
		if !had {
			changed = append(changed, field{f.key, nil})
			continue
		}
		if same(old, f.value) {
			continue
		}
		oldObject, ok1 := old.(object)
		newObject, ok2 := f.value.(object)
		if ok1 && ok2 {
			old = previous(oldObject, newObject)
		}
		changed = append(changed, field{f.key, old})
	}
	for _, f := range before {
		if _, kept := after.get(f.key); !kept {
			changed = append(changed, f)
		}
	}
	return changed
}

// same reports whether two values are written alike.
func same(a, b any) bool {
	switch a.(type) {
	case object, list:
		return bytes.Equal(appendJSON(nil, a, 0), appendJSON(nil, b, 0))
	}
	switch b.(type) {
	case object, list:
		return false
	}
	return a == b
}

// envelope is the event around an object.
func envelope(e event, livemode bool) []byte {
	data := object{{"object", e.object}}
	if e.previous != nil {
		data = data.with(field{"previous_attributes", e.previous})
	}
	head := object{{"id", e.id}, {"object", "event"}}
	if e.account != "" {
		head = head.with(field{"account", e.account})
	}
	body := appendJSON(make([]byte, 0, 16<<10), append(head, object{
		{"api_version", e.version},
		{"created", e.created},
		{"data", data},
		{"livemode", livemode},
		{"pending_webhooks", 1},
		{"request", object{{"id", text(e.requestID)}, {"idempotency_key", text(e.idempotencyKey)}}},
		{"type", e.typ},
	}...), 0)
	return bytes.Clone(body)
}

// withPending returns the body as a further delivery shows it. The envelope's
// member is the last of its name.
func withPending(body []byte, pending int) []byte {
	const key = `"pending_webhooks": `
	at := bytes.LastIndex(body, []byte(key)) + len(key)
	end := at + bytes.IndexByte(body[at:], ',')
	out := append([]byte(nil), body[:at]...)
	out = strconv.AppendInt(out, int64(pending), 10)
	return append(out, body[end:]...)
}
