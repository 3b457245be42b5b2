package intake_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var translator = &intake.Translator{AccountKeys: []string{"account_id", "community_id"}}

// TestFactsOfFixtures compares what every recorded payload of a posted type,
// and every specification object, says with a file that people have read.
func TestFactsOfFixtures(t *testing.T) {
	var b strings.Builder
	for _, f := range append(eventFixtures(t), objectFixtures(t)...) {
		facts, err := translator.Translate(f.kind, f.body)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
		}
		if !intake.Posted(f.kind) {
			if facts != nil {
				t.Errorf("%s: facts of a type that is not posted", f.path)
			}
			continue
		}
		fmt.Fprintf(&b, "== %s\n", strings.TrimPrefix(f.path, "testdata/fixtures/"))
		for _, fact := range facts {
			fmt.Fprintf(&b, "%s %s %s\n", fact.Stream, fact.Fact.Type, readable(t, fact.Fact))
		}
	}
	compareGolden(t, "testdata/facts.golden", b.String())
}

// readable is a fact in its stored form.
func readable(t *testing.T, f aggregate.Fact) string {
	t.Helper()
	stored, err := aggregate.Encode(aggregate.Event{Fact: &f})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, stored, "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run with -update", err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d: got %q, want %q", path, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", path, len(g), len(w))
}

// TestFactsHoldNoPersonalData looks for what a person could be known by.
func TestFactsHoldNoPersonalData(t *testing.T) {
	golden, err := os.ReadFile("testdata/facts.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"@", "email", "address", "phone", "\"name\"", "Martin"} {
		if bytes.Contains(golden, []byte(word)) {
			t.Errorf("facts hold %q", word)
		}
	}
}
