package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/cmd/daybook/config"
)

const catalogDoc = "../../../docs/CATALOG.md"

// block is an example of the document: its language, and its content.
type block struct{ language, content string }

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

func blocksOf(t *testing.T, path string) (text string, blocks []block) {
	t.Helper()
	content, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range fenced.FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, block{found[1], found[2]})
	}
	return string(content), blocks
}

// promise is what the document says that a tier gives.
type promise struct {
	Tier     string
	Quantity int64
	Features []string
	Limits   map[string]aggregate.Limit
}

// TestTheCatalogsOfTheDocumentAreWhatItSays reads every catalog of it. Those with
// a text behind them are refused, with its lines for faults; the others are taken,
// and give what is promised behind them.
func TestTheCatalogsOfTheDocumentAreWhatItSays(t *testing.T) {
	_, blocks := blocksOf(t, catalogDoc)
	taken, refused, promises := 0, 0, 0
	var catalog *aggregate.Catalog
	for i, b := range blocks {
		switch {
		case b.language == "yaml" && i+1 < len(blocks) && blocks[i+1].language == "text":
			refused++
			wantFaults(t, b.content, strings.Split(strings.TrimSpace(blocks[i+1].content), "\n"))
		case b.language == "yaml":
			taken++
			var err error
			if catalog, err = config.ReadCatalog(writeFile(t, "catalog.yaml", b.content)); err != nil {
				t.Fatalf("%v in\n%s", err, b.content)
			}
		case b.language == "json":
			promises++
			var p promise
			if err := json.Unmarshal([]byte(b.content), &p); err != nil {
				t.Fatal(err)
			}
			if got := catalog.FeaturesOf(p.Tier); !slices.Equal(got, p.Features) {
				t.Errorf("%s has the features %q, not %q", p.Tier, got, p.Features)
			}
			if got := catalog.LimitsOf(p.Tier, p.Quantity); !reflect.DeepEqual(got, p.Limits) {
				t.Errorf("%d of %s have the limits %v, not %v", p.Quantity, p.Tier, got, p.Limits)
			}
		}
	}
	if taken < 3 || refused < 5 || promises < 2 {
		t.Errorf("%d catalogs that are taken, %d that are refused, %d promises: the test proves little", taken, refused, promises)
	}
}

func wantFaults(t *testing.T, content string, want []string) {
	t.Helper()
	_, err := config.ReadCatalog(writeFile(t, "catalog.yaml", content))
	var faults aggregate.CatalogFaults
	if !errors.As(err, &faults) || !slices.Equal(faults, want) {
		t.Errorf("want the faults\n%s\nand got %v, of\n%s", strings.Join(want, "\n"), err, content)
	}
}

// TestTheDocumentHasARuleForEveryKey compares its table with what a catalog can say.
func TestTheDocumentHasARuleForEveryKey(t *testing.T) {
	text, _ := blocksOf(t, catalogDoc)
	said := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(text, -1) {
		said[row[1]] = true
	}
	for _, part := range []any{aggregate.Catalog{}, aggregate.Tier{}, aggregate.Addon{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(part)) {
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if key != "" && !said[key] {
				t.Errorf("there is no rule for %s", key)
			}
		}
	}
}
