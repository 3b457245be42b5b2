package e2e_test

import (
	"encoding/json"
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
