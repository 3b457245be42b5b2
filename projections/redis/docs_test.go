package redis_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections/published"
)

// guide is the contract for readers.
func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "REDIS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// program makes the one example that docs/REDIS.md has in a language runnable.
func program(t *testing.T, language, file string, run ...string) []string {
	t.Helper()
	found := regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(guide(t), -1)
	if len(found) != 1 {
		t.Fatalf("docs/REDIS.md has %d examples in %s", len(found), language)
	}
	path := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(path, []byte(found[0][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath(run[0]); err != nil {
		t.Fatalf("the example in %s needs %s: run scripts/install-tools", language, run[0])
	}
	if language != "go" {
		return append(run, path)
	}
	binary := filepath.Join(filepath.Dir(path), "example")
	if out, err := exec.Command(run[0], "build", "-o", binary, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{binary}
}

// TestTheExamplesForReaders runs what docs/REDIS.md shows against a real server.
func TestTheExamplesForReaders(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	ctx := t.Context()
	odd := `Ünïcödé {a}:b "c" 'd' $e \f`
	for _, account := range []string{"team", odd} {
		publish(t, o, publication(t, account, "premium", 1))
	}
	sealed := func(account string, at time.Time, keys ...[]byte) []byte {
		value, err := published.Seal(account, doc(t, account, "premium"), published.Order{Founded: founded, Position: 1, At: at}, lease, keys)
		if err != nil {
			t.Fatal(err)
		}
		return value.Value
	}
	c.Set(ctx, "entitlement:lapsed", sealed("lapsed", time.Now().Add(-lease), keyA), 0)
	c.Set(ctx, "entitlement:unsigned", sealed("unsigned", time.Now()), 0)
	c.Set(ctx, "entitlement:signed by another", sealed("signed by another", time.Now(), keyB), 0)
	c.Set(ctx, "entitlement:moved", sealed("team", time.Now(), keyA), 0)
	c.Set(ctx, "entitlement:altered", bytes.Replace(sealed("altered", time.Now(), keyA), []byte(`"premium"`), []byte(`"elevated"`), 1), 0)
	c.Set(ctx, "entitlement:short", "hello", 0)
	c.Set(ctx, "entitlement:newer", newerSchema(t, "newer", keyA), 0)

	for language, run := range map[string][]string{
		"go":     program(t, "go", "main.go", "go"),
		"python": program(t, "python", "example.py", "python3"),
		"bash":   program(t, "bash", "example.sh", "bash"),
	} {
		for account, want := range map[string]string{"team": "premium", odd: "premium", "lapsed": "unknown", "unsigned": "unknown",
			"signed by another": "unknown", "moved": "unknown", "altered": "unknown", "short": "unknown", "newer": "unknown", "nobody": "unknown"} {
			cmd := exec.CommandContext(ctx, run[0], append(run[1:], account)...)
			cmd.Env = append(os.Environ(), "REDIS_URL="+s.URL(), "DAYBOOK_ENTITLEMENT_KEY="+base64.StdEncoding.EncodeToString(keyA))
			var faults bytes.Buffer
			cmd.Stderr = &faults
			out, err := cmd.Output()
			said, _, _ := strings.Cut(strings.TrimSpace(string(out)), ":")
			if said != want || (err == nil) != (want == "premium") || faults.Len() > 0 {
				t.Errorf("%s, %s: says %q, %v, want %s\n%s", language, account, out, err, want, &faults)
			}
		}
	}
}

// newerSchema is an entry of a schema to come, signed by us.
func newerSchema(t *testing.T, account string, key []byte) []byte {
	t.Helper()
	value := bytes.TrimSuffix(sealedAt(t, account, "premium", 1, founded, nil), []byte{'}'})
	value = bytes.Replace(value, []byte(`"schema":1`), []byte(`"schema":2`), 1)
	mac := hmac.New(sha256.New, key)
	mac.Write(append([]byte("entitlement:"+account+"\n"), value...))
	return fmt.Appendf(value, `,"mac":"%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
