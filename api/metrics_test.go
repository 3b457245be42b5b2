package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/projections"
)

// scraped are the families of a scrape.
type scraped map[string]*dto.MetricFamily

func (r *rig) scrape() scraped {
	r.Helper()
	a := r.do(http.MethodGet, "/metrics", "", nil, nil)
	if a.status != http.StatusOK {
		r.Fatalf("GET /metrics: %s", a)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(a.body))
	if err != nil {
		r.Fatal(err)
	}
	return families
}

// value is that of the series whose labels have these values, in the order of
// the labels' names.
func (s scraped) value(name string, labels ...string) (float64, bool) {
	for _, m := range s[name].GetMetric() {
		var values []string
		for _, l := range m.GetLabel() {
			values = append(values, l.GetValue())
		}
		if slices.Equal(values, labels) {
			if m.Histogram != nil {
				return float64(m.Histogram.GetSampleCount()), true
			}
			return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
		}
	}
	return 0, false
}

func (r *rig) wantMetric(s scraped, want float64, name string, labels ...string) {
	r.Helper()
	if got, found := s.value(name, labels...); !found || got != want {
		r.Errorf("%s%q is %v (there: %v), want %v", name, labels, got, found, want)
	}
}

// TestMetricsCountWhatTheStatusCounts sends one webhook of each kind.
func TestMetricsCountWhatTheStatusCounts(t *testing.T) {
	r := newRig(t)
	event := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	r.send(event)
	r.send(event)
	r.send(fmt.Appendf(nil, `{"id":"evt_2","object":"event","created":%d,"livemode":false,"type":"weather.changed","data":{"object":{}}}`, noon.Unix()))
	r.settle()
	post := func(body []byte, header http.Header) { r.do(http.MethodPost, "/webhooks/stripe", "", body, header) }
	post(event, nil)
	post(event, signed(event, "whsec_nobody", noon))
	post(event, signed(event, secret, noon.Add(-time.Hour)))
	post(event, signed(event, secret, noon.Add(time.Hour)))
	post(event, http.Header{"Stripe-Signature": {"nonsense"}})
	post(event, http.Header{"Content-Encoding": {"gzip"}})
	post(bytes.Repeat([]byte(" "), 70<<10), nil)
	r.post([]byte(`{}`))
	r.get("/v1/entitlements/team-1")
	r.get("/v1/entitlements/team-1/features/custom_nym")

	s := r.scrape()
	r.wantMetric(s, 1, "daybook_webhooks_total", "recorded", subCreated)
	r.wantMetric(s, 1, "daybook_webhooks_total", "duplicate", subCreated)
	r.wantMetric(s, 0, "daybook_webhooks_total", "not_durable", subCreated)
	r.wantMetric(s, 1, "daybook_webhooks_total", "recorded", "other")
	for _, fault := range []string{"missing", "mismatch", "stale", "future", "malformed"} {
		r.wantMetric(s, 1, "daybook_webhook_signature_failures_total", fault)
	}
	r.wantMetric(s, 1, "daybook_webhook_oversized_total")
	r.wantMetric(s, 1, "daybook_webhook_refused_total", "encoded")
	r.wantMetric(s, 1, "daybook_webhook_refused_total", "not_an_event")
	r.wantMetric(s, 3, "daybook_append_duration_seconds")
	r.wantMetric(s, 1, "daybook_entitlement_request_duration_seconds", "entitlement")
	r.wantMetric(s, 1, "daybook_entitlement_request_duration_seconds", "feature")
	r.wantMetric(s, float64(noon.Unix()), "daybook_last_event_timestamp_seconds")
	r.wantMetric(s, 1, "daybook_store_up")
	r.wantMetric(s, 1, "daybook_read_model_up")
	r.wantMetric(s, 1, "daybook_accounts")
	r.wantMetric(s, 1, "daybook_subscriptions", "active")
	r.wantMetric(s, 0, "daybook_posting_failures")
	r.wantMetric(s, 0, "daybook_parked_streams")
	r.wantMetric(s, 1, "daybook_build_info", runtime.Version(), "test")

	counts := r.server.WebhookCounts()
	if counts.Recorded != 2 || counts.Duplicate != 1 || counts.NotDurable != 0 {
		t.Errorf("the status counts %+v", counts)
	}
}

