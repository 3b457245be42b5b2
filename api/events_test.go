package api

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// raw sends a request line as it stands, with the key that may do everything.
func (r *rig) raw(requestLine string) string {
	r.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s\r\nHost: daybook\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", requestLine, opsKey); err != nil {
		r.Fatal(err)
	}
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

// list reads all pages from path on, and calls between before each next one.
func (r *rig) list(path string, between func()) (events []map[string]any) {
	r.Helper()
	for next := ""; ; {
		page := r.get(path + next)
		for _, e := range page["events"].([]any) {
			events = append(events, e.(map[string]any))
		}
		cursor, more := page["next"].(string)
		if !more {
			return events
		}
		if next = "&from=" + cursor; len(events) > 10_000 {
			r.Fatal("pages do not end")
		}
		between()
	}
}

func positions(events []map[string]any) (all []float64) {
	for _, e := range events {
		all = append(all, e["position"].(float64))
	}
	return all
}

func TestEventPagesStayPutWhileEventsArrive(t *testing.T) {
	r := newRig(t)
	sent := 0
	send := func() {
		sent++
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", sent), subUpdated, noon.Add(time.Duration(sent)*time.Second), fmt.Sprintf("sub_%d", sent), "team-1", "active", "price_basic"))
	}
	for range 7 {
		send()
	}
	r.settle()
	before := positions(r.list("/v1/events?limit=1000", func() {}))
	backwards := positions(r.list("/v1/events?limit=3&direction=backwards", send))
	if len(backwards) != len(before) {
		t.Fatalf("backwards gave %d events, want the %d that were there at its start", len(backwards), len(before))
	}
	for i, p := range backwards {
		if want := before[len(before)-1-i]; p != want {
			t.Fatalf("backwards: event %d is at %v, want %v", i, p, want)
		}
	}
	left := 5
	forwards := positions(r.list("/v1/events?limit=3", func() {
		if left > 0 {
			left--
			send()
		}
	}))
	r.settle()
	all := positions(r.list("/v1/events?limit=1000", func() {}))
	for i, p := range forwards {
		if p != all[i] {
			t.Fatalf("forwards: event %d is at %v, want %v", i, p, all[i])
		}
	}
	since := r.list(fmt.Sprintf("/v1/events?limit=1000&from=%d", int64(forwards[len(forwards)-1])), func() {})
	if len(forwards)+len(since) != len(all) {
		t.Errorf("%d listed and %d since, of %d", len(forwards), len(since), len(all))
	}
}

func TestEventFilters(t *testing.T) {
	r := newRig(t)
	for i, account := range []string{"team-1", "team-2", "team-1"} {
		r.clock.Set(noon.Add(time.Duration(i) * time.Hour))
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", i), subCreated, noon, fmt.Sprintf("sub_%d", i), account, "active", "price_basic"))
		r.settle()
	}
	all := r.list("/v1/events?limit=100", func() {})
	for _, e := range all {
		journal := strings.HasPrefix(e["stream"].(string), "stripeEvent-")
		if _, data := e["data"]; data == journal {
			t.Errorf("%s: data listed: %v", e["stream"], data)
		}
		if _, raw := e["raw_base64"]; raw {
			t.Errorf("%s: a raw payload in a list", e["stream"])
		}
		if strings.HasPrefix(e["stream"].(string), "checkpoint-") {
			t.Errorf("a checkpoint is listed")
		}
	}
	hour := func(h float64) string {
		return url.QueryEscape(noon.Add(time.Duration(h * float64(time.Hour))).In(time.FixedZone("", 19800)).Format(time.RFC3339))
	}
	kind := "type=" + subCreated
	for query, want := range map[string]int{
		kind:                          3,
		"type=SubscriptionStarted":    3,
		kind + ",SubscriptionStarted": 6,
		kind + "&type=SubscriptionStarted&limit=2":                            6,
		kind + "&since=" + hour(1):                                            2, // since is included
		kind + "&until=" + hour(1):                                            1, // until is not
		kind + "&since=" + hour(1) + "&until=" + hour(1.5):                    1,
		"account=team-1&type=SubscriptionStarted":                             2,
		"account=team-1&type=SubscriptionStarted&limit=1":                     2,
		"account=team-1&type=SubscriptionStarted&limit=1&direction=backwards": 2,
		"account=nobody": 0,
	} {
		if got := r.list("/v1/events?"+query, func() {}); len(got) != want {
			t.Errorf("%s: %d events, want %d", query, len(got), want)
		}
	}
}

