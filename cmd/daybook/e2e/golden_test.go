package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// volatile members differ from run to run: where things stand in the log, and
// when they were asked.
var volatile = []string{"epoch", "position", "as_of", "valid_until", "recorded_at"}

// truth is all that a server says of subscriptions and accounts, as text.
func (s *server) truth() []byte {
	s.t.Helper()
	subscriptions := []map[string]any{}
	for path := "/v1/subscriptions?limit=100"; path != ""; {
		var page struct {
			Subscriptions []map[string]any
			Next          string
		}
		s.get(path, &page)
		subscriptions = append(subscriptions, page.Subscriptions...)
		if path = ""; page.Next != "" {
			path = "/v1/subscriptions?limit=100&from=" + url.QueryEscape(page.Next)
		}
	}
	entitlements := map[string]any{}
	for _, subscription := range subscriptions {
		account, _ := subscription["account"].(string)
		if account == "" {
			continue
		}
		var e map[string]any
		s.get("/v1/entitlements/"+url.PathEscape(account), &e)
		entitlements[account] = withoutVolatile(e)
	}
	var status struct {
		Unmapped []map[string]any `json:"unmapped"`
	}
	s.get("/v1/status", &status)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(map[string]any{"subscriptions": withoutVolatile(subscriptions), "entitlements": entitlements, "unmapped": status.Unmapped}); err != nil {
		s.t.Fatal(err)
	}
	return out.Bytes()
}

// withoutVolatile drops volatile members at every level.
func withoutVolatile(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, inner := range v {
			if !slices.Contains(volatile, name) {
				kept[name] = withoutVolatile(inner)
			}
		}
		return kept
	case []map[string]any:
		kept := make([]any, len(v))
		for i, inner := range v {
			kept[i] = withoutVolatile(inner)
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, inner := range v {
			kept[i] = withoutVolatile(inner)
		}
		return kept
	}
	return v
}

// compareGolden compares text with a file that people have read.
func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run with -update", err)
	}
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			t.Fatalf("%s:%d: got %s, want %s", path, i+1, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%s: %d lines, want %d", path, len(g), len(w))
	}
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
