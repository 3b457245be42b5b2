// Package published is the form in which entitlements stand in Redis, for
// readers in any language. It is pure: it makes and checks bytes, and knows no
// Redis, so that whoever has a value from anywhere can check it.
//
// # An entry
//
// The entitlement of an account is the string at the key "entitlement:" followed
// by the account's name as it is. The string is one JSON object: the members of
// an entitlement as the API answers it, of which these are the last, always in
// this order and without space between them:
//
//	…,"valid_until":"T","as_of":"T","schema":1,"order":"33 digits","mac":"44 characters"}
//
// valid_until is when the entry lapses: whoever reads it at that moment or later
// knows nothing. as_of is when the publisher found it to be true. T is a time in
// UTC, as RFC 3339 writes it, to the second, rounded down.
//
// # The order of entries
//
// Of two entries of one account, the one with the greater order is the newer.
// Its digits are to the base of 36, 0 to 9 and a to z, so that orders compare as
// text does, byte by byte: 9 for when the store was founded, or was last found to
// be whole again after a restore from a backup (Unix milliseconds), 13 for the position up to which the log had been folded when the entry was
// evaluated, and 11 for the moment that was evaluated (Unix microseconds).
//
// The position in the order is not that of the member "position": what an account
// rests on can become less, as when its subscription moves to another account,
// and then "position", which is the highest of what is left, goes back. What has
// been folded never does.
//
// # The mac
//
// An entry is signed where the publisher has a key. Then the last member is
// "mac": the HMAC-SHA256, in base64 with the usual alphabet and padding, of the
// key's name in Redis, a line feed, and all bytes of the value that come before
// the 54 bytes
//
//	,"mac":"44 characters"}
//
// No value has to be parsed or written again to check it: cut off the last 54
// bytes, and compute.
package published

import (
	"errors"
	"fmt"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
)

// What the keys in Redis are called.
const (
	// Prefix begins the key of every entry; the account's name follows.
	Prefix = "entitlement:"
	// HeartbeatKey is the key of the heartbeat.
	HeartbeatKey = "daybook:heartbeat"
)

// Schema is the version of the form of entries and of the heartbeat: that of the
// entitlement within.
const Schema = aggregate.EntitlementSchema

// What is wrong with a value. To a reader each of them means that nothing is
// known of the account.
var (
	// ErrForeign: the value is none of ours, or damaged.
	ErrForeign = errors.New("not an entry of Daybook's")
	// ErrForged: no key that was given has signed the value, or it was signed
	// for another key of Redis.
	ErrForged = errors.New("the entry's signature is missing or wrong")
	// ErrNewerSchema: the value is of a schema that this build does not know.
	ErrNewerSchema = errors.New("the entry is of a newer schema")
	// ErrLapsed: the value's valid_until has come.
	ErrLapsed = errors.New("the entry has lapsed")
)

// Key is the key of an account's entry.
func Key(account string) string { return Prefix + account }

// AccountOf is the account whose entry a key holds; false if no account has
// such an entry.
func AccountOf(key string) (account string, ok bool) {
	account, ok = strings.CutPrefix(key, Prefix)
	return account, ok && aggregate.ValidAccount(account)
}

// checkAccount refuses what can be no account's name.
func checkAccount(account string) error {
	if !aggregate.ValidAccount(account) {
		return fmt.Errorf("publish an entitlement: an account's name wants 1 to %d bytes of UTF-8 without control characters", aggregate.MaxAccountBytes)
	}
	return nil
}
