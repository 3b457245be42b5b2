package aggregate_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// subscribed is the truth of a subscription of the built-in catalog.
func subscribed(id string, status aggregate.Status, tier string) aggregate.SubscriptionTruth {
	return aggregate.SubscriptionTruth{ID: id, Customer: "cus_" + id, Status: status, Tier: tier, CreatedAt: day0,
		Items: []aggregate.Item{{Price: "price_" + tier, Quantity: 1}}}
}

// pastDue is one whose grace ends after the first day.
func pastDue(id, tier string) aggregate.SubscriptionTruth {
	t := subscribed(id, aggregate.PastDue, tier)
	t.Delinquency = &aggregate.Delinquency{Anchor: day0, GraceUntil: at(day)}
	return t
}

func holding(decisions aggregate.AccountTruth, subs ...aggregate.SubscriptionTruth) aggregate.Holding {
	return aggregate.Holding{Subscriptions: subs, Decisions: decisions}
}

func waivers(ws ...aggregate.Waiver) aggregate.AccountTruth {
	return aggregate.AccountTruth{Waivers: ws}
}

func waiver(tier string, until time.Time) aggregate.Waiver {
	return aggregate.Waiver{ID: "w_" + tier, Tier: tier, GrantedAt: day0, ExpiresAt: until}
}

// answer is the part of an entitlement that says what is granted and why.
type answer struct {
	tier   string
	source aggregate.Source
	reason aggregate.Reason
}

func answerOf(e aggregate.Entitlement) answer { return answer{e.Tier, e.Source, e.Reason} }

func TestTheBestOfWaiverAndSubscriptionWins(t *testing.T) {
	never := time.Time{}
	revoked := waiver("elite", never)
	revoked.RevokedAt = day0
	for name, test := range map[string]struct {
		held aggregate.Holding
		want answer
	}{
		"nothing":                         {holding(waivers()), answer{"starter", "free", "free"}},
		"a waiver alone":                  {holding(waivers(waiver("basic", never))), answer{"basic", "waiver", "waiver"}},
		"a waiver of the free tier":       {holding(waivers(waiver("starter", never))), answer{"starter", "waiver", "waiver"}},
		"a waiver above what is paid for": {holding(waivers(waiver("elite", never)), subscribed("s", aggregate.Active, "basic")), answer{"elite", "waiver", "waiver"}},
		"a waiver of what is paid for":    {holding(waivers(waiver("basic", never)), subscribed("s", aggregate.Active, "basic")), answer{"basic", "subscription", "subscription"}},
		"the best of three":               {holding(waivers(waiver("basic", never), waiver("elite", never), waiver("premium", never))), answer{"elite", "waiver", "waiver"}},
		"a revoked one":                   {holding(waivers(revoked, waiver("basic", never))), answer{"basic", "waiver", "waiver"}},
		"beside a cancelled subscription": {holding(waivers(waiver("basic", never)), subscribed("s", aggregate.Canceled, "elite")), answer{"basic", "waiver", "waiver"}},
		"beside a price that is unmapped": {holding(waivers(waiver("starter", never)), subscribed("s", aggregate.Active, "")), answer{"starter", "subscription", "unmapped_price"}},
		"above a price that is unmapped":  {holding(waivers(waiver("basic", never)), subscribed("s", aggregate.Active, "")), answer{"basic", "waiver", "waiver"}},
		"beside a grace that lasts":       {holding(waivers(waiver("basic", never)), pastDue("s", "premium")), answer{"premium", "subscription", "grace"}},
	} {
		e, _ := aggregate.Entitle("a", test.held, builtin(), day0)
		if answerOf(e) != test.want {
			t.Errorf("%s: %v, want %v", name, answerOf(e), test.want)
		}
	}
}

// TestFault16ALowerWaiverNeverOverridesAHigherPaidTier: in the reference system
// any waiver took the place of what was paid for.
func TestFault16ALowerWaiverNeverOverridesAHigherPaidTier(t *testing.T) {
	e, _ := aggregate.Entitle("a", holding(waivers(waiver("basic", at(day))), subscribed("s", aggregate.Active, "elite")), builtin(), day0)
	if answerOf(e) != (answer{"elite", "subscription", "subscription"}) || e.Limits["members"] != 10000 || !slices.Contains(e.Features, "api_access") {
		t.Errorf("%+v, limits %v, features %v", answerOf(e), e.Limits, e.Features)
	}
	if !e.ValidUntil.IsZero() {
		t.Errorf("valid until %s, the end of a waiver that does not decide", e.ValidUntil)
	}
}

