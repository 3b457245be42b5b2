package api

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

func TestWebhookRecordsOnce(t *testing.T) {
	r := newRig(t)
	body := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	for i, want := range []string{"recorded", "duplicate", "duplicate"} {
		a := r.post(body)
		answer := fmt.Sprintf(`{"received":true,"status":%q,"event_id":"evt_1","event_type":"customer.subscription.created"}`+"\n", want)
		if a.status != http.StatusOK || string(a.body) != answer {
			t.Errorf("delivery %d: %s, want %s", i, a, answer)
		}
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("delivery %d: content type %q", i, got)
		}
	}
	entries := r.entries("evt_1")
	if len(entries) != 1 || !bytes.Equal(entries[0].Data, body) {
		t.Fatalf("journal holds %d entries, want the body once, byte by byte", len(entries))
	}
	receipt, err := intake.DecodeReceipt(entries[0].Metadata)
	if err != nil || receipt.Secret != intake.Fingerprint(secret) || receipt.Source != intake.SourceWebhook {
		t.Errorf("receipt %+v, %v", receipt, err)
	}
	if c := r.server.WebhookCounts(); c.Recorded != 1 || c.Duplicate != 2 {
		t.Errorf("counts %+v", c)
	}
}

// entries reads a Stripe event's entries from the store itself.
func (r *rig) entries(id string) (entries []eventstore.RecordedEvent) {
	r.Helper()
	for ev, err := range r.store.ReadStream(r.Context(), intake.JournalStream(id), 0, eventstore.Forwards, 0) {
		if err != nil {
			r.Fatal(err)
		}
		entries = append(entries, ev)
	}
	return entries
}

// A refused signature must not tell what was wrong with it.
func TestWebhookRefusesEverySignatureFaultAlike(t *testing.T) {
	r := newRig(t)
	body := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	good := signed(body, secret, noon).Get("Stripe-Signature")
	headers := map[string]http.Header{
		"missing":       {},
		"empty":         {"Stripe-Signature": {""}},
		"malformed":     {"Stripe-Signature": {"nonsense"}},
		"no time":       {"Stripe-Signature": {"v1=" + strings.Repeat("0", 64)}},
		"other scheme":  {"Stripe-Signature": {strings.Replace(good, "v1=", "v0=", 1)}},
		"other secret":  signed(body, "whsec_somebody_else", noon),
		"other body":    signed(append(slices.Clone(body), ' '), secret, noon),
		"stale":         signed(body, secret, noon.Add(-301*time.Second)),
		"future":        signed(body, secret, noon.Add(301*time.Second)),
		"garbled digit": {"Stripe-Signature": {good[:len(good)-1] + "g"}},
	}
	var first []byte
	for name, header := range headers {
		a := r.do(http.MethodPost, "/webhooks/stripe", "", body, header)
		if first == nil {
			first = a.body
		}
		if a.status != http.StatusBadRequest || !bytes.Equal(a.body, first) {
			t.Errorf("%s: %s, want 400 and the same words as the others: %s", name, a, first)
		}
		if a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: content type %q", name, a.header.Get("Content-Type"))
		}
	}
	c := r.server.WebhookCounts().Signature
	if c.Missing != 2 || c.Stale != 1 || c.Future != 1 || c.Missing+c.Malformed+c.Mismatch+c.Stale+c.Future != uint64(len(headers)) {
		t.Errorf("counts %+v of %d refusals", c, len(headers))
	}
	r.wantEmptyStore()
	if log := r.log.String(); strings.Contains(log, "evt_1") || strings.Contains(log, good) || strings.Contains(log, "whsec") {
		t.Errorf("the log repeats a payload, a signature or a secret:\n%s", log)
	}
}

func (r *rig) wantEmptyStore() {
	r.Helper()
	if head, err := r.store.Head(r.Context()); err != nil || head != 0 {
		r.Errorf("head %d, %v: something was recorded", head, err)
	}
}

func TestWebhookAcceptsTheEdgesOfTolerance(t *testing.T) {
	r := newRig(t)
	for i, offset := range []time.Duration{-300 * time.Second, 300 * time.Second} {
		body := subscriptionEvent(fmt.Sprintf("evt_%d", i), subCreated, noon, "sub_1", "team-1", "active", "price_basic")
		if a := r.do(http.MethodPost, "/webhooks/stripe", "", body, signed(body, secret, noon.Add(offset))); a.status != http.StatusOK {
			t.Errorf("signed %s from now: %s", offset, a)
		}
	}
}

