// Package stripetest is a small server with the list semantics of Stripe's API,
// for tests: newest first, pages with cursors, times in whole seconds that
// objects share, events that appear late and vanish after thirty days, keys with
// modes and permissions; and, when told to, the faults of a real one. It makes
// what is asked for, once for each idempotency key. What comes of it, as that
// somebody pays, is the test's to say.
package stripetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// EventsKept is how long Stripe lists events.
const EventsKept = 30 * 24 * time.Hour

// object is what the server keeps.
type object struct {
	id      string
	created int64
	fields  map[string]any
	raw     json.RawMessage
	// made numbers objects in the order of their making.
	made int
}

// Fault is one answer that is none.
type Fault struct {
	// Status and RetryAfter are answered instead, the latter in seconds.
	Status, RetryAfter int
	// Body is answered as it is; one of Stripe's if empty.
	Body string
	// Hang lets the client wait until it gives up.
	Hang bool
	// Kept has it repeated to whoever comes with the same idempotency key.
	Kept bool
	// For chooses the request that it is the answer to; nil takes the next one.
	For func(r *http.Request) bool
}

// Server answers like Stripe. Its methods may be called while it does.
type Server struct {
	// URL is its address.
	URL string

	http    *httptest.Server
	closing sync.Once
	clock   atomic.Pointer[func() time.Time]
	lag     atomic.Int64 // nanoseconds
	before  atomic.Pointer[func(r *http.Request)]

	mu       sync.Mutex
	made     int
	lists    map[string]map[string]*object // by path and id
	keys     map[string][]string           // paths that a key may not read, by key
	faults   []Fault
	requests []string
	posts    []Posted
	replies  map[string]reply // by idempotency key
	hung     chan struct{}

	// making lets one thing be made at a time, so that of two requests of one key
	// the second finds the reply to the first.
	making sync.Mutex
}

// New starts a server that knows one key, which may read everything.
func New(key string) *Server {
	s := &Server{lists: map[string]map[string]*object{}, keys: map[string][]string{key: nil},
		replies: map[string]reply{}, hung: make(chan struct{})}
	s.SetClock(time.Now)
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close stops the server. It may be repeated.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.hung) })
	s.http.Close()
}

// Allow makes a further key known, which may not read the paths.
func (s *Server) Allow(key string, except ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key] = except
}

// Fail has the next answers be faults, one after the other, those left out that a
// fault does not choose.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Put adds an object to the list of a path, or replaces the one of its id.
func (s *Server) Put(path string, raw []byte) {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		panic(fmt.Sprintf("stripetest: not JSON: %v", err))
	}
	id, _ := fields["id"].(string)
	created, _ := fields["created"].(float64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	o := &object{id: id, created: int64(created), fields: fields, raw: slices.Clone(raw), made: s.made}
	if s.lists[path] == nil {
		s.lists[path] = map[string]*object{}
	}
	if before := s.lists[path][id]; before != nil {
		o.made = before.made
	}
	s.lists[path][id] = o
}

// Remove takes an object out of the list of a path.
func (s *Server) Remove(path, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lists[path], id)
}

// Requests lists what was asked so far, as path?query.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// SetClock has the server take its time from elsewhere than the system.
func (s *Server) SetClock(now func() time.Time) { s.clock.Store(&now) }

// Now is the time by the server's clock.
func (s *Server) Now() time.Time { return (*s.clock.Load())() }

// SetLag says how long an event stays out of the list.
func (s *Server) SetLag(lag time.Duration) { s.lag.Store(int64(lag)) }

// SetBefore has a function called before each answer, as objects may change then;
// nil calls none.
func (s *Server) SetBefore(before func(r *http.Request)) { s.before.Store(&before) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if before := s.before.Load(); before != nil && *before != nil {
		(*before)(r)
	}
	w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
	fault, failing := s.note(r)
	switch {
	case failing && fault.Hang:
		select {
		case <-r.Context().Done():
		case <-s.hung:
		}
	case failing && fault.Kept:
		kept := &keeper{ResponseWriter: w}
		fault.answer(kept)
		s.keep(r, kept)
	case failing:
		fault.answer(w)
	case !s.authorized(w, r):
	case r.Method == http.MethodPost:
		s.post(w, r)
	default:
		s.answer(w, r)
	}
}

// note remembers a request, and takes the next fault.
func (s *Server) note(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.URL.RequestURI())
	i := slices.IndexFunc(s.faults, func(f Fault) bool { return f.For == nil || f.For(r) })
	if i < 0 {
		return Fault{}, false
	}
	fault := s.faults[i]
	s.faults = slices.Delete(s.faults, i, i+1)
	return fault, true
}

func (f Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.Body == "" {
		refuse(w, f.Status, "", "", "a fault that was asked for")
		return
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body))
}

// authorized checks the key, as Stripe words it.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	except, known := s.keys[key]
	s.mu.Unlock()
	if !known {
		refuse(w, http.StatusUnauthorized, "", "", "Invalid API Key provided: "+key)
		return false
	}
	for _, path := range except {
		if strings.HasPrefix(r.URL.Path, path) {
			name := "rak_" + strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(path, "/v1/"), "/", "_"), "s") + "_read"
			refuse(w, http.StatusForbidden, "", "", "The provided key does not have the required permissions for this endpoint. Having the '"+name+"' permission would allow this request to continue.")
			return false
		}
	}
	return true
}

// answer lists, searches, or fetches one.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, searchSuffix) {
		s.search(w, r)
		return
	}
	if _, is := s.lists[r.URL.Path]; is || strings.Count(r.URL.Path, "/") == 2 || r.URL.Path == "/v1/checkout/sessions" {
		s.list(w, r)
		return
	}
	slash := strings.LastIndex(r.URL.Path, "/")
	path, id := r.URL.Path[:slash], r.URL.Path[slash+1:]
	if o := s.lists[path][id]; o != nil {
		write(w, http.StatusOK, o.raw)
		return
	}
	refuse(w, http.StatusNotFound, "resource_missing", "id", "No such object: '"+id+"'")
}

// write answers with JSON as it is.
func write(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// refuse answers with one of Stripe's errors.
func refuse(w http.ResponseWriter, status int, code, param, message string) {
	kind := "invalid_request_error"
	if status >= 500 {
		kind = "api_error"
	}
	raw, _ := json.Marshal(map[string]any{"error": map[string]any{"type": kind, "code": code, "param": param, "message": message}})
	w.Header().Set("Request-Id", "req_test")
	write(w, status, raw)
}
