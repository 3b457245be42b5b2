package daybook_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const (
	// parityFile goes through what the reference system offered.
	parityFile = "docs/PARITY.md"
	// endToEnd has the tests on the binary that is shipped.
	endToEnd = "cmd/daybook/e2e"
)

// parts are those of the reference system, with the test that is named after
// each.
var parts = []struct{ name, test string }{
	{"Webhook", "TestParityWebhook"}, {"Idempotency", "TestParityIdempotency"}, {"Subscription state", "TestParitySubscriptionState"},
	{"Grace", "TestParityGrace"}, {"Entitlements in Redis", "TestParityEntitlementsInRedis"}, {"Gatekeeper", "TestParityGatekeeper"},
	{"Tiers", "TestParityTiers"}, {"Checkout, portal", "TestParityCheckoutAndPortal"}, {"Admin", "TestParityAdmin"},
	{"Audit log", "TestParityAuditLog"}, {"Operations", "TestParityOperations"}, {"Suggested", "TestParitySuggested"},
}

var rowOfPart = regexp.MustCompile("^\\| ([A-Z][^|]*) \\| [^|]+ \\| [^|]+ \\| ((?:`Test\\w+`(?:, )?)+) \\|$")

// TestEveryPartNamesItsTests holds the table and the source together: every part
// is there, shown first by the test that is named after it; every test that is
// named exists, end to end; and none is named after a part that is not there.
func TestEveryPartNamesItsTests(t *testing.T) {
	text, err := os.ReadFile(parityFile)
	if err != nil {
		t.Fatal(err)
	}
	there, left := map[string]bool{}, map[string]bool{}
	for _, f := range testFiles(t) {
		for _, name := range f.tests() {
			there[name] = there[name] || f.folder() == endToEnd
			if strings.HasPrefix(name, "TestParity") {
				left[name] = true
			}
		}
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		if cells := rowOfPart.FindStringSubmatch(strings.TrimSpace(line)); cells != nil {
			rows = append(rows, cells[1:])
		}
	}
	if len(rows) != len(parts) {
		t.Fatalf("%d parts are listed, want %d", len(rows), len(parts))
	}
	for i, part := range parts {
		var tests []string
		for _, name := range nameOfProof.FindAllStringSubmatch(rows[i][1], -1) {
			tests = append(tests, name[1])
		}
		if rows[i][0] != part.name || tests[0] != part.test {
			t.Errorf("row %d is %q, shown by %q; want %+v", i+1, rows[i][0], tests, part)
		}
		delete(left, part.test)
		for _, name := range tests {
			if !there[name] {
				t.Errorf("%s: there is no test %q of the binary", part.name, name)
			}
		}
	}
	for name := range left {
		t.Errorf("%s is in no row", name)
	}
}
