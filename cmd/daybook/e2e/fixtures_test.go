package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/daybookhq/daybook/intake"
)

// fixtureFolder holds payloads that Stripe, or a double of it, really sent.
const fixtureFolder = "../../../intake/testdata/fixtures"

// fixture is a payload as it is sent here.
type fixture struct {
	path, id string
	body     []byte
	// again says that an earlier fixture is the same event with the same
	// content, recorded twice by whoever collected them.
	again bool
}

var stripeID = regexp.MustCompile(`^[A-Za-z0-9_]{1,255}$`)

// fixtures reads all event payloads. Samples of which many share one id, and
// those whose id is none, get one of their own; not a byte else is touched.
func fixtures(t *testing.T) []fixture {
	t.Helper()
	var all []fixture
	seen := map[string][]byte{}
	err := eachFixture(func(path string, body []byte) error {
		if !strings.HasPrefix(path, filepath.Join(fixtureFolder, "objects")) { // these are no events
			all = append(all, distinct(t, fixture{path: path, body: body}, seen))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 200 {
		t.Fatalf("only %d fixtures", len(all))
	}
	return all
}

// distinct gives a fixture an id that no other content has.
func distinct(t *testing.T, f fixture, seen map[string][]byte) fixture {
	t.Helper()
	begin, end := topLevelID(t, f)
	f.id = string(f.body[begin:end])
	base := f.id
	if !stripeID.MatchString(base) {
		base = "evt_" + regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(base, "_")
	}
	wanted := base
	for n := 2; ; n++ {
		body := slices.Concat(f.body[:begin], []byte(wanted), f.body[end:])
		other, taken := seen[wanted]
		if f.again = taken && sameEvent(t, other, body); !taken || f.again {
			f.id, f.body, seen[wanted] = wanted, body, body
			return f
		}
		wanted = fmt.Sprintf("%s_%d", base, n)
	}
}

// topLevelID finds where the id of the event itself stands between its quotes.
func topLevelID(t *testing.T, f fixture) (begin, end int64) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(f.body))
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%s: %v", f.path, err)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%s: %v", f.path, err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("%s: %v", f.path, err)
		}
		if name == "id" {
			end = dec.InputOffset() - 1
			return end - int64(len(value)) + 2, end
		}
	}
	t.Fatalf("%s: no id", f.path)
	return 0, 0
}

// sameEvent tells whether two payloads are one event: all but the number of
// endpoints that wait for it.
func sameEvent(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y map[string]any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		t.Fatal("a fixture is not JSON")
	}
	delete(x, "pending_webhooks")
	delete(y, "pending_webhooks")
	return reflect.DeepEqual(x, y)
}

// TestRealPayloadsAreKeptAndRead sends every payload that was ever collected,
// signed, through the real route, to a server in test mode and to one in live
// mode. Each keeps all of them, byte by byte; each posts those of its own mode,
// and what is true afterwards is in files that people have read.
func TestRealPayloadsAreKeptAndRead(t *testing.T) {
	t.Parallel()
	const secret = "whsec_realpayloads"
	all := fixtures(t)
	for mode, l := range map[string]launch{
		// One connected account has a subscription: it is ours in test mode.
		"test": {args: []string{"--dev", "--connect-accounts", "acct_1RmfQsFtG20dLAMs", "--log-level", "trace"}},
		"live": {args: []string{"--log-level", "trace"}, secret: secret, key: "reader",
			env: []string{"DAYBOOK_LIVEMODE=live", "STRIPE_WEBHOOK_SECRETS=" + secret, "DAYBOOK_API_KEYS=reader:read+audit:" + sha256Hex("reader")}},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			onEachStore(t, func(t *testing.T, dir string) {
				l := l // each store's test has a data dir of its own
				l.dir = dir
				s := start(t, l)
				wantKept(t, s, all)
				s.settle()
				compareGolden(t, mode+".json", s.truth())
				wantNothingFailed(t, s)
				wantRebuildSame(t, s)
				wantUnsaid(t, s.log.String(), append(personalWords(t), secret, devSecret))
				s.stop()
			})
		})
	}
}

