package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// CheckOptions say which service is asked.
type CheckOptions struct {
	// URL is the service's base, without a path.
	URL string
	// APIKey needs the scope read.
	APIKey string
	// Timeout is how long the service may take to catch up; 0 means one round
	// of questions.
	Timeout time.Duration
}

// Mismatch is one thing that is not as it must be.
type Mismatch struct {
	Account string `json:"account"`
	// Field is the entitlement's, or "subscription", its id, and its field.
	Field string `json:"field"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

func (m Mismatch) String() string {
	return fmt.Sprintf("%s: %s: want %q, got %q", m.Account, m.Field, m.Want, m.Got)
}

// Report is the outcome of a Check.
type Report struct {
	// Accounts and Subscriptions count what was compared.
	Accounts      int `json:"accounts"`
	Subscriptions int `json:"subscriptions"`
	// Rounds is how often the service was asked.
	Rounds int `json:"rounds"`
	// Elapsed is how long it took until all was right, or the time was over.
	Elapsed time.Duration `json:"elapsed"`
	// Mismatches are those of the last round, in the order of the accounts.
	Mismatches []Mismatch `json:"mismatches"`
}

// OK reports whether all is as it must be.
func (r Report) OK() bool { return len(r.Mismatches) == 0 }

// String has a first line that sums up, and one for each mismatch.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d accounts and %d subscriptions compared in %s: ", r.Accounts, r.Subscriptions, r.Elapsed.Round(time.Millisecond))
	if r.OK() {
		b.WriteString("all as expected")
		return b.String()
	}
	fmt.Fprintf(&b, "%d differences", len(r.Mismatches))
	for i, m := range r.Mismatches {
		if i == printedMismatches {
			fmt.Fprintf(&b, "\n… and %d more", len(r.Mismatches)-i)
			break
		}
		b.WriteString("\n" + m.String())
	}
	return b.String()
}

// ErrNothingExpected is a run without accounts: checking it would prove nothing.
var ErrNothingExpected = errors.New("the run has no accounts to check")

// ErrRefused is a service that does not accept the API key.
var ErrRefused = errors.New("the service refused the API key")

const (
	checkers = 16
	// printedMismatches is more than anybody reads.
	printedMismatches = 100
	firstRoundPause   = 50 * time.Millisecond
	maxRoundPause     = time.Second
	answerTimeout     = 10 * time.Second
)

// Check asks the service about every account until all is as the run expects,
// or the time is over. now is the service's time as the check begins. It waits
// by asking: first again and again about what is not right, then about all once
// more, so that a late event that spoils what was right is seen too; and it
// ends early only if the service says that it has caught up, or does not say.
// The error tells that the check could not be made; differences are in the
// Report.
func Check(ctx context.Context, o CheckOptions, run *Run, now time.Time) (Report, error) {
	c := &checker{options: o, client: newClient(checkers), run: run, now: now, started: time.Now()}
	defer c.client.CloseIdleConnections()
	report := Report{Accounts: len(run.ends), Subscriptions: run.subscriptions()}
	if report.Accounts == 0 {
		return report, ErrNothingExpected
	}
	open := c.everyAccount()
	for wait := firstRoundPause; ; wait = min(2*wait, maxRoundPause) {
		full := len(open) == report.Accounts
		var err error
		open, report.Mismatches, err = c.round(ctx, open)
		report.Rounds++
		report.Elapsed = time.Since(c.started)
		left := o.Timeout - report.Elapsed
		if err != nil || left <= 0 {
			return report, err
		}
		if len(open) == 0 {
			if full && report.Rounds > 1 && c.caughtUp(ctx) {
				return report, nil
			}
			open = c.everyAccount()
		}
		if !pause(ctx, min(wait, left)) {
			return report, fmt.Errorf("checking: %w", ctx.Err())
		}
	}
}

// subscriptions counts those of all accounts.
func (r *Run) subscriptions() int {
	n := 0
	for _, end := range r.ends {
		n += len(end.subscriptions)
	}
	return n
}

// checker is one run of Check.
type checker struct {
	options CheckOptions
	client  *http.Client
	run     *Run
	now     time.Time
	started time.Time
}

// expected is the truth about account i at this moment: grace may end while
// the check goes on.
func (c *checker) expected(i int) Expectation {
	return c.run.ends[i].at(c.now.Add(time.Since(c.started)))
}

func (c *checker) everyAccount() []int {
	all := make([]int, len(c.run.ends))
	for i := range all {
		all[i] = i
	}
	return all
}

// caughtUp reports whether the service has worked off what it took in. One that
// does not tell, or not to this key, counts as such.
func (c *checker) caughtUp(ctx context.Context) bool {
	var status struct {
		Followers []struct {
			CaughtUp bool `json:"caught_up"`
		} `json:"followers"`
	}
	if fault, err := c.get(ctx, "/v1/status", &status); fault != "" || err != nil {
		return true
	}
	for _, f := range status.Followers {
		if !f.CaughtUp {
			return false
		}
	}
	return true
}

// round asks about accounts and returns those that are not right, and why.
func (c *checker) round(ctx context.Context, ask []int) (open []int, all []Mismatch, err error) {
	found := make([][]Mismatch, len(ask))
	faults := make([]error, len(ask))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	places := make(chan int)
	for range min(checkers, len(ask)) {
		workers.Go(func() {
			for p := range places {
				if found[p], faults[p] = c.account(ctx, ask[p]); faults[p] != nil {
					cancel()
				}
			}
		})
	}
	for p := range ask {
		places <- p
	}
	close(places)
	workers.Wait()
	for p, i := range ask {
		if len(found[p]) > 0 {
			open, all = append(open, i), append(all, found[p]...)
		}
	}
	return open, all, firstCause(faults)
}

// firstCause prefers a fault to the cancellations that it led to.
func firstCause(faults []error) error {
	var cancelled error
	for _, err := range faults {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			cancelled = err
		}
	}
	return cancelled
}

// account compares one account, its money and its subscriptions.
func (c *checker) account(ctx context.Context, i int) ([]Mismatch, error) {
	want := c.expected(i)
	var got entitlement
	d := &differ{account: want.Account}
	fault, err := c.get(ctx, "/v1/entitlements/"+url.PathEscape(want.Account), &got)
	if err != nil {
		return nil, err
	}
	if fault != "" {
		d.text("entitlement", "200", fault)
	} else {
		d.entitlement(want, got)
	}
	if err := c.payments(ctx, d, want); err != nil {
		return nil, err
	}
	for _, sub := range want.Subscriptions {
		if err := c.subscription(ctx, d, sub); err != nil {
			return nil, err
		}
	}
	return d.found, nil
}

func (c *checker) subscription(ctx context.Context, d *differ, want SubscriptionExpectation) error {
	var got subscriptionAnswer
	fault, err := c.get(ctx, "/v1/subscriptions/"+url.PathEscape(want.ID), &got)
	if err != nil {
		return err
	}
	if fault != "" {
		d.text("subscription "+want.ID, "200", fault)
		return nil
	}
	d.subscription(want, got)
	return nil
}

// get asks one question. A fault is an answer that may yet become right; an
// error ends the check.
func (c *checker) get(ctx context.Context, path string, into any) (fault string, err error) {
	asking, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(asking, http.MethodGet, strings.TrimSuffix(c.options.URL, "/")+path, nil)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.options.APIKey)
	resp, err := c.client.Do(req)
	if err != nil {
		return err.Error(), ctx.Err()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err.Error(), ctx.Err()
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return "", fmt.Errorf("asking %s: %w: %s", path, ErrRefused, resp.Status)
	default:
		return resp.Status, nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return "not the JSON expected: " + err.Error(), nil
	}
	return "", nil
}