func TestEventParametersAreJudgedTogether(t *testing.T) {
	r := newRig(t)
	forwards := r.server.cursors(eventsCursor, 0).at("1")
	foreign := cursors{list: eventsCursor, epoch: "another"}.at("1")
	for query, want := range map[string]string{
		"limit=0&since=yesterday&until=x&direction=up&from=!&account=&typ=x": "account direction from limit since typ until",
		"limit=1001":      "limit",
		"limit=1&limit=2": "limit",
		"since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z": "until",
		"direction=backwards&from=" + forwards:                  "from",
		"from=" + r.server.cursors(streamCursor, 0).at("1"):     "from",
		"from=" + foreign:                       "from",
		"until=9999-12-31T23:59:59-23:59":       "until",
		"customer=" + strings.Repeat("c", 2000): "customer",
		"account=a&customer=cus_1":              "customer",
		"from=-1":                               "from",
		"type=,":                                "type",
		"%zz=1":                                 "query",
	} {
		a := r.do(http.MethodGet, "/v1/events?"+query, opsKey, nil, nil)
		if a.status != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", query, a)
			continue
		}
		named := map[string]bool{}
		for _, e := range r.fields(a)["errors"].([]any) {
			named[e.(map[string]any)["field"].(string)] = true
		}
		for _, field := range strings.Fields(want) {
			if !named[field] {
				t.Errorf("%s: %s is not among the faults: %s", query, field, a)
			}
		}
		if len(named) != len(strings.Fields(want)) {
			t.Errorf("%s: faults %v, want %s", query, named, want)
		}
	}
}

func TestOneEventWithAllThatFollowed(t *testing.T) {
	r := newRig(t)
	body := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	variant := []byte(strings.Replace(string(body), `"api_version":"2025-03-31.basil"`, `"api_version":"2024-06-20"`, 1))
	r.send(body)
	r.send(variant)
	r.send(subscriptionEvent("evt_2", subUpdated, noon.Add(time.Second), "sub_1", "team-1", "active", "price_premium"))
	r.settle()
	e := r.get("/v1/events/evt_1")
	entries := e["entries"].([]any)
	if len(entries) != 2 || e["posted"] != 0.0 {
		t.Fatalf("%d entries, posted %v; want both deliveries, the first posted", len(entries), e["posted"])
	}
	for i, sent := range [][]byte{body, variant} {
		entry := entries[i].(map[string]any)
		raw, err := base64.StdEncoding.DecodeString(entry["raw_base64"].(string))
		if err != nil || string(raw) != string(sent) || entry["data_sha256"] != hashOf(string(sent)) {
			t.Errorf("entry %d is not what was sent: %v", i, err)
		}
		if receipt := entry["metadata"].(map[string]any); receipt["source"] != "stripe-webhook" || receipt["secret"] == "" {
			t.Errorf("receipt %v", receipt)
		}
	}
	followed := e["followed"].([]any)
	if len(followed) == 0 || followed[0].(map[string]any)["type"] != "SubscriptionStarted" {
		t.Fatalf("followed %v", followed)
	}
	for _, f := range followed {
		if d := f.(map[string]any)["data"].(map[string]any); d["stripe_event_id"] != "evt_1" {
			t.Errorf("what followed from another event is listed: %v", d)
		}
	}
	for path, want := range map[string]int{"/v1/events/evt_9": 404, "/v1/events/evt-1": 400, "/v1/events/" + strings.Repeat("e", 256): 400} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != want {
			t.Errorf("%s: %s, want %d", path, a, want)
		}
	}
}

// TestWhatFollowedFromMoney: the answer is found in whichever stream the event
// led to.
func TestWhatFollowedFromMoney(t *testing.T) {
	r := newRig(t)
	events := map[string]struct{ kind, object, stream, fact string }{
		"evt_charge":   {"charge.succeeded", `{"object":"charge","id":"ch_1","payment_intent":"pi_1","status":"succeeded","currency":"usd","amount":5}`, "payment-pi_1", "ChargeSucceeded"},
		"evt_refund":   {"refund.created", `{"object":"refund","id":"re_1","charge":"ch_1","payment_intent":"pi_1","currency":"usd","amount":5}`, "payment-pi_1", "RefundCreated"},
		"evt_note":     {"credit_note.created", `{"object":"credit_note","id":"cn_1","invoice":"in_1","status":"issued","currency":"usd","amount":5}`, "invoice-in_1", "CreditNoteIssued"},
		"evt_customer": {"customer.deleted", `{"object":"customer","id":"cus_1"}`, "customer-cus_1", "CustomerDeleted"},
		"evt_payout":   {"payout.paid", `{"object":"payout","id":"po_1","status":"paid","currency":"usd","amount":5}`, "payout-po_1", "PayoutTold"},
		"evt_clock":    {"test_helpers.test_clock.ready", `{"object":"test_helpers.test_clock","id":"clock_1","frozen_time":5}`, "clock-clock_1", "ClockTold"},
	}
	for id, e := range events {
		r.send(fmt.Appendf(nil, `{"id":%q,"object":"event","type":%q,"created":%d,"livemode":false,"data":{"object":%s}}`, id, e.kind, noon.Unix(), e.object))
	}
	r.settle()
	for id, e := range events {
		followed := r.get("/v1/events/" + id)["followed"].([]any)
		if len(followed) != 1 || followed[0].(map[string]any)["type"] != e.fact || followed[0].(map[string]any)["stream"] != e.stream {
			t.Errorf("%s: followed %v, want one %s in %s", id, followed, e.fact, e.stream)
		}
	}
}

