package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
)

// simulated writes a simulation's events to a file, and returns what it is.
func simulated(t *testing.T, accounts int) (file string, run *simulate.Run) {
	t.Helper()
	end := time.Now().UTC().Truncate(time.Second)
	file = filepath.Join(t.TempDir(), "events.jsonl")
	mustRun(t, "simulate", "--dev", "--out", file, "--seed", "11", "--accounts", fmt.Sprint(accounts),
		"--duplicates", "0.2", "--shuffle", "0.2", "--end", end.Format(time.RFC3339))
	return file, simulate.Generate(simulate.Options{Seed: 11, Accounts: accounts, End: end, Duplicates: 0.2, Shuffle: 0.2})
}

func wantExpected(t *testing.T, s *server, run *simulate.Run) {
	t.Helper()
	report, err := simulate.Check(t.Context(), simulate.CheckOptions{URL: s.base, APIKey: s.key, Timeout: patience}, run, run.Options.End)
	if err != nil || !report.OK() {
		t.Fatalf("%v %.4000s", err, report)
	}
}

// wantIngested ingests a file, twice: a second time, everything is known.
func wantIngested(t *testing.T, dir, file string, run *simulate.Run) {
	t.Helper()
	for _, want := range []string{
		fmt.Sprintf("%d recorded, %d already known, 0 refused", run.Events, len(run.Deliveries)-run.Events),
		fmt.Sprintf("0 recorded, %d already known, 0 refused", len(run.Deliveries)),
	} {
		if out := mustRun(t, "ingest", file, "--dev", "--data-dir", dir, "--source", "history"); !strings.Contains(out, want) {
			t.Fatalf("ingest says %q: want %q", out, want)
		}
	}
}

// TestCommandsBesideAServer runs every command that looks, and those that
// write, while a server owns the data dir.
func TestCommandsBesideAServer(t *testing.T) {
	t.Parallel()
	onEachStore(t, commandsBesideAServer)
}

func commandsBesideAServer(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	file, run := simulated(t, 60)
	wantIngested(t, s.dir, file, run)
	wantExpected(t, s, run)
	wantRebuildEqual(t, s.dir)
	wantOnlyUnmapped(t, s.dir)
	wantEventsListed(t, s, run)
	wantEventsFollowed(t, s)
	wantPastShown(t, s)
	wantFailureListed(t, s)
	s.stop()
}

// TestCommandsWithoutAServer runs those that write on a data dir that nobody
// owns; a server that comes later finds their work done.
func TestCommandsWithoutAServer(t *testing.T) {
	t.Parallel()
	onEachStore(t, commandsWithoutAServer)
}

func commandsWithoutAServer(t *testing.T, dir string) {
	t.Helper()
	dir = below(t, dir)
	if o := command(t, nil, "events", "--data-dir", dir); o.code != 1 || !strings.Contains(o.stderr, "there is no store") {
		t.Errorf("events of nothing: %+v", o)
	}
	file, run := simulated(t, 60)
	wantIngested(t, dir, file, run)
	wantRebuildEqual(t, dir)
	wantOnlyUnmapped(t, dir)
	s := start(t, development(dir))
	wantExpected(t, s, run)
	s.stop()
	wantRebuildEqual(t, dir)
	wantRebuiltFromNothing(t, dir)
	wantRebuildEqual(t, dir)
}

// wantRebuiltFromNothing takes the read model away: nothing is compared, not even
// with what the command itself might have folded just before, and a dry run leaves
// no model behind.
func wantRebuiltFromNothing(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "model*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no read model in %s: %v", dir, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, extra := range []string{"--dry-run=true", "--dry-run=false"} {
		if out := mustRun(t, "rebuild", "--dev", "--data-dir", dir, extra); !strings.Contains(out, "there was no model to compare with") {
			t.Errorf("rebuild %s says: %s", extra, out)
		}
	}
}

