package aggregate_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

// explain explains an account, with the evidence of one subscription's facts.
func explain(h aggregate.Holding, sub *aggregate.Subscription, now time.Time) *aggregate.Explanation {
	x := aggregate.Explain("a", h, builtin(), now)
	if needs := x.Needs(); sub != nil && needs.Subscription == sub.Derive(builtin()).ID {
		x.CiteSubscription(sub, "subscription-"+needs.Subscription)
	}
	x.Summarize()
	return x
}

// TestAnExplanationIsOfTheAnswerThatWasGiven: whatever an account holds, the
// explanation tells of the entitlement, feature by feature.
func TestAnExplanationIsOfTheAnswerThatWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := randomHolding(t)
		now := at(time.Duration(rapid.IntRange(0, 240).Draw(t, "now")) * time.Hour)
		e, until := aggregate.Entitle("a", held, builtin(), now)
		x := explain(held, nil, now)
		if x.Tier != e.Tier || x.Source != e.Source || x.Reason != e.Reason || !reflect.DeepEqual(x.Limits, e.Limits) || x.Rule == "" {
			t.Fatalf("explained %+v\n of %+v", x, e)
		}
		for _, v := range x.Features {
			if v.Allowed != slices.Contains(e.Features, v.Feature) {
				t.Fatalf("%s: explained as %v, features %v", v.Feature, v.Allowed, e.Features)
			}
			one := aggregate.Explain("a", held, builtin(), now)
			if !one.Ask(v.Feature) || *one.Allowed != v.Allowed || len(one.Features) != 1 {
				t.Fatalf("asked for %s: %v", v.Feature, one.Allowed)
			}
		}
		deciding := 0
		for _, s := range x.Subscriptions {
			deciding += btoi(s.Decides)
		}
		for _, w := range x.Waivers {
			deciding += btoi(w.Decides)
		}
		want := btoi(len(held.Subscriptions) > 0)
		switch e.Source {
		case aggregate.FromBlocked:
			want = 0
		case aggregate.FromWaiver:
			want = 1
		}
		if deciding != want {
			t.Fatalf("%d decide, want %d: %+v", deciding, want, x)
		}
		wantForetold(t, held, x, e, until)
	})
}

// wantForetold: what is told to come by time alone comes just then.
func wantForetold(t *rapid.T, held aggregate.Holding, x *aggregate.Explanation, e aggregate.Entitlement, until time.Time) {
	for _, c := range x.Changes {
		if c.By != "time" {
			continue
		}
		then, _ := aggregate.Entitle("a", held, builtin(), c.At)
		if then.Tier != c.Tier || then.Reason != c.Reason || !c.At.After(x.At) {
			t.Fatalf("foretold %+v, came %s (%s)", c, then.Tier, then.Reason)
		}
	}
	if until.IsZero() {
		return
	}
	// Whatever changes the tier first is among what was foretold.
	if then, _ := aggregate.Entitle("a", held, builtin(), until); then.Tier != e.Tier &&
		!slices.ContainsFunc(x.Changes, func(c aggregate.Change) bool { return c.At.Equal(until) }) {
		t.Fatalf("%s becomes %s at %s: not foretold by %+v", e.Tier, then.Tier, until, x.Changes)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestTheEvidenceSuffices: whatever Stripe told, the events that are cited give
// the same answer when nothing else is known.
func TestTheEvidenceSuffices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := withCorrections(t, randomStory(t, rapid.IntRange(1, 12).Draw(t, "length")))
		now := at(time.Duration(rapid.IntRange(0, 8*24).Draw(t, "now")) * time.Hour)
		sub := fold(facts)
		h := aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{sub.Derive(builtin())}}
		x := explain(h, sub, now)
		var cited []aggregate.Fact
		for _, f := range facts {
			if slices.ContainsFunc(x.Evidence, func(e aggregate.Evidence) bool {
				return e.StripeEventID == f.Key.StripeEventID && e.Type == string(f.Type)
			}) {
				cited = append(cited, f)
			}
		}
		truth := fold(cited).Derive(builtin())
		again := aggregate.Explain("a", aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{truth}}, builtin(), now)
		if again.Tier != x.Tier || again.Reason != x.Reason || again.Source != x.Source || !reflect.DeepEqual(again.Features, x.Features) ||
			!reflect.DeepEqual(again.Limits, x.Limits) || truth.Link.Account != h.Subscriptions[0].Link.Account {
			t.Fatalf("from %d of %d facts: %s (%s), want %s (%s)\nevidence %+v", len(cited), len(facts), again.Tier, again.Reason, x.Tier, x.Reason, x.Evidence)
		}
	})
}

// owing is a subscription that owes a payment since its second day.
func owingStory() *story {
	var s story
	s.started(at(0), aggregate.Active, "price_premium").Account = "a"
	s.failed(at(day), "in_1", at(day))
	s.changed(at(day+time.Minute), aggregate.PastDue, "price_premium").Account = "a"
	return &s
}

