package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/history"
)

// twoAccounts records two subscriptions of team-1 and one of team-2: of the first,
// what came last happened first.
func (r *rig) twoAccounts() {
	r.Helper()
	r.send(subscriptionEvent("evt_1", subUpdated, noon.Add(2*time.Hour), "sub_1", "team-1", "active", "price_premium"))
	r.settle()
	r.send(subscriptionEvent("evt_2", subCreated, noon.Add(time.Hour), "sub_2", "team-1", "active", "price_basic"))
	r.send(subscriptionEvent("evt_3", subCreated, noon, "sub_3", "team-2", "active", "price_basic"))
	r.settle()
	r.send(subscriptionEvent("evt_4", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.settle()
}

func column(events []map[string]any, name string) (all []string) {
	for _, e := range events {
		value, _ := e[name].(string)
		all = append(all, value)
	}
	return all
}

func TestTimelines(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	facts := "/v1/accounts/team-1/timeline?type=SubscriptionStarted,SubscriptionChanged"
	for query, want := range map[string]string{
		"":                                    "evt_1 evt_2 evt_4",
		"&order=recorded&limit=1":             "evt_1 evt_2 evt_4",
		"&direction=backwards&limit=2":        "evt_4 evt_2 evt_1",
		"&order=occurred":                     "evt_4 evt_2 evt_1",
		"&order=occurred&limit=1":             "evt_4 evt_2 evt_1",
		"&order=occurred&direction=backwards": "evt_1 evt_2 evt_4",
		"&order=occurred&direction=backwards&limit=2": "evt_1 evt_2 evt_4",
		"&until=2026-03-02T12:00:00Z":                 "",
	} {
		events := r.list(facts+query, func() {})
		if got := strings.Join(column(events, "stripe_event_id"), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, e := range r.list("/v1/accounts/team-1/timeline?limit=1", func() {}) {
		if strings.Contains(e["stream"].(string), "sub_3") {
			t.Errorf("another's event: %v", e)
		}
	}
	page := r.get(facts + "&receipts=true&limit=1")
	receipt := page["events"].([]any)[0].(map[string]any)["receipt"].(map[string]any)
	if receipt["api_version"] != "2025-03-31.basil" || receipt["source"] != "stripe-webhook" || receipt["secret"] == "" || receipt["received_at"] == "" {
		t.Errorf("receipt %v", receipt)
	}
	for path, status := range map[string]int{
		"/v1/accounts/nobody/timeline":                                                   http.StatusNotFound,
		"/v1/accounts/team-1/timeline?order=up&receipts=maybe":                           http.StatusBadRequest,
		"/v1/accounts/team-1/timeline?order=occurred&from=7":                             http.StatusBadRequest,
		"/v1/accounts/team-1/timeline?from=" + page["next"].(string) + "&order=occurred": http.StatusBadRequest,
	} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != status {
			t.Errorf("%s: %s, want %d", path, a, status)
		}
	}
	if a := r.do(http.MethodGet, "/v1/accounts/team-2/timeline", boundKey, nil, nil); a.status != http.StatusForbidden {
		t.Errorf("another account's timeline: %s", a)
	}
	if a := r.do(http.MethodGet, "/v1/accounts/team-1/timeline", boundKey, nil, nil); a.status != http.StatusOK {
		t.Errorf("its own: %s", a)
	}
}

// TestTimelinePagesStayPutWhileEventsArrive: in the order in which things
// happened, what arrives late belongs before the cursor. The pages show the record
// as it was.
func TestTimelinePagesStayPutWhileEventsArrive(t *testing.T) {
	r := newRig(t)
	for i := range 6 {
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", i), subUpdated, noon.Add(time.Duration(i)*time.Hour), "sub_1", "team-1", "active", "price_basic"))
	}
	r.settle()
	path := "/v1/accounts/team-1/timeline?type=SubscriptionChanged&limit=2&order=occurred"
	late := 0
	events := r.list(path, func() {
		late++
		r.send(subscriptionEvent(fmt.Sprintf("evt_late_%d", late), subUpdated, noon.Add(time.Minute), "sub_1", "team-1", "active", "price_basic"))
		r.settle()
	})
	if got := strings.Join(column(events, "stripe_event_id"), " "); got != "evt_0 evt_1 evt_2 evt_3 evt_4 evt_5" || late != 2 {
		t.Errorf("pages show %s, with %d late", got, late)
	}
	if events := r.list(path, func() {}); len(events) != 8 {
		t.Errorf("asked anew: %v", column(events, "stripe_event_id"))
	}
}

func TestEventsOfACustomerAndAStream(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	for query, want := range map[string]string{
		"customer=cus_sub_1&type=SubscriptionStarted,SubscriptionChanged": "evt_1 evt_4",
		"customer=nobody":                   "",
		"stream=subscription-sub_3&limit=1": "evt_3 evt_3",
	} {
		if got := strings.Join(column(r.list("/v1/events?"+query, func() {}), "stripe_event_id"), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if a := r.do(http.MethodGet, "/v1/events?customer=cus_sub_3", boundKey, nil, nil); a.status != http.StatusForbidden {
		t.Errorf("another's customer: %s", a)
	}
}

func TestStatistics(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	counts := func(path string) map[string]float64 {
		t.Helper()
		got := map[string]float64{}
		s := r.get(path)
		for _, c := range s["types"].([]any) {
			c := c.(map[string]any)
			got[c["category"].(string)+" "+c["type"].(string)] = c["events"].(float64)
		}
		if s["complete"] != true {
			t.Errorf("%s: incomplete", path)
		}
		return got
	}
	before := counts("/v1/events/statistics")
	if before["stripeEvent "+subCreated] != 3 || before["subscription SubscriptionStarted"] != 3 {
		t.Errorf("all %v", before)
	}
	r.send(subscriptionEvent("evt_5", subDeleted, noon.Add(3*time.Hour), "sub_3", "team-2", "canceled", "price_basic"))
	r.settle()
	if after := counts("/v1/events/statistics"); after["stripeEvent "+subDeleted] != 1 || after["stripeEvent "+subCreated] != 3 {
		t.Errorf("what came since is not counted once: %v", after)
	}
	if got := counts("/v1/events/statistics?type=SubscriptionStarted&account=team-2"); len(got) != 1 || got["subscription SubscriptionStarted"] != 1 {
		t.Errorf("of an account %v", got)
	}
	if got := counts("/v1/events/statistics?until=2020-01-01T00:00:00Z"); len(got) != 0 {
		t.Errorf("before everything %v", got)
	}
	page := r.get("/v1/events?limit=1000")
	all := page["events"].([]any)
	last := all[len(all)-1].(map[string]any)["position"].(float64)
	if got := counts(fmt.Sprintf("/v1/events/statistics?from=%d", int64(last)-1)); len(got) != 1 {
		t.Errorf("behind a position %v", got)
	}
}

// tailed is one open tail.
type tailed struct {
	*rig
	lines chan string
	close func()
}

// follow opens a tail, and returns when it has begun.
func (r *rig) tail(path, key, lastID string) *tailed {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // the goroutine below closes it
	if err != nil {
		r.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		r.Fatalf("%s: %d", path, res.StatusCode)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer res.Body.Close()
		for scanner := bufio.NewScanner(res.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	f := &tailed{rig: r, lines: lines, close: cancel}
	f.line("retry: ")
	return f
}

// line waits for one that begins so, and returns the rest of it.
func (f *tailed) line(prefix string) string {
	f.Helper()
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	for {
		select {
		case line, more := <-f.lines:
			if !more {
				f.Fatalf("ended before %q", prefix)
			}
			if rest, is := strings.CutPrefix(line, prefix); is {
				return rest
			}
		case <-patience.C:
			f.Fatalf("no %q came", prefix)
		}
	}
}

// next is the next event, with its id.
func (f *tailed) next() (id string, event map[string]any) {
	f.Helper()
	id = f.line("id: ")
	if err := json.Unmarshal([]byte(f.line("data: ")), &event); err != nil {
		f.Fatal(err)
	}
	return id, event
}

func TestTheTailResumesWhereItWasLeft(t *testing.T) {
	r := newRig(t)
	send := func(n int) {
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", n), subUpdated, noon.Add(time.Duration(n)*time.Second), "sub_1", "team-1", "active", "price_basic"))
	}
	send(0)
	r.settle()
	first := r.tail(tailPath+"?type=SubscriptionChanged", opsKey, "")
	send(1)
	send(2)
	id, event := first.next()
	if event["stripe_event_id"] != "evt_1" {
		t.Fatalf("begins with %v", event)
	}
	first.close()
	send(3)
	r.settle()
	again := r.tail(tailPath+"?type=SubscriptionChanged", opsKey, id)
	for n := 2; n <= 3; n++ {
		if _, event := again.next(); event["stripe_event_id"] != fmt.Sprintf("evt_%d", n) {
			t.Fatalf("resumed with %v, want evt_%d", event, n)
		}
	}
	whole := r.tail(tailPath+"?type=SubscriptionChanged&from=0", opsKey, "")
	if _, event := whole.next(); event["stripe_event_id"] != "evt_0" {
		t.Errorf("from the beginning %v", event)
	}
	// The id is a cursor of the list, too.
	if events := r.list("/v1/events?type=SubscriptionChanged&from="+id, func() {}); len(events) != 2 {
		t.Errorf("listed from an id: %v", events)
	}
}

func TestTheTailOfAnAccount(t *testing.T) {
	r := newRig(t)
	bound := r.tail(tailPath+"?type=SubscriptionStarted", boundKey, "")
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_9", "team-2", "active", "price_basic"))
	r.settle()
	r.send(subscriptionEvent("evt_2", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	if _, event := bound.next(); event["stripe_event_id"] != "evt_2" {
		t.Errorf("sees %v", event)
	}
	if a := r.do(http.MethodGet, tailPath+"?account=team-2", boundKey, nil, nil); a.status != http.StatusForbidden {
		t.Errorf("another account's: %s", a)
	}
}

func TestTailsAreRefusedAndEnd(t *testing.T) {
	r := newRig(t)
	foreign := cursors{list: eventsCursor, epoch: "another"}.at("1")
	for id, field := range map[string]string{"x": "Last-Event-ID", foreign: "Last-Event-ID", "999999": "from"} {
		a := r.do(http.MethodGet, tailPath, opsKey, nil, http.Header{"Last-Event-Id": {id}})
		if a.status != http.StatusBadRequest || !strings.Contains(string(a.body), field) {
			t.Errorf("resumed from %q: %s", id, a)
		}
	}
	if a := r.do(http.MethodHead, tailPath, opsKey, nil, nil); a.status != http.StatusOK || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %s", a)
	}
	open := r.tail(tailPath, opsKey, "")
	for range maxTails - 1 {
		r.server.tails <- struct{}{}
	}
	if a := r.do(http.MethodGet, tailPath, opsKey, nil, nil); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s", a)
	}
	r.server.EndTails()
	for range open.lines { // ends, or the test does not
	}
}

// TestATailEndsWithItsKey: a key that was taken out of force, or lost its scope or its
// account, is told nothing more. Other keys may change as they like.
func TestATailEndsWithItsKey(t *testing.T) {
	r := newRig(t)
	const path = tailPath + "?type=SubscriptionStarted"
	began := 0
	begin := func() string {
		began++
		id := fmt.Sprintf("evt_%d", began)
		r.send(subscriptionEvent(id, subCreated, noon, fmt.Sprintf("sub_%d", began), "team-1", "active", "price_basic"))
		return id
	}
	for name, next := range map[string]Key{
		"gone":            keyFor("another", "", ScopeAudit),
		"without scope":   keyFor("leaked", "", ScopeRead),
		"another account": keyFor("leaked", "team-2", ScopeAudit),
	} {
		ops := keyFor(opsKey, "", Scopes()...)
		r.server.SetKeys([]Key{ops, keyFor("leaked", "", ScopeAudit)})
		kept, leaked := r.tail(path, opsKey, ""), r.tail(path, "leaked", "")
		r.server.SetKeys([]Key{ops, keyFor("leaked", "", ScopeAudit), keyFor("newcomer", "", ScopeAudit)})
		id := begin()
		for _, f := range []*tailed{kept, leaked} {
			if _, event := f.next(); event["stripe_event_id"] != id {
				t.Fatalf("%s: before, it follows %v", name, event)
			}
		}
		r.server.SetKeys([]Key{ops, next})
		for range leaked.lines { // ends, or the test does not
		}
		id = begin()
		if _, event := kept.next(); event["stripe_event_id"] != id {
			t.Errorf("%s: another key follows %v", name, event)
		}
		kept.close()
	}
}

// TestASlowReaderIsDropped: whoever does not take what is written holds a bounded
// part of it, and no follower.
func TestASlowReaderIsDropped(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	w := &stuckWriter{header: http.Header{}}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tl := &tail{w: w, control: http.NewResponseController(w), cursors: r.server.cursors(eventsCursor, 0), beat: time.Hour}
	if err := tl.begin(); err != nil {
		t.Fatal(err)
	}
	w.stuck = true
	tl.run(ctx, r.server.record, history.Query{}, nil)
	if ctx.Err() != nil || w.writes != 2 {
		t.Errorf("went on after %d writes: %v", w.writes, ctx.Err())
	}
}

// stuckWriter is a connection whose write deadline has passed.
type stuckWriter struct {
	header http.Header
	stuck  bool
	writes int
}

func (w *stuckWriter) Header() http.Header              { return w.header }
func (w *stuckWriter) WriteHeader(int)                  {}
func (w *stuckWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *stuckWriter) SetWriteDeadline(time.Time) error { return nil }
func (w *stuckWriter) FlushError() error                { return nil }
func (w *stuckWriter) Write(b []byte) (int, error) {
	w.writes++
	if w.stuck {
		return 0, context.DeadlineExceeded
	}
	return len(b), nil
}

// TestHeartbeatsMoveThePlaceOn: who waits for what never comes need not look at
// everything again when it comes back.
func TestHeartbeatsMoveThePlaceOn(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	head, err := r.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cursors := r.server.cursors(eventsCursor, 0)
	beating := &beatingWriter{ResponseRecorder: w, enough: "id: " + cursors.atPosition(uint64(head)) + "\n: alive\n\n", end: cancel}
	tl := &tail{w: beating, control: http.NewResponseController(beating), cursors: cursors, beat: time.Millisecond}
	tl.run(ctx, r.server.record, history.Query{Types: []string{"NeverToCome"}}, nil)
	if !strings.HasSuffix(w.Body.String(), beating.enough) {
		t.Errorf("wrote %q", w.Body)
	}
}

// beatingWriter ends a tail once it has written enough.
type beatingWriter struct {
	*httptest.ResponseRecorder
	enough string
	end    func()
}

func (w *beatingWriter) SetWriteDeadline(time.Time) error { return nil }

func (w *beatingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(b)
	if strings.HasSuffix(w.Body.String(), w.enough) {
		w.end()
		return n, context.Canceled // nothing comes behind it
	}
	return n, err
}

func TestExplanationsOverHTTP(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	x := r.get("/v1/entitlements/team-1/explain?feature=custom_pfp")
	if x["allowed"] != true || x["tier"] != "premium" || x["required_tier"] != "premium" || x["reason"] != "subscription" || x["epoch"] != "epoch-1" {
		t.Errorf("%v", x)
	}
	evidence := x["evidence"].([]any)[0].(map[string]any)
	if evidence["stripe_event_id"] != "evt_1" || evidence["position"].(float64) == 0 || evidence["stream"] != "subscription-sub_1" {
		t.Errorf("evidence %v", evidence)
	}
	line := x["subscriptions"].([]any)[0].(map[string]any)["lines"].([]any)[0].(map[string]any)
	if line["line"] != "price_premium" || line["tier"] != "premium" {
		t.Errorf("line %v", line)
	}
	past := r.get("/v1/entitlements/team-1/explain?feature=custom_pfp&at=2026-03-02T18:30:00%2B05:30")
	if past["allowed"] != false || past["tier"] != "basic" || past["at"] != "2026-03-02T13:00:00Z" {
		t.Errorf("an hour after noon: %v", past)
	}
	if x := r.get("/v1/entitlements/nobody/explain"); x["known"] != false || x["tier"] != "starter" || len(x["features"].([]any)) == 0 {
		t.Errorf("of nobody %v", x)
	}
	for path, status := range map[string]int{
		"/v1/entitlements/team-1/explain?feature=flying":          http.StatusNotFound,
		"/v1/entitlements/team-1/explain?at=noon&featur=x":        http.StatusBadRequest,
		"/v1/entitlements/team-1/explain?at=0000-01-01T00:00:00Z": http.StatusBadRequest,
	} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != status {
			t.Errorf("%s: %s, want %d", path, a, status)
		}
	}
	if a := r.do(http.MethodGet, "/v1/entitlements/team-2/explain", boundKey, nil, nil); a.status != http.StatusForbidden {
		t.Errorf("another's: %s", a)
	}
}

func TestThePastOfAccountsAndEntitlements(t *testing.T) {
	r := newRig(t)
	r.clock.Set(noon.Add(5 * time.Hour))
	r.send(subscriptionEvent("evt_1", subUpdated, noon.Add(2*time.Hour), "sub_1", "team-1", "active", "price_premium"))
	r.settle()
	r.clock.Set(noon.Add(6 * time.Hour))
	r.send(subscriptionEvent("evt_2", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.settle()
	at := func(h int) string { return noon.Add(time.Duration(h) * time.Hour).Format(time.RFC3339) }
	for query, want := range map[string]string{
		"as_of=" + at(1):                          "basic",
		"as_of=" + at(3):                          "premium",
		"known_at=" + at(4):                       "starter",
		"known_at=" + at(5):                       "premium",
		"as_of=" + at(1) + "&known_at=" + at(5):   "starter",
		"as_of=" + at(1) + "&known_at=" + at(6):   "basic",
		"as_of=" + at(1) + "&known_at=" + at(100): "basic",
	} {
		e := r.get("/v1/entitlements/team-1?" + query)
		if _, lease := e["valid_until"]; e["tier"] != want || lease || e["epoch"] != "epoch-1" {
			t.Errorf("%s: %v, want %s", query, e, want)
		}
		a := r.do(http.MethodGet, "/v1/accounts/team-1?"+query, opsKey, nil, nil)
		if want == "starter" {
			if a.status != http.StatusNotFound {
				t.Errorf("%s: %s, want 404", query, a)
			}
			continue
		}
		account := r.fields(a)
		if tier := account["entitlement"].(map[string]any)["tier"]; tier != want || len(account["subscriptions"].([]any)) != 1 {
			t.Errorf("%s: account %s", query, a)
		}
	}
	for _, path := range []string{"/v1/entitlements/team-2?as_of=" + at(1), "/v1/accounts/team-2?as_of=" + at(1)} {
		if a := r.do(http.MethodGet, path, boundKey, nil, nil); a.status != http.StatusForbidden {
			t.Errorf("%s: %s", path, a)
		}
	}
}

// check posts a check.
func (r *rig) check(body, contentType string) answer {
	r.Helper()
	return r.do(http.MethodPost, "/v1/entitlements/check", opsKey, []byte(body), http.Header{"Content-Type": {contentType}})
}

func TestChecks(t *testing.T) {
	r := newRig(t)
	r.twoAccounts()
	r.send(subscriptionEvent("evt_9", subCreated, noon, "sub_9", "whale", "active", "price_enterprise"))
	r.settle()
	a := r.check(`{"account":"team-1","features":["custom_pfp","white_label"],"limits":{"members":412},"comment":{"ours":[1]}}`, "application/json; charset=utf-8")
	got := r.fields(a)
	features, limits := got["features"].([]any), got["limits"].([]any)
	if got["allowed"] != false || got["tier"] != "premium" || len(features) != 2 || len(limits) != 1 {
		t.Fatalf("%s", a)
	}
	denied, limit := features[1].(map[string]any), limits[0].(map[string]any)
	if denied["allowed"] != false || denied["required_tier"] != "enterprise" || denied["current_tier"] != "premium" || denied["upgrade_url"] == "" || denied["reason"] != "subscription" {
		t.Errorf("%v", denied)
	}
	if limit["allowed"] != true || limit["maximum"] != 1000.0 || limit["wanted"] != 412.0 || limit["required_tier"] != "basic" {
		t.Errorf("%v", limit)
	}
	for account, want := range map[string]bool{"whale": true, "team-1": false, "nobody": false} {
		a := r.check(fmt.Sprintf(`{"account":%q,"limits":{"members":"unlimited"}}`, account), "application/json")
		got := r.fields(a)
		limit := got["limits"].([]any)[0].(map[string]any)
		if got["allowed"] != want || limit["wanted"] != "unlimited" || (limit["maximum"] == "unlimited") != want {
			t.Errorf("%s: %s", account, a)
		}
	}
	if a := r.do(http.MethodPost, "/v1/entitlements/check", boundKey, []byte(`{"account":"team-2","features":["custom_nym"]}`),
		http.Header{"Content-Type": {"application/json"}}); a.status != http.StatusForbidden {
		t.Errorf("another's: %s", a)
	}
	if e := r.get("/v1/entitlements/check"); e["account"] != "check" {
		t.Errorf("an account that is called check: %v", e)
	}
}

func TestChecksTellEveryFault(t *testing.T) {
	r := newRig(t)
	many := `"` + strings.Repeat(`custom_nym","`, maxChecked) + `custom_nym"`
	for body, want := range map[string]string{
		`{}`:                                   "account features",
		`{"account":"team-1"}`:                 "features",
		`{"account":"","features":["flying"]}`: "account features[0]",
		`{"account":7,"features":"custom_nym","limits":[1]}`:          "account features limits",
		`{"account":"a","features":[3,"custom_nym","flying"]}`:        "features[0] features[2]",
		`{"account":"a","limits":{"members":-1,"seats":1,"x":1e400}}`: "limits.members limits.seats limits.x",
		`{"account":"a","limits":{"members":9223372036854775807}}`:    "limits.members",
		`{"account":"a","limits":{"members":4.5}}`:                    "limits.members",
		`{"account":"a","limits":{"members":"many"}}`:                 "limits.members",
		`{"account":"a","limits":{"members":1,"members":2}}`:          "limits.members",
		`{"account":"a","account":"b","features":["custom_nym"]}`:     "account",
		`{"account":"a\u0000b","features":["custom_nym"]}`:            "account",
		`{"account":"a","features":[` + many + `]}`:                   "features",
		`[1]`: "body", `{"account":`: "body", "{\"account\":\"\xff\"}": "body",
	} {
		a := r.check(body, "application/json")
		if a.status != http.StatusBadRequest || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.80s: %s, want 400", body, a)
			continue
		}
		var named []string
		for _, e := range r.fields(a)["errors"].([]any) {
			named = append(named, e.(map[string]any)["field"].(string))
		}
		slices.Sort(named)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if !slices.Equal(named, wanted) {
			t.Errorf("%.80s: faults %q, want %q", body, named, wanted)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"} {
		if a := r.check(`{"account":"a","features":["custom_nym"]}`, contentType); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %s, want 415", contentType, a)
		}
	}
	if a := r.check(`{"account":"`+strings.Repeat("a", maxRequestBytes)+`"}`, "application/json"); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %s", a)
	}
}
