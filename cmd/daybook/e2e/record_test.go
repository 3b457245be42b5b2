package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// TestTheRecordIsReadable reads the record as people and programs do: lists,
// timelines, one event with what followed, statistics, explanations, checks.
func TestTheRecordIsReadable(t *testing.T) {
	t.Parallel()
	onEachStore(t, recordIsReadable)
}

func recordIsReadable(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	began := time.Now().UTC().Add(-100 * time.Hour).Truncate(time.Second)
	// What happened last comes first.
	s.mustDeliver(subscriptionEvent("evt_read_2", "customer.subscription.updated", "sub_read", "readers", "active", began.Add(50*time.Hour), ""), "recorded")
	s.settle()
	s.mustDeliver(subscriptionEvent("evt_read_1", "customer.subscription.created", "sub_read", "readers", "trialing", began, ""), "recorded")
	s.mustDeliver(subscriptionEvent("evt_other", "customer.subscription.created", "sub_other", "others", "active", began, ""), "recorded")
	s.settle()
	wantTimeline(t, s)
	wantEventShown(t, s)
	wantExplained(t, s, began)
	wantStatistics(t, s)
	wantTailResumed(t, s, began)
	wantCursorsKept(t, s)
	s.stop()
}

// eventLines decodes JSON lines.
func eventLines(t testing.TB, text string) (ids []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e struct {
			ID string `json:"stripe_event_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

func wantTimeline(t *testing.T, s *server) {
	t.Helper()
	types := "SubscriptionStarted,SubscriptionChanged"
	for order, want := range map[string]string{"recorded": "evt_read_2 evt_read_1", "occurred": "evt_read_1 evt_read_2"} {
		var page struct {
			Events []struct {
				StripeEventID string `json:"stripe_event_id"`
				Receipt       struct {
					Source, Secret string
					ReceivedAt     time.Time `json:"received_at"`
				}
			}
		}
		s.get("/v1/accounts/readers/timeline?receipts=true&type="+types+"&order="+order, &page)
		var ids []string
		for _, e := range page.Events {
			ids = append(ids, e.StripeEventID)
			if e.Receipt.Source != "stripe-webhook" || e.Receipt.Secret == "" || e.Receipt.ReceivedAt.IsZero() {
				t.Errorf("receipt of %s: %+v", e.StripeEventID, e.Receipt)
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("timeline, %s: %s, want %s", order, got, want)
		}
		listed := eventLines(t, mustRun(t, "events", "--data-dir", s.dir, "--account", "readers", "--type", types, "--order", order, "-o", "json"))
		if got := strings.Join(listed, " "); got != want {
			t.Errorf("events --order %s: %s, want %s", order, got, want)
		}
	}
	if got := eventLines(t, mustRun(t, "events", "--data-dir", s.dir, "--customer", "cus_of_nobody", "-o", "json")); len(got) != 0 {
		t.Errorf("of nobody's customer: %v", got)
	}
	if a := s.ask("/v1/accounts/nobody/timeline", s.key); a.status != http.StatusNotFound {
		t.Errorf("nobody's timeline: %d", a.status)
	}
	if a := s.ask("/v1/events?account=nobody", s.key); a.status != http.StatusOK || !strings.Contains(string(a.body), `"events":[]`) {
		t.Errorf("a search for nobody: %d %s", a.status, a.body)
	}
	if got := eventLines(t, mustRun(t, "events", "--data-dir", s.dir, "--follow", "--limit", "2", "-o", "json")); len(got) != 2 {
		t.Errorf("followed for two events: %v", got)
	}
	for _, args := range [][]string{{"--since", "yesterday"}, {"--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00+01:00"},
		{"--follow", "--reverse"}, {"--follow", "--until", "2026-01-01T00:00:00Z"}, {"--account", ""}, {"--customer", ""}, {"--type", ""}, {"--order", "occurred"}, {"--account", "a", "--customer", "b"}, {"evt_read_1", "--limit", "3"}} {
		if o := command(t, nil, append([]string{"events", "--data-dir", s.dir}, args...)...); o.code != 2 {
			t.Errorf("events %q: %+v, want bad usage", args, o)
		}
	}
}

func wantEventShown(t *testing.T, s *server) {
	t.Helper()
	out := mustRun(t, "events", "evt_read_1", "--data-dir", s.dir)
	for _, want := range []string{"customer.subscription.created", "stripe-webhook, signed with the secret ", "received", "SubscriptionStarted", "subscription-sub_read"} {
		if !strings.Contains(out, want) {
			t.Errorf("events evt_read_1 does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, `"object": "event"`) {
		t.Error("a payload, unasked")
	}
	if out := mustRun(t, "events", "evt_read_1", "--data-dir", s.dir, "--payload"); !strings.Contains(out, `"object": "event"`) {
		t.Errorf("--payload shows no payload:\n%s", out)
	}
	if o := command(t, nil, "events", "evt_none", "--data-dir", s.dir); o.code != 1 || !strings.Contains(o.stderr, "no event evt_none") {
		t.Errorf("an event that never was: %+v", o)
	}
}

func wantExplained(t *testing.T, s *server, began time.Time) {
	t.Helper()
	out := mustRun(t, "explain", "readers", "custom_nym", "--data-dir", s.dir)
	for _, want := range []string{"readers may use custom_nym", "Stripe's status active or trialing", "sub_read", "evt_read_2", "position"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain does not say %q:\n%s", want, out)
		}
	}
	var x, same aggregate.Explanation
	s.get("/v1/entitlements/readers/explain?feature=custom_nym", &x)
	if err := json.Unmarshal([]byte(mustRun(t, "explain", "readers", "custom_nym", "--data-dir", s.dir, "-o", "json")), &same); err != nil {
		t.Fatal(err)
	}
	if x.Allowed == nil || !*x.Allowed || len(x.Evidence) == 0 || x.Evidence[0].Position == 0 || len(same.Evidence) != len(x.Evidence) || x.Tier != same.Tier {
		t.Errorf("explained %+v, by the command %+v", x, same)
	}
	before := began.Add(-time.Hour).In(time.FixedZone("", 5*3600+1800)).Format(time.RFC3339)
	s.get("/v1/entitlements/readers/explain?feature=custom_nym&at="+url.QueryEscape(before), &x)
	if *x.Allowed || x.Known {
		t.Errorf("before the beginning %+v", x)
	}
	var then struct {
		Status string
		AsOf   time.Time `json:"as_of"`
	}
	s.get("/v1/entitlements/readers?as_of="+url.QueryEscape(began.Add(time.Hour).Format(time.RFC3339)), &then)
	if then.Status != "trialing" || !then.AsOf.Equal(began.Add(time.Hour)) {
		t.Errorf("an hour after the beginning %+v", then)
	}
	if out := mustRun(t, "show", "entitlement", "readers", "--data-dir", s.dir, "--as-of", began.Add(time.Hour).Format(time.RFC3339)); !strings.Contains(out, "trialing") {
		t.Errorf("show entitlement --as-of:\n%s", out)
	}
	if o := command(t, nil, "explain", "readers", "flying", "--data-dir", s.dir); o.code != 1 || !strings.Contains(o.stderr, "no feature flying") {
		t.Errorf("a feature that is not: %+v", o)
	}
	if o := command(t, nil, "explain", "--data-dir", s.dir); o.code != 2 {
		t.Errorf("explain nobody: %+v", o)
	}
}

func wantStatistics(t *testing.T, s *server) {
	t.Helper()
	var total, counted struct {
		Events   int64
		Complete bool
		Types    []struct {
			Type   string
			Events int64
		}
	}
	s.get("/v1/events/statistics", &total)
	if err := json.Unmarshal([]byte(mustRun(t, "events", "statistics", "--data-dir", s.dir, "-o", "json")), &counted); err != nil {
		t.Fatal(err)
	}
	if !total.Complete || total.Events < 6 || counted.Events != total.Events {
		t.Errorf("statistics %+v, by the command %+v", total, counted)
	}
	if out := mustRun(t, "events", "statistics", "--data-dir", s.dir, "--type", "SubscriptionStarted"); !strings.Contains(out, "SubscriptionStarted") || !strings.Contains(out, "all") {
		t.Errorf("of a type:\n%s", out)
	}
}

// tail reads the ids and Stripe events of a tail until it has so many.
func (s *server) tail(lastID string, many int, begun func()) (ids, events []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/v1/events/stream?type=SubscriptionChanged", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); len(events) < many && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "retry":
			begun()
		case "id":
			ids = append(ids, value)
		case "data":
			events = append(events, eventLines(s.t, value)...)
		}
	}
	if len(events) < many {
		s.t.Fatalf("the tail ended with %v", events)
	}
	return ids, events
}

// wantTailResumed follows the record, goes away, and comes back.
func wantTailResumed(t *testing.T, s *server, began time.Time) {
	t.Helper()
	deliver := func(n int) {
		t.Helper()
		s.mustDeliver(subscriptionEvent(fmt.Sprintf("evt_tail_%d", n), "customer.subscription.updated", "sub_tail", "tails", "active", began.Add(time.Duration(n)*time.Minute), ""), "recorded")
	}
	ids, events := s.tail("", 2, func() { deliver(1); deliver(2) })
	s.settle()
	deliver(3)
	s.settle()
	_, again := s.tail(ids[0], 2, func() {})
	if got := strings.Join(append(events, again...), " "); got != "evt_tail_1 evt_tail_2 evt_tail_2 evt_tail_3" {
		t.Errorf("followed, and resumed behind the first: %s", got)
	}
}

// wantCursorsKept: the cursors of one store are of no use in another.
func wantCursorsKept(t *testing.T, s *server) {
	t.Helper()
	other := start(t, development(""))
	var page struct{ Next string }
	s.get("/v1/events?limit=1", &page)
	for _, path := range []string{"/v1/events?limit=1&from=" + page.Next, "/v1/events/stream?from=" + page.Next} {
		a := other.ask(path, other.key)
		if a.status != http.StatusBadRequest || !bytes.Contains(a.body, []byte("another store")) {
			t.Errorf("%s of another store: %d %s", path, a.status, a.body)
		}
	}
	other.stop()
}

// TestATailEndsWithItsServer: a shutdown does not wait for those who follow.
func TestATailEndsWithItsServer(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	req, err := http.NewRequest(http.MethodGet, s.base+"/v1/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	s.signal(syscall.SIGTERM)
	for lines := bufio.NewScanner(res.Body); lines.Scan(); { // ends, or the test does not
	}
	if code := s.wait(); code != 0 {
		t.Errorf("ended with %d", code)
	}
}
