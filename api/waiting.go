package api

import (
	"net/http"
	"sync"
	"time"
)

// Waiting stands in for a Server that cannot be made yet, because the event
// store has not been reached since the start. It says so, and once there is a
// Server hands everything to it.
type Waiting struct {
	once     sync.Once
	ready    chan struct{}
	next     http.Handler
	requests requestIDs
}

// waitingPatience is how long a request waits for the server: one that comes
// while a store is being opened should not be turned away.
const waitingPatience = time.Second

// NewWaiting returns a handler that waits for Serve.
func NewWaiting() *Waiting {
	return &Waiting{ready: make(chan struct{}), requests: newRequestIDs()}
}

// Serve hands all requests, those that wait included, to next. Only the first
// call counts.
func (w *Waiting) Serve(next http.Handler) {
	w.once.Do(func() {
		w.next = next
		close(w.ready)
	})
}

// errNotReached asks Stripe, and everybody else, to come again.
var errNotReached = unavailable("The event store has not been reached yet; webhooks cannot be accepted.")

// ServeHTTP answers one request.
func (w *Waiting) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	select {
	case <-w.ready:
		w.next.ServeHTTP(rw, r)
		return
	default:
	}
	if r.URL.Path == livezPath {
		w.requests.mark(rw.Header())
		_ = writeJSON(rw, map[string]string{"status": "alive"}) // a caller that went away misses it
		return
	}
	timer := time.NewTimer(waitingPatience)
	defer timer.Stop()
	select {
	case <-w.ready:
		w.next.ServeHTTP(rw, r)
	case <-timer.C:
		w.requests.mark(rw.Header())
		writeProblem(rw, errNotReached)
	case <-r.Context().Done():
	}
}