func TestWebhookRefusesSignedGarbage(t *testing.T) {
	r := newRig(t)
	event := string(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	bodies := map[string]string{
		"empty":          "",
		"white space":    " \n",
		"truncated":      event[:len(event)/2],
		"not JSON":       "id=evt_1&object=event",
		"not an object":  `["event"]`,
		"not UTF-8":      strings.Replace(event, "team-1", "team-\xff", 1),
		"nested":         strings.Replace(event, `"request":null`, `"request":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000), 1),
		"duplicate key":  strings.Replace(event, `"livemode":false`, `"livemode":false,"id":"evt_2"`, 1),
		"other object":   strings.Replace(event, `"object":"event"`, `"object":"charge"`, 1),
		"no id":          strings.Replace(event, `"id":"evt_1",`, "", 1),
		"id with hyphen": strings.Replace(event, `"evt_1"`, `"evt-1"`, 1),
		"id too long":    strings.Replace(event, `"evt_1"`, `"`+strings.Repeat("e", 256)+`"`, 1),
		"two events":     event + event,
	}
	for name, body := range bodies {
		a := r.post([]byte(body))
		if a.status != http.StatusBadRequest || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s, want a 400 problem", name, a)
		}
	}
	if c := r.server.WebhookCounts(); c.NotAnEvent != uint64(len(bodies)) {
		t.Errorf("counted %d, want %d", c.NotAnEvent, len(bodies))
	}
	r.wantEmptyStore()
}

func TestWebhookRefusesLargeBodies(t *testing.T) {
	r := newRig(t)
	fits := paddedEvent("evt_fits", int(r.server.MaxWebhookBytes))
	if a := r.post(fits); a.status != http.StatusOK {
		t.Errorf("a body of exactly the limit: %s", a)
	}
	large := paddedEvent("evt_large", int(r.server.MaxWebhookBytes)+1)
	if a := r.post(large); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("one byte more: %s", a)
	}
	// Without a Content-Length the limit is only met while reading.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/webhooks/stripe", struct{ *bytes.Reader }{bytes.NewReader(large)})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Header = signed(large, secret, noon)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %d", res.StatusCode)
	}
	if c := r.server.WebhookCounts(); c.TooLarge != 2 {
		t.Errorf("counted %d, want 2", c.TooLarge)
	}
}

// paddedEvent is an event of exactly size bytes.
func paddedEvent(id string, size int) []byte {
	event := fmt.Sprintf(`{"id":%q,"object":"event","created":1,"type":"x.y","pad":"`, id)
	return append(append([]byte(event), bytes.Repeat([]byte("x"), size-len(event)-2)...), `"}`...)
}

// A store bounds an append: a body that leaves no room for the receipt cannot
// ever be recorded, so asking for it again would be wrong.
func TestWebhookTooLargeForTheStore(t *testing.T) {
	r := newRig(t)
	r.server.MaxWebhookBytes = 2 * eventstore.MaxAppendBytes
	if a := r.post(paddedEvent("evt_1", eventstore.MaxAppendBytes)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", a.status)
	}
	r.wantEmptyStore()
}

func TestWebhookRefusesEncodedBodies(t *testing.T) {
	r := newRig(t)
	body := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	header := signed(body, secret, noon)
	header.Set("Content-Encoding", "gzip")
	a := r.do(http.MethodPost, "/webhooks/stripe", "", body, header)
	if a.status != http.StatusUnsupportedMediaType || a.header.Get("Accept-Encoding") != "identity" {
		t.Errorf("%s, Accept-Encoding %q", a, a.header.Get("Accept-Encoding"))
	}
	header.Set("Content-Encoding", "identity")
	if a := r.do(http.MethodPost, "/webhooks/stripe", "", body, header); a.status != http.StatusOK {
		t.Errorf("identity: %s", a)
	}
}

func TestWebhookRecordsWhatIsNotPosted(t *testing.T) {
	r := newRig(t)
	for kind, body := range map[string]string{
		"v1.billing.meter.error": `{"id":"evt_thin","object":"v2.core.event","type":"v1.billing.meter.error","created":"2026-03-02T12:00:00.000Z","livemode":false}`,
		"made.up":                `{"id":"evt_odd","object":"event","type":"made.up","created":1,"livemode":false,"data":{"object":{}}}`,
		`quoted"\type`:           `{"id":"evt_quote","object":"event","type":"quoted\"\\type","created":1}`,
	} {
		a := r.post([]byte(body))
		if a.status != http.StatusOK {
			t.Errorf("%s: %s", kind, a)
			continue
		}
		if got := r.fields(a)["event_type"]; got != kind {
			t.Errorf("event_type %q, want %q", got, kind)
		}
	}
	r.settle()
	if got := r.poster.Progress(); got.Posted != 0 || got.Failed != 0 {
		t.Errorf("posted %d, failed %d, want none", got.Posted, got.Failed)
	}
}

func TestWebhookOtherMethods(t *testing.T) {
	r := newRig(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch} {
		a := r.do(method, "/webhooks/stripe", "", nil, nil)
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, a.status, a.header.Get("Allow"))
		}
	}
}

func TestWebhookIsNotAcknowledgedWithoutAStore(t *testing.T) {
	r := newRig(t)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	a := r.post(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s, Retry-After %q", a, a.header.Get("Retry-After"))
	}
	if c := r.server.WebhookCounts(); c.NotDurable != 1 || c.Recorded != 0 {
		t.Errorf("counts %+v", c)
	}
	if a := r.do(http.MethodGet, "/readyz", "", nil, nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %s", a)
	}
	if a := r.do(http.MethodGet, "/livez", "", nil, nil); a.status != http.StatusOK {
		t.Errorf("livez: %s", a)
	}
}

// Read buffers are shared between requests: no entry may hold another's bytes.
func TestWebhookBodiesStayApart(t *testing.T) {
	r := newRig(t)
	const senders, each = 8, 25
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				if a := r.post(paddedEvent(fmt.Sprintf("evt_%d_%d", s, i), 200+100*s+i)); a.status != http.StatusOK {
					t.Errorf("sender %d: %s", s, a)
				}
			}
		})
	}
	sending.Wait()
	for s := range senders {
		for i := range each {
			id := fmt.Sprintf("evt_%d_%d", s, i)
			if entries := r.entries(id); len(entries) != 1 || !bytes.Equal(entries[0].Data, paddedEvent(id, 200+100*s+i)) {
				t.Fatalf("%s: the journal does not hold what was sent", id)
			}
		}
	}
}