// TestFault08NoGraceAndNoWaiverOutlivesItsEnd: in the reference system a cached
// one lived on. Here an answer says until when it holds, and at that very second
// it is another.
func TestFault08NoGraceAndNoWaiverOutlivesItsEnd(t *testing.T) {
	end := at(day)
	extended := aggregate.AccountTruth{GraceUntil: end}
	early := pastDue("s", "premium")
	early.Delinquency = &aggregate.Delinquency{Anchor: day0, GraceUntil: at(time.Hour)}
	for name, test := range map[string]struct {
		held         aggregate.Holding
		before, then answer
	}{
		"a waiver":              {holding(waivers(waiver("premium", end))), answer{"premium", "waiver", "waiver"}, answer{"starter", "free", "free"}},
		"a waiver over another": {holding(waivers(waiver("premium", end), waiver("basic", time.Time{}))), answer{"premium", "waiver", "waiver"}, answer{"basic", "waiver", "waiver"}},
		"a waiver over a subscription": {holding(waivers(waiver("premium", end)), subscribed("s", aggregate.Active, "basic")),
			answer{"premium", "waiver", "waiver"}, answer{"basic", "subscription", "subscription"}},
		"grace":               {holding(waivers(), pastDue("s", "premium")), answer{"premium", "subscription", "grace"}, answer{"starter", "free", "expired_grace"}},
		"grace over a waiver": {holding(waivers(waiver("basic", time.Time{})), pastDue("s", "premium")), answer{"premium", "subscription", "grace"}, answer{"basic", "waiver", "waiver"}},
		"an extended grace":   {holding(extended, early), answer{"premium", "subscription", "grace"}, answer{"starter", "free", "expired_grace"}},
	} {
		e, until := aggregate.Entitle("a", test.held, builtin(), end.Add(-time.Second))
		if answerOf(e) != test.before || !e.ValidUntil.Equal(end) || !until.Equal(end) {
			t.Errorf("%s: a second before: %v valid until %s, due %s, want %v until %s", name, answerOf(e), e.ValidUntil, until, test.before, end)
		}
		if e, until := aggregate.Entitle("a", test.held, builtin(), end); answerOf(e) != test.then || !e.ValidUntil.IsZero() || !until.IsZero() {
			t.Errorf("%s: at its end: %v valid until %s, due %s, want %v", name, answerOf(e), e.ValidUntil, until, test.then)
		}
	}
}

// TestFault15UnlimitedStaysUnlimited: in the reference system the top tier's
// limit became null in JSON, and the top tier was refused.
func TestFault15UnlimitedStaysUnlimited(t *testing.T) {
	e, _ := aggregate.Entitle("a", holding(waivers(waiver("enterprise", time.Time{}))), builtin(), day0)
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var limits struct{ Limits map[string]any }
	if err := json.Unmarshal(data, &limits); err != nil || limits.Limits["members"] != "unlimited" {
		t.Errorf("written as %v, %v", limits.Limits["members"], err)
	}
	var back aggregate.Entitlement
	if err := json.Unmarshal(data, &back); err != nil || back.Limits["members"] != aggregate.Unlimited {
		t.Errorf("read as %v, %v", back.Limits["members"], err)
	}
}

func TestAmongEqualWaiversTheLongestDecides(t *testing.T) {
	longer, shorter, endless := waiver("basic", at(2*day)), waiver("basic", at(day)), waiver("basic", time.Time{})
	for _, ws := range permutations([]aggregate.Waiver{longer, shorter}) {
		if e, until := aggregate.Entitle("a", holding(waivers(ws...)), builtin(), day0); !e.ValidUntil.Equal(at(2*day)) || !until.Equal(at(day)) {
			t.Errorf("valid until %s, due %s, want two days and one", e.ValidUntil, until)
		}
	}
	for _, ws := range permutations([]aggregate.Waiver{longer, endless, shorter}) {
		if e, _ := aggregate.Entitle("a", holding(waivers(ws...)), builtin(), day0); !e.ValidUntil.IsZero() {
			t.Errorf("valid until %s, want for good", e.ValidUntil)
		}
	}
}

