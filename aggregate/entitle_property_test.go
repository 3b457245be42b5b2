package aggregate_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

// randomHolding draws what an account may hold; all its times are whole hours
// within ten days.
func randomHolding(t *rapid.T) aggregate.Holding {
	when := func(label string) time.Time {
		return at(time.Duration(rapid.IntRange(1, 240).Draw(t, label)) * time.Hour)
	}
	maybe := func(label string) time.Time {
		if rapid.Bool().Draw(t, label+"?") {
			return when(label)
		}
		return time.Time{}
	}
	tiers := []string{"starter", "basic", "premium", "elite", "platinum"}
	held := aggregate.Holding{Decisions: aggregate.AccountTruth{GraceUntil: maybe("extended")}}
	for i := range rapid.IntRange(0, 3).Draw(t, "subscriptions") {
		sub := subscribed(string(rune('a'+i)), rapid.SampledFrom([]aggregate.Status{aggregate.Active, aggregate.Trialing,
			aggregate.PastDue, aggregate.Unpaid, aggregate.Canceled}).Draw(t, "status"), rapid.SampledFrom(tiers).Draw(t, "tier"))
		sub.CancelAt, sub.CurrentPeriodEnd = maybe("cancel at"), maybe("period end")
		if rapid.Bool().Draw(t, "owes") {
			sub.Delinquency = &aggregate.Delinquency{Anchor: day0, GraceUntil: when("grace")}
		}
		held.Subscriptions = append(held.Subscriptions, sub)
	}
	for range rapid.IntRange(0, 4).Draw(t, "waivers") {
		w := waiver(rapid.SampledFrom(tiers).Draw(t, "waiver"), maybe("expiry"))
		if rapid.IntRange(0, 3).Draw(t, "revoked") == 0 {
			w.RevokedAt = day0
		}
		held.Decisions.Waivers = append(held.Decisions.Waivers, w)
	}
	if rapid.IntRange(0, 5).Draw(t, "blocked") == 0 {
		held.Decisions.Block = &aggregate.Block{BlockedAt: day0}
	}
	return held
}

// TestTimeAloneChangesNothingBeforeTheDueTime: whoever waits for the due time
// misses nothing, and a reader who asks again when told to never sees more than
// is granted.
func TestTimeAloneChangesNothingBeforeTheDueTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := randomHolding(t)
		now := at(time.Duration(rapid.IntRange(0, 240).Draw(t, "now")) * time.Hour)
		e, until := aggregate.Entitle("a", held, builtin(), now)
		end := at(400 * time.Hour)
		if !until.IsZero() {
			if !until.After(now) {
				t.Fatalf("due %s, which is past", until)
			}
			end = until
		}
		then, _ := aggregate.Entitle("a", held, builtin(), end.Add(-time.Second))
		// At a scheduled cancellation a reader asks again, though only Stripe's
		// status changes the answer.
		then.AsOf, then.ValidUntil = e.AsOf, e.ValidUntil
		if !reflect.DeepEqual(e, then) {
			t.Fatalf("changed before it was due at %s:\n now %+v\nthen %+v", until, e, then)
		}
		told := !e.ValidUntil.IsZero() && !e.ValidUntil.After(end)
		if later, _ := aggregate.Entitle("a", held, builtin(), end); later.Tier != e.Tier && !told {
			t.Fatalf("%s until %s, then %s: a reader was told %s", e.Tier, end, later.Tier, e.ValidUntil)
		}
	})
}

// TestTheTierIsTheBestOfAllThatGrants compares with the rule told in one
// sentence.
func TestTheTierIsTheBestOfAllThatGrants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := randomHolding(t)
		now := at(time.Duration(rapid.IntRange(0, 240).Draw(t, "now")) * time.Hour)
		catalogs := builtin()
		catalog := catalogs.Current()
		best := 0
		for _, sub := range held.Subscriptions {
			if held.Access(sub, catalog, now).Granted {
				best = max(best, catalog.Rank(sub.Tier))
			}
		}
		for _, w := range held.Decisions.Waivers {
			if w.InForce(now) {
				best = max(best, catalog.Rank(w.Tier))
			}
		}
		if held.Decisions.Block != nil {
			best = 0
		}
		e, _ := aggregate.Entitle("a", held, catalogs, now)
		if catalog.Rank(e.Tier) != best {
			t.Fatalf("tier %s, want %s", e.Tier, catalog.Tiers[best].ID)
		}
		held.Decisions.Waivers = rapid.Permutation(held.Decisions.Waivers).Draw(t, "order")
		if again, _ := aggregate.Entitle("a", held, catalogs, now); !reflect.DeepEqual(again, e) {
			t.Fatalf("waivers in another order:\n %+v\n %+v", again, e)
		}
	})
}