// wantKept delivers everything, twice, and compares the journal with it.
func wantKept(t *testing.T, s *server, all []fixture) {
	t.Helper()
	for _, f := range all {
		if f.again {
			s.mustDeliver(f.body, "duplicate")
		} else {
			s.mustDeliver(f.body, "recorded")
		}
	}
	for _, f := range all {
		s.mustDeliver(f.body, "duplicate")
	}
	entries := journal(t, s.dir)
	events := 0
	for _, f := range all {
		if f.again {
			continue
		}
		events++
		if kept := entries[f.id]; len(kept) != 1 || !bytes.Equal(kept[0].Data, f.body) {
			t.Errorf("%s: %d entries of %s, or not the bytes that were sent", f.path, len(kept), f.id)
			continue
		}
		receipt, err := intake.DecodeReceipt(entries[f.id][0].Metadata)
		if err != nil || receipt.Secret != intake.Fingerprint(s.secret) || receipt.Source != intake.SourceWebhook {
			t.Errorf("%s: receipt %+v, %v", f.path, receipt, err)
		}
	}
	if len(entries) != events {
		t.Errorf("%d streams in the journal: want %d", len(entries), events)
	}
}

// wantNothingFailed checks that every payload of a posted type could be read:
// all that posting needs (an id, a status, an amount) is in every one of them,
// also in the oldest shapes.
func wantNothingFailed(t *testing.T, s *server) {
	t.Helper()
	var found struct{ Failures, Parked []any }
	if err := json.Unmarshal([]byte(mustRun(t, "failures", "-o", "json", "--data-dir", s.dir)), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Failures)+len(found.Parked) > 0 {
		t.Errorf("not posted: %v; parked: %v", found.Failures, found.Parked)
	}
}

func wantRebuildSame(t *testing.T, s *server) {
	t.Helper()
	if out := mustRun(t, "rebuild", "--data-dir", s.dir); !strings.Contains(out, "the same as the live model") {
		t.Error(out)
	}
}

// personalWords are what a person in the payloads could be known by.
func personalWords(t *testing.T) []string {
	t.Helper()
	words, err := fixturesPersonal()
	if err != nil {
		t.Fatal(err)
	}
	return words
}

// fixturesPersonal reads all that was ever collected: events, histories, and
// objects.
var fixturesPersonal = sync.OnceValues(func() ([]string, error) {
	found := map[string]bool{}
	err := eachFixture(func(_ string, body []byte) error {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			return err
		}
		personalIn("", v, false, found)
		return nil
	})
	if err == nil && len(found) < 5 {
		err = fmt.Errorf("only %d personal words in the fixtures: %v", len(found), found)
	}
	return slices.Sorted(maps.Keys(found)), err
})

// personalIn finds names, addresses and secrets in a part of a payload. That the
// part is of a person is known by where it stands.
func personalIn(key string, v any, person bool, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		person = person || slices.Contains([]string{"billing_details", "shipping", "customer_details", "owner"}, key) || v["object"] == "customer" || v["object"] == "card"
		for k, inner := range v {
			personalIn(k, inner, person, found)
		}
	case []any:
		for _, inner := range v {
			personalIn(key, inner, person, found)
		}
	case string:
		personal := person && slices.Contains([]string{"name", "phone", "line1", "line2", "city"}, key)
		if len(v) >= 4 && v != key && (personal || key == "client_secret" || strings.Contains(key, "email") && strings.Contains(v, "@")) {
			found[v] = true
		}
	}
}

// eachFixture reads every payload there is.
func eachFixture(visit func(path string, body []byte) error) error {
	return filepath.WalkDir(fixtureFolder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json") {
			return err
		}
		body, err := os.ReadFile(path)
		if err == nil {
			err = visit(path, body)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}