func TestAWaiverLeavesTheSubscriptionTold(t *testing.T) {
	sub := pastDue("s", "basic")
	sub.CancelAt = at(3 * day)
	e, _ := aggregate.Entitle("a", holding(waivers(waiver("elite", at(2*day))), sub), builtin(), day0)
	if e.Status != aggregate.PastDue || e.SubscriptionID != "s" || e.Customer != "cus_s" || len(e.Items) != 1 || !e.InGrace ||
		!e.GraceUntil.Equal(at(day)) || !e.ValidUntil.Equal(at(day)) || e.Limits["members"] != 10000 {
		t.Errorf("%+v", e)
	}
}

// TestWhatIsPaidForStaysBesideAWaiver: seats and add-ons that are bought are not
// lost to a better tier.
func TestWhatIsPaidForStaysBesideAWaiver(t *testing.T) {
	catalogs := adopt(aggregate.Catalogs{}, catalogOf(t, `{"free_tier": "free", "tiers": [{"id": "free"},
	  {"id": "team", "limits": {"members": {"per_unit": 10}}, "prices": ["price_team"]},
	  {"id": "pro", "limits": {"members": {"per_unit": 20}}}],
	  "addons": [{"id": "seats", "features": ["sso"], "limits_add": {"members": 7}, "prices": ["price_seats"]}]}`), day0)
	sub := subscribed("s", aggregate.Active, "team")
	sub.Items = []aggregate.Item{{Price: "price_team", Quantity: 4}, {Price: "price_seats", Quantity: 1}}
	held := holding(waivers(waiver("pro", time.Time{})), sub)
	if e, _ := aggregate.Entitle("a", held, catalogs, day0); e.Tier != "pro" || e.Limits["members"] != 4*20+7 || !slices.Contains(e.Features, "sso") {
		t.Errorf("paid for: %s with limits %v, features %v", e.Tier, e.Limits, e.Features)
	}
	held.Subscriptions[0].Status = aggregate.Canceled
	if e, _ := aggregate.Entitle("a", held, catalogs, day0); e.Tier != "pro" || e.Limits["members"] != 20 || slices.Contains(e.Features, "sso") {
		t.Errorf("no longer paid for: %s with limits %v, features %v", e.Tier, e.Limits, e.Features)
	}
}

func TestAWaiverOfATierThatIsGoneGrantsNothingAndIsFlagged(t *testing.T) {
	held := holding(waivers(waiver("platinum", at(day)), waiver("basic", time.Time{})))
	e, until := aggregate.Entitle("a", held, builtin(), day0)
	if answerOf(e) != (answer{"basic", "waiver", "waiver"}) || !slices.Equal(e.Flags, []string{aggregate.FlagWaiverUnknownTier}) || !until.Equal(at(day)) {
		t.Errorf("%v, flags %v, due %s", answerOf(e), e.Flags, until)
	}
	if e, _ := aggregate.Entitle("a", held, builtin(), at(day)); len(e.Flags) != 0 {
		t.Errorf("flags %v of a waiver that has ended", e.Flags)
	}
}

func TestAReaderAsksAgainAtACancellationAndNeverAtAPeriodsEnd(t *testing.T) {
	sub := subscribed("s", aggregate.Active, "basic")
	sub.CurrentPeriodEnd, sub.CancelAt = at(day), at(2*day)
	e, until := aggregate.Entitle("a", holding(waivers(), sub), builtin(), day0)
	if !e.ValidUntil.Equal(at(2*day)) || !e.CancelAt.Equal(at(2*day)) {
		t.Errorf("valid until %s, cancelled at %s", e.ValidUntil, e.CancelAt)
	}
	// Stripe's status ends access, not the moment of the cancellation; but from
	// then on the answer may be kept for longer, which makes it another one.
	if !until.Equal(at(2 * day)) {
		t.Errorf("due %s, want %s", until, at(2*day))
	}
	e, until = aggregate.Entitle("a", holding(waivers(), sub), builtin(), at(2*day))
	if e.Tier != "basic" || !e.ValidUntil.IsZero() {
		t.Errorf("after it, before Stripe says so: %v valid until %s", answerOf(e), e.ValidUntil)
	}
	// To be told that the period is long over is a change, too.
	if want := at(day + 72*time.Hour); !until.Equal(want) {
		t.Errorf("due %s, want %s", until, want)
	}
}