func TestAnExplanationOfGrace(t *testing.T) {
	s := owingStory()
	sub := fold(s.facts)
	h := aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{sub.Derive(builtin())}}
	x := explain(h, sub, at(day+time.Hour))
	if x.Reason != aggregate.ReasonGrace || len(x.Changes) != 2 {
		t.Fatalf("%s, changes %+v", x.Reason, x.Changes)
	}
	if c := x.Changes[0]; c.What != aggregate.GraceEnds || !c.At.Equal(at(2*day)) || c.Tier != "starter" || c.Reason != aggregate.ReasonExpiredGrace {
		t.Errorf("first %+v", c)
	}
	if c := x.Changes[1]; c.What != aggregate.PaymentComes || c.Of != "in_1" || c.Tier != "premium" || !c.At.IsZero() {
		t.Errorf("then %+v", c)
	}
	cited := map[string]string{}
	for _, e := range x.Evidence {
		cited[e.StripeEventID] = strings.Join(e.For, " ")
	}
	if want := map[string]string{"evt_02": "delinquency", "evt_03": "status account"}; !reflect.DeepEqual(cited, want) {
		t.Errorf("evidence %v, want %v", cited, want)
	}
	line := x.Subscriptions[0].Lines[0]
	if line.Tier != "premium" || line.By != "price" || line.Line != "price_premium" || x.Catalog.Hash != builtin().CurrentHash() {
		t.Errorf("line %+v of %+v", line, x.Catalog)
	}
	wantWords(t, x, "premium", "evt_02", "in_1 has been owed since", "grace of sub_1 ends", "price_premium", "position 7")
}

func wantWords(t *testing.T, x *aggregate.Explanation, words ...string) {
	t.Helper()
	summary := strings.Join(x.Summary, "\n")
	for _, w := range words {
		if !strings.Contains(summary, w) {
			t.Errorf("no %q in\n%s", w, summary)
		}
	}
}

func TestAnExplanationOfAFeature(t *testing.T) {
	held := aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{subscribed("sub_1", aggregate.Active, "basic")}}
	held.Subscriptions[0].CancelAt = at(10 * day)
	x := aggregate.Explain("a", held, builtin(), at(0))
	if x.Ask("flying") {
		t.Error("a feature that the catalog has not")
	}
	if !x.Ask("api_access") || *x.Allowed || x.RequiredTier != "elite" {
		t.Errorf("%v, takes %s", x.Allowed, x.RequiredTier)
	}
	if !x.Ask("custom_nym") || !*x.Allowed {
		t.Error("denied")
	}
	if len(x.Changes) != 1 || x.Changes[0].What != aggregate.Cancellation || x.Changes[0].Tier != "starter" || *x.Changes[0].Allowed {
		t.Errorf("changes %+v", x.Changes)
	}
}

func TestAnExplanationOfDecisions(t *testing.T) {
	account := aggregate.NewAccount("a")
	var events []aggregate.Event
	for i, command := range []aggregate.Command{
		aggregate.GrantWaiver{ID: "wvr_1", Tier: "elite", Reason: "a friend of the house.", Actor: "ops", ExpiresAt: at(5 * day)},
		aggregate.GrantWaiver{ID: "wvr_2", Tier: "basic", Reason: "a longer trial", Actor: "ops"},
		aggregate.BlockAccount{Reason: "fraud, by the bank", Actor: "ops"},
	} {
		decided, err := account.Decide(command, builtin(), at(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range decided {
			account.Evolve(e, aggregate.Place{Position: uint64(10 + i)})
			events = append(events, e)
		}
		x := aggregate.Explain("a", aggregate.Holding{Decisions: account.Truth()}, builtin(), at(day))
		for n, e := range events {
			x.CiteDecision(e.Decision, "account-a", aggregate.Place{Position: uint64(10 + n)})
		}
		x.Summarize()
		want := []struct {
			reason   aggregate.Reason
			position uint64
			change   aggregate.ChangeKind
		}{{"waiver", 10, "waiver_ends"}, {"waiver", 10, "waiver_ends"}, {"blocked", 12, "unblock"}}[i]
		if x.Reason != want.reason || len(x.Evidence) != 1 || x.Evidence[0].Position != want.position ||
			len(x.Changes) != 1 || x.Changes[0].What != want.change {
			t.Errorf("after %d decisions: %s, evidence %+v, changes %+v", i+1, x.Reason, x.Evidence, x.Changes)
		}
	}
}

// TestEveryReasonHasItsRule: a support person never reads an empty line.
func TestEveryReasonHasItsRule(t *testing.T) {
	for _, reason := range []aggregate.Reason{aggregate.ReasonSubscription, aggregate.ReasonGrace, aggregate.ReasonNothingOwed,
		aggregate.ReasonExpiredGrace, aggregate.ReasonUnmappedPrice, aggregate.ReasonFree, aggregate.ReasonIncomplete,
		aggregate.ReasonUnpaid, aggregate.ReasonPaused, aggregate.ReasonCanceled, aggregate.ReasonUnknownStatus,
		aggregate.ReasonWaiver, aggregate.ReasonBlocked, aggregate.ReasonDisputed, aggregate.ReasonRefunded,
		aggregate.ReasonCollectionPaused, aggregate.ReasonPaymentPending, aggregate.ReasonCheckoutFailed} {
		if aggregate.RuleOf(reason) == "" {
			t.Errorf("%s has none", reason)
		}
	}
}
