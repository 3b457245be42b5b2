package published

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// MinKeyBytes is the least length of a key that signs entries.
const MinKeyBytes = 32

// Keys sign entries: the first signs, all verify. Without any, entries are not
// signed, and nothing is verified.
type Keys [][]byte

// ParseKey reads one key: base64, with the alphabet of URLs or the usual one,
// padded or not, of 32 bytes or more. The error does not quote it.
func ParseKey(text string) ([]byte, error) {
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		key, err := encoding.Strict().DecodeString(text)
		if err != nil {
			continue
		}
		if len(key) < MinKeyBytes {
			return nil, fmt.Errorf("a key of %d bytes: want %d or more", len(key), MinKeyBytes)
		}
		return key, nil
	}
	return nil, fmt.Errorf("not base64: want %d or more random bytes, encoded in base64", MinKeyBytes)
}

// A mac is the end of a signed value.
const (
	macBegin = `,"mac":"`
	macEnd   = `"}`
	macBytes = len(macBegin) + (sha256.Size+2)/3*4 + len(macEnd)
)

// sign ends a value whose members are complete, and which lacks the closing
// brace.
func (k Keys) sign(name string, value []byte) []byte {
	if len(k) == 0 {
		return append(value, '}')
	}
	return append(value, endOf(k[0], name, value)...)
}

// endOf is how a value ends that a key has signed.
func endOf(key []byte, name string, signed []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(name)) // a hash never fails
	mac.Write([]byte{'\n'})
	mac.Write(signed)
	end := append(make([]byte, 0, macBytes), macBegin...)
	end = base64.StdEncoding.AppendEncode(end, mac.Sum(nil))
	return append(end, macEnd...)
}

// Verify checks that one of the keys has signed the value for the key of that
// name in Redis. Without keys there is nothing to check. The error is ErrForged.
func (k Keys) Verify(name string, value []byte) error {
	if len(k) == 0 {
		return nil
	}
	if len(value) < macBytes {
		return ErrForged
	}
	signed, end := value[:len(value)-macBytes], value[len(value)-macBytes:]
	for _, key := range k {
		// The whole end is compared, so that a signed value has one form only.
		if hmac.Equal(end, endOf(key, name, signed)) {
			return nil
		}
	}
	return ErrForged
}
