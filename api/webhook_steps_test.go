package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake"
)

// anyDelivery is a verifier and a journal that take everything, so that what is
// measured is the route's own.
type anyDelivery struct{}

func (anyDelivery) Verify([]byte, string) (string, error) { return "0123abcd", nil }

func (anyDelivery) Fingerprints() []string { return []string{"0123abcd"} }

func (anyDelivery) Record(context.Context, intake.Entry) (intake.Outcome, error) {
	return intake.Outcome{Status: intake.Recorded}, nil
}

// TestTellingCostsNothingUnasked: whether somebody wants to know the steps of a
// webhook or not, the route allocates the same; and it looks at the clock for it
// only if so.
func TestTellingCostsNothingUnasked(t *testing.T) {
	body := []byte(`{"id":"evt_1","object":"event","type":"invoice.paid","created":1700000000,"livemode":false}`)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/stripe", nil)
	s := &Server{Config: Config{Verifier: anyDelivery{}, Journal: anyDelivery{}, MaxWebhookBytes: 1 << 20, Clock: time.Now}, timings: newTimings(), limits: newLimits(Limits{})}
	s.counters.events = newEventCounters()
	reader, header := bytes.NewReader(body), http.Header{}
	deliver := func() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		if err := s.webhook(discard{header}, r); err != nil {
			t.Fatal(err)
		}
	}
	unasked := testing.AllocsPerRun(200, deliver)
	if at := s.tracedAt(); !at.IsZero() {
		t.Errorf("the clock was asked for nobody: %v", at)
	}
	var told WebhookSteps
	s.OnWebhook = func(w WebhookSteps) { told = w }
	if asked := testing.AllocsPerRun(200, deliver); asked != unasked {
		t.Errorf("%v allocations if somebody asks, %v if nobody does", asked, unasked)
	}
	if told.Envelope.ID != "evt_1" || told.Bytes != len(body) || told.Outcome.Status != intake.Recorded ||
		told.Arrived.IsZero() || told.Read.Before(told.Arrived) || told.Checked.Before(told.Read) || told.Recorded.Before(told.Checked) {
		t.Errorf("told %+v", told)
	}
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
