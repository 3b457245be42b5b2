package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// entitlementKey signs what the servers of these tests publish.
var entitlementKey = bytes.Repeat([]byte{7}, 32)

// publishing is a development server that publishes to a Redis.
func publishing(dir string, redis interface{ URL() string }, env ...string) launch {
	l := development(dir)
	l.env = append([]string{"REDIS_URL=" + redis.URL(), "DAYBOOK_ENTITLEMENT_KEY=" + base64.StdEncoding.EncodeToString(entitlementKey)}, env...)
	return l
}

// inRedis is what a reader finds of an account, and believes, at a moment.
func inRedis(t testing.TB, redis *redistest.Server, account string) (published.Entry, bool) {
	t.Helper()
	now := time.Now()
	value, found := redis.Do("EVAL", "return redis.call('GET', KEYS[1]) or ''", 1, published.Key(account)).(string)
	if !found || value == "" {
		return published.Entry{}, false
	}
	entry, err := published.Open(account, []byte(value), published.Keys{entitlementKey}, now)
	return entry, err == nil
}

// publisher is what the status tells of the publisher.
func (s *server) publisher() projections.PublisherStatus {
	s.t.Helper()
	var status struct{ Publisher *projections.PublisherStatus }
	s.get("/v1/status", &status)
	if status.Publisher == nil {
		s.t.Fatal("the status tells of no publisher")
	}
	return *status.Publisher
}

// awaitPublished waits until everything that was taken in is published.
func (s *server) awaitPublished() {
	s.t.Helper()
	s.settle()
	var goal progress
	s.get("/v1/status", &goal)
	eventually(s.t, "everything is published", func() bool {
		p := s.publisher()
		return uint64(p.Position) >= goal.Store.Head && p.Waiting == 0 && p.Republishing == ""
	})
}

// wantPublished compares Redis with the API, account by account.
func wantPublished(t *testing.T, s *server, redis *redistest.Server, accounts []string) {
	t.Helper()
	for _, account := range accounts {
		entry, found := inRedis(t, redis, account)
		if !found {
			t.Errorf("%s: nothing that a reader would believe", account)
			continue
		}
		api := s.ask("/v1/entitlements/"+account, s.key)
		got, err := json.Marshal(entry.Entitlement)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := timeless(t, got), timeless(t, api.body); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: Redis says\n%s\nthe API\n%s", account, got, api.body)
		}
	}
}

// timeless leaves out what differs from moment to moment.
func timeless(t *testing.T, doc []byte) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(doc, &fields); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	delete(fields, "as_of")
	delete(fields, "valid_until")
	return fields
}

// knownAccounts are those that the read model has something of.
func knownAccounts(s *server) (accounts []string) {
	s.t.Helper()
	var page struct {
		Subscriptions []struct{ Account string }
	}
	s.get("/v1/subscriptions?limit=500", &page)
	seen := map[string]bool{}
	for _, sub := range page.Subscriptions {
		if sub.Account != "" && !seen[sub.Account] {
			seen[sub.Account] = true
			accounts = append(accounts, sub.Account)
		}
	}
	if len(accounts) < 50 {
		s.t.Fatalf("only %d accounts: the test proves little", len(accounts))
	}
	return accounts
}

// TestWhatRedisSaysIsWhatTheAPISays sends traffic, and then takes Redis away in
// every way: emptied, started again without its memory, stopped, stuck, and with
// foreign things in it.
func TestWhatRedisSaysIsWhatTheAPISays(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := start(t, publishing("", redis, "REDIS_CONNECT_TIMEOUT=500ms", "REDIS_COMMAND_TIMEOUT=200ms"))
	mustRun(t, "simulate", "--dev", "--url", s.base+webhookPath, "--seed", "5", "--accounts", "80", "--shuffle", "0.3", "--duplicates", "0.2")
	s.awaitPublished()
	accounts := knownAccounts(s)
	wantPublished(t, s, redis, accounts)
	wantOfTheShell(t, redis, accounts[0])
	back := func(why string) {
		t.Helper()
		eventually(t, "every key is back: "+why, func() bool {
			for _, account := range accounts {
				if _, found := inRedis(t, redis, account); !found {
					return false
				}
			}
			return true
		})
		s.awaitPublished()
		wantPublished(t, s, redis, accounts)
	}

	redis.Do("FLUSHALL")
	back("it was emptied")
	redis.Kill()
	redis.Start()
	back("it was started again, empty")

	redis.Kill()
	eventually(t, "the status tells of the trouble", func() bool { return s.publisher().LastError != "" })
	wantUnimpressed(t, s, "evt_away")
	redis.Start()
	back("it was away")

	redis.Pause()
	eventually(t, "the status tells of the trouble", func() bool { return s.publisher().LastError != "" })
	wantUnimpressed(t, s, "evt_stuck")
	redis.Resume()
	back("it was stuck")

	redis.Do("SET", published.Key(accounts[0]), `{"tier":"enterprise"}`)
	redis.Do("SET", published.Key("nobody"), "hello")
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	eventually(t, "the status tells that it is full", func() bool { return strings.Contains(s.publisher().LastError, "full") })
	wantUnimpressed(t, s, "evt_full")
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	mustRun(t, "rebuild", "--data-dir", s.dir)
	back("it was full")
	if n := redis.Do("EXISTS", published.Key("nobody")); n != int64(0) {
		t.Error("an entry of no account is still there")
	}
	if p := s.publisher(); p.Outcomes["replaced"] == 0 || !p.Leading || p.Outlet.Breaker != "closed" {
		t.Errorf("the publisher says %+v", p)
	}
	s.stop()
}

