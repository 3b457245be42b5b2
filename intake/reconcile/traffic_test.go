package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/intake/reconcile"
)

// trafficRig counts hours of a rig.
func trafficRig(t *testing.T) (*rig, *reconcile.Traffic) {
	r := newRig(t)
	return r, reconcile.NewTraffic(r.store, r.clock, logrus.New())
}

// hours lets n hours pass, in each of which so many webhooks come.
func (r *rig) hours(t *reconcile.Traffic, n int, webhooks func(hourOfDay int) uint64) {
	for range n {
		hour := r.clock().Truncate(time.Hour)
		r.pass(time.Hour)
		if err := t.Count(r.t.Context(), hour, webhooks(hour.Hour())); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := t.Load(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// busy is a business that sleeps from midnight to six.
func busy(hour int) uint64 {
	if hour < 6 {
		return 0
	}
	return 7
}

func none(int) uint64 { return 0 }

func TestSilenceIsMeasuredByTheSameHoursOfEarlierWeeks(t *testing.T) {
	r, traffic := trafficRig(t)
	r.hours(traffic, 7*24, busy)
	r.hours(traffic, 2, none)
	if said := traffic.Silence(); said != "" {
		t.Errorf("after one week: %s", said)
	}
	r.hours(traffic, 3*7*24+3, busy) // at other hours than those of that silence
	if said := traffic.Silence(); said != "" {
		t.Errorf("business as usual: %s", said)
	}
	r.hours(traffic, 1, none)
	if said := traffic.Silence(); said != "" {
		t.Errorf("seven are few: %s", said)
	}
	r.hours(traffic, 1, none)
	if said := traffic.Silence(); !strings.Contains(said, "for 2 hours") || !strings.Contains(said, "at least 14") {
		t.Errorf("silence in the middle of the day: %q", said)
	}
	fresh := reconcile.NewTraffic(r.store, r.clock, logrus.New())
	if err := fresh.Load(t.Context()); err != nil || fresh.Silence() != traffic.Silence() {
		t.Errorf("another process says %q, %v", fresh.Silence(), err)
	}
	r.hours(traffic, 1, busy)
	if said := traffic.Silence(); said != "" {
		t.Errorf("one came: %s", said)
	}
}

func TestTheTrafficOfSeveralServersIsSummed(t *testing.T) {
	r, traffic := trafficRig(t)
	r.hours(traffic, 3*7*24, busy)
	other := reconcile.NewTraffic(r.store, r.clock, logrus.New())
	r.hours(traffic, 3, none)
	if traffic.Silence() == "" {
		t.Error("no silence to begin with")
	}
	if err := errors.Join(other.Count(t.Context(), r.clock().Add(-time.Hour), 1), traffic.Load(t.Context())); err != nil {
		t.Fatal(err)
	}
	if said := traffic.Silence(); said != "" {
		t.Errorf("the other server has one: %s", said)
	}
}

func TestNightsAreSilentAndHoursWithoutAServerAreUnknown(t *testing.T) {
	r, traffic := trafficRig(t)
	r.hours(traffic, 4*7*24+12, busy) // it is midnight
	r.hours(traffic, 6, none)
	if said := traffic.Silence(); said != "" {
		t.Errorf("at night: %s", said)
	}
	r.hours(traffic, 4, busy)
	r.pass(5 * time.Hour) // no server ran
	if said := traffic.Silence(); said != "" {
		t.Errorf("without a server: %s", said)
	}
}
