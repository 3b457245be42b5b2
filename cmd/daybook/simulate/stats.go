package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stats tell how the deliveries went.
type Stats struct {
	// Sent counts deliveries that are done with: Accepted and Refused.
	Sent int `json:"sent"`
	// Accepted counts those answered 2xx, Duplicates among them those that the
	// service said to have already.
	Accepted   int `json:"accepted"`
	Duplicates int `json:"duplicates"`
	// Refused counts those that ended without a 2xx.
	Refused int `json:"refused"`
	// Retries counts further attempts, Unreachable attempts without an answer.
	Retries     int `json:"retries"`
	Unreachable int `json:"unreachable"`
	// ByStatus counts answers by HTTP status, retried ones too.
	ByStatus map[int]int `json:"by_status"`
	// P50, P99 and Max are the times from a request's start to its answer's
	// end, in steps of about 3 %.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
	// Elapsed is the time since the first request.
	Elapsed time.Duration `json:"elapsed"`
}

// PerSecond is how many deliveries were done per second.
func (s Stats) PerSecond() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Sent) / s.Elapsed.Seconds()
}

// String tells the most important in one line.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sent in %s (%.0f/s), %d accepted, %d of them duplicates, %d refused; p50 %s, p99 %s, max %s",
		s.Sent, s.Elapsed.Round(time.Millisecond), s.PerSecond(), s.Accepted, s.Duplicates, s.Refused,
		s.P50.Round(10*time.Microsecond), s.P99.Round(10*time.Microsecond), s.Max.Round(10*time.Microsecond))
	for _, status := range slices.Sorted(maps.Keys(s.ByStatus)) {
		fmt.Fprintf(&b, "; %d: %d", status, s.ByStatus[status])
	}
	if s.Retries+s.Unreachable > 0 {
		fmt.Fprintf(&b, "; %d retries, %d without an answer", s.Retries, s.Unreachable)
	}
	return b.String()
}

// tally gathers Stats from many goroutines.
type tally struct {
	mu        sync.Mutex
	stats     Stats
	latencies histogram
	started   time.Time
}

func newTally() *tally {
	return &tally{stats: Stats{ByStatus: map[int]int{}}, started: time.Now()}
}

// attempted counts one request: its answer's status, 0 if there was none.
func (t *tally) attempted(status int, took time.Duration, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if again {
		t.stats.Retries++
	}
	if status == 0 {
		t.stats.Unreachable++
		return
	}
	t.stats.ByStatus[status]++
	t.latencies.add(took)
}

// done counts a delivery's end.
func (t *tally) done(accepted, duplicate bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Sent++
	switch {
	case !accepted:
		t.stats.Refused++
	case duplicate:
		t.stats.Duplicates++
		fallthrough
	default:
		t.stats.Accepted++
	}
}

// now is a copy of the Stats so far.
func (t *tally) now() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.ByStatus = maps.Clone(t.stats.ByStatus)
	s.P50, s.P99, s.Max = t.latencies.quantile(0.5), t.latencies.quantile(0.99), t.latencies.max
	s.Elapsed = time.Since(t.started)
	return s
}
