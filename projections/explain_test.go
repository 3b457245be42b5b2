package projections_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// explained asks as a request does, and wants the answer that everybody else gets.
func (r *rig) explained(account string, at projections.Moments) *aggregate.Explanation {
	r.t.Helper()
	x, err := projections.Explain(r.t.Context(), r.store, r.model, projections.Question{Account: account, At: at}, r.clock.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	var e aggregate.Entitlement
	if at.Past() {
		a, _, err := projections.AccountThen(r.t.Context(), r.store, r.model, account, at)
		if err != nil {
			r.t.Fatal(err)
		}
		catalogs, err := projections.CatalogsAt(r.t.Context(), r.store, at)
		if err != nil {
			r.t.Fatal(err)
		}
		e = a.Entitle(catalogs, at.Now(r.clock.Now()))
	} else {
		e = r.entitlement(account)
	}
	if x.Tier != e.Tier || x.Reason != e.Reason || x.Source != e.Source || x.Known != e.Known || !slices.Equal(x.Flags, e.Flags) {
		r.t.Errorf("%s explained as %s (%s, %v), answered as %s (%s, %v)", account, x.Tier, x.Reason, x.Flags, e.Tier, e.Reason, e.Flags)
	}
	for _, v := range x.Features {
		if v.Allowed != slices.Contains(e.Features, v.Feature) {
			r.t.Errorf("%s: %s explained as %v, features %v", account, v.Feature, v.Allowed, e.Features)
		}
	}
	r.wantCited(x)
	return x
}

// wantCited finds every piece of evidence in the record.
func (r *rig) wantCited(x *aggregate.Explanation) {
	r.t.Helper()
	for _, e := range x.Evidence {
		found := false
		for ev, err := range r.store.ReadStream(r.t.Context(), eventstore.Stream(e.Stream), 0, eventstore.Forwards, 0) {
			if err != nil {
				r.t.Fatal(err)
			}
			if uint64(ev.Position) == e.Position {
				found = ev.Type == e.Type && strings.Contains(string(ev.Data), e.StripeEventID)
			}
		}
		if !found {
			r.t.Errorf("%+v is not in the record", e)
		}
	}
}

// roles lists what the evidence is for, and where it is.
func roles(x *aggregate.Explanation) string {
	var all []string
	for _, e := range x.Evidence {
		all = append(all, strings.Join(e.For, "+")+"@"+e.Stream)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestExplanationsCiteEveryStreamThatCounts(t *testing.T) {
	r := newRig(t)
	denying := aggregate.BuiltinCatalog()
	denying.OnDispute = aggregate.PolicyDeny
	r.adopt(denying)
	r.start()
	r.inGrace("sub_grace", "grace")
	r.inGrace("sub_longer", "longer")
	r.decided("longer", aggregate.Decision{Type: aggregate.GraceExtended, Until: begin.Add(72 * time.Hour)})
	r.subscribed("sub_claimed", "", aggregate.Active, "price_basic", begin)
	r.customer("cus_sub_claimed", "claimed", begin)
	r.subscribed("sub_paid", "disputed", aggregate.Active, "price_basic", begin)
	r.invoicePaid("sub_paid", "in_1", begin)
	r.charged("pi_1", "cus_sub_paid", "in_1", 2900, begin)
	r.disputed("pi_1", "needs_response", begin)
	r.decided("friend", aggregate.Decision{Type: aggregate.WaiverGranted, Waiver: "wvr_1", Tier: "elite"})
	r.decided("fraud", aggregate.Decision{Type: aggregate.AccountBlocked})
	r.settle()
	r.clock.Set(begin.Add(time.Hour))
	for account, want := range map[string]struct {
		reason aggregate.Reason
		roles  string
	}{
		"grace":    {aggregate.ReasonGrace, "delinquency@subscription-sub_grace status+account@subscription-sub_grace"},
		"longer":   {aggregate.ReasonGrace, "delinquency@subscription-sub_longer grace@account-longer status+account@subscription-sub_longer"},
		"claimed":  {aggregate.ReasonSubscription, "account@customer-cus_sub_claimed status+account@subscription-sub_claimed"},
		"disputed": {aggregate.ReasonDisputed, "history@subscription-sub_paid payment@payment-pi_1 payment@payment-pi_1 status+account@subscription-sub_paid"},
		"friend":   {aggregate.ReasonWaiver, "waiver@account-friend"},
		"fraud":    {aggregate.ReasonBlocked, "block@account-fraud"},
		"nobody":   {aggregate.ReasonFree, ""},
	} {
		x := r.explained(account, projections.Moments{})
		if x.Reason != want.reason || roles(x) != want.roles {
			t.Errorf("%s: %s by %s, want %s by %s", account, x.Reason, roles(x), want.reason, want.roles)
		}
	}
}

// TestExplanationsOfThePast: the past is explained by its own catalog, facts and
// owners, and by what was known then.
func TestExplanationsOfThePast(t *testing.T) {
	r := newRig(t)
	first := aggregate.BuiltinCatalog()
	r.adopt(first)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.clock.Set(begin.Add(2 * time.Hour))
	second := aggregate.BuiltinCatalog()
	second.Tiers[1].Prices, second.Tiers[2].Prices = second.Tiers[2].Prices, second.Tiers[1].Prices // basic and premium change places
	r.adopt(second)
	r.clock.Set(begin.Add(4 * time.Hour))
	r.subscribed("sub_1", "b", aggregate.Active, "price_basic", begin.Add(3*time.Hour))
	r.settle()
	at := func(h int) time.Time { return begin.Add(time.Duration(h) * time.Hour) }
	for _, c := range []struct {
		account, tier, hash string
		at                  projections.Moments
	}{
		{"a", "basic", first.Hash(), projections.Moments{AsOf: at(1)}},
		{"a", "premium", second.Hash(), projections.Moments{AsOf: at(2)}},
		{"a", "starter", second.Hash(), projections.Moments{AsOf: at(3)}},
		{"a", "premium", second.Hash(), projections.Moments{AsOf: at(3), KnownAt: at(3)}},
		{"b", "starter", second.Hash(), projections.Moments{AsOf: at(2)}},
		{"b", "premium", second.Hash(), projections.Moments{AsOf: at(3)}},
		{"b", "premium", second.Hash(), projections.Moments{}},
		{"a", "starter", second.Hash(), projections.Moments{}},
	} {
		if x := r.explained(c.account, c.at); x.Tier != c.tier || x.Catalog.Hash != c.hash {
			t.Errorf("%s at %+v: %s by %.12s, want %s by %.12s", c.account, c.at, x.Tier, x.Catalog.Hash, c.tier, c.hash)
		}
	}
	_, err := projections.Explain(t.Context(), r.store, r.model, projections.Question{Account: "a", Feature: "flying"}, r.clock.Now())
	if !errors.Is(err, projections.ErrNoFeature) {
		t.Errorf("a feature that is not: %v", err)
	}
}

// TestWhatOnceNamedAnAccountIsFoundAfterARebuild, and after a correction took the
// name back.
func TestWhatOnceNamedAnAccountIsFoundAfterARebuild(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "first", aggregate.Active, "price_basic", begin)
	mistaken := aggregate.FactKey{StripeEventID: r.lastKey()}
	r.subscribed("sub_1", "second", aggregate.Active, "price_basic", begin.Add(time.Hour))
	r.clock.Set(begin.Add(2 * time.Hour))
	r.fact(projections.KindSubscription, "sub_1", aggregate.Fact{Type: aggregate.Repudiated, Key: mistaken, Epoch: aggregate.RepudiatedEpoch,
		Repudiation: &aggregate.Repudiation{Actor: "ann", Reason: "forged"}})
	r.customer("cus_9", "first", begin)
	r.customer("cus_9", "second", begin.Add(time.Hour))
	r.settle()
	want := []eventstore.Stream{"customer-cus_9", "subscription-sub_1"}
	wantNamed := func(when string) {
		t.Helper()
		if named, err := r.model.Named(t.Context(), "first"); err != nil || !slices.Equal(named, want) {
			t.Errorf("%s: named by %v, want %v: %v", when, named, want, err)
		}
		if named, err := r.model.Named(t.Context(), "second"); err != nil || len(named) != 0 {
			t.Errorf("%s: what the join finds is named too: %v %v", when, named, err)
		}
	}
	wantNamed("live")
	if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{}); err != nil {
		t.Fatal(err)
	}
	wantNamed("rebuilt")
	if x := r.explained("first", projections.Moments{AsOf: begin, KnownAt: begin.Add(time.Minute)}); x.Tier != "basic" {
		t.Errorf("before the mistake was known: %s", x.Tier)
	}
}

func TestStreamsOfAnOwner(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.charged("pi_1", "cus_sub_1", "in_1", 2900, begin)
	r.charged("pi_2", "cus_sub_1", "", 100, begin)
	r.subscribed("sub_2", "b", aggregate.Active, "price_basic", begin)
	r.settle()
	for owner, want := range map[projections.Owner][]eventstore.Stream{
		{Account: "a"}:          {"account-a", "customer-cus_sub_1", "payment-ch_pi_1", "payment-ch_pi_2", "payment-pi_1", "payment-pi_2", "subscription-sub_1"},
		{Customer: "cus_sub_1"}: {"customer-cus_sub_1", "payment-ch_pi_1", "payment-ch_pi_2", "payment-pi_1", "payment-pi_2", "subscription-sub_1"},
		{Account: "nobody"}:     {"account-nobody"},
		{Customer: "nobody"}:    {"customer-nobody"},
	} {
		streams, err := r.model.Streams(t.Context(), owner)
		slices.Sort(streams)
		if err != nil || !slices.Equal(streams, want) {
			t.Errorf("%+v: %v, want %v: %v", owner, streams, want, err)
		}
	}
}