// wantEventsListed lists the journal, without and with payloads.
func wantEventsListed(t *testing.T, s *server, run *simulate.Run) {
	t.Helper()
	type view struct {
		Stream    string
		Metadata  struct{ Source string }
		Data      json.RawMessage
		RawBase64 []byte `json:"raw_base64"`
	}
	list := func(more ...string) (all []view, text string) {
		t.Helper()
		text = mustRun(t, append([]string{"events", "--data-dir", s.dir, "-o", "json", "--stream", "stripeEvent-", "--limit", "0"}, more...)...)
		for line := range strings.Lines(text) {
			var v view
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			all = append(all, v)
		}
		return all, text
	}
	bare, text := list()
	streams := map[string]bool{}
	for _, v := range bare {
		streams[v.Stream] = true
		if v.Data != nil || v.RawBase64 != nil || v.Metadata.Source != "history" {
			t.Fatalf("a payload, or another source, unasked: %+v", v)
		}
	}
	if len(bare) != run.Events || len(streams) != run.Events {
		t.Errorf("%d entries in %d streams: want %d", len(bare), len(streams), run.Events)
	}
	wantNone(t, text, run.Personal)
	full, text := list("--payload", "--reverse")
	if len(full) != run.Events || full[0].Stream != bare[len(bare)-1].Stream {
		t.Errorf("%d entries in reverse, the first %s: want %d, and %s", len(full), full[0].Stream, run.Events, bare[len(bare)-1].Stream)
	}
	if !strings.Contains(text, run.Personal[0]) || len(full[0].RawBase64) == 0 {
		t.Error("--payload shows no payload")
	}
	if out := mustRun(t, "events", "--data-dir", s.dir, "--limit", "3", "--type", "SubscriptionStarted"); strings.Count(out, "SubscriptionStarted") != 3 {
		t.Errorf("three of a type: %s", out)
	}
}

func wantNone(t *testing.T, text string, words []string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Fatalf("says %q", word)
		}
	}
}

// wantEventsFollowed delivers while events --follow runs.
func wantEventsFollowed(t *testing.T, s *server) {
	t.Helper()
	follower := exec.Command(binary, "events", "--data-dir", s.dir, "--follow", "--stream", "stripeEvent-evt_follow")
	f := spawnCommand(t, launch{dir: s.dir}, follower)
	for _, id := range []string{"evt_follow_1", "evt_follow_2"} {
		s.mustDeliver(customerEvent(id), "recorded")
		if line, ended := f.log.wait(t, "stripeEvent-"+id, f.exited); ended || !strings.Contains(line, "customer.created") {
			t.Fatalf("events --follow ended, or says %q", line)
		}
	}
	f.signal(syscall.SIGINT)
	if code := f.wait(); code != 0 {
		t.Errorf("events --follow ended with %d after SIGINT:\n%s", code, f.log)
	}
}

// wantPastShown asks what was true, and what was known, at moments of a
// subscription's life.
func wantPastShown(t *testing.T, s *server) {
	t.Helper()
	began := time.Now().Add(-1000 * time.Hour).Truncate(time.Second)
	before := time.Now().UTC().Add(-time.Second)
	s.mustDeliver(subscriptionEvent("evt_past_1", "customer.subscription.created", "sub_past", "historians", "active", began, ""), "recorded")
	s.settle()
	between := time.Now().UTC()
	s.mustDeliver(subscriptionEvent("evt_past_2", "customer.subscription.deleted", "sub_past", "historians", "canceled", began.Add(500*time.Hour), ""), "recorded")
	s.settle()
	show := func(what, id string, more ...string) outcome {
		t.Helper()
		return command(t, nil, append([]string{"show", what, id, "--data-dir", s.dir}, more...)...)
	}
	at := func(m time.Time) string { return m.Format(time.RFC3339Nano) }
	for _, c := range []struct {
		bounds []string
		status string
	}{
		{nil, "canceled"},
		{[]string{"--as-of", at(began.Add(time.Hour))}, "active"},
		{[]string{"--as-of", at(began.Add(501 * time.Hour))}, "canceled"},
		{[]string{"--known-at", at(between)}, "active"},
		{[]string{"--known-at", at(between), "--as-of", at(began.Add(501 * time.Hour))}, "active"},
	} {
		for what, id := range map[string]string{"subscription": "sub_past", "account": "historians"} {
			o := show(what, id, c.bounds...)
			if !regexp.MustCompile(`(?m)^(status +|subscription +sub_past +)`+c.status).MatchString(o.stdout) || o.code != 0 {
				t.Errorf("show %s %q: want %s:\n%+v", what, c.bounds, c.status, o)
			}
		}
	}
	for _, bound := range [][]string{{"--as-of", at(began.Add(-time.Hour))}, {"--known-at", at(before)}} {
		if o := show("subscription", "sub_past", bound...); o.code != 1 || !strings.Contains(o.stderr, "nothing is known") {
			t.Errorf("show before the beginning, %q: %+v", bound, o)
		}
	}
	if o := show("subscription", "sub_none"); o.code != 1 || !strings.Contains(o.stderr, "nothing is known") {
		t.Errorf("show nothing: %+v", o)
	}
	if o := show("planet", "mars"); o.code != 2 {
		t.Errorf("show planet: %+v", o)
	}
}

