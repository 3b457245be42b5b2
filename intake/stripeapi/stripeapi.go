// Package stripeapi asks Stripe's API: it pages through lists and fetches single
// objects, as raw as Stripe rendered them, and makes what is sold by: customers,
// checkout and portal sessions. All of it no faster than Stripe allows.
//
// Every call goes through stripe-go, whose own retries are switched off: they
// neither end with a context nor heed Retry-After. What is asked again, and
// when, is decided in this package alone. Whatever is made is asked for with an
// idempotency key, so that asking again makes nothing twice.
//
// Whatever goes wrong is an *Error, whose text is a sentence for an operator. It
// never quotes a key or an answer.
package stripeapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/stripe/stripe-go/v76"
	"golang.org/x/time/rate"
)

// DefaultBase is Stripe itself.
const DefaultBase = stripe.APIURL

// Version is the API version in which answers are rendered: the newest whose
// shapes are known here, so that nothing is left out that a webhook may tell.
const Version = "2026-09-30.endive"

// The bounds of asking.
const (
	// Stripe allows 100 requests a second in live mode and 25 in test mode, for
	// all that use the account together: the most is left to the others.
	livePerSecond  = 20
	testPerSecond  = 10
	burst          = 4
	attemptTimeout = 40 * time.Second
	// maxAttempts bounds the attempts of one request: some minutes in all.
	maxAttempts = 8
	// maxPatience is the longest that Stripe may tell us to wait.
	maxPatience = 5 * time.Minute
	// maxAnswerBytes is more than a page of a hundred large invoices.
	maxAnswerBytes = 64 << 20
)

// Config says who asks whom.
type Config struct {
	// Key is a secret or a restricted API key.
	Key string
	// Base is the API's address without a path, DefaultBase if empty.
	Base string
	// Livemode is the mode that the answers must be of.
	Livemode bool
	// PerSecond is how many requests are made at most, 0 for what suits the mode.
	PerSecond float64
	// Timeout bounds one attempt, its answer read; 0 means 40 seconds.
	Timeout time.Duration
	// Wait waits before another attempt; nil waits by the clock.
	Wait func(ctx context.Context, d time.Duration) error
}

// Client asks. It may be used from many goroutines, which share one pace.
type Client struct {
	key     string
	live    bool
	backend stripe.Backend
	pace    *rate.Limiter
	wait    func(ctx context.Context, d time.Duration) error
}

// New returns a client. It makes no request.
func New(c Config) *Client {
	perSecond := cmp.Or(c.PerSecond, testPerSecond)
	if c.Livemode {
		perSecond = cmp.Or(c.PerSecond, livePerSecond)
	}
	wait := c.Wait
	if wait == nil {
		wait = sleep
	}
	return &Client{
		key: c.Key, live: c.Livemode, wait: wait,
		pace: rate.NewLimiter(rate.Limit(perSecond), burst),
		backend: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
			URL:               stripe.String(cmp.Or(c.Base, DefaultBase)),
			HTTPClient:        &http.Client{Transport: observer{http.DefaultTransport}, Timeout: cmp.Or(c.Timeout, attemptTimeout)},
			MaxNetworkRetries: stripe.Int64(0),
			EnableTelemetry:   stripe.Bool(false),
			// stripe-go would log what it is answered.
			LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		}),
	}
}

// sleep waits, and returns early with the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

var keyForm = regexp.MustCompile(`^(sk|rk)_(live|test)_[A-Za-z0-9_]{1,240}$`)

// CheckKey reports a text that is no secret or restricted API key, or one of the
// other mode. The error never quotes it.
func CheckKey(key string, livemode bool) error {
	parts := keyForm.FindStringSubmatch(key)
	mode := map[bool]string{true: "live", false: "test"}[livemode]
	switch {
	case len(key) > 3 && key[:3] == "pk_":
		return errors.New("it is a publishable key, which can read nothing: want a secret (sk_…) or a restricted one (rk_…)")
	case parts == nil:
		return errors.New("it has not the form of a secret (sk_live_…, sk_test_…) or a restricted key (rk_live_…, rk_test_…)")
	case parts[2] != mode:
		return errors.New("it is a key of " + parts[2] + " mode, and this is " + mode + " mode")
	}
	return nil
}
