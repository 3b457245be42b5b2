package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// handlerFunc answers a request, or returns why it cannot.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// route is one row of the table of routes.
type route struct {
	method string
	path   string
	// scope is what a key needs; open routes have none.
	scope  Scope
	handle handlerFunc
}

// Paths that are treated in ways of their own.
const (
	webhookPath = "/webhooks/stripe"
	livezPath   = "/livez"
)

// open marks routes that ask for no key. The webhook's signature is its key.
const open Scope = ""

// routes is the whole interface: what is not in it is not served.
func (s *Server) routes() []route {
	rows := []route{
		{http.MethodPost, webhookPath, open, s.webhook},
		{http.MethodGet, livezPath, open, s.livez},
		{http.MethodGet, "/readyz", open, s.readyz},
		{http.MethodGet, "/openapi.yaml", open, s.describe},
		{http.MethodGet, "/v1/status", ScopeRead, s.status},
		{http.MethodPost, "/v1/entitlements/check", ScopeRead, s.timed("check", s.check)},
		{http.MethodGet, "/v1/entitlements/check", ScopeRead, ofAccount("check", s.timed("entitlement", s.entitlement))},
		{http.MethodGet, "/v1/entitlements/{account}", ScopeRead, s.timed("entitlement", s.entitlement)},
		{http.MethodGet, "/v1/entitlements/{account}/explain", ScopeRead, s.timed("explain", s.explain)},
		{http.MethodGet, "/v1/entitlements/{account}/features/{feature}", ScopeRead, s.timed("feature", s.feature)},
		{http.MethodGet, "/v1/subscriptions", ScopeRead, s.listSubscriptions},
		{http.MethodGet, "/v1/subscriptions/{subscription}", ScopeRead, s.subscription},
		{http.MethodGet, "/v1/accounts/{account}", ScopeRead, s.account},
		{http.MethodGet, "/v1/accounts/{account}/timeline", ScopeAudit, s.timeline},
		{http.MethodPost, "/v1/accounts/{account}/waivers", ScopeAdmin, s.grantWaiver},
		{http.MethodDelete, "/v1/accounts/{account}/waivers/{waiver}", ScopeAdmin, s.revokeWaiver},
		{http.MethodGet, "/v1/waivers", ScopeAdmin, s.listWaivers},
		{http.MethodPost, "/v1/accounts/{account}/block", ScopeAdmin, s.block},
		{http.MethodPost, "/v1/accounts/{account}/unblock", ScopeAdmin, s.unblock},
		{http.MethodPost, "/v1/accounts/{account}/grace", ScopeAdmin, s.extendGrace},
		{http.MethodPost, sessionsPath, ScopeBilling, s.sell},
		{http.MethodGet, sessionPath, ScopeBilling, s.checkoutSession},
		{http.MethodPost, portalPath, ScopeBilling, s.openPortal},
		{http.MethodGet, "/v1/events", ScopeAudit, s.listEvents},
		{http.MethodGet, "/v1/events/statistics", ScopeAudit, s.statistics},
		{http.MethodGet, tailPath, ScopeAudit, s.tail},
		{http.MethodGet, "/v1/events/{event}", ScopeAudit, s.event},
		{http.MethodGet, "/v1/streams/{stream}", ScopeAudit, s.stream},
	}
	if !s.OwnMetrics {
		rows = append(rows, route{http.MethodGet, metricsPath, open, fromLoopback(s.scrape)})
	}
	return rows
}

// router serves a table. Each path is one mux route that tells methods apart
// itself, so that a wrong method is always answered with what is allowed.
// Paths are matched as they were sent: a name may contain an encoded slash.
func (s *Server) router(table []route) http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	byPath := map[string][]route{}
	for _, rt := range table {
		if byPath[rt.path] == nil {
			router.Path(rt.path).Handler(s.serve(func() []route { return byPath[rt.path] }))
		}
		byPath[rt.path] = append(byPath[rt.path], rt)
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, notFound("There is no such route."))
	})
	return router
}

// serve answers one path.
func (s *Server) serve(at func() []route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		rows := at()
		i := slices.IndexFunc(rows, func(rt route) bool { return rt.method == method })
		if i < 0 {
			s.methodNotAllowed(w, r, rows)
			return
		}
		if err := s.run(rows[i], w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// run checks limits and the key, and hands the request to its handler.
func (s *Server) run(rt route, w http.ResponseWriter, r *http.Request) error {
	if rt.path == webhookPath || rt.path == livezPath {
		return rt.handle(w, r) // the one has limits of its own; whoever asks the other would end the process
	}
	if err := s.limits.admitAddress(s.limits.proxies.clientOf(r), s.now()); err != nil {
		return err
	}
	if rt.scope == open {
		return rt.handle(w, r)
	}
	key, err := s.admit(r, rt.scope)
	if err != nil {
		return err
	}
	working(r.Context())
	ctx := withKey(r.Context(), key)
	timeout := rt.timeout()
	if timeout == 0 {
		return rt.handle(w, r.WithContext(ctx)) // it has a bound of its own
	}
	room := s.limits.gateOf(rt)
	if !room.enter() {
		s.limits.counts.requestsAtOnce.Add(1)
		return errBusy
	}
	defer room.leave()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return rt.handle(w, r.WithContext(ctx))
}

// timeout bounds an answer; 0 does not.
func (rt route) timeout() time.Duration {
	switch rt.path {
	case tailPath:
		return 0
	case sessionsPath, portalPath:
		return stripeTimeout
	case sessionPath:
		return stripeTimeout + maxWait
	}
	return queryTimeout
}

// asksStripe reports a route whose answer waits for Stripe's.
func (rt route) asksStripe() bool {
	return rt.path == sessionsPath || rt.path == sessionPath || rt.path == portalPath
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request, rows []route) {
	var allowed []string
	for _, rt := range rows {
		allowed = append(allowed, rt.method)
		if rt.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	s.fail(w, r, problem(http.StatusMethodNotAllowed, "This route takes "+allow+"."))
}

// fail answers an error, and logs it if it is a fault of ours. Neither the
// request's body nor its parameters are logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, expected := problemOf(err)
	if !expected {
		s.Log.WithError(err).WithField("request_id", w.Header().Get(requestIDHeader)).
			WithField("method", r.Method).Error("request failed")
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="daybook"`)
	}
	writeProblem(w, p)
}