// wantOfTheShell asks as a shell script does.
func wantOfTheShell(t *testing.T, redis *redistest.Server, account string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "redis-cli", "-u", redis.URL(), "GET", published.Key(account)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := published.Open(account, bytes.TrimSuffix(out, []byte("\n")), published.Keys{entitlementKey}, time.Now()); err != nil {
		t.Errorf("%s: %v", out, err)
	}
}

// wantUnimpressed wants webhooks and API to be as ever.
func wantUnimpressed(t *testing.T, s *server, event string) {
	t.Helper()
	s.mustDeliver(customerEvent(event), "recorded")
	if !s.answers("/readyz") {
		t.Error("the server is not ready")
	}
	if a := s.ask("/v1/entitlements/somebody", s.key); a.status != http.StatusOK {
		t.Errorf("the API answers %d %s", a.status, a.body)
	}
	s.settle()
}

// TestGraceEndsOnTheSecondInRedis reads while grace runs out. No reader may
// believe in it any more once it has.
func TestGraceEndsOnTheSecondInRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := start(t, publishing("", redis))
	failed := time.Now().Add(4*time.Second - 24*time.Hour).Truncate(time.Second)
	ends := failed.Add(24 * time.Hour).UTC()
	s.mustDeliver(subscriptionEvent("evt_r1", "customer.subscription.created", "sub_r", "acme", "active", failed.Add(-720*time.Hour), ""), "recorded")
	s.mustDeliver(failedInvoice("evt_r2", "sub_r", failed), "recorded")
	s.mustDeliver(subscriptionEvent("evt_r3", "customer.subscription.updated", "sub_r", "acme", "past_due", failed, `,"previous_attributes":{"status":"active"}`), "recorded")
	sawGrace := false
	eventually(t, "the end of grace is published", func() bool {
		asked := time.Now()
		e, found := inRedis(t, redis, "acme")
		if !found || e.Status != "past_due" {
			return false
		}
		if e.InGrace && (!asked.Before(ends) || e.ValidUntil.After(ends)) {
			t.Fatalf("asked at %s, grace ends at %s: %+v", asked, ends, e)
		}
		if !e.InGrace && e.AsOf.Before(ends) {
			t.Fatalf("as of %s, grace ends at %s: %+v", e.AsOf, ends, e)
		}
		sawGrace = sawGrace || e.InGrace && e.Tier == "basic"
		return !e.InGrace && e.Tier == "starter" && e.Reason == "expired_grace"
	})
	if !sawGrace {
		t.Error("grace was over before it was seen: the end is unproven")
	}
	s.stop()
}

// TestARebuildNeverShowsThePast reads an account with a long past while it is
// folded anew.
func TestARebuildNeverShowsThePast(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := start(t, publishing("", redis))
	when := quietTime()
	s.mustDeliver(subscriptionEvent("evt_b0", "customer.subscription.created", "sub_b", "acme", "active", when, ""), "recorded")
	for i := range 40 {
		status := []string{"past_due", "active"}[i%2]
		s.mustDeliver(subscriptionEvent(fmt.Sprintf("evt_b%d", i+1), "customer.subscription.updated", "sub_b", "acme", status, when.Add(time.Duration(i+1)*time.Minute), ""), "recorded")
	}
	s.mustDeliver(subscriptionEvent("evt_bx", "customer.subscription.deleted", "sub_b", "acme", "canceled", when.Add(2*time.Hour), ""), "recorded")
	s.awaitPublished()
	redis.Do("SET", published.Key("ghost"), `{"account":"ghost"}`)
	done := make(chan struct{})
	read := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			if e, found := inRedis(t, redis, "acme"); !found || e.Tier != "starter" || e.Status != "canceled" {
				t.Errorf("during the rebuild: %t %+v", found, e)
				break
			}
			select {
			case <-done:
				read <- n
				return
			default:
			}
		}
		read <- n
	}()
	for range 3 {
		if out := mustRun(t, "rebuild", "--data-dir", s.dir); !strings.Contains(out, "the same as the live model") || !strings.Contains(out, "published: ") {
			t.Errorf("rebuild says %s", out)
		}
	}
	close(done)
	if n := <-read; n < 10 {
		t.Errorf("read only %d times", n)
	}
	if n := redis.Do("EXISTS", published.Key("ghost")); n != int64(0) {
		t.Error("an entry of no account is still there")
	}
	s.stop()
}

// TestKeysRotateOnHangup signs by another key without a restart.
func TestKeysRotateOnHangup(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	file := filepath.Join(t.TempDir(), "keys")
	older, newer := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)), base64.StdEncoding.EncodeToString(entitlementKey)
	writeFile(t, file, older)
	l := development("")
	l.env = []string{"REDIS_URL=" + redis.URL(), "DAYBOOK_ENTITLEMENT_KEY_FILE=" + file}
	s := start(t, l)
	s.mustDeliver(subscriptionEvent("evt_y", "customer.subscription.created", "sub_y", "acme", "active", quietTime(), ""), "recorded")
	s.awaitPublished()
	if e, found := inRedis(t, redis, "acme"); found {
		t.Fatalf("signed by the newer key already: %+v", e)
	}
	writeFile(t, file, newer+","+older)
	s.hangup("configuration reloaded")
	eventually(t, "it is signed by the newer key", func() bool { _, found := inRedis(t, redis, "acme"); return found })
	writeFile(t, file, "no key")
	s.hangup("reload refused")
	wantUnsaid(t, s.log.String(), []string{older, newer})
	s.stop()
}
