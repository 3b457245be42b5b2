package stripeapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

const testKey = "sk_test_abc123"

// rig is a client of a small Stripe, and how long it was told to wait.
type rig struct {
	*stripetest.Server
	client *stripeapi.Client
	waits  []time.Duration
}

func newRig(t *testing.T, key string) *rig {
	t.Helper()
	r := &rig{Server: stripetest.New(testKey)}
	t.Cleanup(r.Close)
	r.client = stripeapi.New(stripeapi.Config{Key: key, Base: r.URL, PerSecond: 1e6,
		Wait: func(ctx context.Context, d time.Duration) error {
			r.waits = append(r.waits, d)
			return ctx.Err()
		}})
	return r
}

// subscriptions puts n of them, of which each second has perSecond.
func (r *rig) subscriptions(n, perSecond int) {
	for i := range n {
		r.Put("/v1/subscriptions", subscription(fmt.Sprintf("sub_%04d", i), 1_700_000_000+int64(i/perSecond), "active"))
	}
}

func subscription(id string, created int64, status string) []byte {
	return fmt.Appendf(nil, `{"id": "%s",  "object": "subscription", "created": %d, "livemode": false, "status": "%s", "metadata": {}}`, id, created, status)
}

// ids lists everything, and fails the test on an error.
func (r *rig) ids(t *testing.T, l stripeapi.Listing) []string {
	t.Helper()
	var ids []string
	for page, err := range r.client.List(t.Context(), l) {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

func TestAListIsPagedToItsEnd(t *testing.T) {
	r := newRig(t, testKey)
	r.subscriptions(250, 7)
	ids := r.ids(t, stripeapi.Listing{Resource: stripeapi.Subscriptions, Where: map[string]string{"status": "all"}})
	if len(ids) != 250 || ids[0] != "sub_0249" || ids[249] != "sub_0000" || len(r.Requests()) != 3 {
		t.Errorf("%d ids in %d requests, from %s to %s", len(ids), len(r.Requests()), ids[0], ids[len(ids)-1])
	}
}

func TestAnObjectIsKeptAsItWasAnswered(t *testing.T) {
	r := newRig(t, testKey)
	raw := subscription("sub_1", 1_700_000_000, "active")
	r.Put("/v1/subscriptions", raw)
	before := time.Now().Add(-time.Second).Truncate(time.Second)
	for page, err := range r.client.List(t.Context(), stripeapi.Listing{Resource: stripeapi.Subscriptions}) {
		if err != nil || string(page.Objects[0].Raw) != string(raw) {
			t.Fatalf("%s, %v", page.Objects[0].Raw, err)
		}
		if at := page.Objects[0].AskedAt; at.Before(before) || at.After(time.Now()) || at.Nanosecond() != 0 {
			t.Errorf("asked at %s", at)
		}
	}
	o, err := r.client.Fetch(t.Context(), stripeapi.Subscriptions, "sub_1")
	if err != nil || string(o.Raw) != string(raw) || o.Kind != "subscription" || o.Created.Unix() != 1_700_000_000 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := r.client.Fetch(t.Context(), stripeapi.Subscriptions, "sub_2"); !stripeapi.IsKind(err, stripeapi.NotFound) {
		t.Errorf("%v", err)
	}
}

// TestACursorThatExpiresLosesNothing removes, before each page, the object from
// which the list is to go on, in a list whose seconds are shared by many.
func TestACursorThatExpiresLosesNothing(t *testing.T) {
	r := newRig(t, testKey)
	r.subscriptions(450, 30)
	var removed []string
	r.SetBefore(func(req *http.Request) {
		if id := req.URL.Query().Get("starting_after"); id != "" && len(removed) < 3 {
			removed = append(removed, id)
			r.Remove("/v1/subscriptions", id)
		}
	})
	ids := r.ids(t, stripeapi.Listing{Resource: stripeapi.Subscriptions})
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != 450 || len(removed) != 3 {
		t.Errorf("%d different objects, %d cursors removed", len(ids), len(removed))
	}
}

// TestWhatIsMadeAndChangedWhilePagedIsShownOnceAtLeast: every object that was
// there at the beginning is shown.
func TestWhatIsMadeAndChangedWhilePagedIsShownOnceAtLeast(t *testing.T) {
	r := newRig(t, testKey)
	r.subscriptions(300, 3)
	var n atomic.Int64
	r.SetBefore(func(*http.Request) {
		i := n.Add(1)
		r.Put("/v1/subscriptions", subscription(fmt.Sprintf("sub_new%d", i), 1_700_001_000, "active"))
		r.Put("/v1/subscriptions", subscription(fmt.Sprintf("sub_%04d", 50*i), 1_700_000_000+50*i/3, "canceled"))
	})
	ids := r.ids(t, stripeapi.Listing{Resource: stripeapi.Subscriptions, Where: map[string]string{"status": "all"}})
	slices.Sort(ids)
	if !slices.Contains(ids, "sub_0000") || len(slices.Compact(ids)) < 300 {
		t.Errorf("%d ids", len(ids))
	}
}

func TestAListGoesOnWhereItStopped(t *testing.T) {
	r := newRig(t, testKey)
	r.subscriptions(250, 7)
	listing := stripeapi.Listing{Resource: stripeapi.Subscriptions}
	for page, err := range r.client.List(t.Context(), listing) {
		if err != nil {
			t.Fatal(err)
		}
		listing.After = page.Next
		break
	}
	if ids := r.ids(t, listing); len(ids) != 150 || ids[0] != "sub_0149" {
		t.Errorf("%d ids behind the first page", len(ids))
	}
}

func TestFaultsThatPassAreGotOver(t *testing.T) {
	r := newRig(t, testKey)
	r.subscriptions(1, 1)
	r.Fail(stripetest.Fault{Status: 429, RetryAfter: 17}, stripetest.Fault{Status: 500}, stripetest.Fault{Status: 503, Body: "<html>"}, stripetest.Fault{Status: 409})
	if ids := r.ids(t, stripeapi.Listing{Resource: stripeapi.Subscriptions}); len(ids) != 1 {
		t.Errorf("%v", ids)
	}
	if len(r.waits) != 4 || r.waits[0] != 17*time.Second || slices.Min(r.waits) <= 0 {
		t.Errorf("waited %v", r.waits)
	}
}

func TestFaultsThatStayAreToldInASentence(t *testing.T) {
	always := func(status int) []stripetest.Fault { return slices.Repeat([]stripetest.Fault{{Status: status}}, 20) }
	for name, test := range map[string]struct {
		key    string
		faults []stripetest.Fault
		kind   stripeapi.Kind
		says   string
	}{
		"rate limit":   {testKey, always(429), stripeapi.RateLimited, "refuses further requests"},
		"long wait":    {testKey, []stripetest.Fault{{Status: 429, RetryAfter: 86400}}, stripeapi.RateLimited, "try again later"},
		"in trouble":   {testKey, always(502), stripeapi.Unavailable, "in trouble (502)"},
		"unknown key":  {"sk_test_unknown", nil, stripeapi.BadKey, "does not accept the API key"},
		"restricted":   {"rk_test_few", nil, stripeapi.Forbidden, "lacks the permission rak_subscription_read"},
		"wrong mode":   {"rk_test_live", nil, stripeapi.WrongMode, "use a key of test mode"},
		"no JSON":      {testKey, []stripetest.Fault{{Status: 200, Body: "<html>secret</html>"}}, stripeapi.Unreadable, "STRIPE_API_BASE"},
		"no list":      {testKey, []stripetest.Fault{{Status: 200, Body: `{"object": "charge"}`}}, stripeapi.Unreadable, "none of Stripe's"},
		"no such path": {testKey, []stripetest.Fault{{Status: 404}}, stripeapi.NotFound, "no such object"},
		"bad request":  {testKey, []stripetest.Fault{{Status: 400}}, stripeapi.Refused, "refuses the request (400)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.key)
			r.Allow("rk_test_few", "/v1/subscriptions")
			r.Allow("rk_test_live")
			r.subscriptions(1, 1)
			if test.key == "rk_test_live" {
				r.Put("/v1/subscriptions", []byte(`{"id": "sub_live", "object": "subscription", "created": 1700000100, "livemode": true}`))
			}
			r.Fail(test.faults...)
			_, err := r.client.Check(t.Context(), stripeapi.Subscriptions)
			if !stripeapi.IsKind(err, test.kind) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), test.key) || strings.Contains(err.Error(), "secret</html>") {
				t.Errorf("quotes what it must not: %v", err)
			}
		})
	}
}

