// Package client asks Daybook what an account may do, for Go programs that serve
// those accounts.
//
//	daybook, err := client.New("http://127.0.0.1:8080", key, client.FailClosed)
//	may, err := daybook.Feature(ctx, "acme", "white_label")
//	if err == nil && may.Allowed { … }
//
// # Unknown
//
// Sometimes nothing is known: Daybook does not answer in time, or answers from
// what it knew too long ago, or what stands in Redis has lapsed or is forged and
// there is nobody else to ask. That is not the free tier. What a program does then
// is its owner's to declare, so New wants a Policy and has no default: FailOpen
// allows, FailClosed denies, and Unknown in the answer says why it was the policy
// that answered. Entitlement has nothing to say then, and returns ErrUnknown.
//
// A wrong key, or a feature that the catalog does not have, is an error and never
// left to the policy: it is a mistake that should show at once, and not open or
// close every door.
//
// # Redis
//
// Where Daybook publishes to a Redis, a Client can read there first (Redis,
// RedisUnsigned). An entry counts until its valid_until, and only if it is signed
// by one of the keys; else the API is asked. An entry allows by itself. Before it
// denies, the API is asked what would give the feature; the entry's word stands if
// the API cannot be reached.
//
// # Time and connections
//
// A question takes no longer than its timeout, with every attempt, wait and
// connection in it. All questions are idempotent, and repeated where that may
// help: when there was no answer, and after 408, 429, 502, 503 and 504, with growing,
// jittered waits, or after what Retry-After asks for, if there is time for it. A
// Client holds a bounded number of connections and no goroutine of its own. It is
// safe for concurrent use; a program needs one.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/daybookhq/daybook/projections/published"
)

// Policy says what is answered of an account of which nothing is known. The zero
// Policy is none.
type Policy int

// The policies.
const (
	// FailClosed denies: nobody gets what is not paid for.
	FailClosed Policy = iota + 1
	// FailOpen allows: nobody is kept from what is paid for.
	FailOpen
)

// Client asks Daybook. Make one with New.
type Client struct {
	base   string
	key    string
	policy Policy
	http   *http.Client

	attempts         uint
	attempt, timeout time.Duration
	maxStale         time.Duration
	redis            Getter
	keys             published.Keys
	report           func(context.Context, error)
	now              func() time.Time
}

// Option changes a Client that is being made.
type Option func(*settings)

// settings are what options change.
type settings struct {
	Client
	transport *http.Transport
	conns     int
	faults    []error
}

// The defaults.
const (
	defaultAttempts       = 3
	defaultAttemptTimeout = time.Second
	defaultTimeout        = 3 * time.Second
	defaultMaxStale       = time.Hour
	defaultConns          = 32
	idleTimeout           = 90 * time.Second
)

// New returns a client of the server at baseURL, as in http://127.0.0.1:8080, that
// shows it a key with the scope "read". The error names everything that is wrong.
func New(baseURL, key string, unknown Policy, options ...Option) (*Client, error) {
	s := &settings{conns: defaultConns, Client: Client{
		base: strings.TrimSuffix(baseURL, "/"), key: key, policy: unknown, attempts: defaultAttempts,
		attempt: defaultAttemptTimeout, timeout: defaultTimeout, maxStale: defaultMaxStale,
		report: func(context.Context, error) {}, now: time.Now,
	}}
	for _, option := range options {
		option(s)
	}
	s.check()
	if err := errors.Join(s.faults...); err != nil {
		return nil, err
	}
	s.http = &http.Client{Transport: s.bounded(),
		// A key is shown to nobody but the server that was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c := s.Client
	return &c, nil
}

func (s *settings) check() {
	base, err := url.Parse(s.base)
	s.want(err == nil && (base.Scheme == "http" || base.Scheme == "https") && base.Host != "" &&
		base.User == nil && base.RawQuery == "" && base.Fragment == "", "the base URL wants to be like http://127.0.0.1:8080")
	s.want(s.key != "" && !strings.ContainsFunc(s.key, func(c rune) bool { return c <= ' ' || c > '~' }),
		"the key wants to be visible ASCII")
	s.want(s.policy == FailClosed || s.policy == FailOpen, "declare what an unknown account may do: FailClosed or FailOpen")
	s.want(s.report != nil, "Report wants somebody to be told")
	s.want(s.attempts > 0 && s.conns > 0 && s.attempt > 0 && s.timeout > 0 && s.maxStale >= 0, "attempts, connections and timeouts want to be more than 0")
}

func (s *settings) want(good bool, otherwise string) {
	if !good {
		s.faults = append(s.faults, errors.New("client: "+otherwise))
	}
}

// bounded is the transport, with bounds.
func (s *settings) bounded() *http.Transport {
	t := s.transport
	if t == nil {
		t = http.DefaultTransport.(*http.Transport)
	}
	t = t.Clone()
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxIdleConns, t.IdleConnTimeout = s.conns, s.conns, s.conns, idleTimeout
	return t
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Timeouts bounds one attempt, and the question as a whole; 1s and 3s without it.
func Timeouts(attempt, whole time.Duration) Option {
	return func(s *settings) { s.attempt, s.timeout = attempt, whole }
}

// Attempts is how often a question is asked at most, 3 times without it.
func Attempts(n uint) Option { return func(s *settings) { s.attempts = n } }

// Connections bounds those to the server, 32 without it. A question that finds
// all in use waits for one, within its timeout.
func Connections(n int) Option { return func(s *settings) { s.conns = n } }

// Transport sets how the server is reached, as with a certificate of one's own. It
// is copied; the bounds are the client's.
func Transport(t *http.Transport) Option { return func(s *settings) { s.transport = t } }

// MaxStale is how old an answer may be that Daybook gives while it cannot reach its
// event store, an hour without it. What is older is unknown.
func MaxStale(d time.Duration) Option { return func(s *settings) { s.maxStale = d } }

// Report is told each time that the policy answers, and each time that Require
// cannot decide: with an error that is ErrUnknown, or what else went wrong. It is
// called within the question, and should return at once.
func Report(report func(context.Context, error)) Option {
	return func(s *settings) { s.report = report }
}

// Redis has entries read from a Redis first. They count if one of the keys has
// signed them: those of DAYBOOK_ENTITLEMENT_KEY, each read by published.ParseKey.
func Redis(get Getter, keys ...[]byte) Option {
	return func(s *settings) {
		s.redis, s.keys = get, keys
		s.want(len(keys) > 0, "entries in Redis are believed for their signature: name the keys, or say RedisUnsigned")
		for i, key := range keys {
			s.want(len(key) >= published.MinKeyBytes, fmt.Sprintf("key %d of the entries in Redis has less than %d bytes", i+1, published.MinKeyBytes))
		}
	}
}

// RedisUnsigned is Redis where Daybook has no key to sign with: whoever can write
// there decides what accounts may do.
func RedisUnsigned(get Getter) Option { return func(s *settings) { s.redis = get } }
