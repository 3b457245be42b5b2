package projections

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// TestPausesGrowAndNeverEnd: each is a multiple of the one before, up to a bound,
// no number of them is the last, and two who wait do not wait alike.
func TestPausesGrowAndNeverEnd(t *testing.T) {
	even := newPauses()
	even.RandomizationFactor = 0
	last := even.NextBackOff()
	if last != firstPause {
		t.Errorf("the first is %s", last)
	}
	for range 10_000 {
		next := even.NextBackOff()
		if next == backoff.Stop || next > lastPause || next < last || next < 2*last && next != lastPause {
			t.Fatalf("%s after %s", next, last)
		}
		last = next
	}
	a, b := newPauses(), newPauses()
	same := 0
	for range 100 {
		if a.NextBackOff() == b.NextBackOff() {
			same++
		}
	}
	if same > 50 {
		t.Errorf("%d of 100 pauses were the same", same)
	}
}

// TestPersist: failures are told with the pause behind each, a success begins
// anew and at once, and only the end of the context ends it.
func TestPersist(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	failed := errors.New("failed")
	outcomes := []error{failed, failed, nil, nil, failed, nil}
	var pauses []time.Duration
	err := Persist(ctx, func(err error, pause time.Duration) {
		if !errors.Is(err, failed) {
			t.Error(err)
		}
		pauses = append(pauses, pause)
	}, func(context.Context) error {
		if len(outcomes) == 0 {
			stop()
			return failed
		}
		err := outcomes[0]
		outcomes = outcomes[1:]
		return err
	})
	if !errors.Is(err, context.Canceled) || len(pauses) != 3 {
		t.Errorf("%v after pauses %v", err, pauses)
	}
	for i, bound := range []time.Duration{firstPause, 2 * firstPause, firstPause} {
		if i < len(pauses) && (pauses[i] < bound/2 || pauses[i] > bound*3/2) {
			t.Errorf("pause %d is %s, want about %s", i, pauses[i], bound)
		}
	}
}
