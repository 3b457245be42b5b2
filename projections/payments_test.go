package projections_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

func usd(amount int64) []aggregate.Money { return []aggregate.Money{{Amount: amount, Currency: "usd"}} }

// chargeRefunded records a refund that names the charge, and no intent.
func (r *rig) chargeRefunded(charge, refund string, amount int64, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindPayment, charge, aggregate.Fact{Type: aggregate.RefundCreated, OccurredAt: at,
		Refund: &aggregate.RefundSnapshot{ID: refund, Charge: charge, Status: "succeeded", Currency: "usd", Amount: amount, CreatedAt: at}})
}

// chargeDisputed records a dispute that names the charge, and no intent.
func (r *rig) chargeDisputed(charge, dispute, status string, at time.Time) {
	r.t.Helper()
	r.fact(projections.KindPayment, charge, aggregate.Fact{Type: aggregate.DisputeUpdated, OccurredAt: at,
		Dispute: &aggregate.DisputeSnapshot{ID: dispute, Charge: charge, Status: status, Currency: "usd", Amount: 2900, CreatedAt: at}})
}

// payment is what the model has of a payment, and whether it has a row of it.
func (r *rig) payment(id string) (aggregate.PaymentTruth, bool) {
	r.t.Helper()
	rows, err := r.model.Objects(r.t.Context(), projections.KindPayment, "", 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, row := range rows {
		if row.ID == id {
			return decodePayment(r.t, row.Doc), true
		}
	}
	return aggregate.PaymentTruth{}, false
}

// Each refund and each dispute counts once, in whatever order the intent, its
// charge and what names nothing but the charge are told.
func TestWhatNamesOnlyTheChargeBelongsToItsPayment(t *testing.T) {
	later := begin.Add(time.Hour)
	tell := []func(*rig){
		func(r *rig) { r.intentSucceeded("pi_1", "ch_pi_1", "cus_sub_1", "", begin) },
		func(r *rig) { r.charged("pi_1", "cus_sub_1", "", 2900, begin) },
		func(r *rig) { r.chargeRefunded("ch_pi_1", "re_1", 2900, later) },
		func(r *rig) {
			r.fact(projections.KindPayment, "pi_1", aggregate.Fact{Type: aggregate.ChargeRefunded, OccurredAt: later,
				Payment: &aggregate.PaymentSnapshot{ID: "ch_pi_1", Charge: "ch_pi_1", Intent: "pi_1", Status: "succeeded", Currency: "usd",
					Amount: 2900, AmountReceived: 2900, AmountRefunded: 2900, Refunded: true, CreatedAt: begin}})
		},
		func(r *rig) { r.chargeDisputed("ch_pi_1", "dp_1", "lost", later) },
		func(r *rig) {
			r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
			r.invoicePaid("sub_1", "in_1", begin)
			r.paysFor("pi_1", "in_1", begin)
		},
	}
	random := rand.New(rand.NewPCG(1, 1))
	orders := [][]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {2, 4, 5, 0, 1, 3}, {2, 0, 4, 5, 1, 3}}
	for range 8 {
		orders = append(orders, random.Perm(len(tell)))
	}
	for _, order := range orders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			r := newRig(t)
			r.adopt(strict())
			r.start()
			for n, i := range order {
				tell[i](r)
				tell[i](r) // as Stripe's other types of event do: another fact of the same
				if random.IntN(3) == 0 || n == len(order)-1 {
					r.settle()
					r.sameAsRebuilt()
				}
				if random.IntN(5) == 0 {
					r.start() // what was known is known again
				}
			}
			if p := r.account("a").Payments; !slices.Equal(p.Received, usd(2900)) || !slices.Equal(p.Refunded, usd(2900)) || !slices.Equal(p.Lost, usd(2900)) {
				t.Errorf("payments %+v", p)
			}
			if e := r.entitlement("a"); e.Reason != aggregate.ReasonDisputed || e.Tier != "starter" {
				t.Errorf("entitlement %+v", e)
			}
			if p, _ := r.payment("pi_1"); len(p.Refunds) != 1 || len(p.Disputes) != 1 || !slices.Equal(p.Charges, []string{"ch_pi_1"}) {
				t.Errorf("payment %+v", p)
			}
			if p, known := r.payment("ch_pi_1"); known {
				t.Errorf("the charge is a payment of its own: %+v", p)
			}
		})
	}
}

