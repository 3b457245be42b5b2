package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/daybookhq/daybook/cmd/daybook/config"
)

// otherVariables are named in documents and are no settings of the command: what
// it refuses, what tests take, and what an example calls a key.
var otherVariables = []string{"DAYBOOK_PAYLOAD_KEYS", "EVENTSTORE_TEST_URL", "DAYBOOK_KEY"}

// variableNames are the names of all variables, by way of the flags that stand for them.
func variableNames() (names []string) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		if name := regexp.MustCompile(`\[([A-Z_]+)\]$`).FindStringSubmatch(f.Usage); name != nil {
			names = append(names, name[1])
		}
	})
	return names
}

// TestTheDocumentsNameEverySettingAndNoOther: the table of the README has every
// variable, and no document names one that is not there.
func TestTheDocumentsNameEverySettingAndNoOther(t *testing.T) {
	known := variableNames()
	if len(known) < 20 {
		t.Fatalf("only %q", known)
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	variable := regexp.MustCompile(`\b(?:DAYBOOK|STRIPE|EVENTSTORE|REDIS)_[A-Z_]*[A-Z]\b`)
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, variable.FindAllString(row[1], -1)...)
	}
	for _, name := range known {
		if plain := strings.TrimSuffix(name, "_FILE"); !slices.Contains(listed, plain) {
			t.Errorf("the README does not list %s", plain)
		}
	}
	documents, err := filepath.Glob("../../../docs/*.md")
	if err != nil || len(documents) < 5 {
		t.Fatalf("%q, %v", documents, err)
	}
	for _, path := range append(documents, "../../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			if !slices.Contains(known, name) && !slices.Contains(otherVariables, name) {
				t.Errorf("%s names %s, which is no setting", filepath.Base(path), name)
			}
		}
	}
}
