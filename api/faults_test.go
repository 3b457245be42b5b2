package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// The tests named TestFaultNN… each fail on the fault of that number in
// docs/FAULTS.md. Those here are of what is answered over HTTP.

// failing refuses as many entries as it has left, and records the rest.
type failing struct {
	Journal
	left atomic.Int64
}

func (f *failing) Record(ctx context.Context, e intake.Entry) (intake.Outcome, error) {
	if f.left.Add(-1) >= 0 {
		return intake.Outcome{}, eventstore.ErrUnavailable
	}
	return f.Journal.Record(ctx, e)
}

// TestFault01NothingIsAcknowledgedThatIsNotDurable: Stripe is asked to send what
// failed again, and what it then sends is no duplicate.
func TestFault01NothingIsAcknowledgedThatIsNotDurable(t *testing.T) {
	r := newRig(t)
	journal := &failing{Journal: r.server.Journal}
	journal.left.Store(2)
	r.server.Journal = journal
	body := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_premium")
	for i := range 2 {
		if a := r.post(body); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("delivery %d, which failed: %s", i, a)
		}
	}
	r.wantEmptyStore()
	if a := r.post(body); a.status != http.StatusOK || r.fields(a)["status"] != "recorded" {
		t.Errorf("sent again: %s", a)
	}
	r.settle()
	if e := r.get("/v1/entitlements/team-1"); e["tier"] != "premium" {
		t.Errorf("it had no effect: %v", e)
	}
}

// TestFault02ConcurrentDeliveriesAreAllDurable: whoever is answered "duplicate"
// is so because the event is on record, and for no other reason.
func TestFault02ConcurrentDeliveriesAreAllDurable(t *testing.T) {
	r := newRig(t)
	body := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_premium")
	var recorded atomic.Int64
	var sending sync.WaitGroup
	gate := make(chan struct{})
	for range 16 {
		sending.Go(func() {
			<-gate
			a := r.post(body)
			if a.status != http.StatusOK || len(r.entries("evt_1")) != 1 {
				t.Errorf("%s, with %d entries", a, len(r.entries("evt_1")))
			}
			if strings.Contains(string(a.body), `"recorded"`) {
				recorded.Add(1)
			}
		})
	}
	close(gate)
	sending.Wait()
	if recorded.Load() != 1 {
		t.Errorf("%d deliveries were told that theirs was the first", recorded.Load())
	}
}

// TestFault18TheActorIsWhoAsked: a decision names the key that it was taken with,
// and a body that names another is refused.
func TestFault18TheActorIsWhoAsked(t *testing.T) {
	r := newRig(t)
	r.server.SetKeys([]Key{keyFor("alice", "", Scopes()...), keyFor("bob", "", Scopes()...)})
	reason := `{"reason":"` + why + `"}`
	granted := r.fields(r.decide(http.MethodPost, "/v1/accounts/team-1/waivers", "alice", `{"tier":"basic","reason":"`+why+`"}`))
	revoked := r.fields(r.decide(http.MethodDelete, fmt.Sprint("/v1/accounts/team-1/waivers/", granted["id"]), "bob", reason))
	if revoked["granted_by"] != "alice" || revoked["revoked_by"] != "bob" {
		t.Errorf("granted by %v, revoked by %v", revoked["granted_by"], revoked["revoked_by"])
	}
	blocked := r.fields(r.decide(http.MethodPost, "/v1/accounts/team-1/block", "bob", reason))
	if block, _ := blocked["block"].(map[string]any); block["blocked_by"] != "bob" {
		t.Errorf("%v", blocked)
	}
	a := r.decide(http.MethodPost, "/v1/accounts/team-1/unblock", "bob", `{"reason":"`+why+`","actor":"alice"}`)
	if a.status != http.StatusBadRequest {
		t.Errorf("in the name of another: %s", a)
	}
}

// TestFault19NoTierButTheCatalogsIsGranted: what is refused is recorded nowhere.
func TestFault19NoTierButTheCatalogsIsGranted(t *testing.T) {
	r := newRig(t)
	for _, tier := range []string{"platinum", "ELITE", ""} {
		a := r.decide(http.MethodPost, "/v1/accounts/team-1/waivers", opsKey, fmt.Sprintf(`{"tier":%q,"reason":%q}`, tier, why))
		if a.status != http.StatusBadRequest || !slices.Equal(r.faultsOf(a), []string{"tier"}) {
			t.Errorf("tier %q: %s", tier, a)
		}
	}
	r.wantEmptyStore()
}

// TestFault18SinceIncludesItsMoment: what was recorded in the very second that
// is asked for is listed.
func TestFault18SinceIncludesItsMoment(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.settle()
	for since, want := range map[time.Time]int{noon.Truncate(24 * time.Hour): 1, noon: 1, noon.Add(time.Second): 0} {
		query := "/v1/events?type=" + subCreated + "&since=" + url.QueryEscape(since.Format(time.RFC3339))
		if got := r.list(query, func() {}); len(got) != want {
			t.Errorf("since %s: %d events, want %d", since, len(got), want)
		}
	}
}

