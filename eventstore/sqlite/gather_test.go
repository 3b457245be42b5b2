package sqlite

import (
	"testing"
	"time"
)

// newGatherer returns a gatherer that has just begun a commit, and counts its
// pauses instead of making them.
func newGatherer(pauses *int) *gatherer {
	g := &gatherer{pause: func(time.Duration) { *pauses++ }}
	g.begin(2)
	return g
}

func TestGatheringGoesOnWhileItBringsAppends(t *testing.T) {
	pauses := 0
	g := newGatherer(&pauses)
	for range 100 {
		g.began = time.Now().Add(time.Hour) // however slow the test is
		g.wait(1)
		g.begin(3)
	}
	if pauses != 100 {
		t.Errorf("%d pauses before 100 commits of several appends, want one each", pauses)
	}
}

func TestASingleCallerIsHardlyEverKeptWaiting(t *testing.T) {
	pauses := 0
	g := newGatherer(&pauses)
	for range 1000 {
		g.began = time.Now().Add(time.Hour)
		g.wait(1)
		g.begin(1)
	}
	if pauses == 0 || pauses > 12 {
		t.Errorf("%d pauses before 1000 commits of one append each, want a few", pauses)
	}
}

func TestNoGatheringForFullBatchesOrAfterRest(t *testing.T) {
	pauses := 0
	g := newGatherer(&pauses)
	g.began = time.Now().Add(time.Hour)
	g.wait(gathered)
	g.began = time.Now().Add(-commitEvery)
	g.wait(1)
	if pauses != 0 {
		t.Errorf("%d pauses, want none: enough were waiting, then the last commit was long ago", pauses)
	}
}
