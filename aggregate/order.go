package aggregate

import (
	"cmp"
	"slices"
	"strings"
)

// Stripe promises no order of delivery, and its times are whole seconds. What
// is derived here is the order in which Stripe made the events, as a function
// of the set of facts alone:
//
//   - by Stripe's time;
//   - within one second, by what must come first: what Stripe was asked for, which
//     need not cover any of that second; an object's creation before what happens
//     to it, and that before its end; what happens to an invoice
//     before the subscription's change that follows from it (placeInSecond);
//   - among a subscription's changes in one second, the chain that
//     previous_attributes tells: a change's old values are its predecessor's
//     values (chain);
//   - where that chain has no single end, by status rank and event id, and the
//     facts are marked ambiguous.

// held is a fact in force, with where it was recorded.
type held struct {
	*Fact
	Place
	// ambiguous says that within its second the order is a convention.
	ambiguous bool
}

// inStripesOrder sorts the facts from which something follows: those repudiated
// or retracted are left out, as if they had never been told. The argument is left
// as it is, and may be the answer: leave that as it is, too.
func inStripesOrder(facts []held) []held {
	if areInOrder(facts) {
		return facts
	}
	sorted := make([]held, 0, len(facts))
	for _, f := range facts {
		if !f.Type.Silent() {
			sorted = append(sorted, f)
		}
	}
	slices.SortFunc(sorted, compareFacts)
	var before *SubscriptionSnapshot // the latest snapshot so far
	for start := 0; start < len(sorted); {
		end := start + 1
		for end < len(sorted) && sameSecondChange(sorted[start], sorted[end]) {
			end++
		}
		if end-start > 1 {
			orderChanges(sorted[start:end], before)
		}
		if s := sorted[end-1].Subscription; s != nil && !withinSecond(sorted, end-1) {
			before = s
		}
		start = end
	}
	return sorted
}

// areInOrder reports facts that came as Stripe made them, one in a second or each
// in its place. Most do.
func areInOrder(facts []held) bool {
	for i, f := range facts {
		if f.Type.Silent() || i > 0 && (compareFacts(facts[i-1], f) > 0 || sameSecondChange(facts[i-1], f)) {
			return false
		}
	}
	return true
}

// withinSecond reports an answer of Stripe's with more to follow in its second:
// it may show any moment of that second, and so need not be what came before.
func withinSecond(sorted []held, i int) bool {
	return sorted[i].Type.Observed() && i+1 < len(sorted) && sorted[i+1].OccurredAt.Equal(sorted[i].OccurredAt)
}

func sameSecondChange(a, b held) bool {
	return a.isChange() && b.isChange() && a.OccurredAt.Equal(b.OccurredAt)
}

// isChange reports whether the fact tells of a subscription between its
// creation and its end: these make up the chain.
func (f held) isChange() bool { return f.Subscription != nil && placeInSecond(f.Type) == placeOfChange }

// compareFacts orders by time, then by what must come first within a second,
// then by event id, so that the order never depends on arrival.
func compareFacts(a, b held) int {
	if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
		return c
	}
	if c := cmp.Compare(placeInSecond(a.Type), placeInSecond(b.Type)); c != 0 {
		return c
	}
	if c := strings.Compare(a.Key.StripeEventID, b.Key.StripeEventID); c != 0 {
		return c
	}
	return cmp.Compare(a.Key.Ordinal, b.Key.Ordinal)
}

// placeOfChange is the place of everything that Stripe tells of a subscription,
// a customer or a credit note between its creation and its end.
const placeOfChange = 40

// placeInSecond ranks the types within one second. Only the types that meet in
// one stream need to be told apart.
//
// A subscription begins, its session is completed, and its invoices are
// finalised, fail, are paid and are closed, before the status that follows from
// all this; its end comes last. A payment is tried, made, given back in part,
// and contested; of a refund, its failure is the last word.
func placeInSecond(t FactType) int {
	switch t {
	case CheckoutObserved, InvoiceObserved:
		return -2
	case SubscriptionObserved, CustomerObserved:
		return -1
	case SubscriptionStarted, CustomerCreated, CreditNoteIssued:
		return 0
	case CheckoutCompleted:
		return 1
	case CheckoutExpired:
		return 2
	case CheckoutFailed:
		return 3
	case CheckoutPaid:
		return 4
	case InvoiceFinalized, IntentFailed, ChargeFailed:
		return 10
	case PaymentFailed, PaymentActionRequired:
		return 11
	case PaymentSucceeded, ChargeSucceeded, IntentSucceeded:
		return 12
	case InvoiceOverpaid, InvoicePaymentPaid:
		return 13
	case InvoiceUncollectible, RefundCreated:
		return 14
	case InvoiceVoided, ChargeRefunded:
		return 15
	case InvoiceDeleted, RefundUpdated:
		return 16
	case RefundFailed:
		return 17
	case DisputeOpened:
		return 20
	case DisputeFundsWithdrawn:
		return 21
	case DisputeUpdated:
		return 22
	case DisputeClosed:
		return 23
	case DisputeFundsReturned:
		return 24
	case SubscriptionCanceled, CustomerDeleted, CreditNoteVoided:
		return 50
	default:
		return placeOfChange
	}
}

// statusRank puts the more final status later.
func statusRank(s Status) int {
	return slices.Index([]Status{Incomplete, Trialing, Active, PastDue, Paused, Unpaid, IncompleteExpired, Canceled}, s)
}