// TestFault20SecretsOverlapAtTheDoor: deliveries signed with either of the
// secrets that are listed are taken.
func TestFault20SecretsOverlapAtTheDoor(t *testing.T) {
	r := newRig(t)
	for i, s := range []string{secret, "whsec_other_secret", "whsec_unlisted_secret"} {
		body := subscriptionEvent(fmt.Sprintf("evt_%d", i), subCreated, noon, "sub_1", "team-1", "active", "price_basic")
		a := r.do(http.MethodPost, "/webhooks/stripe", "", body, signed(body, s, noon))
		if want := i < 2; (a.status == http.StatusOK) != want {
			t.Errorf("secret %d: %s", i, a)
		}
	}
}

// TestFault23KeysAreBoundAndNotLogged: a key of one account opens no other, and
// of a key that is wrong nothing is told.
func TestFault23KeysAreBoundAndNotLogged(t *testing.T) {
	r := newRig(t)
	for i, account := range []string{"team-1", "team-2"} {
		id := fmt.Sprint(i + 1)
		r.send(subscriptionEvent("evt_"+id, subCreated, noon, "sub_"+id, account, "active", "price_basic"))
	}
	r.settle()
	for _, path := range []string{"/v1/entitlements/", "/v1/accounts/"} {
		if a := r.do(http.MethodGet, path+"team-1", boundKey, nil, nil); a.status != http.StatusOK {
			t.Errorf("%s of its own: %s", path, a)
		}
		if a := r.do(http.MethodGet, path+"team-2", boundKey, nil, nil); a.status != http.StatusForbidden {
			t.Errorf("%s of another: %s", path, a)
		}
	}
	if a := r.do(http.MethodGet, "/v1/subscriptions/sub_2", boundKey, nil, nil); a.status != http.StatusForbidden {
		t.Errorf("another's subscription: %s", a)
	}
	body := `{"tier":"elite","reason":"` + why + `"}`
	if a := r.decide(http.MethodPost, "/v1/accounts/team-2/waivers", boundKey, body); a.status != http.StatusForbidden {
		t.Errorf("a waiver for another: %s", a)
	}
	const wrong = "zq7Wr0ngK3yZx9"
	a := r.do(http.MethodGet, "/v1/entitlements/team-1", wrong, nil, nil)
	if a.status != http.StatusUnauthorized {
		t.Errorf("a wrong key: %s", a)
	}
	told := r.log.String() + a.String()
	for _, part := range []string{wrong[:4], wrong[5:9], wrong[len(wrong)-4:], hashOf(wrong)[:8]} {
		if strings.Contains(told, part) {
			t.Errorf("%q of a wrong key is told:\n%s", part, told)
		}
	}
}

// TestFault24OldEventsAndBurstsAreTaken: an event of days ago, and more of them
// at once than anybody would allow a stranger, are recorded every one.
func TestFault24OldEventsAndBurstsAreTaken(t *testing.T) {
	r := newRig(t)
	const burst = 150
	var sending sync.WaitGroup
	for worker := range 5 {
		sending.Go(func() {
			for i := worker; i < burst; i += 5 {
				body := subscriptionEvent(fmt.Sprintf("evt_%d", i), subUpdated, noon.AddDate(0, 0, -3), fmt.Sprintf("sub_%d", i), "team-1", "active", "price_basic")
				if a := r.post(body); a.status != http.StatusOK || !strings.Contains(string(a.body), `"recorded"`) {
					t.Errorf("event %d: %s", i, a)
				}
			}
		})
	}
	sending.Wait()
	r.settle()
	if c := r.server.WebhookCounts(); c.Recorded != burst || c.Duplicate != 0 || r.poster.Progress().Posted != burst {
		t.Errorf("%+v, posted %d, want %d of both", c, r.poster.Progress().Posted, burst)
	}
}

// TestFault25HeadersAndAddressesOfStrangersAreNotBelieved: no header says where a
// request comes from, and no parameter sends anybody elsewhere. What a header
// can do is take away: whoever comes by a proxy gets no metrics.
func TestFault25HeadersAndAddressesOfStrangersAreNotBelieved(t *testing.T) {
	r := newRig(t)
	forged := http.Header{"X-Forwarded-For": {"127.0.0.1, 203.0.113.77"}, "X-Real-Ip": {"203.0.113.77"}, "Forwarded": {"for=203.0.113.77"},
		"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}}
	elsewhere := "?success_url=https://evil.example&cancel_url=//evil.example&return_url=https://evil.example"
	for _, rt := range r.server.routes() {
		path := strings.NewReplacer("{account}", "team-9", "{feature}", "custom_nym", "{subscription}", "sub_9",
			"{event}", "evt_9", "{stream}", "subscription-sub_9", "{waiver}", "wvr_9").Replace(rt.path)
		plain := r.do(rt.method, path, "", nil, nil)
		a := r.do(rt.method, path, "", nil, forged.Clone())
		want := plain.status
		if rt.path == metricsPath {
			want = http.StatusForbidden
		}
		if a.status != want {
			t.Errorf("%s: %d with forged headers, %d without, want %d", path, a.status, plain.status, want)
		}
		for _, key := range []string{"", opsKey} {
			if a := r.do(rt.method, path+elsewhere, key, nil, forged.Clone()); a.status/100 == 3 || a.header.Get("Location") != "" {
				t.Errorf("%s sends to %q: %d", path, a.header.Get("Location"), a.status)
			}
		}
	}
	if log := r.log.String(); strings.Contains(log, "203.0.113.77") || strings.Contains(log, "evil.example") {
		t.Errorf("the log repeats them:\n%s", log)
	}
}
