package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// The targets of sweep.
const (
	targetSweptP99 = 10 * time.Millisecond
	// targetSwept is by how much slower webhooks may be beside a sweep than without:
	// less than the same load varies by from one time to the next.
	targetSwept = 1.25
	// sweptWithin bounds how long a sweep is watched.
	sweptWithin = 90 * time.Second
)

// measureSweep measures what a sweep costs webhooks: at a steady rate without
// one, beside one, and without again. Half of what the sweep finds listed is
// recorded already, the other half no webhook ever brought. It asks as often as
// in test mode, 10 times a second; live mode asks twice as often.
func measureSweep(ctx context.Context, b *bench) error {
	began, total := time.Now(), b.sweepRate*b.sweepSeconds
	listed := max(total/2, 1)
	accounts := min(b.accounts, listed) // of each, something is listed
	stripe, err := startStripe(ctx, listed, accounts, began, "here", "lost")
	if err != nil {
		return err
	}
	defer stripe.kill()
	w := &sweeping{bench: b, dir: filepath.Join(b.work, "sweep")}
	if w.maker, err = newEventMaker("here", accounts, began); err != nil {
		return err
	}
	if w.server, err = b.startDaybook(ctx, w.dir, "--stripe-api-key", "rk_test_bench", "--stripe-api-base", "http://"+stripe.addr); err != nil {
		return err
	}
	defer w.server.kill()
	if err := w.awaitSweeps(ctx, 1); err != nil { // that of its start, of empty lists
		return err
	}
	without, err := w.send(ctx, total, nil)
	if err != nil {
		return err
	}
	if err := openLists(ctx, stripe); err != nil {
		return err
	}
	beside, swept, err := w.sweepBeside(ctx)
	if err != nil {
		return err
	}
	again, err := w.send(ctx, total, nil)
	if err != nil {
		return err
	}
	b.report.line("%s", without.describe("without"))
	b.report.line("%s", beside.describe("beside a sweep"))
	b.report.line("%s", again.describe("without again"))
	if swept.Found != int64(listed) || swept.Missing != int64(listed) {
		return fmt.Errorf("the sweep found %d events recorded and %d missing, want %d of each: it measured something else", swept.Found, swept.Missing, listed)
	}
	b.report.line("the sweep took %s: %d events, of which %d were missing, and %d objects",
		beside.took.Round(100*time.Millisecond), swept.Events, swept.Missing, swept.Objects)
	b.judgeSweep(append(slices.Clone(without.latencies), again.latencies...), beside.latencies)
	return w.server.stop()
}

func (b *bench) judgeSweep(without, beside []time.Duration) {
	measured, slower := "", 0.0
	for _, p := range []float64{50, 99} {
		a, z := percentile(without, p), percentile(beside, p)
		ratio := float64(z) / float64(a)
		measured += fmt.Sprintf("p%.0f %s without, %s beside it (%.2f times); ", p, millis(a), millis(z), ratio)
		slower = max(slower, ratio)
	}
	b.report.target(slower <= targetSwept, fmt.Sprintf("webhooks at %d/s and a sweep", b.sweepRate), measured+"slowest "+millis(percentile(beside, 100)),
		fmt.Sprintf("at most %.2f times", targetSwept))
	p99 := percentile(beside, 99)
	b.report.target(p99 <= targetSweptP99, fmt.Sprintf("webhooks at %d/s beside a sweep, p99", b.sweepRate), millis(p99),
		"at most "+millis(targetSweptP99)+" on a quiet machine")
}

// sweeping is one measurement.
type sweeping struct {
	*bench
	dir    string
	server *child
	maker  *eventMaker
	sent   int // of the maker's events
}

// send sends the next paced webhooks, n of them or until it is told to end, and
// waits until they are posted.
func (w *sweeping) send(ctx context.Context, n int, until <-chan struct{}) (*sample, error) {
	requests := w.maker.requestsFrom(w.sent, n, time.Now())
	w.sent += n
	before := w.server.cpu()
	o, err := load{addr: w.server.addr, connections: w.connections, rate: w.sweepRate, until: until}.run(ctx, requests)
	if err != nil {
		return nil, err
	}
	s := &sample{outcome: o, cpu: w.server.cpu() - before, memory: w.server.peakMemory(), counted: len(o.latencies)}
	_, err = awaitNoLag(ctx, w.server)
	return s, err
}

// swept is what a sweep says that it did.
type swept struct {
	Events  int64 `json:"events"`
	Found   int64 `json:"found"`
	Missing int64 `json:"missing"`
	Objects int64 `json:"objects"`
}

// sweepBeside sweeps, and sends webhooks for as long as that takes.
func (w *sweeping) sweepBeside(ctx context.Context) (*sample, swept, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*sweptWithin)
	defer cancel()
	var report swept
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, failed = w.sweep(ctx)
	}()
	s, err := w.send(ctx, w.sweepRate*int(sweptWithin/time.Second), done)
	cancel() // what is not done by now took too long
	<-done
	return s, report, errors.Join(err, failed)
}

// sweep has the server compare the record with Stripe.
func (w *sweeping) sweep(ctx context.Context) (report swept, err error) {
	cmd := exec.CommandContext(ctx, w.daybook, "reconcile", "--dev", "--data-dir", w.dir, "--since", w.maker.first().Format(time.RFC3339), "--output", "json")
	cmd.Env = cleanEnviron()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: something was missing
		return report, fmt.Errorf("reconcile: %w: %s", err, said.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		return report, fmt.Errorf("reconcile: %w: %s", err, said.Bytes())
	}
	return report, nil
}

// awaitSweeps waits until so many sweeps are done.
func (w *sweeping) awaitSweeps(ctx context.Context, n int) error {
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); {
		var status struct {
			Reconciliation struct {
				Sweeps    int    `json:"sweeps"`
				LastError string `json:"last_error"`
			} `json:"reconciliation"`
		}
		if code, err := w.server.get(ctx, "/v1/status", &status); err != nil || code != http.StatusOK || status.Reconciliation.LastError != "" {
			return fmt.Errorf("await the first sweep: %d %s %w", code, status.Reconciliation.LastError, err)
		}
		if status.Reconciliation.Sweeps >= n {
			return nil
		}
		if err := sleepUntil(ctx, time.Now().Add(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return errors.New("the server does not sweep at its start")
}
