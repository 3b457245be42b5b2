package aggregate_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

func TestACanceledSubscriptionIsNotResurrected(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.canceled(at(5*day), "price_basic")
	s.changed(at(6*day), aggregate.Active, "price_elite")
	s.paid(at(7*day), "in_9", at(7*day))
	if truth := s.truth(); truth.Status != aggregate.Canceled || truth.Access(at(8*day)).Granted {
		t.Errorf("status %s, want canceled and denied", truth.Status)
	}
}

func TestPaidCountsOncePerInvoice(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(day0, "in_1", day0) // invoice.paid and invoice.payment_succeeded tell the same
	s.paid(day0, "in_1", day0)
	if paid := s.truth().Paid; !slices.Equal(paid, []aggregate.Money{{Amount: 2900, Currency: "usd"}}) {
		t.Errorf("paid %v, want 2900 usd once", paid)
	}
}

func TestAnUnmappedPriceKeepsTheTierOfTheEarlierOne(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_premium")
	s.changed(at(day), aggregate.Active, "price_nobody_knows")
	truth := s.truth()
	if truth.Tier != "premium" || !slices.Contains(truth.Flags, aggregate.FlagUnmappedPrice) {
		t.Errorf("tier %q, flags %v: want premium, and the price listed", truth.Tier, truth.Flags)
	}
}

func TestLinksByRankThenNewest(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	session := &aggregate.CheckoutSnapshot{ID: "cs_1", Subscription: "sub_1", ClientReference: "by-reference"}
	s.add(aggregate.Fact{Type: aggregate.CheckoutCompleted, Checkout: session}, at(time.Second))
	wantAccount(t, &s, "by-reference")
	s.paid(at(2*time.Second), "in_1", day0).Account = "by-invoice"
	wantAccount(t, &s, "by-invoice")
	session.Account = "by-session"
	wantAccount(t, &s, "by-session")
	s.changed(at(3*time.Second), aggregate.Active, "price_basic").Account = "by-subscription"
	wantAccount(t, &s, "by-subscription")
	s.changed(at(4*time.Second), aggregate.Active, "price_basic").Account = "moved"
	wantAccount(t, &s, "moved")
	s.paid(at(5*time.Second), "in_2", day0).Account = "worse-but-newer"
	wantAccount(t, &s, "moved")
}

// Where two names contradict each other, the link tells the one that lost.
func TestAConflictTellsTheOtherAccount(t *testing.T) {
	var s story
	want := func(account, other string) {
		t.Helper()
		for _, order := range permutations(s.facts) {
			truth := fold(order).Derive(builtin())
			if truth.Link.Account != account || truth.Link.ConflictsWith != other ||
				slices.Contains(truth.Flags, aggregate.FlagAccountConflict) != (other != "") {
				t.Fatalf("link %+v, flags %v: want %s, in conflict with %q", truth.Link, truth.Flags, account, other)
			}
		}
	}
	s.started(day0, aggregate.Active, "price_basic")
	s.paid(at(time.Second), "in_1", day0).Account = "a"
	want("a", "")
	s.paid(at(2*time.Second), "in_2", day0).Account = "b"
	want("b", "a")
	s.paid(at(3*time.Second), "in_3", day0).Account = "b" // told again, it is as contradictory
	want("b", "a")
	s.changed(at(4*time.Second), aggregate.Active, "price_basic").Account = "c"
	want("c", "")
	s.changed(at(5*time.Second), aggregate.Active, "price_basic").Account = "d" // moved on purpose
	want("d", "")
}

func wantAccount(t *testing.T, s *story, want string) {
	t.Helper()
	if got := s.truth().Link.Account; got != want {
		t.Fatalf("account %q, want %q", got, want)
	}
}

// chainOf makes the changes of one second, each told to follow the one before.
func chainOf(s *story, when time.Time, first string, prices ...string) {
	before := (&aggregate.SubscriptionSnapshot{ID: "sub_1", Customer: "cus_1", Status: aggregate.Active, CreatedAt: day0,
		Items: []aggregate.Item{{Price: first, Quantity: 1}}}).Digest()
	for _, price := range prices {
		snap := s.changed(when, aggregate.Active, price)
		snap.Before = before
		before = snap.Digest()
	}
}

