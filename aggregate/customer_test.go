package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

func (s *story) customer(t aggregate.FactType, when time.Time, account string) *aggregate.CustomerSnapshot {
	c := &aggregate.CustomerSnapshot{ID: "cus_1", Account: account, Deleted: t == aggregate.CustomerDeleted, CreatedAt: day0}
	s.add(aggregate.Fact{Type: t, Customer: c}, when)
	return c
}

// wantCustomer checks the truth of every order of arrival.
func wantCustomer(t *testing.T, s *story, check func(aggregate.CustomerTruth) bool) {
	t.Helper()
	for _, order := range permutations(s.facts) {
		if c := gather(order).DeriveCustomer("cus_1"); !check(c) {
			t.Fatalf("%+v", c)
		}
	}
}

func TestTheNewestMetadataOfACustomerClaims(t *testing.T) {
	var s story
	s.customer(aggregate.CustomerCreated, day0, "a").TestClock = "clock_1"
	s.customer(aggregate.CustomerUpdated, day0, "b")
	want := aggregate.Link{Account: "b", Rank: aggregate.LinkCustomer, StripeEventID: "evt_02", OccurredAt: day0}
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool {
		return c.Link == want && c.TestClock == "clock_1" && c.Position == 7 && c.Flags == nil && c.LastOccurredAt.Equal(day0)
	})
	s.customer(aggregate.CustomerUpdated, at(day), "") // the metadata was removed
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool { return c.Link == (aggregate.Link{}) && !c.Deleted })
	s.customer(aggregate.CustomerUpdated, at(2*day), "c")
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool { return c.Link.Account == "c" })
}

func TestADeletedCustomerClaimsNothing(t *testing.T) {
	var s story
	s.customer(aggregate.CustomerCreated, day0, "a")
	s.customer(aggregate.CustomerDeleted, at(day), "a")
	s.customer(aggregate.CustomerUpdated, at(day), "a") // in the same second: told before the end
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool {
		return c.Link == (aggregate.Link{}) && c.Deleted && c.Flags == nil
	})
}

func TestACustomerDeletedBeforeItWasCreatedIsFlaggedAndStaysDeleted(t *testing.T) {
	var s story
	s.customer(aggregate.CustomerDeleted, day0, "")
	s.customer(aggregate.CustomerCreated, at(day), "a")
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool {
		return c.Deleted && c.Link.Account == "" && slices.Equal(c.Flags, []string{aggregate.FlagDeletedBeforeCreated})
	})
}

func TestTwoClaimsInOneSecondAreAmbiguousButStable(t *testing.T) {
	var s story
	s.customer(aggregate.CustomerCreated, day0, "")
	s.customer(aggregate.CustomerUpdated, at(day), "a")
	s.customer(aggregate.CustomerUpdated, at(day), "b")
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool {
		return c.Link.Account == "b" && slices.Contains(c.Flags, aggregate.FlagAmbiguous)
	})
	s.customer(aggregate.CustomerUpdated, at(2*day), "a")
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool { return c.Link.Account == "a" && c.Flags == nil })
}

func TestStripesEntitlementsAreShown(t *testing.T) {
	var s story
	for i, features := range [][]string{{"old"}, {"api", "sso"}} {
		s.add(aggregate.Fact{Type: aggregate.EntitlementsSummarized,
			Entitlements: &aggregate.EntitlementsSnapshot{Customer: "cus_1", Features: features}}, at(time.Duration(i)*day))
	}
	wantCustomer(t, &s, func(c aggregate.CustomerTruth) bool { return slices.Equal(c.StripeFeatures, []string{"api", "sso"}) })
}

func TestAClockOnlyAdvances(t *testing.T) {
	var s story
	for i, frozen := range []time.Time{day0, at(30 * day), at(60 * day)} {
		s.add(aggregate.Fact{Type: aggregate.ClockTold, Clock: &aggregate.ClockSnapshot{ID: "clock_1", Status: "ready", FrozenAt: frozen}},
			at(time.Duration(i)*time.Second))
	}
	wantClock(t, &s, aggregate.ClockTruth{ID: "clock_1", Now: at(60 * day), Position: 7})
	s.add(aggregate.Fact{Type: aggregate.ClockTold, Clock: &aggregate.ClockSnapshot{ID: "clock_1", Deleted: true}}, at(time.Hour))
	wantClock(t, &s, aggregate.ClockTruth{ID: "clock_1", Now: at(60 * day), Deleted: true, Position: 7})
}

func wantClock(t *testing.T, s *story, want aggregate.ClockTruth) {
	t.Helper()
	for _, order := range permutations(s.facts) {
		if got := gather(order).DeriveClock("clock_1"); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}
