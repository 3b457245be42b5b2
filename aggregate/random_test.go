package aggregate_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

// The stories drawn here need not be ones that Stripe would tell: truth must not
// depend on arrival even then. Few ids and few moments make them meet often.

func drawMoment(t *rapid.T) time.Time {
	return at(time.Duration(rapid.IntRange(0, 5).Draw(t, "day")) * day)
}

func drawOne[T any](t *rapid.T, name string, from ...T) T {
	return rapid.SampledFrom(from).Draw(t, name)
}

func drawAmount(t *rapid.T) int64 { return int64(rapid.IntRange(-1, 30).Draw(t, "amount")) * 100 }

// randomStory draws facts of one subscription.
func randomStory(t *rapid.T, length int) []aggregate.Fact {
	var s story
	for range length {
		when := drawMoment(t)
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1, 2, 3:
			drawInvoice(t, &s, when)
		case 4:
			drawCheckout(t, &s, when)
		case 5:
			drawOne(t, "end", s.canceled, func(when time.Time, price string) *aggregate.SubscriptionSnapshot {
				return s.started(when, aggregate.Active, price)
			})(when, "price_basic")
		default:
			drawChange(t, &s, when)
		}
	}
	return s.facts
}

func drawChange(t *rapid.T, s *story, when time.Time) {
	snap := s.snapshot(drawOne(t, "type", aggregate.SubscriptionChanged, aggregate.SubscriptionChanged, aggregate.SubscriptionChanged,
		aggregate.SubscriptionPaused, aggregate.SubscriptionResumed, aggregate.TrialEnding, aggregate.PendingUpdateApplied, aggregate.PendingUpdateExpired,
		aggregate.SubscriptionObserved),
		when, drawOne(t, "status", aggregate.Incomplete, aggregate.Trialing, aggregate.Active, aggregate.Active, aggregate.PastDue, aggregate.PastDue,
			aggregate.Unpaid, aggregate.Paused, aggregate.Canceled, aggregate.IncompleteExpired),
		drawOne(t, "price", "price_basic", "price_premium", "price_elite", "price_unknown"))
	snap.Account = drawOne(t, "account", "", "a", "b")
	snap.LatestInvoice = drawOne(t, "latest invoice", "", "in_2", "in_9")
	snap.PausedFor = drawOne(t, "paused for", "", "first_payment_failure")
	var befores []string
	for _, f := range s.facts[:len(s.facts)-1] {
		if f.Subscription != nil {
			befores = append(befores, f.Subscription.Digest())
		}
	}
	snap.Before = drawOne(t, "before", append(befores, "")...)
}

func drawInvoice(t *rapid.T, s *story, when time.Time) {
	i := rapid.IntRange(1, 3).Draw(t, "invoice")
	in := s.invoice(drawOne(t, "type", aggregate.InvoiceFinalized, aggregate.PaymentSucceeded, aggregate.PaymentSucceeded, aggregate.PaymentFailed,
		aggregate.PaymentFailed, aggregate.PaymentActionRequired, aggregate.InvoiceVoided, aggregate.InvoiceUncollectible,
		aggregate.InvoiceDeleted, aggregate.InvoiceOverpaid, aggregate.InvoiceObserved), when, fmt.Sprintf("in_%d", i), at(time.Duration(i-1)*day))
	in.AttemptCount = int64(rapid.IntRange(0, 3).Draw(t, "attempts"))
	in.AmountPaid, in.AmountRemaining = drawAmount(t), drawOne[int64](t, "remaining", 0, 100)
	in.BillingReason = drawOne(t, "reason", "subscription_cycle", "subscription_update", "subscription_create")
	in.DueDate = drawOne(t, "due", time.Time{}, at(2*day))
	in.FinalizedAt = drawOne(t, "finalized", time.Time{}, in.CreatedAt.Add(time.Hour))
	in.Currency = drawOne(t, "currency", "usd", "usd", "eur")
	in.Account = drawOne(t, "account", "", "a", "c")
}

func drawCheckout(t *rapid.T, s *story, when time.Time) {
	session := s.checkout(drawOne(t, "type", aggregate.CheckoutCompleted, aggregate.CheckoutPaid, aggregate.CheckoutFailed, aggregate.CheckoutExpired,
		aggregate.CheckoutObserved),
		when, drawOne(t, "payment status", "paid", "unpaid", "no_payment_required"))
	session.Account = drawOne(t, "account", "", "a", "b")
	session.ClientReference = drawOne(t, "reference", "", "r")
}

