package intake_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var translator = &intake.Translator{AccountKeys: []string{"account_id", "community_id"}}

// TestFactsOfFixtures compares what every recorded payload of a posted type,
// and every specification object, says with files that people have read: one
// for each API version, and one for each history. Every recorded payload can be
// read; some specification objects hold null where an event would have a value.
func TestFactsOfFixtures(t *testing.T) {
	golden := map[string]*strings.Builder{}
	for _, f := range append(eventFixtures(t), objectFixtures(t)...) {
		facts, err := translator.Translate(f.kind, f.body)
		if !intake.Posted(f.kind) {
			if facts != nil || err != nil {
				t.Errorf("%s: %v, %v of a type that is not posted", f.path, facts, err)
			}
			continue
		}
		path := strings.TrimPrefix(filepath.ToSlash(f.path), "testdata/fixtures/")
		folder, name, _ := strings.Cut(path, "/")
		version, name, _ := strings.Cut(name, "/")
		b := golden[version]
		if b == nil {
			b = &strings.Builder{}
			golden[version] = b
		}
		fmt.Fprintf(b, "== %s %s\n", folder, name)
		if err != nil {
			if folder != "objects" {
				t.Errorf("%s: %v", f.path, err)
			}
			fmt.Fprintln(b, err)
		}
		for _, fact := range facts {
			fmt.Fprintf(b, "%s %s %s\n", fact.Stream, fact.Fact.Type, readable(t, fact.Fact))
		}
	}
	kept, err := filepath.Glob(filepath.Join(goldenFolder, "*.golden"))
	if err != nil || len(kept) > len(golden) {
		t.Errorf("%d golden files for %d versions, %v", len(kept), len(golden), err)
	}
	for version, b := range golden {
		compareGolden(t, filepath.Join(goldenFolder, version+".golden"), b.String())
	}
}

// goldenFolder holds the facts of the fixtures.
const goldenFolder = "testdata/facts"

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

// TestFactsHoldNoPersonalData looks for what a person could be known by, and
// for what was written for people to read, in facts and in what follows from them.
func TestFactsHoldNoPersonalData(t *testing.T) {
	var files []string
	for _, folder := range []string{goldenFolder, truthsFolder} {
		found, err := filepath.Glob(filepath.Join(folder, "*.golden"))
		if err != nil || len(found) < 10 {
			t.Fatalf("%d golden files in %s, %v", len(found), folder, err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"@", "email", "address", "phone", "\"name\"", "Martin", "Jenny", "description", "message", "declined.", "evidence", "last4"} {
			if bytes.Contains(golden, []byte(word)) {
				t.Errorf("%s: facts hold %q", path, word)
			}
		}
	}
}
