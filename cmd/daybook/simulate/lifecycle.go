package simulate

import (
	"math/rand/v2"
	"time"
)

// lifecycle is a script that one account's history follows.
type lifecycle struct {
	name   string
	script func(*story)
	// weight is how often it is drawn.
	weight int
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// lifecycles begin with what a newcomer wants to see: a healthy account, one in
// grace, one cancelled.
var lifecycles = []lifecycle{
	{"renewing", renewing, 30},
	{"card fails, in grace", cardFails, 5},
	{"canceled at once", canceledAtOnce, 3},
	{"trialing", trialing, 4},
	{"trial becomes paid", trialConverts, 4},
	{"trial ends in failure, in grace", trialFails, 2},
	{"trial ends in failure, canceled", trialFailsForGood, 1},
	{"trial ends without a card, paused", trialPauses, 1},
	{"trial canceled", trialCanceled, 1},
	{"upgraded", upgraded, 5},
	{"downgraded in the portal", downgraded, 4},
	{"two changes in one second", changedTwiceAtOnce, 3},
	{"canceled in the second of its start", regretted, 1},
	{"more seats", moreSeats, 2},
	{"yearly", yearly, 3},
	{"collection paused", collectionPaused, 1},
	{"card fails, recovered in grace", recoversInGrace, 5},
	{"card fails, recovered after grace", recoversLate, 2},
	{"grace ran out", graceRunsOut, 4},
	{"grace ran out, second invoice fails", secondInvoiceFails, 2},
	{"older invoice paid, latest still owed", olderInvoicePaid, 1},
	{"invoice by mail overdue, in grace", mailedInvoiceOverdue, 1},
	{"upgrade declined, in grace", upgradeDeclined, 2},
	{"upgraded in grace", upgradedInGrace, 1},
	{"downgraded in grace", downgradedInGrace, 1},
	{"unpaid after dunning", dunningUnpaid, 2},
	{"unpaid, then paid", unpaidThenPaid, 1},
	{"canceled after dunning", dunningCanceled, 2},
	{"canceled after dunning, debt paid later", debtPaidLater, 1},
	{"cancellation scheduled in the portal", cancellationScheduled, 4},
	{"cancellation carried out", cancellationCarriedOut, 4},
	{"cancellation withdrawn", cancellationWithdrawn, 1},
	{"subscribed again", subscribedAgain, 3},
	{"two subscriptions, the better wins", twoSubscriptions, 2},
	{"two of one tier, the newer wins", twoOfOneTier, 1},
	{"better one's grace ran out", betterExpired, 1},
	{"one canceled, one trialing", canceledBesideTrial, 1},
	{"one unpaid, one canceled", unpaidBesideCanceled, 1},
	{"incomplete", incomplete, 1},
	{"incomplete, expired", incompleteExpires, 1},
	{"incomplete, then active", incompleteActivates, 2},
	{"price unknown", priceUnknown, 1},
	{"price becomes unknown", priceBecomesUnknown, 1},
	{"account unnamed", accountUnnamed, 2},
	{"account named by the session", namedBySession, 2},
	{"account named by the client reference", namedByReference, 2},
	{"account named later", namedLater, 1},
	{"moved to another account", moved, 1},
	{"never bought", neverBought, 1},
	{"refunded in part", refundedInPart, 2},
	{"refunded in full", refundedInFull, 2},
	{"refund fails", refundFails, 1},
	{"refund fails once", refundFailsOnce, 1},
	{"disputed", disputed, 1},
	{"dispute won", disputeWon, 1},
	{"dispute lost", disputeLost, 1},
	{"inquiry", inquiry, 1},
	{"credited with a refund", creditedWithRefund, 1},
	{"credited to the balance", creditedToBalance, 1},
	{"credit note voided", creditNoteVoided, 1},
	{"paid, status not yet followed", paidAheadOfStatus, 1},
	{"first failure unseen", firstFailureUnseen, 2},
	{"past due without a failure", pastDueUnexplained, 2},
	{"draft deleted in grace", draftDeleted, 1},
	{"collection paused, invoices given up", collectionPausedForLong, 1},
	{"coupon to zero", couponToZero, 2},
	{"coupon in part", couponInPart, 1},
	{"void falls back to an older debt", voidFallsBack, 1},
	{"owed invoice voided", owedVoided, 1},
	{"owed invoice given up", owedGivenUp, 1},
	{"one-off invoice unpaid", oneOffUnpaid, 1},
	{"one-off invoice paid", oneOffPaid, 1},
	{"paused for a first failed payment, in grace", pausedInGrace, 1},
	{"paused for a first failed payment, grace ran out", pausedAfterGrace, 1},
	{"paused for a first failed payment, paid", pausedThenPaid, 1},
	{"one customer, two accounts", oneCustomerTwoAccounts, 1},
	{"upgrade waits for its payment", upgradePending, 1},
	{"pending upgrade paid", pendingUpgradePaid, 1},
	{"trial without a card, resumed", pausedThenResumed, 1},
	{"trial extended", trialExtended, 1},
	{"end planned for a date", endPlanned, 1},
	{"end planned for a date, carried out", endPlannedCarriedOut, 1},
	{"two items, the better counts", twoItems, 2},
	{"an item unknown beside a known one", unknownItemBeside, 1},
	{"items of different periods", itemsOfDifferentPeriods, 1},
	{"item removed", itemRemoved, 1},
	{"schedule moves on", scheduleMovesOn, 2},
	{"bank debit on its way", debitOnItsWay, 1},
	{"bank debit arrives", debitArrives, 1},
	{"bank debit fails", debitFails, 1},
	{"bought once beside", boughtOnceBeside, 1},
	{"card saved", cardSaved, 1},
	{"checkout abandoned", checkoutAbandoned, 1},
	{"customer deleted", customerDeleted, 1},
	{"owed invoice voided, status not yet followed", voidedAheadOfStatus, 1},
	{"owed invoice given up, status not yet followed", givenUpAheadOfStatus, 1},
	{"latest void, older one paid", voidFallsBackToPaid, 1},
	{"paid out of band", paidOutOfBand, 1},
	{"invoice by mail overdue, told late", mailedInvoiceToldLate, 1},
	{"pending upgrade expired", pendingUpgradeExpired, 1},
	{"paused, told by that alone", pausedToldAlone, 1},
	{"resumed, told by that alone", resumedToldAlone, 1},
	{"account named by the customer", namedByCustomer, 2},
	{"account named by the customer later", namedByCustomerLater, 1},
	{"customer outranks the client reference", customerOutranksReference, 1},
	{"customer outranked by the session", customerOutranked, 1},
	{"customer names another account", customerRenamed, 1},
	{"customer deleted, claim gone", claimDeleted, 1},
	{"bought once, never subscribed", boughtOnce, 1},
	{"under a test clock, in grace", clockInGrace, 1},
	{"under a test clock, grace ran out", clockAfterGrace, 1},
}

// lifecycleFor returns the script of lifecycle number i: each once, then by
// weight.
func lifecycleFor(rng *rand.Rand, i int) lifecycle {
	if i < len(lifecycles) {
		return lifecycles[i]
	}
	total := 0
	for _, l := range lifecycles {
		total += l.weight
	}
	n := rng.IntN(total)
	for _, l := range lifecycles {
		if n -= l.weight; n < 0 {
			return l
		}
	}
	return lifecycles[0]
}

// ago is a moment between low and high before the end.
func (s *story) ago(low, high time.Duration) int64 { return s.end - s.between(low, high) }

// buy draws an offer, named in one of the ways.
func (s *story) buy(tier string) offer {
	o := offer{plan: s.planOf(tier), quantity: 1}
	switch n := s.rng.IntN(20); {
	case n < 2:
		o.naming = nameInSession
	case n < 3:
		o.naming = nameInReference
	default:
		o.api = s.chance(0.2)
	}
	return o
}

// someTier draws a paid tier.
func (s *story) someTier() string { return tiers[1+s.rng.IntN(len(tiers)-1)].id }

// twoTiers draws two paid tiers, the lower first.
func (s *story) twoTiers() (low, high string) {
	i := 1 + s.rng.IntN(len(tiers)-2)
	j := i + 1 + s.rng.IntN(len(tiers)-i-1)
	return tiers[i].id, tiers[j].id
}

// historyTo signs up a whole number of months before a moment and renews until
// the period that ends then is the present one.
func (s *story) historyTo(turn int64, o offer) *subscription {
	start, months := monthsBefore(turn, 1+s.rng.IntN(3+s.extraMonths()))
	s.now = start
	sub := s.signUp(o)
	for range months - 1 {
		s.renew(sub)
	}
	return sub
}

// extraMonths is how many months of history there may be beyond the least.
func (s *story) extraMonths() int {
	return int((s.end - s.start - span(minSpan)) / span(31*day))
}

// settled is a subscription in good standing, renewed some days before the end.
func (s *story) settled(o offer) *subscription {
	sub := s.historyTo(s.ago(4*day, 25*day), o)
	s.renew(sub)
	return sub
}

func renewing(s *story) {
	s.settled(s.buy(s.someTier()))
	if s.chance(0.2) {
		s.wait(hour, day)
		s.emit("customer.updated", s.showCustomer(), object{{"phone", nil}}, byRequest)
	}
}

func yearly(s *story) {
	o := s.buy(s.someTier())
	o.plan = planFor(o.plan.tier, byLookupKey, s.customer.currency, 12)
	s.now = s.ago(5*day, 150*day)
	s.signUp(o)
}

// neverBought is an account of which only events of no account's access tell.
func neverBought(s *story) {
	s.now = s.ago(2*day, 60*day)
	s.customer.created = s.now
	named := metadata{{s.key, s.account}}
	s.customer.metadata = named
	s.emit("customer.created", s.showCustomer(), nil, byRequest)
	session := s.newSession()
	session.metadata, session.expired = named, true
	s.now += span(day)
	s.tell("checkout.session.expired", session)
}
