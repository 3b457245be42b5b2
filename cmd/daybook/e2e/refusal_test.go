package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRefusedWebhooksLeaveNothing sends what must not be taken in, through the
// real route. Signatures are refused with one answer for every fault, so that a
// forger learns nothing; of all that is refused, nothing is in the journal.
func TestRefusedWebhooksLeaveNothing(t *testing.T) {
	t.Parallel()
	s := start(t, development("", "--log-level", "trace"))
	words := []string{devSecret, "jane.doe@example.com"}
	words = append(words, wantOneSignatureAnswer(t, s)...)
	wantGarbageRefused(t, s)
	wantTooLargeRefused(t, s)
	wantMethodsRefused(t, s)
	if entries := journal(t, s.dir); len(entries) != 0 {
		t.Fatalf("the journal holds %d events that were refused: %v", len(entries), entries)
	}
	wantOddEventsRecorded(t, s)
	if log := s.log.String(); !strings.Contains(log, "webhook refused") {
		t.Error("the log does not tell of refusals, at the finest level")
	}
	wantUnsaid(t, s.log.String(), words)
	s.stop()
}

// wantOneSignatureAnswer returns the signatures that it sent.
func wantOneSignatureAnswer(t *testing.T, s *server) []string {
	t.Helper()
	body, now := customerEvent("evt_refused"), time.Now()
	good := sign(body, devSecret, now)
	_, hash, _ := strings.Cut(good, "v1=")
	headers := map[string]string{
		"missing":         "",
		"not a signature": "sure",
		"no time":         "v1=" + hash,
		"no v1":           fmt.Sprintf("t=%d,v0=%s", now.Unix(), hash),
		"two times":       fmt.Sprintf("t=%d,t=%d,v1=%s", now.Unix(), now.Unix(), hash),
		"not hex":         fmt.Sprintf("t=%d,v1=zz%s", now.Unix(), hash[2:]),
		"cut short":       good[:len(good)-2],
		"other secret":    sign(body, "whsec_somebodyelse", now),
		"empty secret":    sign(body, "", now),
		"other body":      sign(append(bytes.Clone(body), ' '), devSecret, now),
		"stale":           sign(body, devSecret, now.Add(-6*time.Minute)),
		"future":          sign(body, devSecret, now.Add(6*time.Minute)),
		"very long":       good + strings.Repeat(",v1="+hash, 100),
	}
	var first *answer
	var sent []string
	for name, header := range headers {
		a, err := s.post(client, body, header)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusBadRequest || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("signature %s: %d %s: want 400", name, a.status, a.body)
		}
		if first == nil {
			first = &a
		}
		if !bytes.Equal(a.body, first.body) {
			t.Errorf("signature %s: %s differs from %s", name, a.body, first.body)
		}
		if _, hash, found := strings.Cut(header, "v1="); found {
			sent = append(sent, hash)
		}
	}
	return sent
}

// wantGarbageRefused sends what Stripe's secret signs and no event is.
func wantGarbageRefused(t *testing.T, s *server) {
	t.Helper()
	good := string(customerEvent("evt_refused"))
	for name, body := range map[string]string{
		"empty":                "",
		"white space":          " \n\t ",
		"truncated":            good[:len(good)-40],
		"not JSON":             "id=evt_refused&type=customer.created",
		"an array":             "[" + good + "]",
		"two events":           good + good,
		"bad UTF-8":            strings.Replace(good, "jane", "j\xffne", 1),
		"nested too deeply":    strings.Replace(good, `"cus_1"`, strings.Repeat("[", 100)+strings.Repeat("]", 100), 1),
		"nested without end":   strings.Repeat(`{"a":`, 100_000),
		"an id twice":          strings.Replace(good, `{"id"`, `{"id":"evt_other","id"`, 1),
		"a type twice, hidden": strings.Replace(good, `"type"`, `"\u0074ype":"invoice.paid","type"`, 1),
		"a path as id":         strings.Replace(good, "evt_refused", "../evt_refused", 1),
		"a hyphen in the id":   strings.Replace(good, "evt_refused", "evt-refused", 1),
		"a long id":            strings.Replace(good, "evt_refused", strings.Repeat("e", 256), 1),
		"no id":                strings.Replace(good, `"id":"evt_refused",`, "", 1),
		"no type":              strings.Replace(good, `"type":"customer.created",`, "", 1),
		"a number as type":     strings.Replace(good, `"customer.created"`, "7", 1),
		"another object":       strings.Replace(good, `"object":"event"`, `"object":"charge"`, 1),
		"created as text":      strings.Replace(good, "1700000000", `"today"`, 1),
	} {
		if body == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		a, err := s.deliver([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s: want 400", name, a.status, a.body)
		}
		if bytes.Contains(a.body, []byte("jane")) {
			t.Errorf("%s: the answer quotes the body: %s", name, a.body)
		}
	}
}

func wantTooLargeRefused(t *testing.T, s *server) {
	t.Helper()
	body := bytes.Replace(customerEvent("evt_refused"), []byte("jane"), bytes.Repeat([]byte("j"), 1<<20), 1)
	a, err := s.deliver(body)
	if err != nil || a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d %s %v: want 413", a.status, a.body, err)
	}
	// Without a length, it is known only once it has been read.
	req, err := http.NewRequest(http.MethodPost, s.base+webhookPath, struct{ *bytes.Reader }{bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Stripe-Signature", sign(body, devSecret, time.Now()))
	a, err = do(client, req)
	if err != nil || a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large, in chunks: %d %s %v: want 413", a.status, a.body, err)
	}
}

func wantMethodsRefused(t *testing.T, s *server) {
	t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodHead} {
		req, err := http.NewRequest(method, s.base+webhookPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := do(client, req)
		if err != nil || a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d, Allow %q, %v: want 405 and POST", method, a.status, a.header.Get("Allow"), err)
		}
	}
}

// wantOddEventsRecorded checks that what is merely unknown is kept.
func wantOddEventsRecorded(t *testing.T, s *server) {
	t.Helper()
	thin := []byte(`{"id":"evt_thin_1","object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","created":"2025-01-02T03:04:05.678Z","livemode":false,"related_object":{"id":"mtr_1","type":"billing.meter","url":"/v1/billing/meters/mtr_1"}}`)
	unknown := bytes.Replace(customerEvent("evt_unknown_1"), []byte("customer.created"), []byte("moon.landed"), 1)
	for _, body := range [][]byte{thin, unknown} {
		s.mustDeliver(body, "recorded")
		s.mustDeliver(body, "duplicate")
	}
	entries := journal(t, s.dir)
	if len(entries) != 2 || !bytes.Equal(entries["evt_thin_1"][0].Data, thin) || !bytes.Equal(entries["evt_unknown_1"][0].Data, unknown) {
		t.Errorf("the journal holds %v", entries)
	}
	s.settle()
	if out := mustRun(t, "failures", "--data-dir", s.dir); !strings.Contains(out, "nothing failed") {
		t.Errorf("failures: %s", out)
	}
}
