package posting

import (
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// TestFault17WaitsGrowAndNeverEnd: each wait is a multiple of the one before, up
// to a bound, and no number of them is the last.
func TestFault17WaitsGrowAndNeverEnd(t *testing.T) {
	wait := newBackOff()
	wait.RandomizationFactor = 0
	last, doubled := wait.NextBackOff(), 0
	for range 10_000 {
		next := wait.NextBackOff()
		switch {
		case next == backoff.Stop:
			t.Fatal("there is a last wait")
		case next > wait.MaxInterval, next < last:
			t.Fatalf("%s after %s, at most %s", next, last, wait.MaxInterval)
		case float64(next) >= 1.4*float64(last):
			doubled++
		}
		last = next
	}
	// From 50 ms to 30 s a linear growth would take hundreds of steps.
	if last != 30*time.Second || doubled < 10 {
		t.Errorf("ends at %s, after %d waits that grew by half", last, doubled)
	}
}
