package simulate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

const testSecret = "whsec_simulate_test"

// receiver is a webhook route that verifies what it gets with Stripe's own
// library, and answers as it is told.
type receiver struct {
	mu       sync.Mutex
	order    []string
	tries    map[string]int
	invalid  int
	ids      map[string]string
	statusOf func(try int) int
}

func newReceiver(t *testing.T, deliveries []Delivery, statusOf func(try int) int) (*receiver, string) {
	t.Helper()
	r := &receiver{tries: map[string]int{}, ids: map[string]string{}, statusOf: statusOf}
	for _, d := range deliveries {
		r.ids[string(d.Body)] = d.EventID
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || webhook.ValidatePayload(body, req.Header.Get("Stripe-Signature"), testSecret) != nil {
		r.invalid++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := r.ids[string(body)]
	r.tries[id]++
	status := r.statusOf(r.tries[id])
	if status == http.StatusOK {
		r.order = append(r.order, id)
	}
	answer := `{"received":true,"status":"recorded"}`
	if len(r.order) > 1 && r.order[len(r.order)-2] == id {
		answer = `{"received":true,"status":"duplicate"}`
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer) //nolint:errcheck // the sender sees a short answer
}

func always(status int) func(int) int { return func(int) int { return status } }

func TestSendSignsEveryDeliveryAndKeepsTheirOrder(t *testing.T) {
	run := testRun(1, 10)
	r, url := newReceiver(t, run.Deliveries, always(http.StatusOK))
	var last int
	stats, err := Send(t.Context(), SendOptions{URL: url, Secret: testSecret, OnProgress: func(sent, _ int, _ Stats) { last = sent }}, run.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range run.Deliveries {
		if r.order[i] != d.EventID {
			t.Fatalf("delivery %d was %s, want %s", i, r.order[i], d.EventID)
		}
	}
	n := len(run.Deliveries)
	if stats.Accepted != n || stats.Sent != n || stats.ByStatus[200] != n || last != n || r.invalid != 0 {
		t.Errorf("stats %s, last progress %d, %d invalid: want %d accepted", stats, last, r.invalid, n)
	}
	if stats.P50 <= 0 || stats.P99 < stats.P50 || stats.Max < stats.P99 {
		t.Errorf("p50 %s, p99 %s, max %s", stats.P50, stats.P99, stats.Max)
	}
}

func TestSendConcurrentlyDeliversAll(t *testing.T) {
	run := Generate(Options{Seed: 1, Accounts: 30, End: testEnd, Duplicates: 0.5})
	r, url := newReceiver(t, run.Deliveries, always(http.StatusOK))
	if _, err := Send(t.Context(), SendOptions{URL: url, Secret: testSecret, Concurrency: 8}, run.Deliveries); err != nil {
		t.Fatal(err)
	}
	if len(r.order) != len(run.Deliveries) {
		t.Errorf("%d received, %d sent", len(r.order), len(run.Deliveries))
	}
}

func TestSendWithAWrongSecretIsRefused(t *testing.T) {
	run := testRun(1, 1)
	_, url := newReceiver(t, run.Deliveries, always(http.StatusOK))
	stats, err := Send(t.Context(), SendOptions{URL: url, Secret: "whsec_other", Retry: true}, run.Deliveries)
	var undelivered *UndeliveredError
	if !errors.As(err, &undelivered) || undelivered.Count != len(run.Deliveries) || undelivered.EventID != run.Deliveries[0].EventID {
		t.Errorf("error %v, want all %d refused", err, len(run.Deliveries))
	}
	if stats.ByStatus[400] != len(run.Deliveries) || stats.Retries != 0 {
		t.Errorf("stats %s: a 400 is not tried again", stats)
	}
}

func TestSendRetriesWhatMayPass(t *testing.T) {
	deliveries := testRun(1, 1).Deliveries[:4]
	twice503 := func(try int) int {
		if try <= 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}
	_, url := newReceiver(t, deliveries, twice503)
	stats, err := Send(t.Context(), SendOptions{URL: url, Secret: testSecret, Retry: true}, deliveries)
	if err != nil || stats.Accepted != 4 || stats.Retries != 8 || stats.ByStatus[503] != 8 {
		t.Errorf("stats %s, error %v", stats, err)
	}
	_, url = newReceiver(t, deliveries, twice503)
	stats, err = Send(t.Context(), SendOptions{URL: url, Secret: testSecret}, deliveries)
	if err == nil || stats.Refused != 4 || stats.Retries != 0 {
		t.Errorf("without Retry: stats %s, error %v", stats, err)
	}
}

// A listener that is not there yet is waited for.
func TestSendRetriesAConnectionThatIsRefused(t *testing.T) {
	deliveries := testRun(1, 1).Deliveries[:1]
	r, _ := newReceiver(t, deliveries, always(http.StatusOK))
	server := httptest.NewUnstartedServer(r)
	address := server.Listener.Addr().String()
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan Stats, 64)
	go func() {
		stats, _ := Send(ctx, SendOptions{URL: "http://" + address, Secret: testSecret, Retry: true, //nolint:errcheck // cancelled below
			OnProgress: func(_, _ int, s Stats) { seen <- s }}, deliveries)
		seen <- stats
		close(seen)
	}()
	for s := range seen {
		if s.Retries > 0 {
			cancel()
		}
		if s.Retries > 0 && s.Unreachable < 2 {
			t.Errorf("stats %s: retries without attempts that failed", s)
		}
	}
}

func TestSendEndsWhenTheContextDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	deliveries := testRun(1, 3).Deliveries
	_, url := newReceiver(t, deliveries, func(int) int { cancel(); return http.StatusOK })
	stats, err := Send(ctx, SendOptions{URL: url, Secret: testSecret}, deliveries)
	if !errors.Is(err, context.Canceled) || stats.Sent >= len(deliveries) {
		t.Errorf("error %v after %d of %d deliveries", err, stats.Sent, len(deliveries))
	}
}

func TestSendKeepsToItsRate(t *testing.T) {
	deliveries := testRun(1, 1).Deliveries[:6]
	_, url := newReceiver(t, deliveries, always(http.StatusOK))
	stats, err := Send(t.Context(), SendOptions{URL: url, Secret: testSecret, Rate: 100, Concurrency: 4}, deliveries)
	if least := 50 * time.Millisecond; err != nil || stats.Elapsed < least {
		t.Errorf("6 deliveries at 100/s took %s, error %v: the last begins after %s", stats.Elapsed, err, least)
	}
}

func TestHistogramTellsQuantilesWithinAStep(t *testing.T) {
	var h histogram
	for us := 1; us <= 100_000; us++ {
		h.add(time.Duration(us) * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.99, 1} {
		want := q * 100_000
		if got := float64(h.quantile(q).Microseconds()); got < want || got > want*1.04 {
			t.Errorf("quantile %v: %v µs, want %v to 4 %% more", q, got, want)
		}
	}
	if h.add(300 * time.Hour); h.quantile(1) > 300*time.Hour {
		t.Errorf("longest %s", h.quantile(1))
	}
}
