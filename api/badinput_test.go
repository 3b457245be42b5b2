package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBodiesThatAreNoQuestion sends what is not a good request to a route that
// reads and to one that writes. Each is refused with the same care, and nothing
// is recorded.
func TestBodiesThatAreNoQuestion(t *testing.T) {
	r := newRig(t)
	head, err := r.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(limit string) string { return `{"account":"team-1","limits":{"members":` + limit + `}}` }
	const checkPath, grantPath = "/v1/entitlements/check", "/v1/accounts/team-1/waivers"
	for _, c := range []struct {
		name, path, body string
		status           int
		fields           []string
	}{
		{"nothing", checkPath, "", 400, []string{"body"}},
		{"noise", checkPath, "\x00\x01", 400, []string{"body"}},
		{"a byte order mark", checkPath, "\ufeff{}", 400, []string{"body"}},
		{"a string", checkPath, `"team-1"`, 400, []string{"body"}},
		{"two objects", checkPath, `{}{}`, 400, []string{"body"}},
		{"half an object", checkPath, `{"account":"team-1"`, 400, []string{"body"}},
		{"not UTF-8", checkPath, "{\"account\":\"\xff\"}", 400, []string{"body"}},
		{"deep", checkPath, strings.Repeat("[", 30000), 400, []string{"body"}},
		{"a deep field", checkPath, `{"account":"team-1","features":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 400, []string{"body"}},
		{"too large", checkPath, `{"account":"` + strings.Repeat("a", maxRequestBytes) + `"}`, 413, nil},
		{"a number for a name", checkPath, `{"account":7,"features":["custom_nym"]}`, 400, []string{"account"}},
		{"a list for a name", checkPath, `{"account":["team-1"],"features":["custom_nym"]}`, 400, []string{"account"}},
		{"an object for a list", checkPath, `{"account":"team-1","features":{"a":1}}`, 400, []string{"features"}},
		{"a list for an object", checkPath, `{"account":"team-1","limits":["members"]}`, 400, []string{"limits"}},
		{"the same twice", checkPath, `{"account":"team-1","account":"team-2","features":["custom_nym"]}`, 400, []string{"account"}},
		{"a control character", checkPath, `{"account":"team\u00001","features":["custom_nym"]}`, 400, []string{"account"}},
		{"line ends", checkPath, `{"account":"team-1\r\nX-Evil: 1","features":["custom_nym"]}`, 400, []string{"account"}},
		{"beyond 64 bits", checkPath, check("99999999999999999999"), 400, []string{"limits.members"}},
		{"beyond what JSON readers take", checkPath, check("9007199254740992"), 400, []string{"limits.members"}},
		{"an exponent", checkPath, check("1e400"), 400, []string{"limits.members"}},
		{"a small exponent", checkPath, check("1e2"), 400, []string{"limits.members"}},
		{"below zero", checkPath, check("-1"), 400, []string{"limits.members"}},
		{"half", checkPath, check("0.5"), 400, []string{"limits.members"}},
		{"digits in a string", checkPath, check(`"412"`), 400, []string{"limits.members"}},
		{"a long number", checkPath, check(strings.Repeat("9", 50000)), 400, []string{"limits.members"}},
		{"not a number", checkPath, check("NaN"), 400, []string{"body"}},
		{"an unknown field where something is written", grantPath, `{"tier":"elite","reason":"` + why + `","expires":"2030-01-01T00:00:00Z"}`, 400, []string{"expires"}},
		{"another case", grantPath, `{"Tier":"elite","reason":"` + why + `"}`, 400, []string{"Tier", "tier"}},
		{"wrong types", grantPath, `{"tier":["elite"],"reason":true,"expires_at":1893456000}`, 400, []string{"expires_at", "reason", "tier"}},
		{"a day that is none", grantPath, `{"tier":"elite","reason":"` + why + `","expires_at":"2026-02-30T00:00:00Z"}`, 400, []string{"expires_at"}},
		{"a year beyond", grantPath, `{"tier":"elite","reason":"` + why + `","expires_at":"99999-01-01T00:00:00Z"}`, 400, []string{"expires_at"}},
		{"the zero time of Go, which is no end", grantPath, `{"tier":"elite","reason":"` + why + `","expires_at":"0001-01-01T00:00:00Z"}`, 400, []string{"expires_at"}},
		{"the same, elsewhere", grantPath, `{"tier":"elite","reason":"` + why + `","expires_at":"0001-01-01T01:00:00+01:00"}`, 400, []string{"expires_at"}},
		{"no time zone", grantPath, `{"tier":"elite","reason":"` + why + `","expires_at":"2030-01-01T00:00:00"}`, 400, []string{"expires_at"}},
	} {
		a := r.do(http.MethodPost, c.path, opsKey, []byte(c.body), http.Header{"Content-Type": {"application/json"}})
		if a.status != c.status || a.header.Get("Content-Type") != "application/problem+json" || !slices.Equal(r.faultsOf(a), c.fields) {
			t.Errorf("%s: %.300s", c.name, a)
		}
	}
	for _, media := range []string{"", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16", ";"} {
		for _, path := range []string{checkPath, grantPath} {
			a := r.do(http.MethodPost, path, opsKey, []byte(`{"account":"team-1","tier":"elite","reason":"`+why+`","features":["custom_nym"]}`), http.Header{"Content-Type": {media}})
			if a.status != http.StatusUnsupportedMediaType || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %q: %.300s", media, a)
			}
		}
	}
	for _, two := range [][]string{{"application/json", "text/plain"}, {"application/json", "application/json"}} {
		a := r.do(http.MethodPost, grantPath, opsKey, []byte(`{"tier":"elite","reason":"`+why+`"}`), http.Header{"Content-Type": two})
		if a.status != http.StatusUnsupportedMediaType {
			t.Errorf("two content types, %v: %.300s", two, a)
		}
	}
	// Readers never mind a field that they do not know.
	a := r.do(http.MethodPost, checkPath, opsKey, []byte(`{"account":"team-1","features":["custom_nym"],"future":{"a":[1]}}`), http.Header{"Content-Type": {"application/json"}})
	if a.status != http.StatusOK {
		t.Errorf("a field of the future: %.300s", a)
	}
	if now, err := r.store.Head(t.Context()); err != nil || now != head {
		t.Errorf("the log ends at %d, %v: want %d", now, err, head)
	}
}

// TestQueriesThatCannotBe: cursors of other stores and lists, spans that end before
// they begin, numbers and times that are none.
func TestQueriesThatCannotBe(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", i), subCreated, noon, fmt.Sprintf("sub_%d", i), "team-1", "active", "price_basic"))
	}
	r.settle()
	next, _ := r.get("/v1/events?limit=1")["next"].(string)
	decoded, err := base64.RawURLEncoding.DecodeString(next)
	if err != nil || !strings.Contains(string(decoded), "epoch-1") {
		t.Fatalf("the cursor is %q, %v", decoded, err)
	}
	foreign := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(decoded), "epoch-1", "epoch-2", 1)))
	for query, field := range map[string]string{
		"/v1/events?from=" + foreign:                                                         "from",
		"/v1/events/stream?until=2027-01-01T00:00:00Z":                                       "until",
		"/v1/events/stream?from=" + foreign:                                                  "from",
		"/v1/events?direction=backwards&from=" + next:                                        "from",
		"/v1/accounts/team-1/timeline?from=" + next:                                          "from",
		"/v1/subscriptions?from=" + next:                                                     "from",
		"/v1/events?from=" + next[:len(next)-2]:                                              "from",
		"/v1/events?from=-1":                                                                 "from",
		"/v1/events?from=99999999999999999999":                                               "from",
		"/v1/events?limit=0":                                                                 "limit",
		"/v1/events?limit=-1":                                                                "limit",
		"/v1/events?limit=1001":                                                              "limit",
		"/v1/events?limit=1e2":                                                               "limit",
		"/v1/events?limit=99999999999999999999":                                              "limit",
		"/v1/events?limit=1&limit=2":                                                         "limit",
		"/v1/events?direction=sideways":                                                      "direction",
		"/v1/events?account=":                                                                "account",
		"/v1/events?account=team-1&account=team-2":                                           "account",
		"/v1/events?customer=":                                                               "customer",
		"/v1/events/statistics?customer=":                                                    "customer",
		"/v1/events?customer=cus_1&customer=cus_2":                                           "customer",
		"/v1/subscriptions?account=":                                                         "account",
		"/v1/subscriptions?customer=":                                                        "customer",
		"/v1/waivers?account=":                                                               "account",
		"/v1/events?since=yesterday":                                                         "since",
		"/v1/events?since=2026-13-01T00:00:00Z":                                              "since",
		"/v1/events?since=0000-01-01T00:00:00%2B23:59":                                       "since",
		"/v1/events?since=2026-03-02T12:00:00":                                               "since",
		"/v1/events?until=0001-01-01T00:00:00Z":                                              "until",
		"/v1/events?since=2026-03-03T00:00:00Z&until=2026-03-02T00:00:00Z":                   "until",
		"/v1/events?since=2026-03-02T12:00:00Z&until=2026-03-02T12:00:00Z":                   "until",
		"/v1/events?since=2026-03-02T12:00:00%2B01:00&until=2026-03-02T06:00:00-04:00":       "until", // 11:00 and 10:00
		"/v1/accounts/team-1/timeline?since=2026-03-03T00:00:00Z&until=2026-03-02T00:00:00Z": "until",
		"/v1/entitlements/team-1?as_of=never":                                                "as_of",
		"/v1/subscriptions?status=happy":                                                     "status",
	} {
		a := r.do(http.MethodGet, query, opsKey, nil, nil)
		if a.status != http.StatusBadRequest || !slices.Contains(r.faultsOf(a), field) {
			t.Errorf("%s: %.300s", query, a)
		}
	}
}

// TestTimesOfAnyOffset asks for the same moment in every time zone there is.
func TestTimesOfAnyOffset(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.clock.Set(noon.Add(time.Minute))
	r.send(subscriptionEvent("evt_2", subCreated, noon, "sub_2", "team-1", "active", "price_basic"))
	r.settle()
	moment := noon.Add(time.Minute)
	for minutes := -12 * 60; minutes <= 14*60; minutes += 15 {
		text := url.QueryEscape(moment.In(time.FixedZone("", minutes*60)).Format(time.RFC3339Nano))
		later := r.get("/v1/events?type=" + subCreated + "&since=" + text)["events"].([]any)
		earlier := r.get("/v1/events?type=" + subCreated + "&until=" + text)["events"].([]any)
		if len(later) != 1 || len(earlier) != 1 {
			t.Errorf("%s: %d since, %d until: want one each", text, len(later), len(earlier))
		}
	}
}

// TestAccountsThatDoNotExist: what is an account's record is not there, and a search
// for it finds nothing.
func TestAccountsThatDoNotExist(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.settle()
	for _, path := range []string{"/v1/accounts/nobody", "/v1/accounts/nobody/timeline", "/v1/subscriptions/sub_nobody", "/v1/events/evt_nobody", "/v1/streams/subscription-sub_nobody"} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != http.StatusNotFound || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %.300s", path, a)
		}
	}
	for path, list := range map[string]string{"/v1/events?account=nobody": "events", "/v1/events?customer=cus_nobody": "events", "/v1/subscriptions?account=nobody": "subscriptions",
		"/v1/waivers?account=nobody": "waivers", "/v1/events?stream=subscription-sub_nobody": "events"} {
		page := r.get(path)
		if rows, is := page[list].([]any); !is || len(rows) != 0 || page["next"] != nil {
			t.Errorf("%s: %v", path, page)
		}
	}
	if e := r.get("/v1/entitlements/nobody"); e["known"] != false || e["tier"] != "starter" {
		t.Errorf("an account that nothing is known of: %v", e)
	}
}