func TestWithinASecondTheChainOfOldValuesDecides(t *testing.T) {
	for _, prices := range [][]string{
		{"price_elite", "price_premium"},
		{"price_premium", "price_elite", "price_exclusive"},
		{"price_premium", "price_basic"}, // a round trip
	} {
		var s story
		s.started(day0, aggregate.Active, "price_basic")
		chainOf(&s, at(day), "price_basic", prices...)
		want := prices[len(prices)-1]
		for _, order := range permutations(s.facts) {
			truth := fold(order).Derive(builtin())
			if truth.Items[0].Price != want || slices.Contains(truth.Flags, aggregate.FlagAmbiguous) {
				t.Fatalf("%v: ended at %s, flags %v", prices, truth.Items[0].Price, truth.Flags)
			}
		}
	}
}

func TestARoundTripEndsWhereItBeganWhateverCameBetween(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(day/2), aggregate.Active, "price_elite")
	s.paid(at(day-time.Second), "in_1", day0)
	chainOf(&s, at(day), "price_elite", "price_basic", "price_elite")
	truth := s.truth()
	if truth.Items[0].Price != "price_elite" || slices.Contains(truth.Flags, aggregate.FlagAmbiguous) {
		t.Errorf("ended at %s, flags %v", truth.Items[0].Price, truth.Flags)
	}
}

func TestAStatusOfTheFutureIsDeniedAndSaid(t *testing.T) {
	var s story
	s.started(day0, "hibernating", "price_basic")
	old := aggregate.SubscriptionTruth{ID: "sub_0", Status: aggregate.Canceled, Tier: "elite"}
	e, _ := aggregate.Entitle("a", aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{old, s.truth()}}, builtin(), day0)
	if e.Status != "hibernating" || e.Reason != aggregate.ReasonUnknownStatus || e.Tier != "starter" {
		t.Errorf("%+v", e)
	}
}

func TestWithoutAChainTheSecondIsAmbiguousButStable(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(day), aggregate.Active, "price_premium")
	s.changed(at(day), aggregate.PastDue, "price_premium")
	for _, order := range permutations(s.facts) {
		truth := fold(order).Derive(builtin())
		if truth.Status != aggregate.PastDue || !slices.Contains(truth.Flags, aggregate.FlagAmbiguous) {
			t.Fatalf("status %s, flags %v: want past_due and marked", truth.Status, truth.Flags)
		}
	}
}

func permutations[T any](items []T) [][]T {
	if len(items) <= 1 {
		return [][]T{slices.Clone(items)}
	}
	var all [][]T
	for i := range items {
		rest := append(slices.Clone(items[:i]), items[i+1:]...)
		for _, p := range permutations(rest) {
			all = append(all, append([]T{items[i]}, p...))
		}
	}
	return all
}

// TestDecideTwiceDecidesOnce: posting may be repeated any number of times.
func TestDecideTwiceDecidesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := randomStory(t, rapid.IntRange(1, 12).Draw(t, "length"))
		sub := aggregate.NewSubscription("sub_1")
		for _, f := range facts {
			for _, e := range sub.Decide([]aggregate.Fact{f}, builtin(), at(100*day)) {
				sub.Evolve(e, aggregate.Place{})
			}
		}
		if again := sub.Decide(facts, builtin(), at(100*day)); len(again) != 0 {
			t.Fatalf("decided %d events again, first %s", len(again), again[0].Type())
		}
	})
}

func TestACorrectionSupersedesItsKey(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	corrected := s.facts[0]
	snap := *corrected.Subscription
	snap.Items = []aggregate.Item{{Price: "price_elite", Quantity: 1}}
	corrected.Subscription, corrected.Epoch = &snap, 1
	for _, order := range permutations([]aggregate.Fact{s.facts[0], corrected}) {
		if tier := fold(order).Derive(builtin()).Tier; tier != "elite" {
			t.Errorf("tier %q, want the corrected one", tier)
		}
	}
}

func TestDerivationOfThePast(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	s.changed(at(10*day), aggregate.Active, "price_elite")
	for when, want := range map[time.Duration]string{-day: "", 5 * day: "basic", 10 * day: "elite"} {
		if tier := fold(s.facts).AsOf(at(when)).Derive(builtin()).Tier; tier != want {
			t.Errorf("as of %s: %q, want %q", at(when), tier, want)
		}
	}
}