// TestMetricsOfTrouble: what is wrong is told, and the scrape goes on.
func TestMetricsOfTrouble(t *testing.T) {
	r := newRig(t)
	r.send(fmt.Appendf(nil, `{"id":"evt_1","object":"event","created":%d,"livemode":false,"type":%q,"data":{"object":{"object":"subscription"}}}`, noon.Unix(), subCreated))
	r.settle()
	r.server.Progress = []Follower{progress{Name: "posting", LagSeconds: 7, Error: "no way on"}, progress{Name: "projection"}}
	r.server.Rebuilding = func() bool { return true }
	r.server.DiskFree = func() (uint64, error) { return 12345, nil }
	s := r.scrape()
	r.wantMetric(s, 1, "daybook_posting_failures")
	r.wantMetric(s, 7, "daybook_follower_lag_seconds", "posting")
	r.wantMetric(s, 1, "daybook_follower_failing", "posting")
	r.wantMetric(s, 0, "daybook_follower_failing", "projection")
	r.wantMetric(s, 1, "daybook_read_model_rebuilding")
	r.wantMetric(s, 12345, "daybook_disk_free_bytes")

	r.server.DiskFree = func() (uint64, error) { return 0, errors.New("not here") }
	_ = r.store.Close()
	_ = r.model.Close()
	if a := r.post(subscriptionEvent("evt_3", subUpdated, noon, "sub_1", "team-1", "active", "price_basic")); a.status != http.StatusServiceUnavailable {
		t.Errorf("without a store: %s", a)
	}
	s = r.scrape()
	r.wantMetric(s, 0, "daybook_store_up")
	r.wantMetric(s, 0, "daybook_read_model_up")
	r.wantMetric(s, 1, "daybook_webhooks_total", "not_durable", subUpdated)
	for _, name := range []string{"daybook_posting_failures", "daybook_parked_streams", "daybook_disk_free_bytes"} {
		if s[name] != nil {
			t.Errorf("%s is told, though nobody can know", name)
		}
	}
}

type progress Progress

func (p progress) Progress() Progress { return Progress(p) }

// TestTheLastEventIsKnownAfterARestart reads it from the record, where only what
// a webhook brought counts.
func TestTheLastEventIsKnownAfterARestart(t *testing.T) {
	r := newRig(t)
	if _, found := r.scrape().value("daybook_last_event_timestamp_seconds"); found {
		t.Error("there was no event yet")
	}
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	r.clock.Set(noon.Add(time.Hour))
	body := subscriptionEvent("evt_2", subUpdated, noon, "sub_1", "team-1", "active", "price_basic")
	envelope, err := intake.ParseEnvelope(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.server.Journal.Record(t.Context(), intake.Entry{Body: body, Envelope: envelope, Source: "import"}); err != nil {
		t.Fatal(err)
	}
	r.server.lastEvent.Store(0) // as in a process that has just begun
	r.wantMetric(r.scrape(), float64(noon.Unix()), "daybook_last_event_timestamp_seconds")
	if at := r.get("/v1/status")["last_event_at"]; at != "2026-03-02T12:00:00Z" {
		t.Errorf("the status says %v", at)
	}
}

// TestMetricsAreForTheLoopback: nobody else gets them from the routes, a proxy
// on the same machine included; a listener of their own serves everybody, and
// then the routes have none.
func TestMetricsAreForTheLoopback(t *testing.T) {
	r := newRig(t)
	ask := func(h http.Handler, remote, header string) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		req.RemoteAddr = remote
		if header != "" {
			req.Header.Set(header, "192.0.2.1")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != http.StatusOK && strings.Contains(w.Body.String(), "daybook_") {
			t.Errorf("%s got metrics with %d", remote, w.Code)
		}
		return w.Code
	}
	for remote, want := range map[string]int{
		"127.0.0.1:40000": 200, "127.8.9.10:40000": 200, "[::1]:40000": 200, "[::ffff:127.0.0.1]:40000": 200,
		"192.0.2.1:40000": 403, "10.0.0.1:40000": 403, "[2001:db8::1]:40000": 403, "[::ffff:10.0.0.1]:1": 403, "0.0.0.0:1": 403,
		"": 403, "@": 403, "localhost:40000": 403,
	} {
		if got := ask(r.handler, remote, ""); got != want {
			t.Errorf("%q: %d, want %d", remote, got, want)
		}
	}
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "x-forwarded-host", "X-Forwarded-Proto"} {
		if got := ask(r.handler, "127.0.0.1:40000", header); got != http.StatusForbidden {
			t.Errorf("with %s: %d", header, got)
		}
	}
	if got := ask(r.server.Metrics(), "192.0.2.1:40000", ""); got != http.StatusOK {
		t.Errorf("a listener of its own: %d", got)
	}
	own := r.server.Config
	own.OwnMetrics = true
	elsewhere, err := New(own)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(elsewhere, "127.0.0.1:40000", ""); got != http.StatusNotFound {
		t.Errorf("metrics are elsewhere, but the routes answer %d", got)
	}
	w := httptest.NewRecorder()
	elsewhere.Metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/status", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("the listener of the metrics answers /v1/status with %d", w.Code)
	}
}

