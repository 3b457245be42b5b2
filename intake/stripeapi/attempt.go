package stripeapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// attempt is what the transport saw of one attempt, which stripe-go does not
// always pass on.
type attempt struct {
	status      int
	retryAfter  time.Duration
	shouldRetry string
	askedAt     time.Time
	// replayed says that an earlier request of the same idempotency key was
	// answered so, and that nothing was done now.
	replayed bool
}

type attemptKey struct{}

// observer is the transport: it notes what it sees, and bounds answers.
type observer struct{ next http.RoundTripper }

func (o observer) RoundTrip(req *http.Request) (*http.Response, error) {
	asked := time.Now()
	resp, err := o.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if seen, is := req.Context().Value(attemptKey{}).(*attempt); is {
		seen.status = resp.StatusCode
		seen.shouldRetry = resp.Header.Get("Stripe-Should-Retry")
		seen.replayed = resp.Header.Get("Idempotent-Replayed") == "true"
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			seen.retryAfter = time.Duration(seconds) * time.Second
		}
		seen.askedAt = askedAt(resp.Header.Get("Date"), asked)
	}
	resp.Body = &boundedBody{resp.Body, maxAnswerBytes}
	return resp, nil
}

// askedAt is the second in which an answer was asked for. The answer's date is by
// Stripe's clock, like the times of events; how long it took is by ours.
func askedAt(date string, asked time.Time) time.Time {
	took := time.Since(asked)
	answered, err := http.ParseTime(date)
	if err != nil {
		answered = asked.Add(took)
	}
	return answered.Add(-took).UTC().Truncate(time.Second)
}

// boundedBody fails where an answer is larger than any of Stripe's.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errors.New("the answer is too large")
	}
	return n, err
}

// reply takes an answer from stripe-go without decoding it.
type reply struct{ stripe.APIResource }

// UnmarshalJSON leaves the answer as it is: it is kept raw.
func (r *reply) UnmarshalJSON([]byte) error { return nil }

// request is one question to the API.
type request struct {
	method, path string
	form         *form.Values
	// idempotencyKey makes a question that changes something safe to repeat.
	idempotencyKey string
	doing          string
}

// answer is what Stripe answered.
type answer struct {
	body []byte
	// askedAt is when the answer was asked for.
	askedAt  time.Time
	replayed bool
}

// ask asks until there is an answer, or asking again would not help, or would
// outlast the context.
func (c *Client) ask(ctx context.Context, q request) (answer, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 500*time.Millisecond, 30*time.Second
	for tried := 1; ; tried++ {
		if err := c.pace.Wait(ctx); err != nil {
			if ctx.Err() == nil {
				err = context.DeadlineExceeded // our turn would come too late
			}
			return answer{}, &Error{Kind: Unavailable, Doing: q.doing, cause: err}
		}
		got, failed := c.attempt(ctx, q)
		if failed == nil {
			return got, nil
		}
		pause := max(failed.pause, pauses.NextBackOff())
		if !failed.again || tried == maxAttempts || pause > maxPatience || outlasts(ctx, pause) {
			return answer{}, failed
		}
		if err := c.wait(ctx, pause); err != nil {
			return answer{}, failed
		}
	}
}

// outlasts reports that ctx ends before a pause does.
func outlasts(ctx context.Context, pause time.Duration) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && time.Until(deadline) < pause
}

// attempt asks once.
func (c *Client) attempt(ctx context.Context, q request) (answer, *Error) {
	seen := &attempt{}
	params := &stripe.Params{Context: context.WithValue(ctx, attemptKey{}, seen), Headers: http.Header{"Stripe-Version": {Version}}}
	if q.idempotencyKey != "" {
		params.IdempotencyKey = stripe.String(q.idempotencyKey)
	}
	var r reply
	if err := c.backend.CallRaw(q.method, q.path, c.key, q.form, params, &r); err != nil {
		return answer{}, explain(q.doing, err, seen)
	}
	return answer{body: r.LastResponse.RawJSON, askedAt: seen.askedAt, replayed: seen.replayed}, nil
}
