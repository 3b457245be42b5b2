package projections_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

var graceEnd = begin.Add(24 * time.Hour)

func (r *rig) toldOf() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// stored is what the model holds, whatever the time is.
func (r *rig) stored(account string) projections.EntitlementRecord {
	r.t.Helper()
	e, known, err := r.model.Entitlement(r.t.Context(), account)
	if err != nil || !known {
		r.t.Fatalf("entitlement of %s: %v, %v", account, known, err)
	}
	return e
}

func TestGraceEndsOnTheSecond(t *testing.T) {
	r := newRig(t)
	r.start()
	r.inGrace("sub_1", "a")
	r.settle()
	if e := r.entitlement("a"); e.Tier != "premium" || !e.InGrace || !e.GraceUntil.Equal(graceEnd) {
		t.Fatalf("in grace: %+v", e)
	}
	r.clock.Set(graceEnd.Add(-time.Second))
	r.wantTier("a", "premium", "a second before the end")
	if told := r.toldOf(); len(told) > 0 {
		t.Errorf("told too early: %v", told)
	}
	r.clock.Set(graceEnd)
	// The answer is right at once, whether or not the watch has come by.
	if e := r.entitlement("a"); e.Tier != "starter" || e.Reason != aggregate.ReasonExpiredGrace {
		t.Errorf("at the end: %+v", e)
	}
	r.eventually("the end is written and told", func() bool {
		return r.stored("a").Tier == "starter" && slices.Equal(r.toldOf(), []string{"a/sub_1"})
	})
	r.sameAsRebuilt()
}

func TestADueMomentSurvivesARestart(t *testing.T) {
	r := newRig(t)
	r.start()
	r.inGrace("sub_1", "a")
	r.settle()
	r.stop()
	r.clock.Set(graceEnd.Add(time.Hour))
	r.wantTier("a", "starter", "by a projection that is late")
	r.start()
	r.eventually("the end is told", func() bool { return slices.Equal(r.toldOf(), []string{"a/sub_1"}) })
}

func TestAnEndIsToldUntilItIsHeard(t *testing.T) {
	r := newRig(t)
	attempts := make(chan struct{}, 100)
	r.hook = func(context.Context, string, []string, time.Time) error {
		attempts <- struct{}{}
		return errors.New("the store cannot be reached")
	}
	r.start()
	r.inGrace("sub_1", "a")
	r.settle()
	r.clock.Set(graceEnd)
	<-attempts
	r.eventually("the trouble is shown", func() bool { return r.runner.Status(t.Context()).LastError != "" })
	r.stop() // as a crash would: nothing was told
	r.mu.Lock()
	r.hook = nil
	r.mu.Unlock()
	r.start()
	r.eventually("the end is told", func() bool { return slices.Equal(r.toldOf(), []string{"a/sub_1"}) })
}

func TestAnEndThatWasNotedIsNotToldAgain(t *testing.T) {
	r := newRig(t)
	r.hook = func(_ context.Context, _ string, ids []string, now time.Time) error {
		for _, id := range ids {
			r.appendEvent(id, aggregate.Event{Note: &aggregate.Note{
				Type: aggregate.GracePeriodExpired, ConcludedAt: now, Anchor: begin, Until: graceEnd,
			}})
		}
		return nil
	}
	r.start()
	r.inGrace("sub_1", "a")
	r.settle()
	r.clock.Set(graceEnd)
	r.eventually("the end is told", func() bool { return slices.Equal(r.toldOf(), []string{"a/sub_1"}) })
	r.settle()
	if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{}); err != nil {
		t.Fatal(err)
	}
	// Another due moment later shows that the watch has been by.
	r.inGrace("sub_2", "b")
	r.settle()
	r.eventually("the other end is told", func() bool { return slices.Contains(r.toldOf(), "b/sub_2") })
	if told := r.toldOf(); !slices.Equal(told, []string{"a/sub_1", "b/sub_2"}) {
		t.Errorf("told %v", told)
	}
}