// works is a server that does all that one can do behind the routes.
func (r *rig) works() {
	r.server.Publisher = func() projections.PublisherStatus {
		return projections.PublisherStatus{Leading: true, Waiting: 3, LagSeconds: 4, BeatAt: noon, SkewMillis: -5000,
			Outcomes: map[string]uint64{"written": 6}, Outlet: projections.OutletHealth{Breaker: "open", LastError: "refused"},
			Check: &projections.OutletCheck{At: noon, Differing: 4, Foreign: 2, Orphans: 1}}
	}
	r.server.Drift = func() *projections.DriftCheck {
		return &projections.DriftCheck{At: noon, Differences: 8, Error: "interrupted"}
	}
	r.server.Reconciliation = func() reconcile.Status {
		return reconcile.Status{Configured: true, SweptAt: noon, LastError: "refused", LastMissed: 9, LastDiffering: 10,
			Missed: 11, Differed: 12, DisabledEndpoints: 13}
	}
	r.server.HistoryLost = func() *HistoryLost { return &HistoryLost{} }
	r.server.Silent = func() bool { return true }
	r.server.Spans = func() SpanCounts { return SpanCounts{Delivered: 14, Failed: 15, Dropped: 16} }
}

func TestMetricsOfTheWorkBehindTheRoutes(t *testing.T) {
	r := newRig(t)
	r.server.Reconciliation = func() reconcile.Status { return reconcile.Status{} } // Stripe is not asked
	before := r.scrape()
	for _, f := range []string{"daybook_redis_up", "daybook_read_model_differences", "daybook_sweep_failing", "daybook_history_lost",
		"daybook_webhooks_silent", "daybook_trace_spans_total"} {
		if before[f] != nil {
			t.Errorf("%s is told, and nobody does such work", f)
		}
	}
	r.works()
	s := r.scrape()
	at := float64(noon.Unix())
	for name, want := range map[string]float64{
		"daybook_redis_up": 0, "daybook_publisher_leading": 1, "daybook_publisher_waiting": 3, "daybook_publisher_lag_seconds": 4,
		"daybook_publisher_heartbeat_timestamp_seconds": at, "daybook_clock_skew_seconds": -5,
		"daybook_published_check_timestamp_seconds": at, "daybook_published_differing_entries": 7,
		"daybook_read_model_check_timestamp_seconds": at, "daybook_read_model_check_failed": 1, "daybook_read_model_differences": 8,
		"daybook_sweep_timestamp_seconds": at, "daybook_sweep_failing": 1, "daybook_sweep_last_missed_events": 9,
		"daybook_sweep_last_differing_objects": 10, "daybook_sweep_missed_events_total": 11, "daybook_sweep_differing_objects_total": 12,
		"daybook_webhook_endpoints_disabled": 13, "daybook_history_lost": 1, "daybook_webhooks_silent": 1,
	} {
		r.wantMetric(s, want, name)
	}
	r.wantMetric(s, 1, "daybook_redis_breaker", "open")
	r.wantMetric(s, 0, "daybook_redis_breaker", "closed")
	r.wantMetric(s, 6, "daybook_publications_total", "written")
	for outcome, want := range map[string]float64{"delivered": 14, "failed": 15, "dropped": 16} {
		r.wantMetric(s, want, "daybook_trace_spans_total", outcome)
	}
}

