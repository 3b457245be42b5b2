package aggregate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// longStory is a subscription that is renewed, and fails now and then.
func longStory(facts int) *story {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	for i := 1; len(s.facts) < facts; i++ {
		when := at(time.Duration(i) * 30 * day)
		invoice := fmt.Sprintf("in_%d", i)
		s.changed(when, aggregate.Active, "price_basic")
		if i%5 == 0 {
			s.failed(when, invoice, when)
			s.changed(when, aggregate.PastDue, "price_basic")
			s.paid(when.Add(time.Hour), invoice, when)
			s.changed(when.Add(time.Hour), aggregate.Active, "price_basic")
			continue
		}
		s.paid(when, invoice, when)
	}
	return &s
}

// BenchmarkDerive derives the truth of a subscription; the limiting factor is
// sorting its facts and walking through them.
func BenchmarkDerive(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d_facts", n), func(b *testing.B) {
			sub, catalogs := fold(longStory(n).facts), builtin()
			b.ReportAllocs()
			for b.Loop() {
				sub.Derive(catalogs)
			}
		})
	}
}

// BenchmarkDeriveOneSecond derives the truth of a subscription that changed many
// times in one second: what an importer may do, and an attacker would.
func BenchmarkDeriveOneSecond(b *testing.B) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	prices := make([]string, 1000)
	for i := range prices {
		prices[i] = fmt.Sprintf("price_%d", i)
	}
	chainOf(&s, at(day), "price_basic", prices...)
	sub, catalogs := fold(s.facts), builtin()
	b.ReportAllocs()
	for b.Loop() {
		sub.Derive(catalogs)
	}
}

// BenchmarkDerivePayment derives a payment with as many refunds as a charge may
// come to have.
func BenchmarkDerivePayment(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprintf("%d_refunds", n), func(b *testing.B) {
			var s story
			s.charge(aggregate.ChargeSucceeded, day0, "ch_1")
			for i := range n {
				s.refund(aggregate.RefundCreated, at(time.Duration(i)*day), fmt.Sprintf("re_%d", i), 10, "succeeded")
			}
			set := gather(s.facts)
			b.ReportAllocs()
			for b.Loop() {
				set.DerivePayment("pi_1")
			}
		})
	}
}

// BenchmarkDecide takes one more fact into a subscription of ten.
func BenchmarkDecide(b *testing.B) {
	s := longStory(10)
	sub, catalogs := fold(s.facts), builtin()
	s.changed(at(400*day), aggregate.Active, "price_premium")
	b.ReportAllocs()
	for b.Loop() {
		sub.Decide(s.facts[len(s.facts)-1:], catalogs, at(401*day))
	}
}

// BenchmarkDecode reads one stored fact, as a rebuild does for each.
func BenchmarkDecode(b *testing.B) {
	event := samples()[0]
	data, err := aggregate.Encode(event)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := aggregate.Decode(event.Type(), data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEntitle says what an account with one subscription may do; the
// limiting factor is making the answer's lists.
func BenchmarkEntitle(b *testing.B) {
	held, catalogs := aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{longStory(10).truth()}}, builtin()
	b.ReportAllocs()
	for b.Loop() {
		aggregate.Entitle("a", held, catalogs, at(400*day))
	}
}
