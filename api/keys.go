package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
)

// Scope is what a key may do. Scopes do not include one another.
type Scope string

// The scopes.
const (
	// ScopeRead: entitlements, subscriptions, accounts, the status.
	ScopeRead Scope = "read"
	// ScopeAudit: the record itself, raw payloads included.
	ScopeAudit Scope = "audit"
	// ScopeBilling: checkout and portal sessions.
	ScopeBilling Scope = "billing"
	// ScopeAdmin: decisions of operators.
	ScopeAdmin Scope = "admin"
)

// Scopes lists every scope.
func Scopes() []Scope { return []Scope{ScopeRead, ScopeAudit, ScopeBilling, ScopeAdmin} }

// Key is an API key as the server knows it: by its hash alone.
type Key struct {
	// Name tells people whose key it is.
	Name   string
	Scopes []Scope
	// Hash is the SHA-256 of the key.
	Hash [sha256.Size]byte
	// Account, unless empty, is the only account that the key sees.
	Account string
}

// allows reports whether the key has a scope.
func (k *Key) allows(s Scope) bool { return slices.Contains(k.Scopes, s) }

// KeyFaults lists everything that is wrong with a list of keys. Hashes are not
// repeated in it.
type KeyFaults []string

func (f KeyFaults) Error() string { return "API keys: " + strings.Join(f, "; ") }

// ParseKeys reads name:scope[+scope]:sha256hex[:account], separated by commas.
// The account may contain colons; a comma or a percent sign in it is written
// as %2C or %25. An empty spec gives no keys. The error is KeyFaults, with
// every fault.
func ParseKeys(spec string) ([]Key, error) {
	var keys []Key
	var faults KeyFaults
	names, hashes := map[string]bool{}, map[[sha256.Size]byte]bool{}
	for i, line := range strings.Split(spec, ",") {
		line = strings.TrimSpace(line)
		if line == "" && strings.TrimSpace(spec) == "" {
			return nil, nil
		}
		key, reasons := parseKey(line)
		if key.Name != "" && names[key.Name] {
			reasons = append(reasons, fmt.Sprintf("the name %q is there twice", key.Name))
		}
		if hashes[key.Hash] {
			reasons = append(reasons, "the same hash is there twice")
		}
		for _, reason := range reasons {
			faults = append(faults, fmt.Sprintf("key %d: %s", i+1, reason))
		}
		names[key.Name] = true
		if key.Hash != ([sha256.Size]byte{}) {
			hashes[key.Hash] = true
		}
		keys = append(keys, key)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return keys, nil
}

// parseKey reads one key and says everything that is wrong with it.
func parseKey(line string) (key Key, reasons []string) {
	parts := strings.SplitN(line, ":", 4)
	if len(parts) < 3 {
		return key, []string{"want name:scope[+scope]:sha256hex[:account]"}
	}
	if key.Name = parts[0]; !validKeyName(key.Name) {
		reasons = append(reasons, "the name wants 1 to 64 letters, digits, dots, hyphens or underscores")
		key.Name = ""
	}
	for name := range strings.SplitSeq(parts[1], "+") {
		if !slices.Contains(Scopes(), Scope(name)) {
			reasons = append(reasons, fmt.Sprintf("%q is no scope: want read, audit, billing or admin", name))
			continue
		}
		key.Scopes = append(key.Scopes, Scope(name))
	}
	if n, err := hex.Decode(key.Hash[:], []byte(parts[2])[:min(len(parts[2]), 2*sha256.Size)]); err != nil || n != sha256.Size || len(parts[2]) != 2*sha256.Size {
		key.Hash = [sha256.Size]byte{}
		reasons = append(reasons, "the hash wants the 64 hexadecimal digits of a SHA-256")
	}
	if len(parts) == 4 {
		account, err := url.PathUnescape(parts[3])
		if err != nil || !aggregate.ValidAccount(account) {
			reasons = append(reasons, "the account is not one: want 1 to 512 bytes of text without control characters, comma and percent sign as %2C and %25")
		}
		key.Account = account
	}
	return key, reasons
}

func validKeyName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return !letterOrDigit(r) && !strings.ContainsRune("._-", r)
	})
}

// letterOrDigit reports an ASCII letter or digit.
func letterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// keyBytes is the entropy of a new key.
const keyBytes = 32

// NewKey makes a key. plain is for its holder, and is kept nowhere; line is
// for the server's list of keys, in the form that ParseKeys reads. The error is
// KeyFaults.
func NewKey(name string, scopes []Scope, account string) (plain, line string, err error) {
	secret := make([]byte, keyBytes)
	if _, err := rand.Read(secret); err != nil {
		return "", "", fmt.Errorf("make an API key: %w", err)
	}
	plain = "dbk_" + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(plain))
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	line = name + ":" + strings.Join(names, "+") + ":" + hex.EncodeToString(hash[:])
	if account != "" {
		line += ":" + strings.NewReplacer("%", "%25", ",", "%2C").Replace(account)
	}
	if _, reasons := parseKey(line); len(reasons) > 0 {
		return "", "", KeyFaults(reasons)
	}
	return plain, line, nil
}

// keyring finds keys. It is never changed, only replaced.
type keyring []Key

// find returns the key that was presented. Every key is compared, in constant
// time, so that the time taken tells nothing of how near a guess was.
func (ring keyring) find(presented string) (*Key, bool) {
	hash := sha256.Sum256([]byte(presented))
	found := -1
	for i := range ring {
		if subtle.ConstantTimeCompare(hash[:], ring[i].Hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return nil, false
	}
	return &ring[found], true
}

// admit reports whether a key that was found is still there, with a scope and for
// the same account.
func (ring keyring) admit(key *Key, want Scope) bool {
	return slices.ContainsFunc(ring, func(k Key) bool { return k.Hash == key.Hash && k.Account == key.Account && k.allows(want) })
}