func TestAFullRefundThatNamesOnlyTheChargeDenies(t *testing.T) {
	r := newRig(t)
	r.adopt(strict())
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.charged("pi_1", "cus_sub_1", "in_1", 2900, begin)
	r.settle()
	r.chargeRefunded("ch_pi_1", "re_1", 1900, begin.Add(time.Hour))
	r.settle()
	r.wantTier("a", "premium", "refunded in part")
	r.chargeRefunded("ch_pi_1", "re_2", 1000, begin.Add(time.Hour))
	r.settle()
	if e := r.entitlement("a"); e.Reason != aggregate.ReasonRefunded || e.Tier != "starter" || e.Position == 0 {
		t.Errorf("refunded in full: %+v", e)
	}
	r.sameAsRebuilt()
}

// A charge without a payment stays a payment of its own, as it is where there
// are no intents.
func TestAChargeThatNoPaymentHasStandsAlone(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.fact(projections.KindPayment, "ch_1", aggregate.Fact{Type: aggregate.ChargeSucceeded, OccurredAt: begin,
		Payment: &aggregate.PaymentSnapshot{ID: "ch_1", Charge: "ch_1", Customer: "cus_sub_1", Status: "succeeded", Currency: "usd",
			Amount: 2900, AmountReceived: 2900, CreatedAt: begin}})
	r.chargeRefunded("ch_1", "re_1", 900, begin.Add(time.Hour))
	r.settle()
	if p := r.account("a").Payments; !slices.Equal(p.Received, usd(2900)) || !slices.Equal(p.Refunded, usd(900)) {
		t.Errorf("payments %+v", p)
	}
	r.sameAsRebuilt()
	// The same money, told by an intent, too.
	r.intentSucceeded("pi_1", "ch_1", "cus_sub_1", "", begin)
	r.settle()
	if p := r.account("a").Payments; !slices.Equal(p.Received, usd(2900)) || !slices.Equal(p.Refunded, usd(900)) {
		t.Errorf("payments, once the intent is known: %+v", p)
	}
	r.sameAsRebuilt()
}

// What an intent no longer has goes back to where it was told.
func TestARepudiatedClaimOnAChargeGivesItBack(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.paysFor("pi_1", "in_1", begin)
	r.chargeRefunded("ch_pi_1", "re_1", 900, begin)
	repudiate := func(payment, key string) {
		r.fact(projections.KindPayment, payment, aggregate.Fact{Type: aggregate.Repudiated, Key: aggregate.FactKey{StripeEventID: key},
			Epoch: aggregate.RepudiatedEpoch, Repudiation: &aggregate.Repudiation{Actor: "ann", Reason: "forged"}})
	}
	refund := r.lastKey()
	r.charged("pi_1", "cus_sub_1", "", 2900, begin)
	claim := r.lastKey()
	r.charged("pi_0", "cus_other", "", 2900, begin)
	r.settle()
	if p := r.account("a").Payments; !slices.Equal(p.Refunded, usd(900)) {
		t.Fatalf("payments %+v", p)
	}
	repudiate("pi_1", claim)
	r.settle()
	if p := r.account("a").Payments; len(p.Refunded) != 0 {
		t.Errorf("payments, once the claim is repudiated: %+v", p)
	}
	if p, known := r.payment("ch_pi_1"); !known || p.Refunded != 900 {
		t.Errorf("the charge alone: %+v, %v", p, known)
	}
	r.sameAsRebuilt()

	r.charged("pi_1", "cus_sub_1", "", 2900, begin)
	r.settle()
	repudiate("ch_pi_1", refund)
	r.settle()
	if p := r.account("a").Payments; len(p.Refunded) != 0 {
		t.Errorf("payments, once the refund is repudiated: %+v", p)
	}
	r.sameAsRebuilt()
	r.start()
	r.chargeRefunded("ch_pi_1", "re_2", 500, begin)
	r.settle()
	if p := r.account("a").Payments; !slices.Equal(p.Refunded, usd(500)) {
		t.Errorf("payments, once another refund is told: %+v", p)
	}
	r.sameAsRebuilt()
}