// randomMoney draws facts of the other streams, all in one: each derivation
// looks at its own.
func randomMoney(t *rapid.T, length int) []aggregate.Fact {
	var s story
	for range length {
		when, currency := drawMoment(t), drawOne(t, "currency", "usd", "usd", "usd", "eur")
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0, 1:
			p := s.charge(drawOne(t, "type", aggregate.ChargeSucceeded, aggregate.ChargeFailed, aggregate.ChargeRefunded), when, drawOne(t, "charge", "ch_1", "ch_2"))
			p.AmountReceived, p.AmountRefunded, p.Currency = drawAmount(t), drawAmount(t), currency
		case 2:
			s.intent(drawOne(t, "type", aggregate.IntentSucceeded, aggregate.IntentFailed), when).AmountReceived = drawAmount(t)
		case 3, 4:
			r := s.refund(drawOne(t, "type", aggregate.RefundCreated, aggregate.RefundUpdated, aggregate.RefundFailed), when,
				drawOne(t, "refund", "re_1", "re_2"), drawAmount(t), drawOne(t, "status", "", "pending", "succeeded", "failed", "canceled"))
			r.Charge, r.Currency, r.CreatedAt = drawOne(t, "of", "", "ch_1", "ch_2"), currency, drawMoment(t)
		case 5:
			d := s.dispute(drawOne(t, "type", aggregate.DisputeOpened, aggregate.DisputeUpdated, aggregate.DisputeClosed,
				aggregate.DisputeFundsWithdrawn, aggregate.DisputeFundsReturned), when, drawOne(t, "status", "needs_response", "won", "lost"))
			d.ID, d.Amount = drawOne(t, "dispute", "dp_1", "dp_2"), drawAmount(t)
		case 6:
			s.add(aggregate.Fact{Type: aggregate.InvoicePaymentPaid, InvoicePayment: &aggregate.InvoicePaymentSnapshot{
				ID: drawOne(t, "invoice payment", "ip_1", "ip_2"), Invoice: drawOne(t, "invoice", "in_1", "in_2"),
				Status: "paid", Currency: currency, AmountPaid: drawAmount(t)}}, when)
		case 7:
			drawBill(t, &s, when)
		default:
			drawCustomer(t, &s, when)
		}
	}
	return s.facts
}

func drawBill(t *rapid.T, s *story, when time.Time) {
	if rapid.Bool().Draw(t, "an invoice") {
		drawInvoice(t, s, when)
		return
	}
	n := s.creditNote(drawOne(t, "type", aggregate.CreditNoteIssued, aggregate.CreditNoteUpdated, aggregate.CreditNoteVoided),
		drawOne(t, "note", "cn_1", "cn_2"), drawOne(t, "status", "issued", "void"))
	n.Amount = drawAmount(t)
}

func drawCustomer(t *rapid.T, s *story, when time.Time) {
	switch rapid.IntRange(0, 3).Draw(t, "kind of customer fact") {
	case 0:
		s.add(aggregate.Fact{Type: aggregate.ClockTold, Clock: &aggregate.ClockSnapshot{ID: "clock_1", FrozenAt: drawMoment(t),
			Deleted: rapid.Bool().Draw(t, "deleted")}}, when)
	case 1:
		s.add(aggregate.Fact{Type: aggregate.EntitlementsSummarized, Entitlements: &aggregate.EntitlementsSnapshot{Customer: "cus_1",
			Features: []string{drawOne(t, "feature", "api", "sso")}}}, when)
	default:
		s.customer(drawOne(t, "type", aggregate.CustomerCreated, aggregate.CustomerUpdated, aggregate.CustomerDeleted, aggregate.CustomerObserved), when,
			drawOne(t, "account", "", "a", "b")).TestClock = drawOne(t, "clock", "", "clock_1")
	}
}

// withCorrections adds to some facts what a later epoch says of the same keys:
// another fact of the story's, or a repudiation.
func withCorrections(t *rapid.T, facts []aggregate.Fact) []aggregate.Fact {
	all := slices.Clone(facts)
	for _, f := range facts {
		correction := drawOne(t, "correction", facts...)
		correction.Key, correction.OccurredAt = f.Key, f.OccurredAt
		switch rapid.IntRange(0, 7).Draw(t, "corrected") {
		case 0:
			correction.Epoch = rapid.IntRange(1, 9).Draw(t, "epoch")
			all = append(all, correction)
		case 1:
			all = append(all, repudiation(f))
		case 2:
			correction.Epoch = 8
			all = append(all, correction, repudiation(f))
		case 3:
			all = append(all, retraction(f))
		case 4:
			correction.Epoch = 16
			all = append(all, retraction(f), correction)
		}
	}
	return all
}

func retraction(f aggregate.Fact) aggregate.Fact {
	return aggregate.Fact{Type: aggregate.Retracted, Key: f.Key, Epoch: 8, OccurredAt: f.OccurredAt,
		Retraction: &aggregate.Retraction{Streams: []string{"invoice-in_1"}}}
}

func repudiation(f aggregate.Fact) aggregate.Fact {
	return aggregate.Fact{Type: aggregate.Repudiated, Key: f.Key, Epoch: aggregate.RepudiatedEpoch, OccurredAt: f.OccurredAt,
		Repudiation: &aggregate.Repudiation{Actor: "ops", Reason: "forged"}}
}
