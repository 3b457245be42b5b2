package aggregate_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

// byStream takes facts in, each in the stream that it goes to: its intent's, or
// its charge's if it names no intent.
func byStream(facts []aggregate.Fact) map[string]*aggregate.FactSet {
	streams := map[string]*aggregate.FactSet{}
	for i := range facts {
		f := &facts[i]
		id := "pi_1"
		switch {
		case f.Payment != nil && f.Payment.Intent == "":
			id = f.Payment.ID
		case f.Refund != nil && f.Refund.Intent == "":
			id = f.Refund.Charge
		case f.Dispute != nil && f.Dispute.Intent == "":
			id = f.Dispute.Charge
		}
		if streams[id] == nil {
			streams[id] = &aggregate.FactSet{}
		}
		streams[id].Evolve(aggregate.Event{Fact: f}, aggregate.Place{Position: 7})
	}
	return streams
}

// withoutIntent is the same fact as a version tells it that knows no intents.
func withoutIntent(f aggregate.Fact) aggregate.Fact {
	switch {
	case f.Payment != nil && f.Type != aggregate.IntentSucceeded && f.Type != aggregate.IntentFailed:
		p := *f.Payment
		p.Intent, f.Payment = "", &p
	case f.Refund != nil && f.Refund.Charge != "":
		r := *f.Refund
		r.Intent, f.Refund = "", &r
	case f.Dispute != nil && f.Dispute.Charge != "":
		d := *f.Dispute
		d.Intent, f.Dispute = "", &d
	}
	return f
}

func TestWhatNamesOnlyAChargeIsOfThePaymentThatHasIt(t *testing.T) {
	var s story
	s.intent(aggregate.IntentSucceeded, day0)
	s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
	s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "succeeded").Intent = ""
	s.charge(aggregate.ChargeRefunded, at(day), "ch_1").AmountRefunded = 900
	s.refund(aggregate.RefundUpdated, at(day), "re_1", 900, "succeeded")
	s.dispute(aggregate.DisputeClosed, at(2*day), "lost").Intent = ""
	for _, order := range permutations(s.facts) {
		got := aggregate.DerivePayments(byStream(order))
		p := got["pi_1"]
		if len(got) != 1 || p.Received != 2900 || p.Refunded != 900 || p.Lost != 2900 || len(p.Refunds) != 1 || len(p.Disputes) != 1 ||
			!p.Contested() || p.OfCharge() || !slices.Equal(p.Charges, []string{"ch_1"}) || p.Invoice != "in_1" || p.Position != 7 {
			t.Fatalf("%+v", got)
		}
	}
}

func TestAChargeThatNoPaymentHasIsAPaymentOfItsOwn(t *testing.T) {
	var s story
	s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "succeeded").Intent = ""
	s.intent(aggregate.IntentSucceeded, day0).Charge = "ch_2"
	got := aggregate.DerivePayments(byStream(s.facts))
	if len(got) != 2 || !got["ch_1"].OfCharge() || got["ch_1"].Refunded != 900 || got["pi_1"].Refunded != 0 {
		t.Errorf("%+v", got)
	}
}

// Nonsense must end, and end alike: two streams that each claim to have the
// other, and one that has itself.
func TestStreamsThatClaimEachOther(t *testing.T) {
	var a, b aggregate.FactSet
	put := func(set *aggregate.FactSet, event, intent, charge string, amount int64) {
		set.Evolve(aggregate.Event{Fact: &aggregate.Fact{Type: aggregate.RefundCreated, Key: aggregate.FactKey{StripeEventID: event},
			OccurredAt: day0, Refund: &aggregate.RefundSnapshot{ID: "re_" + event, Intent: intent, Charge: charge, Currency: "usd", Amount: amount}}},
			aggregate.Place{})
	}
	put(&a, "1", "a", "b", 100)
	put(&b, "2", "b", "a", 200)
	put(&b, "3", "b", "b", 400)
	got := aggregate.DerivePayments(map[string]*aggregate.FactSet{"a": &a, "b": &b})
	if len(got) != 2 || got["a"].Refunded != 100 || got["b"].Refunded != 600 || got["b"].OfCharge() {
		t.Errorf("%+v", got)
	}
}

// TestAJoinedPaymentIsAsFarAsItsStreams: who folds a stream again knows how far it
// got, and not where each of its facts was recorded.
func TestAJoinedPaymentIsAsFarAsItsStreams(t *testing.T) {
	var s story
	s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "succeeded").Intent = ""
	s.intent(aggregate.IntentSucceeded, day0)
	refund, intent := aggregate.Event{Fact: &s.facts[0]}, aggregate.Event{Fact: &s.facts[1]}
	for _, intentAt := range []uint64{3, 20} {
		var ofCharge, ofIntent aggregate.FactSet
		ofCharge.Evolve(refund, aggregate.Place{Position: 5})
		ofIntent.Evolve(intent, aggregate.Place{Position: intentAt})
		ofIntent.Evolve(refund, aggregate.Place{Position: 20}) // by another build
		p := aggregate.DerivePayments(map[string]*aggregate.FactSet{"ch_1": &ofCharge, "pi_1": &ofIntent})["pi_1"]
		if p.Refunded != 900 || p.Position != 20 {
			t.Errorf("the intent at %d: refunded %d at position %d", intentAt, p.Refunded, p.Position)
		}
	}
}

func TestARepudiatedFactClaimsNoCharge(t *testing.T) {
	var s story
	s.refund(aggregate.RefundCreated, at(day), "re_1", 900, "succeeded").Intent = ""
	s.intent(aggregate.IntentSucceeded, day0)
	streams := byStream(s.facts)
	claim := repudiation(s.facts[1])
	streams["pi_1"].Evolve(aggregate.Event{Fact: &claim}, aggregate.Place{})
	if got := aggregate.DerivePayments(streams); got["ch_1"].Refunded != 900 || got["pi_1"].Refunded != 0 {
		t.Errorf("%+v", got)
	}
}

// Whether events name their intent or only the charge, in any order and however
// often, makes no difference.
func TestPaymentsAreTheSameWithAndWithoutIntents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := randomMoney(t, rapid.IntRange(1, 20).Draw(t, "length"))
		var s story
		s.intent(aggregate.IntentSucceeded, at(time.Hour))
		s.charge(aggregate.ChargeSucceeded, at(time.Hour), "ch_2")
		for i := range s.facts {
			s.facts[i].Key.StripeEventID = "evt_named" + s.facts[i].Key.StripeEventID
		}
		facts = append(facts, s.facts...)
		want := gather(facts).DerivePayment("pi_1")
		told := slices.Clone(facts)
		for i := range told[:len(told)-len(s.facts)] {
			if rapid.Bool().Draw(t, "without its intent") {
				told[i] = withoutIntent(told[i])
			}
		}
		again := rapid.SliceOf(rapid.SampledFrom(told)).Draw(t, "duplicates")
		got := aggregate.DerivePayments(byStream(rapid.Permutation(append(told, again...)).Draw(t, "order")))
		if len(got) != 1 || !reflect.DeepEqual(got["pi_1"], want) {
			t.Fatalf("another truth:\n got %+v\nwant %+v", got, want)
		}
	})
}
