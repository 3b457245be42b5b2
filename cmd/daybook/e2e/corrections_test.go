package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// entitlement is what these tests read of an answer.
type entitlement struct {
	Known                        bool
	Tier, Status, Reason, Source string
	InGrace                      bool      `json:"in_grace"`
	GraceUntil                   time.Time `json:"grace_until"`
	Flags                        []string
}

func (s *server) entitlement(account string) entitlement {
	s.t.Helper()
	var e entitlement
	s.get("/v1/entitlements/"+account, &e)
	return e
}

// reposted is what the tests read of the command's JSON.
type reposted struct {
	Looked, Added, Corrected, Retracted, Repaired, Failed int
	Events                                                []struct {
		StripeEventID string `json:"stripe_event_id"`
		Outcome       string
		Reason        string
	}
}

func repost(t *testing.T, dir string, code int, args ...string) (r reposted) {
	t.Helper()
	o := command(t, nil, append([]string{"repost", "--dev", "--data-dir", dir, "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || o.code != code {
		t.Fatalf("repost %q: want exit %d and JSON: %v %+v", args, code, err, o)
	}
	return r
}

// recordFailure writes into a store that nobody owns what an earlier build
// wrote when it could not post an event.
func recordFailure(t *testing.T, dir, event string) {
	t.Helper()
	store := openStore(t, dir)
	stream := eventstore.NewStream("posting", event)
	_, err := store.Append(t.Context(), stream, eventstore.NoStream, eventstore.ProposedEvent{
		ID: eventstore.DeriveID(stream, "an earlier build"), Type: "PostingFailed", Metadata: []byte(`{"recorded_at":"2026-01-01T00:00:00Z"}`),
		Data: []byte(`{"schema":1,"stripe_event_id":"` + event + `","event_type":"customer.subscription.created","reason":"translate: not understood","failed_at":"2026-01-01T00:00:00Z"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRepostAfterAnUpgrade gives a server what an earlier build recorded and
// could not post, or did not.
func TestRepostAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	onEachStore(t, repostAfterAnUpgrade)
}

func repostAfterAnUpgrade(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir, "--posting=false"))
	began := time.Now().Add(-1000 * time.Hour).Truncate(time.Second)
	s.mustDeliver(subscriptionEvent("evt_r1", "customer.subscription.created", "sub_r1", "acme", "active", began, ""), "recorded")
	s.mustDeliver(subscriptionEvent("evt_r2", "customer.subscription.created", "sub_r2", "bell", "active", began, ""), "recorded")
	broken := strings.Replace(string(subscriptionEvent("evt_r3", "customer.subscription.updated", "sub_r2", "bell", "active", began, "")), `"status":"active"`, `"status":17`, 1)
	s.mustDeliver([]byte(broken), "recorded")
	s.stop()
	recordFailure(t, s.dir, "evt_r1")

	s = start(t, development(s.dir, "--posting=false"))
	if s.entitlement("acme").Known || s.entitlement("bell").Known {
		t.Fatal("posted though told not to")
	}
	eventually(t, "the failure is listed", func() bool {
		o := command(t, nil, "failures", "--data-dir", s.dir)
		return o.code == 1 && strings.Contains(o.stdout, "evt_r1")
	})
	if r := repost(t, s.dir, 0, "--failed", "--dry-run"); r.Added != 1 || r.Repaired != 1 || s.entitlement("acme").Known {
		t.Errorf("rehearsed: %+v", r)
	}
	if r := repost(t, s.dir, 0, "--failed"); r.Looked != 1 || r.Added != 1 || r.Repaired != 1 {
		t.Errorf("reposted what failed: %+v", r)
	}
	if e := s.entitlement("acme"); e.Tier != "basic" { // the command waited until it can be seen
		t.Errorf("after the repost: %+v", e)
	}
	if o := command(t, nil, "failures", "--data-dir", s.dir); o.code != 0 {
		t.Errorf("failures after: %+v", o)
	}
	if r := repost(t, s.dir, 1, "--unposted"); r.Added != 1 || r.Failed != 1 || s.entitlement("bell").Tier != "basic" {
		t.Errorf("reposted what was unposted: %+v", r)
	}
	s.stop()
	// Without a server the command opens the store itself.
	if r := repost(t, s.dir, 1, "evt_r1", "evt_none", "evt_r3"); r.Looked != 3 || r.Failed != 2 || r.Added+r.Corrected != 0 {
		t.Errorf("reposted by id: %+v", r)
	}
	wantRebuildEqual(t, s.dir)
	for _, args := range [][]string{{}, {"--failed", "--unposted"}, {"evt_r1", "--type", "invoice.paid"}, {"evt_r1", "-o", "xml"}} {
		if o := command(t, nil, append([]string{"repost", "--dev", "--data-dir", s.dir}, args...)...); o.code != 2 {
			t.Errorf("repost %q: %+v", args, o)
		}
	}
}

// TestRepudiate takes a cancellation back that was forged.
func TestRepudiate(t *testing.T) {
	t.Parallel()
	onEachStore(t, repudiate)
}

func repudiate(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	began := time.Now().Add(-100 * time.Hour).Truncate(time.Second)
	s.mustDeliver(subscriptionEvent("evt_c1", "customer.subscription.created", "sub_c", "acme", "active", began, ""), "recorded")
	s.mustDeliver(subscriptionEvent("evt_c2", "customer.subscription.deleted", "sub_c", "acme", "canceled", began.Add(time.Hour), ""), "recorded")
	s.settle()
	if e := s.entitlement("acme"); e.Tier != "starter" || e.Status != "canceled" {
		t.Fatalf("before: %+v", e)
	}
	repudiate := func(more ...string) outcome {
		t.Helper()
		return command(t, nil, append([]string{"repudiate", "--dev", "--data-dir", s.dir}, more...)...)
	}
	for range 2 {
		o := repudiate("evt_c2", "--reason", "sent by a stolen secret", "--actor", "ann")
		if o.code != 0 || !strings.Contains(o.stdout, "by ann") {
			t.Fatalf("repudiate: %+v", o)
		}
		if e := s.entitlement("acme"); e.Tier != "basic" || e.Status != "active" {
			t.Fatalf("after: %+v", e)
		}
	}
	counts := map[string]int{}
	for _, e := range append(s.stream("subscription-sub_c"), s.stream("posting-evt_c2")...) {
		counts[e.Type]++
	}
	if counts["Repudiated"] != 1 || counts["EventRepudiated"] != 1 || counts["SubscriptionRestated"] != 1 {
		t.Errorf("recorded %v", counts)
	}
	if r := repost(t, s.dir, 0, "evt_c2"); r.Events[0].Outcome != "skipped" {
		t.Errorf("reposted what is repudiated: %+v", r)
	}
	if o := command(t, nil, "failures", "--data-dir", s.dir); o.code != 0 {
		t.Errorf("failures: %+v", o)
	}
	if o := repudiate("evt_none", "--reason", "it was never there"); o.code != 1 || !strings.Contains(o.stderr, "evt_none") {
		t.Errorf("an unknown event: %+v", o)
	}
	for _, args := range [][]string{{"evt_c1"}, {"evt_c1", "--reason", "short"}, {"--reason", "long enough, surely"}} {
		if o := repudiate(args...); o.code != 2 {
			t.Errorf("repudiate %q: %+v", args, o)
		}
	}
	s.stop()
	o := repudiate("evt_c1", "--reason", "sent by a stolen secret", "-o", "json")
	var said struct {
		Actor string
		Facts int
	}
	if err := json.Unmarshal([]byte(o.stdout), &said); err != nil || said.Facts != 1 || said.Actor == "" {
		t.Errorf("without a server: %v %+v", err, o)
	}
	wantRebuildEqual(t, s.dir)
}

// imports are events as a file has them and as Stripe signs them: each of a price of
// its own, of which another event tells later.
var imports = []struct{ name, imported, signed, tier, rule string }{
	{"other", "elite", "premium", "premium", "recorded"},
	{"none", "elite", "", "basic", "recorded"},
	{"found", "", "premium", "premium", "recorded"},
	{"same", "elite", "elite", "elite", "recorded"},
	{"foreign", "elite", "of_nobody", "basic", "recorded"},
}

// TestAFileMapsNoPriceThatStripeNamesOtherwise ingests a file of events whose prices
// have lookup keys, and has the same events come with other keys, signed: in either
// order, and with a restart in between, prices map to the same.
func TestAFileMapsNoPriceThatStripeNamesOtherwise(t *testing.T) {
	t.Parallel()
	onEachStore(t, importedMapping)
}

func importedMapping(t *testing.T, dir string) {
	t.Helper()
	const created = "customer.subscription.created"
	began := quietTime()
	priced := func(name, event, key string, at time.Time) []byte {
		return pricedEvent("evt_"+event+name, created, "sub_"+event+name, "active", at, "price_"+name, key, "prod_x")
	}
	ingest := func(s *server) {
		t.Helper()
		var lines []byte
		for _, each := range imports {
			lines = append(append(lines, bytes.ReplaceAll(priced(each.name, "first", each.imported, began), []byte("\n"), nil)...), '\n')
		}
		file := filepath.Join(t.TempDir(), "events.jsonl")
		if err := os.WriteFile(file, lines, 0o600); err != nil {
			t.Fatal(err)
		}
		mustRun(t, "ingest", file, "--dev", "--data-dir", s.dir)
	}
	later := func(s *server) {
		t.Helper()
		for _, each := range imports {
			s.mustDeliver(priced(each.name, "second", "basic", began.Add(time.Hour)), "recorded")
		}
	}
	sign := func(s *server) {
		t.Helper()
		for _, each := range imports {
			s.mustDeliver(priced(each.name, "first", each.signed, began), "recorded")
		}
	}

	clean := start(t, development(""))
	for _, step := range []func(*server){sign, ingest, later} {
		step(clean)
		clean.settle()
	}
	s := start(t, development(dir))
	for i, step := range []func(*server){ingest, later, sign} {
		step(s)
		s.settle() // so that each is posted by itself
		if i == 0 {
			s.stop()
			s = start(t, development(dir))
		}
	}
	prices, clear := checkCatalog(t, dir, 0), checkCatalog(t, clean.dir, 0)
	for _, each := range imports {
		for _, row := range []string{"price_" + each.name + "/" + each.signed, "price_" + each.name + "/basic"} {
			if got := prices[row]; got != clear[row] || got.Tier != each.tier || got.Rule != each.rule {
				t.Errorf("catalog check, %s: %+v; signed first: %+v; want tier %s, %s", row, got, clear[row], each.tier, each.rule)
			}
		}
		for _, event := range []string{"first", "second"} {
			sub := "sub_" + event + each.name
			wantSameAnswer(t, s, clean, "/v1/entitlements/acme-"+sub)
			wantSameAnswer(t, s, clean, "/v1/subscriptions/"+sub)
			if e := s.entitlement("acme-" + sub); e.Tier != each.tier {
				t.Errorf("%s: %+v, want tier %s", sub, e, each.tier)
			}
		}
	}
	s.stop()
	clean.stop()
	wantRebuildEqual(t, dir)
	if r := repost(t, dir, 0, "--type", created); r.Added+r.Corrected+r.Retracted != 0 {
		t.Errorf("posted again: %+v", r)
	}
}