func TestWhatCouldNotBePostedIsShown(t *testing.T) {
	r := newRig(t)
	r.send([]byte(`{"id":"evt_1","object":"event","type":"customer.subscription.created","created":1772452800,"livemode":false,"data":{"object":{"id":7}}}`))
	r.settle()
	followed := r.get("/v1/events/evt_1")["followed"].([]any)
	if len(followed) != 1 || followed[0].(map[string]any)["type"] != "PostingFailed" {
		t.Errorf("followed %v", followed)
	}
	if failures := r.get("/v1/status")["failures"].([]any); len(failures) != 1 {
		t.Errorf("failures %v", failures)
	}
}

func TestStreams(t *testing.T) {
	r := newRig(t)
	for i := range 4 {
		r.send(subscriptionEvent(fmt.Sprintf("evt_%d", i), subUpdated, noon.Add(time.Duration(i)*time.Second), "sub_1", "team-1", "active", "price_basic"))
	}
	r.send(subscriptionEvent("evt_other", subCreated, noon, "sub_2", "team-2", "active", "price_basic"))
	r.settle()
	for _, dir := range []string{"forwards", "backwards"} {
		whole := r.list("/v1/streams/subscription-sub_1?limit=1000&direction="+dir, func() {})
		pages := r.list("/v1/streams/subscription-sub_1?limit=2&direction="+dir, func() {})
		if len(whole) < 4 || fmt.Sprint(positions(whole)) != fmt.Sprint(positions(pages)) {
			t.Errorf("%s: whole %v, in pages %v", dir, positions(whole), positions(pages))
		}
	}
	next, _ := r.get("/v1/streams/subscription-sub_1?limit=2")["next"].(string)
	if a := r.do(http.MethodGet, "/v1/streams/subscription-sub_2?from="+next, opsKey, nil, nil); a.status != http.StatusBadRequest {
		t.Errorf("the cursor of another stream: %s", a)
	}
	journal := r.list("/v1/streams/stripeEvent-evt_0?limit=5", func() {})
	if len(journal) != 1 || journal[0]["raw_base64"] == nil || journal[0]["data"].(map[string]any)["id"] != "evt_0" {
		t.Errorf("journal stream %v", journal)
	}
	for path, want := range map[string]int{
		"/v1/streams/subscription-none": 404, "/v1/streams/nohyphen": 400, "/v1/streams/-x": 400, "/v1/streams/$all-x": 400,
		"/v1/streams/subscription-sub_1?limit=x": 400, "/v1/streams/account-a%2Fb": 404,
	} {
		if a := r.do(http.MethodGet, path, opsKey, nil, nil); a.status != want {
			t.Errorf("%s: %s, want %d", path, a, want)
		}
	}
}

// A key that is bound to an account sees the record of that account alone.
func TestTheRecordOfOneAccount(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.send(subscriptionEvent("evt_2", subCreated, noon, "sub_2", "team-2", "active", "price_basic"))
	r.settle()
	for path, want := range map[string]int{
		"/v1/events/evt_1": 200, "/v1/events/evt_2": 403, "/v1/events/evt_none": 403,
		"/v1/streams/subscription-sub_1": 200, "/v1/streams/subscription-sub_2": 403, "/v1/streams/subscription-none": 403,
		"/v1/streams/stripeEvent-evt_2": 403, "/v1/streams/checkpoint-posting": 403,
		"/v1/events?account=team-2": 403, "/v1/events?account=team-1": 200,
	} {
		if a := r.do(http.MethodGet, path, boundKey, nil, nil); a.status != want {
			t.Errorf("%s: %s, want %d", path, a, want)
		}
	}
	a := r.do(http.MethodGet, "/v1/events", boundKey, nil, nil)
	events := r.fields(a)["events"].([]any)
	if len(events) == 0 {
		t.Error("the account's own events are not listed")
	}
	for _, e := range events {
		if stream := e.(map[string]any)["stream"]; stream != "subscription-sub_1" {
			t.Errorf("%s is listed", stream)
		}
	}
}
