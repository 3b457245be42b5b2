package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// The waits between attempts, before jitter.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = time.Second
)

func (c *Client) get(ctx context.Context, into any, account string, path ...string) error {
	return c.call(ctx, account, http.MethodGet, pathOf(append([]string{account}, path...)...), nil, into)
}

func (c *Client) post(ctx context.Context, into any, account string, body any, path ...string) error {
	content, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c.call(ctx, account, http.MethodPost, pathOf(path...), content, into)
}

// call asks about an account until there is an answer, or no more use in it. Only
// what may be repeated is asked: check is a POST for the length of its body alone.
func (c *Client) call(ctx context.Context, account, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = firstWait, maxWait
	var last error
	answer, err := backoff.Retry(ctx, func() (answer []byte, err error) {
		answer, last = c.try(ctx, method, path, body)
		return answer, last
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(c.attempts), backoff.WithMaxElapsedTime(c.timeout))
	switch {
	case err == nil:
		return c.read(answer, account, into)
	case ctx.Err() != nil: // and what went wrong last tells more
		return last
	}
	return err
}

// try is one attempt. An error of it is permanent if another would not help.
func (c *Client) try(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if resp.StatusCode == http.StatusOK && mediaOf(resp) == "application/json" {
		return answer, nil
	}
	return nil, c.refused(resp, answer)
}

// refused reads an answer that is none. Of what does not come from Daybook, as from
// something that stands between, nothing is believed but that it may help to ask
// again.
func (c *Client) refused(resp *http.Response, body []byte) error {
	refusal := &Error{Status: resp.StatusCode, RetryAfter: c.retryAfter(resp.Header.Get("Retry-After"))}
	var err error = refusal
	if mediaOf(resp) != "application/problem+json" || json.Unmarshal(body, refusal) != nil {
		err = fmt.Errorf("%w: status %d, and not as Daybook answers", ErrUnavailable, resp.StatusCode)
	}
	switch {
	case !refusal.retry():
		return backoff.Permanent(err)
	case refusal.RetryAfter > 0:
		return fmt.Errorf("%w; %w", err, &backoff.RetryAfterError{Duration: refusal.RetryAfter})
	}
	return err
}

// retryAfter reads the header of that name, which has seconds or a date.
func (c *Client) retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(at.Sub(c.now()), 0)
}

func mediaOf(resp *http.Response) string {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // none is none that is wanted
	return media
}

// read decodes an answer, unless it is too old, or about another account, as
// something that stands between may give out.
func (c *Client) read(answer []byte, account string, into any) error {
	var age struct {
		Account string `json:"account"`
		Stale   bool   `json:"stale"`
		Seconds *int64 `json:"stale_seconds"`
	}
	err := json.Unmarshal(answer, &age)
	switch {
	case err != nil || age.Account != account:
	case age.Stale && (age.Seconds == nil || *age.Seconds > int64(c.maxStale/time.Second)):
		return ErrStale
	case json.Unmarshal(answer, into) == nil:
		return nil
	}
	return fmt.Errorf("%w: what it answers is none of its answers", ErrUnavailable)
}
