package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/daybookhq/daybook/api/client"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// accountOf is how a program may know whose a request is.
func accountOf(r *http.Request) string { return r.Header.Get("X-Team") }

// through sends a request of an account to what Require guards, which answers 418.
func through(ctx context.Context, c *client.Client, feature, account string) *httptest.ResponseRecorder {
	guarded := c.Require(feature, accountOf)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/export", nil)
	r.Header.Set("X-Team", account)
	w := httptest.NewRecorder()
	guarded.ServeHTTP(w, r)
	return w
}

// TestRequire: who is let through, and what those are told who are not.
func TestRequire(t *testing.T) {
	d, server := newDaybook(t), redistest.Start(t)
	d.publish(t, server, "acme", time.Now(), published.Keys{signingKey})
	published := client.Redis(newGetter(t, server), signingKey)
	gone := nobody(t)
	closed, open := client.FailClosed, client.FailOpen
	basic := client.Refusal{Reason: "waiver", CurrentTier: "basic"}
	offered := basic
	offered.RequiredTier, offered.UpgradeURL = "enterprise", "https://example.com/billing"
	for name, c := range map[string]struct {
		client           *client.Client
		feature, account string
		status           int
		told             client.Refusal
	}{
		"it is paid for":          {newClient(t, d.url, readKey, closed), "custom_nym", "acme", 418, client.Refusal{}},
		"it is not":               {newClient(t, d.url, readKey, open), "white_label", "acme", 402, offered},
		"nor does Redis say so":   {newClient(t, gone, readKey, open, published), "white_label", "acme", 402, basic},
		"an operator's refusal":   {newClient(t, d.url, readKey, open), "discord_bot", "mallory", 403, client.Refusal{Reason: "blocked", CurrentTier: "starter", RequiredTier: "starter", UpgradeURL: "https://example.com/billing"}},
		"nobody's request":        {newClient(t, d.url, readKey, open), "custom_nym", "", 403, client.Refusal{}},
		"unknown, and closed":     {newClient(t, gone, readKey, closed), "custom_nym", "acme", 503, client.Refusal{}},
		"unknown, and open":       {newClient(t, gone, readKey, open), "custom_nym", "acme", 418, client.Refusal{}},
		"a feature that is none":  {newClient(t, d.url, readKey, open), "custom_gnome", "acme", 500, client.Refusal{}},
		"a key that is not known": {newClient(t, d.url, "nobodys", open), "custom_nym", "acme", 500, client.Refusal{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := through(t.Context(), c.client, c.feature, c.account)
			if w.Code != c.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.status == http.StatusTeapot {
				return
			}
			var told client.Refusal
			if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
				t.Fatal(err)
			}
			want := c.told
			want.Type, want.Title, want.Status, want.Feature, want.Detail = "about:blank", http.StatusText(c.status), c.status, c.feature, told.Detail
			if told != want || told.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" ||
				(w.Header().Get("Retry-After") != "") != (c.status == http.StatusServiceUnavailable) {
				t.Errorf("%+v with %v, want %+v", told, w.Header(), want)
			}
		})
	}
}

// TestRequireReports what it could not decide, and what the policy decided; not
// that somebody has left.
func TestRequireReports(t *testing.T) {
	d, gone := newDaybook(t), nobody(t)
	left, leave := context.WithCancel(t.Context())
	leave()
	for name, c := range map[string]struct {
		ctx     context.Context
		url     string
		feature string
		want    []error
	}{
		"allowed": {t.Context(), d.url, "custom_nym", nil},
		"denied":  {t.Context(), d.url, "white_label", nil},
		"mistake": {t.Context(), d.url, "custom_gnome", []error{client.ErrNotFound}},
		"unknown": {t.Context(), gone, "custom_nym", []error{client.ErrUnknown}},
		"left":    {left, d.url, "custom_nym", nil},
	} {
		reported := &reports{}
		through(c.ctx, newClient(t, c.url, readKey, client.FailOpen, client.Report(reported.add)), c.feature, "acme")
		told := reported.all()
		if len(told) != len(c.want) || len(told) > 0 && !errors.Is(told[0], c.want[0]) {
			t.Errorf("%s: reported %v, want %v", name, told, c.want)
		}
	}
}