func TestACheckNamesEveryPermissionThatLacks(t *testing.T) {
	r := newRig(t, "rk_test_few")
	r.Allow("rk_test_few", "/v1/invoices", "/v1/customers")
	_, err := r.client.Check(t.Context(), stripeapi.Subscriptions, stripeapi.Customers, stripeapi.Invoices, stripeapi.Events)
	for _, want := range []string{"list customers", "rak_customer_read", "list invoices", "rak_invoice_read"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestAServerThatHangsIsGivenUpWithTheContext(t *testing.T) {
	r := newRig(t, testKey)
	r.Fail(stripetest.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	r.SetBefore(func(*http.Request) { cancel() })
	_, err := r.client.Fetch(ctx, stripeapi.Subscriptions, "sub_1")
	if !stripeapi.IsKind(err, stripeapi.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAnAttemptThatHangsIsMadeAgain(t *testing.T) {
	r := newRig(t, testKey)
	r.subscriptions(1, 1)
	var waits int
	client := stripeapi.New(stripeapi.Config{Key: testKey, Base: r.URL, PerSecond: 1e6, Timeout: 200 * time.Millisecond,
		Wait: func(context.Context, time.Duration) error { waits++; return nil }})
	r.Fail(stripetest.Fault{Hang: true})
	if _, err := client.Check(t.Context(), stripeapi.Subscriptions); waits == 0 || err != nil {
		t.Errorf("%d waits, %v", waits, err)
	}
	r.Fail(slices.Repeat([]stripetest.Fault{{Hang: true}}, 8)...)
	if _, err := client.Check(t.Context(), stripeapi.Subscriptions); !stripeapi.IsKind(err, stripeapi.Unavailable) || !strings.Contains(err.Error(), "does not answer in time") {
		t.Errorf("%v", err)
	}
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	r := newRig(t, testKey)
	r.Close()
	_, err := r.client.Fetch(t.Context(), stripeapi.Subscriptions, "sub_1")
	if !stripeapi.IsKind(err, stripeapi.Unavailable) || !strings.Contains(err.Error(), "cannot be reached") || len(r.waits) == 0 {
		t.Errorf("%v after %d waits", err, len(r.waits))
	}
}

func TestKeysAreChecked(t *testing.T) {
	for key, live := range map[string]bool{"sk_live_4eC39HqLyjWD": true, "rk_live_x": true, "sk_test_x": false, "rk_test_51_x": false} {
		if err := stripeapi.CheckKey(key, live); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if err := stripeapi.CheckKey(key, !live); err == nil || !strings.Contains(err.Error(), "mode") {
			t.Errorf("%s in the other mode: %v", key, err)
		}
	}
	for _, key := range []string{"", "pk_live_1", "sk_live_", "sk_live_a b", "whsec_1", "sk_live_1\n", "Bearer sk_live_1"} {
		if err := stripeapi.CheckKey(key, true); err == nil || len(key) > 8 && strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v", key, err)
		}
	}
}