// wantFailureListed delivers an event of a posted type that lacks what posting
// needs: it is kept, listed with the reason, and in nobody's way.
func wantFailureListed(t *testing.T, s *server) {
	t.Helper()
	broken := bytes.Replace(subscriptionEvent("evt_broken", "customer.subscription.updated", "sub_past", "historians", "active", time.Now(), ""),
		[]byte(`"status":"active"`), []byte(`"status":17`), 1)
	s.mustDeliver(broken, "recorded")
	var o outcome
	eventually(t, "the failure is listed", func() bool {
		o = command(t, nil, "failures", "--data-dir", s.dir)
		return o.code == 1
	})
	if !strings.Contains(o.stdout, "evt_broken (customer.subscription.updated)") || !strings.Contains(o.stdout, "data.object.status") || !strings.Contains(o.stdout, "daybook repost evt_broken") {
		t.Errorf("failures: %+v", o)
	}
	s.mustDeliver(subscriptionEvent("evt_behind", "customer.subscription.created", "sub_behind", "next", "active", time.Now().Add(-time.Hour), ""), "recorded")
	eventually(t, "what comes behind is posted", func() bool { return s.ask("/v1/subscriptions/sub_behind", s.key).status == http.StatusOK })
}

// TestConfigMasksSecrets prints the configuration of a server with secrets.
func TestConfigMasksSecrets(t *testing.T) {
	t.Parallel()
	const secret = "whsec_verysecretindeed"
	hash := sha256Hex("some key")
	env := []string{"STRIPE_WEBHOOK_SECRETS=" + secret, "DAYBOOK_API_KEYS=ops:read:" + hash, "DAYBOOK_ADDR=127.0.0.1:1234"}
	for _, form := range []string{"table", "json"} {
		o := command(t, env, "config", "-o", form, "--log-level", "debug")
		if o.code != 0 {
			t.Fatalf("%+v", o)
		}
		wantNone(t, o.stdout+o.stderr, []string{secret, "verysecret", hash})
		for _, want := range []string{"127.0.0.1:1234", "env DAYBOOK_ADDR", "flag --log-level", "default", "env STRIPE_WEBHOOK_SECRETS", "ops"} {
			if !strings.Contains(o.stdout, want) {
				t.Errorf("config -o %s does not say %q:\n%s", form, want, o.stdout)
			}
		}
	}
}

// TestNewKeyOpensTheDoor makes a key, configures the line that was printed with
// it, and asks with it.
func TestNewKeyOpensTheDoor(t *testing.T) {
	t.Parallel()
	out := mustRun(t, "keys", "new", "--name", "reader", "--scopes", "read")
	parts := regexp.MustCompile(`(?s)^key \(shown once\): +(\S+)\nDAYBOOK_API_KEYS: +(\S+)\n$`).FindStringSubmatch(out)
	if parts == nil || strings.Contains(parts[2], parts[1]) {
		t.Fatalf("keys new says %q", out)
	}
	s := start(t, launch{key: parts[1], secret: "whsec_keyskeyskeys", env: []string{
		"DAYBOOK_LIVEMODE=test", "STRIPE_WEBHOOK_SECRETS=whsec_keyskeyskeys", "DAYBOOK_API_KEYS=" + parts[2]}})
	s.settle()
	for _, c := range []struct {
		path, key string
		status    int
	}{
		{"/v1/entitlements/acme", parts[1], http.StatusOK},
		{"/v1/events", parts[1], http.StatusForbidden},
		{"/v1/entitlements/acme", parts[1] + "x", http.StatusUnauthorized},
		{"/v1/entitlements/acme", devKey, http.StatusUnauthorized},
	} {
		if a := s.ask(c.path, c.key); a.status != c.status {
			t.Errorf("%s: %d %s: want %d", c.path, a.status, a.body, c.status)
		}
	}
	wantUnsaid(t, s.log.String(), []string{parts[1], "whsec_keyskeyskeys"})
	s.stop()
}