// Two payments that claim one charge contradict each other: one of them has it,
// the same in every order.
func TestTwoPaymentsThatClaimOneChargeAreDecidedAlike(t *testing.T) {
	tell := []func(*rig){
		func(r *rig) { r.intentSucceeded("pi_1", "ch_1", "cus_sub_1", "", begin) },
		func(r *rig) { r.intentSucceeded("pi_2", "ch_1", "cus_sub_2", "", begin) },
		func(r *rig) { r.chargeRefunded("ch_1", "re_1", 900, begin) },
		func(r *rig) {
			r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
			r.subscribed("sub_2", "b", aggregate.Active, "price_premium", begin)
		},
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {1, 2, 3, 0}, {2, 3, 1, 0}, {3, 1, 0, 2}} {
		r := newRig(t)
		r.start()
		for _, i := range order {
			tell[i](r)
			r.settle()
		}
		if p := r.account("a").Payments; !slices.Equal(p.Refunded, usd(900)) {
			t.Errorf("%v: a %+v", order, p)
		}
		if p := r.account("b").Payments; len(p.Refunded) != 0 || !slices.Equal(p.Received, usd(2900)) {
			t.Errorf("%v: b %+v", order, p)
		}
		r.sameAsRebuilt()
		r.close()
	}
}

// A look into the past joins by what was known of the charge then.
func TestWhatNamesOnlyTheChargeInThePast(t *testing.T) {
	r := newRig(t)
	r.start()
	hour := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) }
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.invoicePaid("sub_1", "in_1", begin)
	r.paysFor("pi_1", "in_1", begin)
	r.chargeRefunded("ch_pi_1", "re_1", 900, hour(1))
	r.clock.Set(hour(5))
	r.charged("pi_1", "cus_sub_1", "in_1", 2900, hour(0)) // told late
	r.chargeRefunded("ch_pi_1", "re_2", 500, hour(2))
	r.settle()
	for _, tt := range []struct {
		at       projections.Moments
		refunded []aggregate.Money
	}{
		{projections.Moments{}, usd(1400)},
		{projections.Moments{AsOf: hour(1)}, usd(900)},
		{projections.Moments{AsOf: hour(0)}, []aggregate.Money{}},
		{projections.Moments{KnownAt: hour(4)}, []aggregate.Money{}}, // nobody knew whose charge it was
	} {
		a, known, err := projections.AccountAt(t.Context(), r.store, "a", tt.at, r.account("a"))
		if err != nil || !known || !slices.Equal(a.Payments.Refunded, tt.refunded) {
			t.Errorf("%+v: refunded %v, %v, %v, want %v", tt.at, a.Payments.Refunded, known, err, tt.refunded)
		}
	}
}

// A stream that cannot be read on gives its payment what came before.
func TestAParkedChargeGivesWhatCameBefore(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_premium", begin)
	r.chargeRefunded("ch_pi_1", "re_1", 900, begin)
	r.settle()
	r.appendRaw("payment-ch_pi_1", "SomethingNewer", []byte(`{}`))
	r.chargeRefunded("ch_pi_1", "re_2", 500, begin)
	r.settle()
	r.charged("pi_1", "cus_sub_1", "", 2900, begin)
	r.settle()
	if p := r.account("a").Payments; !slices.Equal(p.Refunded, usd(900)) {
		t.Errorf("payments %+v", p)
	}
	r.sameAsRebuilt()
}
