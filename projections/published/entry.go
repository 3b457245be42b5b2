package published

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// Sealed is an entry in the form in which it is published.
type Sealed struct {
	Key   string
	Value []byte
	// Content is how many of the first bytes of Value say what the account may
	// do. What follows is when it was found to be so, and for how long that holds.
	Content int
	Order   Order
	// ValidUntil is when the entry lapses.
	ValidUntil time.Time
}

// Seal makes the entry of an account. Doc is the entitlement as
// aggregate.EncodeEntitlement writes it. The entry is valid for the lease from
// the order's moment on, or until the entitlement's own valid_until if that is
// earlier. An entry may thus be lapsed when it is made.
func Seal(account string, doc []byte, order Order, lease time.Duration, keys Keys) (Sealed, error) {
	if err := checkAccount(account); err != nil {
		return Sealed{}, err
	}
	head, own, err := cut(doc)
	if err != nil {
		return Sealed{}, fmt.Errorf("publish the entitlement of %q: %w", account, err)
	}
	order.At = order.At.Truncate(time.Microsecond)
	until := order.At.Add(lease)
	if !own.ValidUntil.IsZero() && own.ValidUntil.Before(until) {
		until = own.ValidUntil
	}
	until = until.UTC().Truncate(time.Second)
	value := make([]byte, 0, len(head)+len(own.Epoch)+250)
	value = append(append(append(value, head...), `,"epoch":`...), own.Epoch...)
	value = strconv.AppendUint(append(value, `,"position":`...), own.Position, 10)
	s := Sealed{Key: Key(account), Content: len(value), Order: order, ValidUntil: until}
	value = until.AppendFormat(append(value, `,"valid_until":"`...), time.RFC3339)
	value = order.At.UTC().Truncate(time.Second).AppendFormat(append(value, `","as_of":"`...), time.RFC3339)
	s.Value = keys.sign(s.Key, appendTail(append(value, '"'), Schema, order))
	return s, nil
}

// appendTail writes what every value of ours has before its mac.
func appendTail(value []byte, schema int, order Order) []byte {
	value = strconv.AppendInt(append(value, `,"schema":`...), int64(schema), 10)
	return append(order.append(append(value, `,"order":"`...)), '"')
}

// own are the members of an entitlement that an entry's end is made of.
type own struct {
	ValidUntil time.Time
	Epoch      []byte // a string of JSON
	Position   uint64
}

// errNoEntitlement is of what aggregate.EncodeEntitlement did not write.
var errNoEntitlement = fmt.Errorf("it is not the JSON of an entitlement of schema %d in a store", Schema)

// cut parts the JSON of an entitlement into the members that are published as
// they are, without the closing brace, and its own. It looks at the end only,
// whose form is fixed: …[,"valid_until":"T"],"epoch":"E","position":N,"as_of":"T","schema":N}.
// No member's name can stand within a string, where quotes are escaped.
func cut(doc []byte) (head []byte, end own, err error) {
	at := bytes.LastIndex(doc, []byte(`,"epoch":"`))
	if at < 0 || doc[0] != '{' {
		return nil, end, errNoEntitlement
	}
	head = doc[:at]
	epoch, rest, _ := bytes.Cut(doc[at+len(`,"epoch":`):], []byte(`,"position":`))
	position, rest, _ := bytes.Cut(rest, []byte(`,"as_of":"`))
	_, schema, _ := bytes.Cut(rest, []byte(`"`))
	end.Epoch = epoch
	end.Position, err = strconv.ParseUint(string(position), 10, 64)
	if err != nil || len(epoch) <= len(`""`) || string(schema) != schemaEnd {
		return nil, end, errNoEntitlement
	}
	if from := bytes.LastIndex(head[max(0, at-mostUntil):], []byte(untilBegin)); from >= 0 {
		from += max(0, at-mostUntil)
		end.ValidUntil, err = time.Parse(time.RFC3339, string(bytes.TrimSuffix(head[from+len(untilBegin):], []byte{'"'})))
		head = head[:from]
	}
	return head, end, err
}

// schemaEnd is how an entitlement that can be published ends, behind as_of.
var schemaEnd = fmt.Sprintf(`,"schema":%d}`, Schema)

// untilBegin begins the member before epoch, if it is there, of mostUntil bytes
// at most.
const (
	untilBegin = `,"valid_until":"`
	mostUntil  = 60
)

// Entry is what a published value says.
type Entry struct {
	aggregate.Entitlement
	Order Order
}

// Open reads a value found at an account's key at now, by the reader's clock.
// With keys, it must be signed by one of them. The error is one of the four
// above, and then nothing is known of the account: not even that it is free.
func Open(account string, value []byte, keys Keys, now time.Time) (Entry, error) {
	entry, err := Read(account, value, keys)
	if err == nil && !now.Before(entry.ValidUntil) {
		return Entry{}, ErrLapsed
	}
	return entry, err
}

// Read is Open for those who compare what is published, lapsed or not.
func Read(account string, value []byte, keys Keys) (Entry, error) {
	if err := keys.Verify(Key(account), value); err != nil {
		return Entry{}, err
	}
	var shape struct {
		Schema int    `json:"schema"`
		Order  string `json:"order"`
	}
	if err := json.Unmarshal(value, &shape); err != nil || shape.Schema < 1 {
		return Entry{}, ErrForeign
	}
	if shape.Schema > Schema {
		return Entry{}, ErrNewerSchema
	}
	var entry Entry
	order, err := ParseOrder(shape.Order)
	if json.Unmarshal(value, &entry.Entitlement) != nil || err != nil ||
		entry.Account != account || entry.ValidUntil.IsZero() || entry.Features == nil || entry.Limits == nil {
		return Entry{}, ErrForeign
	}
	entry.Order = order
	return entry, nil
}
