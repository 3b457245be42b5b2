package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api/client"
)

// reports gathers what a client reports.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *reports) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

func newClient(t testing.TB, url, key string, policy client.Policy, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(url, key, policy, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestWhatAnAccountMayDo(t *testing.T) {
	d := newDaybook(t)
	c := newClient(t, d.url+"/", readKey, client.FailClosed)
	e, err := c.Entitlement(t.Context(), "acme")
	if err != nil || e.Account != "acme" || !e.Known || e.Tier != "basic" || e.Limits["members"] != 500 || !e.ValidUntil.After(time.Now()) {
		t.Errorf("%+v, %v", e, err)
	}
	allowed, err := c.Feature(t.Context(), "acme", "custom_nym")
	if err != nil || !allowed.Allowed || allowed.Unknown != nil || allowed.Reason != aggregate.ReasonWaiver {
		t.Errorf("%+v, %v", allowed, err)
	}
	denied, err := c.Feature(t.Context(), "acme", "white_label")
	if err != nil || denied.Allowed || denied.Unknown != nil || denied.CurrentTier != "basic" || denied.RequiredTier != "enterprise" || denied.UpgradeURL == "" {
		t.Errorf("%+v, %v", denied, err)
	}
	check, err := c.Check(t.Context(), "acme", []string{"custom_nym", "white_label"}, map[string]client.Limit{"members": 412})
	if err != nil || check.Allowed || len(check.Features) != 2 || !check.Features[0].Allowed || check.Features[1].RequiredTier != "enterprise" ||
		len(check.Limits) != 1 || !check.Limits[0].Allowed || check.Limits[0].Maximum != 500 || check.Tier != "basic" {
		t.Errorf("%+v, %v", check, err)
	}
	if check, err = c.Check(t.Context(), "acme", nil, map[string]client.Limit{"members": client.Unlimited}); err != nil || check.Allowed {
		t.Errorf("%+v, %v", check, err)
	}
}

// TestAccountsOfAnyName: what stands in a name does not lead elsewhere.
func TestAccountsOfAnyName(t *testing.T) {
	d := newDaybook(t)
	c := newClient(t, d.url, readKey, client.FailOpen)
	for _, name := range []string{"a/b", "acme/features/custom_nym", "ü %2F?#", "..", ".", "check", `{"a":1}`, strings.Repeat("x", 512)} {
		e, err := c.Entitlement(t.Context(), name)
		if err != nil || e.Account != name || e.Known || e.Tier != "starter" {
			t.Errorf("%q: %+v, %v", name, e, err)
		}
	}
}

// TestMistakesAreErrors, whatever the policy.
func TestMistakesAreErrors(t *testing.T) {
	d := newDaybook(t)
	for _, policy := range []client.Policy{client.FailClosed, client.FailOpen} {
		reported := &reports{}
		feature := func(key, account, feature string) func(*client.Client) error {
			return func(*client.Client) error {
				answer, err := newClient(t, d.url, key, policy, client.Report(reported.add)).Feature(t.Context(), account, feature)
				if answer.Allowed {
					t.Errorf("%s with %s: allowed", feature, key)
				}
				return err
			}
		}
		for name, c := range map[string]struct {
			ask  func(*client.Client) error
			want error
		}{
			"a wrong key":           {feature("nobodys", "acme", "custom_nym"), client.ErrUnauthorized},
			"a key without scope":   {feature(auditKey, "acme", "custom_nym"), client.ErrForbidden},
			"a key of another":      {feature(boundKey, "mallory", "custom_nym"), client.ErrForbidden},
			"a misspelt feature":    {feature(readKey, "acme", "custom_gnome"), client.ErrNotFound},
			"no feature":            {feature(readKey, "acme", ""), client.ErrInvalid},
			"no account":            {feature(readKey, "", "custom_nym"), client.ErrInvalid},
			"an account's bad name": {feature(readKey, "a\nb", "custom_nym"), client.ErrInvalid},
			"nothing to check": {func(c *client.Client) error {
				_, err := c.Check(t.Context(), "acme", nil, nil)
				return err
			}, client.ErrInvalid},
			"a misspelt limit": {func(c *client.Client) error {
				_, err := c.Check(t.Context(), "acme", nil, map[string]client.Limit{"limbs": 4})
				var told *client.Error
				if !errors.As(err, &told) || told.Status != http.StatusBadRequest || len(told.Faults) != 1 || told.Faults[0].Field != "limits.limbs" ||
					!strings.Contains(err.Error(), "limits.limbs is no limit of the catalog") {
					t.Errorf("it does not tell: %v", err)
				}
				return err
			}, client.ErrInvalid},
		} {
			err := c.ask(newClient(t, d.url, readKey, policy, client.Report(reported.add)))
			if !errors.Is(err, c.want) || errors.Is(err, client.ErrUnknown) || errors.Is(err, client.ErrUnavailable) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if told := reported.all(); len(told) != 0 {
			t.Errorf("reported, though the caller was told: %v", told)
		}
	}
}

// hurried makes attempts short: for servers that do not answer.
var hurried = client.Timeouts(100*time.Millisecond, 300*time.Millisecond)

// TestTheUnknownIsLeftToThePolicy: whoever cannot be asked, no policy makes an
// entitlement, and each answer says that nothing is known.
func TestTheUnknownIsLeftToThePolicy(t *testing.T) {
	d, stale := newDaybook(t), newDaybook(t)
	stale.loseStore(t, 2*time.Hour)
	answers := func(status int, media, body string) string {
		url, _ := d.front(t, func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		})
		return url
	}
	for name, c := range map[string]struct {
		url  string
		want error
	}{
		"nobody listens":           {nobody(t), client.ErrUnavailable},
		"it hangs":                 {listener(t, hangs), client.ErrUnavailable},
		"it resets":                {listener(t, resets), client.ErrUnavailable},
		"what it knew is too old":  {stale.url, client.ErrStale},
		"a page of a proxy":        {answers(200, "text/html", "<h1>Welcome</h1>"), client.ErrUnavailable},
		"a proxy's 404":            {answers(404, "text/html", "<h1>Where?</h1>"), client.ErrUnavailable},
		"a proxy's 502":            {answers(502, "text/html", "<h1>Oh</h1>"), client.ErrUnavailable},
		"a way elsewhere":          {answers(302, "text/html", ""), client.ErrUnavailable},
		"JSON of something else":   {answers(200, "application/json", `{"allowed":true,"features":["custom_nym"]}`), client.ErrUnavailable},
		"another's answer":         {answers(200, "application/json", `{"account":"other","allowed":true,"tier":"elite","features":["custom_nym"]}`), client.ErrUnavailable},
		"half an answer":           {answers(200, "application/json", `{"account":"acme","allowed":true`), client.ErrUnavailable},
		"a fault of Daybook's own": {answers(500, "application/problem+json", `{"status":500,"detail":"Something failed here."}`), client.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for policy, open := range map[client.Policy]bool{client.FailClosed: false, client.FailOpen: true} {
				reported := &reports{}
				asked := newClient(t, c.url, readKey, policy, hurried, client.Report(reported.add))
				unknown := func(question string, err error) {
					t.Helper()
					if !errors.Is(err, client.ErrUnknown) || !errors.Is(err, c.want) {
						t.Errorf("%s: %v, want ErrUnknown for %v", question, err, c.want)
					}
				}
				e, err := asked.Entitlement(t.Context(), "acme")
				if unknown("the entitlement", err); e.Account != "" || e.Features != nil {
					t.Errorf("made up: %+v", e)
				}
				feature, err := asked.Feature(t.Context(), "acme", "custom_nym")
				if unknown("a feature", feature.Unknown); err != nil || feature.Allowed != open || feature.Feature.Feature != "custom_nym" || feature.Account != "acme" {
					t.Errorf("%+v, %v", feature, err)
				}
				check, err := asked.Check(t.Context(), "acme", []string{"custom_nym", "white_label"}, map[string]client.Limit{"members": 1})
				if unknown("a check", check.Unknown); err != nil || check.Allowed != open || len(check.Features) != 2 ||
					check.Features[1].Allowed != open || len(check.Limits) != 1 || check.Limits[0].Allowed != open {
					t.Errorf("%+v, %v", check, err)
				}
				if told := reported.all(); len(told) != 3 || !errors.Is(told[0], client.ErrUnknown) {
					t.Errorf("reported %v", told)
				}
			}
		})
	}
}

// TestStaleAnswersCountForAWhile: as long as MaxStale allows.
func TestStaleAnswersCountForAWhile(t *testing.T) {
	d := newDaybook(t)
	d.loseStore(t, 30*time.Minute)
	e, err := newClient(t, d.url, readKey, client.FailClosed).Entitlement(t.Context(), "acme")
	if err != nil || !e.Stale || e.Tier != "basic" {
		t.Errorf("%+v, %v", e, err)
	}
	feature, err := newClient(t, d.url, readKey, client.FailClosed, client.MaxStale(time.Minute)).Feature(t.Context(), "acme", "custom_nym")
	if err != nil || feature.Allowed || !errors.Is(feature.Unknown, client.ErrStale) {
		t.Errorf("%+v, %v", feature, err)
	}
}

// busy answers as Daybook does when it cannot.
func busy(w http.ResponseWriter, retryAfter string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = fmt.Fprint(w, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"Not now."}`)
}

// TestAskingAgain: as often as may help, and no more often.
func TestAskingAgain(t *testing.T) {
	d := newDaybook(t)
	patient := client.Timeouts(20*time.Second, time.Minute)
	for name, c := range map[string]struct {
		instead  func(http.ResponseWriter, *http.Request, int64) bool
		attempts uint
		want     int64
		err      error
	}{
		"busy twice": {func(w http.ResponseWriter, _ *http.Request, nth int64) bool {
			if nth < 3 {
				busy(w, "")
			}
			return nth < 3
		}, 3, 3, nil},
		"busy for ever": {func(w http.ResponseWriter, _ *http.Request, _ int64) bool { busy(w, ""); return true }, 4, 4, client.ErrUnavailable},
		"once only":     {func(w http.ResponseWriter, _ *http.Request, _ int64) bool { busy(w, ""); return true }, 1, 1, client.ErrUnavailable},
		"a connection cut": {func(_ http.ResponseWriter, _ *http.Request, nth int64) bool {
			if nth == 1 {
				panic(http.ErrAbortHandler)
			}
			return false
		}, 2, 2, nil},
		"it may come soon": {func(w http.ResponseWriter, _ *http.Request, nth int64) bool {
			if nth == 1 {
				busy(w, "1")
			}
			return nth == 1
		}, 3, 2, nil},
		"it may come far too late": {func(w http.ResponseWriter, _ *http.Request, _ int64) bool { busy(w, "3600"); return true }, 3, 1, client.ErrUnavailable},
		"on a day far off": {func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
			busy(w, time.Now().AddDate(0, 0, 1).UTC().Format(http.TimeFormat))
			return true
		}, 3, 1, client.ErrUnavailable},
		"a mistake": {func(w http.ResponseWriter, r *http.Request, _ int64) bool {
			r.Header.Del("Authorization")
			return false
		}, 3, 1, client.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, came := d.front(t, c.instead)
			check, err := newClient(t, url, readKey, client.FailClosed, patient, client.Attempts(c.attempts)).
				Check(t.Context(), "acme", []string{"custom_nym"}, nil)
			if errors.Is(c.err, client.ErrUnavailable) {
				err = check.Unknown
			}
			if !errors.Is(err, c.err) || came.Load() != c.want || (c.err == nil) != check.Allowed {
				t.Errorf("%d requests, %+v, %v; want %d, %v", came.Load(), check, err, c.want, c.err)
			}
		})
	}
}

// TestRetryAfterIsWaitedFor: the second request comes no earlier than it may.
func TestRetryAfterIsWaitedFor(t *testing.T) {
	d := newDaybook(t)
	var first, second time.Time
	url, _ := d.front(t, func(w http.ResponseWriter, _ *http.Request, nth int64) bool {
		if nth == 1 {
			first = time.Now()
			busy(w, "1")
			return true
		}
		second = time.Now()
		return false
	})
	answer, err := newClient(t, url, readKey, client.FailClosed, client.Timeouts(20*time.Second, time.Minute)).Feature(t.Context(), "acme", "custom_nym")
	if err != nil || !answer.Allowed {
		t.Fatalf("%+v, %v", answer, err)
	}
	if second.Sub(first) < time.Second {
		t.Errorf("asked again after %s", second.Sub(first))
	}
}

// TestWhoeverLeavesIsNotAnswered, by no policy.
func TestWhoeverLeavesIsNotAnswered(t *testing.T) {
	reported := &reports{}
	ctx, leave := context.WithCancel(t.Context())
	url := listener(t, func(conn net.Conn) { leave() })
	c := newClient(t, url, readKey, client.FailOpen, client.Report(reported.add), client.Timeouts(time.Minute, time.Minute))
	answer, err := c.Feature(ctx, "acme", "custom_nym")
	if !errors.Is(err, context.Canceled) || answer.Allowed || errors.Is(err, client.ErrUnknown) {
		t.Errorf("%+v, %v", answer, err)
	}
	if told := reported.all(); len(told) != 0 {
		t.Errorf("reported %v", told)
	}
}

// TestACallersDeadline counts like the client's own.
func TestACallersDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := newClient(t, listener(t, hangs), readKey, client.FailOpen, client.Timeouts(time.Minute, time.Minute))
	answer, err := c.Feature(ctx, "acme", "custom_nym")
	if err != nil || !answer.Allowed || !errors.Is(answer.Unknown, client.ErrUnavailable) {
		t.Errorf("%+v, %v", answer, err)
	}
}

// TestConnectionsAreBounded: many questions at once share few connections, which
// are given back, and nothing is left of a client that was closed.
func TestConnectionsAreBounded(t *testing.T) {
	d := newDaybook(t)
	d.server.CloseClientConnections() // those that made it
	d.server.Client().CloseIdleConnections()
	until(t, "no connection is open", func() bool { return d.open.Load() == 0 })
	d.most.Store(0)
	opened := d.opened.Load()
	c := newClient(t, d.url, readKey, client.FailClosed, client.Connections(3), client.Timeouts(time.Minute, time.Minute))
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 25 {
				if answer, err := c.Feature(t.Context(), "acme", "custom_nym"); err != nil || !answer.Allowed {
					t.Errorf("%+v, %v", answer, err)
				}
			}
		})
	}
	asking.Wait()
	if most, all := d.most.Load(), d.opened.Load()-opened; most > 3 || all > 3 {
		t.Errorf("%d connections at once, %d in all", most, all)
	}
	c.Close()
	until(t, "no connection is left", func() bool { return d.open.Load() == 0 })
	until(t, "no goroutine is left", func() bool { return !strings.Contains(stacks(), "persistConn") })
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for patience := time.After(20 * time.Second); !condition(); {
		select {
		case <-patience:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestNewSaysAllThatIsWrong(t *testing.T) {
	_, err := client.New("127.0.0.1:8080", "", 0, client.Attempts(0), client.Report(nil), client.Redis(nil))
	for _, want := range []string{"base URL", "the key wants", "FailClosed or FailOpen", "attempts", "Report", "RedisUnsigned"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
	for _, url := range []string{"", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x#y", "http://x\n"} {
		if _, err := client.New(url, "k", client.FailOpen); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
	if _, err := client.New("https://daybook.example/billing/", "k", client.FailOpen, client.Redis(nil, make([]byte, 31))); err == nil || strings.Contains(err.Error(), "URL") {
		t.Errorf("a short key: %v", err)
	}
}
