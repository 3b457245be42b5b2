package published

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// timeLayout is RFC 3339 with as much of a second as an order keeps.
const timeLayout = "2006-01-02T15:04:05.999999Z07:00"

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
	order.At = order.At.UTC().Truncate(time.Microsecond)
	until := order.At.Add(lease)
	if !own.ValidUntil.IsZero() && own.ValidUntil.Before(until) {
		until = own.ValidUntil.UTC().Truncate(time.Microsecond)
	}
	value := make([]byte, 0, len(head)+400)
	value = append(value, head...)
	value = fmt.Appendf(value, `,"epoch":%s,"position":%d`, own.Epoch, own.Position)
	s := Sealed{Key: Key(account), Content: len(value), Order: order, ValidUntil: until}
	value = append(value, `,"valid_until":"`...)
	value = until.AppendFormat(value, timeLayout)
	value = append(value, `","as_of":"`...)
	value = order.At.AppendFormat(value, timeLayout)
	s.Value = keys.sign(s.Key, appendTail(append(value, '"'), own.Schema, order))
	return s, nil
}

// appendTail writes what every value of ours has before its mac.
func appendTail(value []byte, schema int, order Order) []byte {
	value = fmt.Appendf(value, `,"schema":%d,"order":"`, schema)
	return append(order.append(value), '"')
}

// own are the members of an entitlement that are its last.
type own struct {
	ValidUntil time.Time       `json:"valid_until"`
	Epoch      json.RawMessage `json:"epoch"`
	Position   uint64          `json:"position"`
	Schema     int             `json:"schema"`
}

// cut parts the JSON of an entitlement into the members that are published as
// they are, without the closing brace, and those that the entry's end is made
// of. A member's name cannot stand within a string, where quotes are escaped.
func cut(doc []byte) (head []byte, end own, err error) {
	at := bytes.LastIndex(doc, []byte(`,"valid_until":"`))
	if at < 0 {
		at = bytes.LastIndex(doc, []byte(`,"epoch":"`))
	}
	if at < 0 || doc[0] != '{' {
		return nil, end, errors.New("it is not the JSON of an entitlement")
	}
	tail := append([]byte{'{'}, doc[at+1:]...)
	if err := json.Unmarshal(tail, &end); err != nil {
		return nil, end, fmt.Errorf("it is not the JSON of an entitlement: %w", err)
	}
	if end.Schema != Schema || len(end.Epoch) <= len(`""`) {
		return nil, end, fmt.Errorf("an entitlement of schema %d, in the store %s, is not for publishing", end.Schema, end.Epoch)
	}
	return doc[:at], end, nil
}

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
