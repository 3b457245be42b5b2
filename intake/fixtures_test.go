package intake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fixture is a recorded payload, or a specification object in an envelope.
type fixture struct {
	path, kind string
	body       []byte
}

var eventID = regexp.MustCompile(`^[A-Za-z0-9_]{1,255}$`)

// eventFixtures are all recorded events. Those whose ids were rewritten, by the
// project that recorded them, to what no Stripe id looks like get one that
// does; nothing else is touched.
func eventFixtures(t testing.TB) []fixture {
	t.Helper()
	var fixtures []fixture
	for _, path := range fixtureFiles(t, "events", "histories") {
		body := readFixture(t, path)
		var envelope struct{ ID, Type string }
		if err := json.Unmarshal(body, &envelope); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !eventID.MatchString(envelope.ID) {
			id := "evt_" + regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(envelope.ID, "_")
			body = bytes.ReplaceAll(body, []byte(envelope.ID), []byte(id))
		}
		fixtures = append(fixtures, fixture{path, envelope.Type, body})
	}
	return fixtures
}

// objectFixtures are Stripe's specification objects: right for where fields
// are, placeholders in what they say.
func objectFixtures(t testing.TB) []fixture {
	t.Helper()
	kinds := map[string]string{
		"subscription":     "customer.subscription.updated",
		"invoice":          "invoice.paid",
		"checkout.session": "checkout.session.completed",
		"charge":           "charge.succeeded",
		"payment_intent":   "payment_intent.payment_failed",
		"refund":           "refund.created",
		"dispute":          "charge.dispute.created",
		"credit_note":      "credit_note.created",
		"invoice_payment":  "invoice_payment.paid",
		"customer":         "customer.created",
		"entitlements.active_entitlement_summary": "entitlements.active_entitlement_summary.updated",
	}
	var fixtures []fixture
	for _, path := range fixtureFiles(t, "objects") {
		name, _, _ := strings.Cut(filepath.Base(path), "--")
		if kinds[name] == "" {
			t.Fatalf("%s: of no known kind", path)
		}
		fixtures = append(fixtures, fixture{path, kinds[name], event(kinds[name], string(readFixture(t, path)))})
	}
	return fixtures
}

// event puts an object into an envelope; more is added behind it in data.
func event(kind, object string, more ...string) []byte {
	return fmt.Appendf(nil, `{"id":"evt_1","object":"event","type":%q,"created":1700000000,"livemode":false,"pending_webhooks":1,"data":{"object":%s%s}}`,
		kind, object, strings.Join(more, ""))
}

func fixtureFiles(t testing.TB, folders ...string) []string {
	t.Helper()
	var paths []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join("testdata", "fixtures", folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".json") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(paths) == 0 {
		t.Fatal("no fixtures")
	}
	return paths
}

func readFixture(t testing.TB, path string) []byte {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
