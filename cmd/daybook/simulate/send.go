package simulate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

// SendOptions say where deliveries go, and how fast.
type SendOptions struct {
	// URL is the webhook route.
	URL string
	// Secret is the endpoint's signing secret.
	Secret string
	// Rate is how many deliveries begin per second; 0 means as many as go.
	Rate float64
	// Concurrency is how many are under way at most; 0 means 1, which alone
	// keeps their order.
	Concurrency int
	// Retry tries again what is answered 429 or 503 or not at all, each time
	// freshly signed, up to 8 times with growing pauses (Retry-After counts, up
	// to 5 s). A delivery that still fails then ends the sending.
	Retry bool
	// OnProgress, if set, is called a few times a second, and at the end, from
	// one goroutine at a time.
	OnProgress func(sent, total int, stats Stats)
}

// UndeliveredError tells that deliveries were not accepted.
type UndeliveredError struct {
	// Count is how many.
	Count int
	// EventID and Cause are the first one's.
	EventID string
	Cause   error
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("%d deliveries not accepted, the first of event %s: %v", e.Count, e.EventID, e.Cause)
}

func (e *UndeliveredError) Unwrap() error { return e.Cause }

const (
	maxAttempts    = 9
	firstPause     = 50 * time.Millisecond
	longestPause   = 5 * time.Second
	requestTimeout = 30 * time.Second
	maxAnswer      = 64 << 10
	progressEvery  = 200 * time.Millisecond
)

// Send signs the deliveries as Stripe does and posts them. It returns when all
// are done with, the context ends, or, with Retry, the service stays away. What
// was not accepted makes an *UndeliveredError, beside the Stats.
func Send(ctx context.Context, o SendOptions, deliveries []Delivery) (Stats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.Concurrency = max(o.Concurrency, 1)
	s := &sender{options: o, deliveries: deliveries, client: newClient(o.Concurrency), tally: newTally(), stop: cancel}
	defer s.client.CloseIdleConnections()

	stopTelling := s.tellProgress()
	var workers sync.WaitGroup
	for range o.Concurrency {
		workers.Go(func() { s.work(ctx) })
	}
	workers.Wait()
	stopTelling()
	return s.tally.now(), s.result(ctx)
}

// newClient keeps a connection per worker alive and follows no redirect: to
// Stripe, one is a failure.
func newClient(concurrency int) *http.Client {
	return &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			MaxIdleConns:        concurrency,
			MaxIdleConnsPerHost: concurrency,
			IdleConnTimeout:     requestTimeout,
		},
	}
}

// sender is one run of Send.
type sender struct {
	options    SendOptions
	deliveries []Delivery
	client     *http.Client
	tally      *tally
	stop       context.CancelFunc
	next       atomic.Int64

	mu       sync.Mutex
	failures UndeliveredError
}

// work takes deliveries in their order until there are none.
func (s *sender) work(ctx context.Context) {
	var answer bytes.Buffer
	for {
		i := int(s.next.Add(1)) - 1
		if i >= len(s.deliveries) || !s.awaitTurn(ctx, i) {
			return
		}
		if err := s.deliver(ctx, s.deliveries[i], &answer); err != nil && ctx.Err() == nil {
			s.fail(s.deliveries[i], err)
		}
	}
}

// awaitTurn waits until delivery i may begin; false if the context ends first.
func (s *sender) awaitTurn(ctx context.Context, i int) bool {
	if s.options.Rate <= 0 {
		return ctx.Err() == nil
	}
	turn := time.Duration(float64(i) / s.options.Rate * float64(time.Second))
	return pause(ctx, time.Until(s.tally.started.Add(turn)))
}

// pause waits; false if the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errAway is a service that could not take a delivery at the moment.
var errAway = errors.New("service not available")

// deliver posts one delivery, again and again if asked to.
func (s *sender) deliver(ctx context.Context, d Delivery, answer *bytes.Buffer) error {
	wait := firstPause
	for attempt := 1; ; attempt++ {
		status, asked, err := s.post(ctx, d, answer, attempt > 1)
		if err == nil {
			s.tally.done(true, bytes.Contains(answer.Bytes(), []byte(`"duplicate"`)))
			return nil
		}
		if !s.options.Retry || !passing(status) {
			return err
		}
		if attempt == maxAttempts {
			return fmt.Errorf("%w after %d attempts: %w", errAway, attempt, err)
		}
		if !pause(ctx, min(max(wait, asked), longestPause)) {
			return ctx.Err()
		}
		wait *= 2
	}
}

// passing reports whether a failure may pass by itself; 0 is no answer at all.
func passing(status int) bool {
	return status == 0 || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

// post makes one request. It returns the status, 0 without an answer, and the
// pause that the service asks for.
func (s *sender) post(ctx context.Context, d Delivery, answer *bytes.Buffer, again bool) (int, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.options.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, 0, fmt.Errorf("making a request: %w", err)
	}
	begin := time.Now()
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	req.Header.Set("Stripe-Signature", signature(begin, d.Body, s.options.Secret))
	resp, err := s.client.Do(req)
	if err != nil {
		s.tally.attempted(0, 0, again)
		return 0, 0, err
	}
	defer resp.Body.Close()
	answer.Reset()
	if _, err := answer.ReadFrom(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		s.tally.attempted(0, 0, again)
		return 0, 0, fmt.Errorf("reading the answer: %w", err)
	}
	s.tally.attempted(resp.StatusCode, time.Since(begin), again)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, retryAfter(resp), fmt.Errorf("answered %s", resp.Status)
	}
	return resp.StatusCode, 0, nil
}

// signature is the value of the Stripe-Signature header.
func signature(at time.Time, body []byte, secret string) string {
	mac := webhook.ComputeSignature(at, body, secret)
	return "t=" + strconv.FormatInt(at.Unix(), 10) + ",v1=" + hex.EncodeToString(mac)
}

// retryAfter is the pause that an answer asks for, in whole seconds.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

// fail counts a delivery that was not accepted, and ends the sending if the
// service stays away.
func (s *sender) fail(d Delivery, err error) {
	s.tally.done(false, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures.Count++
	s.failures.EventID = cmp.Or(s.failures.EventID, d.EventID)
	if s.failures.Cause == nil {
		s.failures.Cause = err
	}
	if errors.Is(err, errAway) {
		s.stop()
	}
}

// result is what Send reports when the workers have ended.
func (s *sender) result(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures.Count > 0 {
		failures := s.failures
		return &failures
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// tellProgress calls OnProgress from a goroutine of its own until the returned
// function is called, which makes the last call.
func (s *sender) tellProgress() (stop func()) {
	tell := s.options.OnProgress
	if tell == nil {
		return func() {}
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				stats := s.tally.now()
				tell(stats.Sent, len(s.deliveries), stats)
			}
		}
	}()
	return func() {
		close(ended)
		<-told
		stats := s.tally.now()
		tell(stats.Sent, len(s.deliveries), stats)
	}
}