func TestABlockRefusesWhatOnlyAnAddonLimits(t *testing.T) {
	catalogs := adopt(aggregate.Catalogs{}, catalogOf(t, `{"free_tier": "free", "tiers": [{"id": "free", "limits": {"members": 5}}],
	  "addons": [{"id": "calls", "limits_add": {"calls": 100}, "prices": ["price_c"]}]}`), day0)
	e, _ := aggregate.Entitle("a", holding(aggregate.AccountTruth{Block: &aggregate.Block{}}), catalogs, day0)
	if !maps.Equal(e.Limits, map[string]aggregate.Limit{"members": 0, "calls": 0}) {
		t.Errorf("limits %v", e.Limits)
	}
}

func TestABlockRefusesEverything(t *testing.T) {
	decisions := waivers(waiver("enterprise", time.Time{}))
	decisions.Block = &aggregate.Block{Reason: why, BlockedBy: "ops", BlockedAt: day0}
	catalogs := decodeFull(t)
	sub := aggregate.SubscriptionTruth{ID: "s", Customer: "cus_s", Status: aggregate.Active, Tier: "team",
		Items: []aggregate.Item{{Price: "price_t", Quantity: 4}, {Price: "price_s", LookupKey: "seats", Quantity: 2}}}
	e, _ := aggregate.Entitle("a", holding(decisions, sub), catalogs, day0)
	if answerOf(e) != (answer{"free", "blocked", "blocked"}) || e.TierName != "Free" || e.Features == nil || len(e.Features) != 0 ||
		!maps.Equal(e.Limits, map[string]aggregate.Limit{"members": 0, "rooms": 0}) {
		t.Errorf("%v, features %v, limits %v", answerOf(e), e.Features, e.Limits)
	}
	if e.SubscriptionID != "s" || e.Status != aggregate.Active || !e.Known {
		t.Errorf("subscription %q %s", e.SubscriptionID, e.Status)
	}
	for _, feature := range []string{"read", "write", "sso"} {
		if f, found := e.Feature(feature, catalogs.Current()); !found || f.Allowed || f.Reason != aggregate.ReasonBlocked {
			t.Errorf("feature %+v", f)
		}
	}
}

func TestAnExtensionMovesGraceLaterAndNeverEarlier(t *testing.T) {
	for name, test := range map[string]struct {
		extended time.Time
		want     time.Time
	}{
		"none": {time.Time{}, at(day)}, "earlier": {at(time.Hour), at(day)}, "later": {at(5 * day), at(5 * day)},
	} {
		held := holding(aggregate.AccountTruth{GraceUntil: test.extended}, pastDue("s", "premium"))
		e, until := aggregate.Entitle("a", held, builtin(), day0)
		if !e.InGrace || !e.GraceUntil.Equal(test.want) || !e.ValidUntil.Equal(test.want) || !until.Equal(test.want) {
			t.Errorf("%s: in grace %t until %s, valid until %s, due %s", name, e.InGrace, e.GraceUntil, e.ValidUntil, until)
		}
		if held.Subscriptions[0].Delinquency.GraceUntil != at(day) {
			t.Errorf("%s: the subscription's own truth was changed", name)
		}
	}
	expired := holding(aggregate.AccountTruth{GraceUntil: at(5 * day)}, pastDue("s", "premium"))
	if e, _ := aggregate.Entitle("a", expired, builtin(), at(2*day)); answerOf(e) != (answer{"premium", "subscription", "grace"}) {
		t.Errorf("extended after it ran out: %v", answerOf(e))
	}
	owingNothing := holding(aggregate.AccountTruth{GraceUntil: at(5 * day)}, subscribed("s", aggregate.Active, "premium"))
	if e, until := aggregate.Entitle("a", owingNothing, builtin(), day0); e.InGrace || !e.GraceUntil.IsZero() || !until.IsZero() {
		t.Errorf("nothing owed: in grace %t until %s, due %s", e.InGrace, e.GraceUntil, until)
	}
}

