package projections_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// The tests named TestFaultNN… each fail on the fault of that number in
// docs/FAULTS.md. Those here are of the read model.

// TestFault06AnOldSubscriptionNeverTouchesANewOne: what Stripe says of the first
// subscription of an account, after a second was bought, concerns the first.
func TestFault06AnOldSubscriptionNeverTouchesANewOne(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_old", "a", aggregate.Active, "price_basic", begin)
	r.subscribed("sub_new", "a", aggregate.Active, "price_premium", begin.Add(time.Minute))
	r.paymentFailed("sub_old", "a", begin.Add(2*time.Minute))
	r.subscribed("sub_old", "a", aggregate.Canceled, "price_basic", begin.Add(3*time.Minute))
	r.settle()
	if e := r.entitlement("a"); e.Tier != "premium" || e.SubscriptionID != "sub_new" || e.InGrace {
		t.Errorf("%s of %s, in grace %t", e.Tier, e.SubscriptionID, e.InGrace)
	}
	for id, want := range map[string]aggregate.Status{"sub_old": aggregate.Canceled, "sub_new": aggregate.Active} {
		if got, known, err := r.model.Subscription(t.Context(), id); err != nil || !known || got.Status != want {
			t.Errorf("%s: %s, known %t, %v, want %s", id, got.Status, known, err, want)
		}
	}
	r.sameAsRebuilt()
}

// TestFault08NoAnswerIsOlderThanItsEnd: what is stored ends with grace, though
// nobody is there to write that it did.
func TestFault08NoAnswerIsOlderThanItsEnd(t *testing.T) {
	r := newRig(t)
	r.start()
	r.inGrace("sub_1", "a")
	r.settle()
	r.stop()
	if stored := r.stored("a"); stored.Tier != "premium" || !stored.Until.Equal(graceEnd) {
		t.Fatalf("stored: %s until %s", stored.Tier, stored.Until)
	}
	for moment, want := range map[time.Time]string{graceEnd.Add(-time.Second): "premium", graceEnd: "starter"} {
		r.clock.Set(moment)
		if e := r.entitlement("a"); e.Tier != want || !e.AsOf.Before(moment.Add(time.Second)) {
			t.Errorf("at %s: %s as of %s, want %s", moment, e.Tier, e.AsOf, want)
		}
	}
	if stored := r.stored("a"); stored.Tier != "premium" {
		t.Errorf("somebody wrote %s: this proves nothing", stored.Tier)
	}
}

// TestFault14NoReaderBringsBackAnOlderAnswer: readers ask all the while, and
// none sees a position go back; an answer says in which store its position
// counts, and reading writes nothing.
func TestFault14NoReaderBringsBackAnOlderAnswer(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.settle()
	answers := projections.NewAnswers(r.model, epoch, false)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for last := uint64(0); ; {
				e, err := answers.Entitlement(t.Context(), "a", begin)
				if err != nil || e.Epoch != epoch || e.Position < last {
					t.Errorf("at %d of %q after %d, %v", e.Position, e.Epoch, last, err)
					return
				}
				last = e.Position
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	stop := sync.OnceFunc(func() { close(done); readers.Wait() })
	defer stop()
	for i := range 20 {
		price := []string{"price_premium", "price_basic"}[i%2]
		r.subscribed("sub_1", "a", aggregate.Active, price, begin.Add(time.Duration(i+1)*time.Minute))
		r.settle()
	}
	before := r.entitlement("a")
	r.subscribed("sub_1", "a", aggregate.Canceled, "price_basic", begin.Add(time.Hour))
	r.settle()
	stop()
	if e := r.entitlement("a"); e.Tier != "starter" || e.Reason != aggregate.ReasonCanceled || e.Position <= before.Position {
		t.Errorf("at the end: %s because of %s at %d, after %d", e.Tier, e.Reason, e.Position, before.Position)
	}
}

// TestFault05LateEventsMoveNothingBack: the same events in any order of arrival
// give one answer.
func TestFault05LateEventsMoveNothingBack(t *testing.T) {
	for _, order := range [][]int{{0, 2, 1, 3}, {1, 0, 3, 2}, {3, 2, 0, 1}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			r := newRig(t)
			r.start()
			for _, i := range order {
				when := begin.Add(time.Duration(i) * time.Hour)
				ended := []aggregate.Status{aggregate.Active, aggregate.Active, aggregate.Canceled, aggregate.Active}[i]
				recovered := []aggregate.Status{aggregate.Active, aggregate.PastDue, aggregate.Unpaid, aggregate.Active}[i]
				r.subscribed("sub_1", "ended", ended, "price_elite", when)
				r.subscribed("sub_2", "recovered", recovered, "price_elite", when)
				r.settle()
			}
			if e := r.entitlement("ended"); e.Tier != "starter" || e.Status != aggregate.Canceled {
				t.Errorf("ended: %s while %s", e.Tier, e.Status)
			}
			if e := r.entitlement("recovered"); e.Tier != "elite" || e.Status != aggregate.Active || e.InGrace {
				t.Errorf("recovered: %s while %s, in grace %t", e.Tier, e.Status, e.InGrace)
			}
		})
	}
}
