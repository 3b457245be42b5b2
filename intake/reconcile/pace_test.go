package reconcile

import (
	"context"
	"testing"
	"time"
)

// paced is a pace by a clock of its own.
type paced struct {
	pace
	now time.Time
}

// work works for so long, and rests as long as it should.
func (p *paced) work(d time.Duration) (rest time.Duration) {
	began := p.now
	p.now = p.now.Add(d)
	rest = p.worked(began, p.now)
	p.now = p.now.Add(rest)
	return rest
}

func TestASweepRestsForWhatItWorked(t *testing.T) {
	p := &paced{now: time.Now()}
	for _, d := range []time.Duration{2 * time.Millisecond, 40 * time.Millisecond, 700 * time.Microsecond} {
		if rest := p.work(d); rest != restsFor*d {
			t.Errorf("rests %s for %s of work", rest, d)
		}
	}
}

func TestShortPiecesOfASweepRestTogether(t *testing.T) {
	p := &paced{now: time.Now()}
	worked, began, longest, since := time.Duration(0), p.now, time.Duration(0), time.Duration(0)
	for range 10000 {
		const d = 50 * time.Microsecond
		worked, since = worked+d, since+d
		longest = max(longest, since)
		if rest := p.work(d); rest > 0 {
			since = 0
			if rest < leastRest {
				t.Fatalf("rests for %s", rest)
			}
		}
	}
	if share := worked.Seconds() / p.now.Sub(began).Seconds(); share > 0.2501 || share < 0.2499 {
		t.Errorf("works %.3f of the time", share)
	}
	if longest > leastRest {
		t.Errorf("works for %s without a rest", longest)
	}
}

func TestASweepThatWaitedForStripeHasRested(t *testing.T) {
	p := &paced{now: time.Now()}
	p.work(200 * time.Microsecond)
	p.now = p.now.Add(time.Minute)
	p.work(200 * time.Microsecond)
	if rest := p.work(200 * time.Microsecond); rest != 2*restsFor*200*time.Microsecond {
		t.Errorf("rests %s, want what is owed since it waited, and no less for having waited long", rest)
	}
}

func TestAStoreThatStandsStillHoldsUpASweepNoLongerThanItDoes(t *testing.T) {
	p := &paced{now: time.Now()}
	if rest := p.work(time.Minute); rest != mostRest {
		t.Errorf("rests %s", rest)
	}
	if rest := p.work(time.Millisecond); rest != restsFor*time.Millisecond {
		t.Errorf("rests %s once the store goes on", rest)
	}
}

func TestASweepRestsOnlyWhileWebhooksAreComing(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end() // whoever rests now is told that it is over
	for _, busy := range []bool{true, false} {
		p := &pace{busy: func() bool { return busy }, ended: time.Now(), owed: mostRest}
		worked := false
		err := p.keep(ended, func() error { worked = true; return nil })
		if rested := err != nil; rested != busy || !worked {
			t.Errorf("webhooks are coming: %t; rested: %t, worked: %t", busy, rested, worked)
		}
	}
}
