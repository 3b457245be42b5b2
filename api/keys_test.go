package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func TestParseKeysReadsEveryForm(t *testing.T) {
	keys, err := ParseKeys("reader:read:" + hashOf("a") + ", ops:read+audit+billing+admin:" + hashOf("b") +
		",team.1:audit:" + hashOf("c") + ":team:42 %25%2C{ü}")
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 3 || len(keys[1].Scopes) != 4 {
		t.Fatalf("got %+v", keys)
	}
	if got, want := keys[2].Account, "team:42 %,{ü}"; got != want {
		t.Errorf("account %q, want %q", got, want)
	}
	if key, ok := keyring(keys).find("b"); !ok || key.Name != "ops" {
		t.Errorf("key b: %v, %v", key, ok)
	}
	if _, ok := keyring(keys).find("d"); ok {
		t.Error("a key that nobody has was found")
	}
}

func TestParseKeysOfNothing(t *testing.T) {
	for _, spec := range []string{"", "  "} {
		if keys, err := ParseKeys(spec); err != nil || len(keys) != 0 {
			t.Errorf("%q: %v, %v", spec, keys, err)
		}
	}
}

func TestParseKeysListsEveryFault(t *testing.T) {
	good := hashOf("a")
	_, err := ParseKeys("a:read:" + good + ",a b:write+read:12,b:read,c:read:" + good + ",a:read:" + hashOf("x") +
		",d:read:" + hashOf("y") + ":\x01,,e:read:" + strings.Repeat("zz", 32) + ",f:read:" + hashOf("z") + "00")
	var faults KeyFaults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	want := []string{
		"key 2: the name", `key 2: "write" is no scope`, "key 2: the hash", "key 3: want name:",
		"key 4: the same hash", `key 5: the name "a" is there twice`, "key 6: the account", "key 7: want name:",
		"key 8: the hash", "key 9: the hash",
	}
	if len(faults) != len(want) {
		t.Errorf("%d faults, want %d: %q", len(faults), len(want), faults)
	}
	for i := range min(len(want), len(faults)) {
		if !strings.HasPrefix(faults[i], want[i]) {
			t.Errorf("fault %d is %q, want %q…", i, faults[i], want[i])
		}
	}
	if strings.Contains(err.Error(), good) {
		t.Error("a hash is repeated in the error")
	}
}

func TestNewKeyIsReadBack(t *testing.T) {
	for _, account := range []string{"", "team-42", "a:b,c%2C d{}/ü"} {
		plain, line, err := NewKey("team", []Scope{ScopeRead, ScopeAudit}, account)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := ParseKeys(line)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%q: %v, %v", line, keys, err)
		}
		key, ok := keyring(keys).find(plain)
		if !ok || key.Account != account || !key.allows(ScopeAudit) || key.allows(ScopeAdmin) {
			t.Errorf("account %q: %+v, %v", account, key, ok)
		}
		if strings.Contains(line, plain) {
			t.Error("the line for the server holds the key itself")
		}
	}
}

func TestNewKeyRefusesWhatCouldNotBeRead(t *testing.T) {
	for name, try := range map[string]func() error{
		"no name":     func() error { _, _, err := NewKey("", []Scope{ScopeRead}, ""); return err },
		"name:colon":  func() error { _, _, err := NewKey("a:read", []Scope{ScopeRead}, ""); return err },
		"no scope":    func() error { _, _, err := NewKey("a", nil, ""); return err },
		"other scope": func() error { _, _, err := NewKey("a", []Scope{"root"}, ""); return err },
		"account":     func() error { _, _, err := NewKey("a", []Scope{ScopeRead}, "\n"); return err },
	} {
		if try() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
