package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const testKey = "check-key"

// oracle answers as a service that has it all right, but for what spoil does to
// the answers. It counts the questions about entitlements.
type oracle struct {
	answers   map[string]map[string]any
	spoil     func(path string, answer map[string]any, asked int64) (status int)
	questions atomic.Int64
	lagging   atomic.Int64
}

func newOracle(t *testing.T, run *Run, now time.Time) (*oracle, string) {
	t.Helper()
	o := &oracle{answers: map[string]map[string]any{}}
	for _, x := range run.ExpectAt(now) {
		o.answers["/v1/entitlements/"+x.Account] = entitlementAnswer(x)
		if len(x.Subscriptions) > 0 {
			o.answers["/v1/accounts/"+x.Account] = map[string]any{"account": x.Account, "payments": x.Payments}
		}
		for _, s := range x.Subscriptions {
			o.answers["/v1/subscriptions/"+s.ID] = map[string]any{
				"id": s.ID, "account": s.Account, "status": s.Status, "tier": s.Tier, "paid": s.Paid,
				"delinquency": map[string]any{"anchor": s.Anchor, "grace_until": s.GraceUntil}, "flags": []string{},
			}
		}
	}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	return o, server.URL
}

func entitlementAnswer(x Expectation) map[string]any {
	var members any = json.RawMessage(x.Members)
	if x.Members == "unlimited" {
		members = x.Members
	}
	a := map[string]any{
		"account": x.Account, "known": true, "tier": x.Tier, "status": x.Status, "reason": x.Reason, "source": x.Source,
		"in_grace": x.InGrace, "subscription_id": x.SubscriptionID, "features": x.Features,
		"limits": map[string]any{"members": members}, "schema": 1,
	}
	if !x.GraceUntil.IsZero() {
		a["grace_until"] = x.GraceUntil
	}
	return a
}