func TestAClockedSubscriptionLivesInItsClocksTime(t *testing.T) {
	sub := pastDue("s", "premium")
	sub.TestClock, sub.CancelAt = "clock_1", at(100*day)
	held := holding(waivers(), sub)
	unseen, until := aggregate.Entitle("a", held, builtin(), day0)
	if !unseen.InGrace || !until.Equal(at(day)) || !unseen.ValidUntil.Equal(at(day)) {
		t.Errorf("a clock that was not seen: in grace %t, due %s", unseen.InGrace, until)
	}
	for clock, want := range map[time.Duration]answer{
		day - time.Second: {"premium", "subscription", "grace"}, day: {"starter", "free", "expired_grace"},
	} {
		held.Clocks = map[string]time.Time{"clock_1": at(clock)}
		for _, ours := range []time.Time{at(-365 * day), at(12 * time.Hour), at(365 * day)} {
			e, until := aggregate.Entitle("a", held, builtin(), ours)
			if answerOf(e) != want || !until.IsZero() || !e.ValidUntil.IsZero() || !e.GraceUntil.Equal(at(day)) || !e.AsOf.Equal(ours) {
				t.Errorf("clock at %s, ours at %s: %v, due %s, valid until %s", clock, ours, answerOf(e), until, e.ValidUntil)
			}
		}
	}
}

func TestAClockTellsNothingOfOtherSubscriptionsAndWaivers(t *testing.T) {
	clocked := subscribed("a", aggregate.Canceled, "elite")
	clocked.TestClock = "clock_1"
	held := holding(waivers(waiver("basic", at(2*day))), clocked, pastDue("b", "premium"))
	held.Clocks = map[string]time.Time{"clock_1": at(1000 * day)}
	e, until := aggregate.Entitle("a", held, builtin(), day0)
	if answerOf(e) != (answer{"premium", "subscription", "grace"}) || !until.Equal(at(day)) || !e.ValidUntil.Equal(at(day)) {
		t.Errorf("%v, due %s, valid until %s", answerOf(e), until, e.ValidUntil)
	}
	if e, until := aggregate.Entitle("a", held, builtin(), at(day)); answerOf(e) != (answer{"basic", "waiver", "waiver"}) || !until.Equal(at(2*day)) {
		t.Errorf("%v, due %s", answerOf(e), until)
	}
}

func TestKnownAndPositionCountWhateverIsHeld(t *testing.T) {
	if e, _ := aggregate.Entitle("a", aggregate.Holding{}, builtin(), day0); e.Known || e.Position != 0 {
		t.Errorf("nothing held: known %t at %d", e.Known, e.Position)
	}
	unblocked := accountOf(decided(aggregate.AccountBlocked, aggregate.Decision{}), decided(aggregate.AccountUnblocked, aggregate.Decision{})).Truth()
	if e, _ := aggregate.Entitle("a", holding(unblocked), builtin(), day0); !e.Known || e.Position != 2 {
		t.Errorf("decided on once: known %t at %d", e.Known, e.Position)
	}
	sub := subscribed("s", aggregate.Active, "basic")
	for _, positions := range permutations([]uint64{3, 4, 9}) {
		held := holding(aggregate.AccountTruth{Position: positions[0]}, sub)
		held.Subscriptions[0].Position = positions[1]
		held.Payments = []aggregate.PaymentTruth{{ID: "pi_1", Position: positions[2], Flags: []string{aggregate.FlagRefundExceedsCharge}}}
		if e, _ := aggregate.Entitle("a", held, builtin(), day0); !e.Known || e.Position != 9 || !slices.Contains(e.Flags, aggregate.FlagRefundExceedsCharge) {
			t.Errorf("positions %v: known %t at %d, flags %v", positions, e.Known, e.Position, e.Flags)
		}
	}
}