// documented are the metrics that docs/OPERATIONS.md lists.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(daybook_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		names = append(names, row[1])
	}
	return names
}

// TestEveryMetricIsDocumented compares a server that does everything with the
// documentation, in both directions.
func TestEveryMetricIsDocumented(t *testing.T) {
	r := newRig(t)
	r.works()
	r.server.DiskFree = func() (uint64, error) { return 1, nil }
	r.server.Connections = NewConnections(0)
	r.server.Progress = []Follower{progress{Name: "posting"}}
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic"))
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.scrape())) {
		if strings.HasPrefix(name, "daybook_") {
			names = append(names, name)
		}
	}
	want := documented(t)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("scraped:    %q\ndocumented: %q", names, want)
	}
}

// TestMetricsHaveGoodNames asks Prometheus's own linter.
func TestMetricsHaveGoodNames(t *testing.T) {
	r := newRig(t)
	r.works()
	var ours []*dto.MetricFamily
	for name, family := range r.scrape() {
		if strings.HasPrefix(name, "daybook_") {
			ours = append(ours, family)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %+v", err, problems)
	}
}

// TestLabelsAreBounded: strangers and customers decide nothing of how many
// series there are, and their names are in none.
func TestLabelsAreBounded(t *testing.T) {
	r := newRig(t)
	r.server.Progress = []Follower{progress{Name: "posting"}, progress{Name: "projection"}}
	series := func() map[string]bool {
		all := map[string]bool{}
		for name, family := range r.scrape() {
			for _, m := range family.GetMetric() {
				all[name+fmt.Sprint(m.GetLabel())] = true
			}
		}
		return all
	}
	r.get("/v1/entitlements/team-0")
	before := series()
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_secret", "team-secret", "odd_secret", "price_secret"))
	for i := range 20 {
		r.send(fmt.Appendf(nil, `{"id":"evt_w%d","object":"event","created":%d,"livemode":false,"type":"weather.secret%d","data":{"object":{"email":"secret@example.com"}}}`, i, noon.Unix(), i))
		r.get(fmt.Sprintf("/v1/entitlements/team-secret%d", i))
	}
	r.settle()
	for s := range series() {
		if strings.Contains(s, "secret") {
			t.Errorf("%s tells whose it is", s)
		}
		if !before[s] && !strings.HasPrefix(s, "daybook_last_event_timestamp_seconds") && strings.HasPrefix(s, "daybook_") {
			t.Errorf("%s is new", s)
		}
	}
}

// countless is a read model that can answer anything but how much it has.
type countless struct{ projections.Reader }

func (countless) Counts(context.Context) (map[string]int64, error) {
	return nil, errors.New("the file is gone")
}

func TestAReadModelThatDoesNotAnswer(t *testing.T) {
	r := newRig(t)
	r.server.Model = countless{r.server.Model}
	s := r.scrape()
	r.wantMetric(s, 0, "daybook_read_model_up")
	r.wantMetric(s, 1, "daybook_store_up")
	if !strings.Contains(r.log.String(), "the read model does not answer") {
		t.Error("nobody is told")
	}
}