func (o *oracle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+testKey {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	asked := o.questions.Add(1)
	if r.URL.Path == "/v1/status" {
		caught := o.lagging.Add(-1) < 0
		writeAnswer(w, map[string]any{"followers": []any{map[string]any{"name": "posting", "caught_up": caught}}})
		return
	}
	known, ok := o.answers[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answer := map[string]any{}
	for k, v := range known {
		answer[k] = v
	}
	if o.spoil != nil {
		if status := o.spoil(r.URL.Path, answer, asked); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	writeAnswer(w, answer)
}

func writeAnswer(w http.ResponseWriter, answer any) {
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

func options(base string) CheckOptions {
	return CheckOptions{URL: base, APIKey: testKey, Timeout: 30 * time.Second}
}

func TestCheckAcceptsWhatIsRight(t *testing.T) {
	run := testRun(1, 60)
	o, base := newOracle(t, run, testEnd)
	o.lagging.Store(2)
	report, err := Check(t.Context(), options(base), run, testEnd)
	if err != nil || !report.OK() {
		t.Fatalf("error %v\n%s", err, report)
	}
	if report.Accounts != len(run.Expect) || report.Subscriptions < 60 || report.Rounds < 4 {
		t.Errorf("report %+v: all accounts, and rounds until the service has caught up", report)
	}
}

// Each fault, on one account, must be found, and named.
func TestCheckFindsEachFault(t *testing.T) {
	run := testRun(1, 3)
	grace := run.Expect[1]
	if !grace.InGrace {
		t.Fatalf("the second account is not in grace: %+v", grace)
	}
	e, s := "/v1/entitlements/"+grace.Account, "/v1/subscriptions/"+grace.SubscriptionID
	a := "/v1/accounts/" + grace.Account
	late := grace.GraceUntil.Add(time.Second)
	for _, fault := range []struct {
		path, member string
		value        any
		field        string
	}{
		{e, "account", "other", "account"}, {e, "known", false, "known"}, {e, "tier", "none", "tier"},
		{e, "status", "active", "status"}, {e, "reason", "subscription", "reason"}, {e, "source", "free", "source"},
		{e, "in_grace", false, "in_grace"}, {e, "grace_until", late, "grace_until"},
		{e, "subscription_id", "sub_2", "subscription_id"}, {e, "features", []string{"discord_bot"}, "features"},
		{e, "limits", map[string]any{"members": nil}, "limits.members"},
		{e, "limits", map[string]any{}, "limits.members"},
		{a, "account", "other", "account record"}, {a, "payments", nil, "payments.received"},
		{a, "payments", PaymentTotals{Received: twice(grace.Payments.Received)}, "payments.received"},
		{a, "payments", PaymentTotals{Received: grace.Payments.Received, Refunded: grace.Payments.Received}, "payments.refunded"},
		{a, "payments", PaymentTotals{Received: grace.Payments.Received, Lost: grace.Payments.Received}, "payments.lost"},
		{s, "status", "canceled", "status"}, {s, "tier", "none", "tier"}, {s, "account", "other", "account"},
		{s, "paid", []Money{{Amount: 1, Currency: "usd"}}, "paid"}, {s, "paid", nil, "paid"},
		{s, "delinquency", nil, "delinquency.anchor"},
		{s, "delinquency", map[string]any{"anchor": grace.GraceUntil.Add(-Grace), "grace_until": late}, "delinquency.grace_until"},
	} {
		t.Run(fault.field, func(t *testing.T) {
			o, base := newOracle(t, run, testEnd)
			o.spoil = func(path string, answer map[string]any, _ int64) int {
				if path == fault.path {
					answer[fault.member] = fault.value
				}
				return 0
			}
			report, err := Check(t.Context(), CheckOptions{URL: base, APIKey: testKey}, run, testEnd)
			if err != nil {
				t.Fatal(err)
			}
			if report.OK() || report.Mismatches[0].Account != grace.Account || !strings.HasSuffix(report.Mismatches[0].Field, fault.field) {
				t.Errorf("report %s, want a difference in %s of %s", report, fault.field, grace.Account)
			}
		})
	}
}

func twice(sums []Money) []Money {
	doubled := slices.Clone(sums)
	for i := range doubled {
		doubled[i].Amount *= 2
	}
	return doubled
}

func TestCheckWaitsUntilTheServiceHasCaughtUp(t *testing.T) {
	run := testRun(1, 10)
	o, base := newOracle(t, run, testEnd)
	o.spoil = func(_ string, answer map[string]any, asked int64) int {
		switch {
		case asked < 10:
			return http.StatusServiceUnavailable
		case asked < 30:
			return http.StatusNotFound
		case asked < 60:
			answer["status"] = "incomplete"
		}
		return 0
	}
	report, err := Check(t.Context(), options(base), run, testEnd)
	if err != nil || !report.OK() || report.Rounds < 3 {
		t.Errorf("error %v, report %s after %d rounds", err, report, report.Rounds)
	}
}

// What was right once and is spoilt by something late must not pass.
func TestCheckAsksAgainAboutWhatWasRight(t *testing.T) {
	run := testRun(1, 1)
	path := "/v1/entitlements/" + run.Expect[0].Account
	o, base := newOracle(t, run, testEnd)
	var times atomic.Int64
	o.spoil = func(p string, answer map[string]any, _ int64) int {
		if p == path && times.Add(1) > 1 {
			answer["status"] = "canceled"
		}
		return 0
	}
	report, err := Check(t.Context(), CheckOptions{URL: base, APIKey: testKey, Timeout: time.Second}, run, testEnd)
	if err != nil || report.OK() {
		t.Errorf("error %v, report %s, want a difference", err, report)
	}
}

func TestCheckReportsWhatIsMissing(t *testing.T) {
	run := testRun(1, 2)
	o, base := newOracle(t, run, testEnd)
	delete(o.answers, "/v1/subscriptions/"+run.Expect[0].SubscriptionID)
	delete(o.answers, "/v1/entitlements/"+run.Expect[1].Account)
	report, err := Check(t.Context(), CheckOptions{URL: base, APIKey: testKey}, run, testEnd)
	if err != nil || len(report.Mismatches) != 2 {
		t.Fatalf("error %v, report %s, want two differences", err, report)
	}
	if lines := strings.Split(report.String(), "\n"); len(lines) != 3 || !strings.Contains(lines[1], run.Expect[0].Account) {
		t.Errorf("report %q, want a line for each difference", lines)
	}
}

func TestCheckEndsOnARefusedKey(t *testing.T) {
	run := testRun(1, 2)
	_, base := newOracle(t, run, testEnd)
	if _, err := Check(t.Context(), CheckOptions{URL: base, APIKey: "wrong", Timeout: time.Minute}, run, testEnd); !errors.Is(err, ErrRefused) {
		t.Errorf("error %v, want %v", err, ErrRefused)
	}
	if _, err := Check(t.Context(), options(base), Generate(Options{End: testEnd}), testEnd); !errors.Is(err, ErrNothingExpected) {
		t.Errorf("error %v, want %v", err, ErrNothingExpected)
	}
}

func TestCheckEndsWhenTheContextDoes(t *testing.T) {
	run := testRun(1, 5)
	o, base := newOracle(t, run, testEnd)
	ctx, cancel := context.WithCancel(t.Context())
	o.spoil = func(string, map[string]any, int64) int { cancel(); return http.StatusNotFound }
	if _, err := Check(ctx, options(base), run, testEnd); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// Grace that ends between End and the check is expected to have ended.
func TestExpectationsFollowTheTime(t *testing.T) {
	run := testRun(1, 60)
	later := testEnd.Add(Grace)
	_, base := newOracle(t, run, later)
	report, err := Check(t.Context(), options(base), run, later)
	if err != nil || !report.OK() {
		t.Fatalf("error %v\n%s", err, report)
	}
	report, err = Check(t.Context(), CheckOptions{URL: base, APIKey: testKey}, run, testEnd)
	if err != nil || report.OK() {
		t.Errorf("error %v, report %s: the answers are a day too late", err, report)
	}
}

func TestAccountsAreEscapedInPaths(t *testing.T) {
	run := testRun(1, 18)
	var odd int
	for _, x := range run.Expect {
		if url.PathEscape(x.Account) != x.Account {
			odd++
		}
	}
	_, base := newOracle(t, run, testEnd)
	report, err := Check(t.Context(), CheckOptions{URL: base, APIKey: testKey}, run, testEnd)
	if err != nil || !report.OK() || odd < 2 {
		t.Errorf("error %v, %d names that need escaping, report %s", err, odd, report)
	}
}
