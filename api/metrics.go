package api

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const metricsPath = "/metrics"

// scrapesAtOnce bounds the scrapes under way: each asks the store and the model.
const scrapesAtOnce = 3

// Metrics serves GET /metrics to whoever asks, for a listener of its own.
func (s *Server) Metrics() http.Handler {
	return s.guard(s.router([]route{{http.MethodGet, metricsPath, open, s.scrape}}))
}

// newScrapes answers scrapes. The registry is the server's own: a process may
// have several servers.
func (s *Server) newScrapes() http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(
		// The package that these have moved to has one for database/sql, too, which
		// is not to be reached from here.
		prometheus.NewGoCollector(),                                       //nolint:staticcheck // see above
		prometheus.NewProcessCollector(prometheus.ProcessCollectorOpts{}), //nolint:staticcheck // see above
		s.timings.appends, s.timings.answers, collector{s},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: s.Log, ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce, Timeout: queryTimeout,
	})
}

func (s *Server) scrape(w http.ResponseWriter, r *http.Request) error {
	s.scrapes.ServeHTTP(w, r)
	return nil
}

var errNotLoopback = problem(http.StatusForbidden,
	"Metrics are for clients on the same machine. DAYBOOK_METRICS_ADDR gives them an address of their own.")

// fromLoopback lets clients on the same machine through. A proxy there is none:
// it speaks for somebody else, and says so.
func fromLoopback(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		client, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !client.Addr().Unmap().IsLoopback() || forwarded(r.Header) {
			return errNotLoopback
		}
		return next(w, r)
	}
}

// forwarded reports a request that a proxy has passed on.
func forwarded(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// timings measure by the machine's clock, whatever the server's is.
type timings struct {
	appends prometheus.Histogram
	answers *prometheus.HistogramVec
}

// Bounds of the buckets, in seconds. 0.2 is among them, for an alert asks for it.
var (
	appendBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5}
	answerBuckets = []float64{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5}
)

func newTimings() timings {
	return timings{
		appends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "daybook_append_duration_seconds", Buckets: appendBuckets,
			Help: "How long it took to make a webhook's event durable, or to fail at it.",
		}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "daybook_entitlement_request_duration_seconds", Buckets: answerBuckets,
			Help: "How long it took to answer what an account may do, by route.",
		}, []string{"route"}),
	}
}

// timed measures a handler under a name for its route.
func (s *Server) timed(name string, next handlerFunc) handlerFunc {
	took := s.timings.answers.WithLabelValues(name)
	return func(w http.ResponseWriter, r *http.Request) error {
		began := time.Now()
		defer func() { took.Observe(time.Since(began).Seconds()) }()
		return next(w, r)
	}
}
