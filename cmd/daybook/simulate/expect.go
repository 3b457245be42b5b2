package simulate

import (
	"cmp"
	"slices"
	"time"
)

// Grace is how long a past_due subscription keeps its access, counted from the
// moment it began to owe.
const Grace = 24 * time.Hour

// Expectation is what must be true of one account.
//
// The deciding subscription is the best accessible one: the highest tier, then
// the newest, then the higher id. Active and trialing give access (reason
// subscription), past_due gives it until grace ends (grace), or for as long as
// nothing is owed, because the payment is told and the status has yet to follow
// (nothing_owed); a pause for a first failed payment is as past_due. A failed payment that left the status active is owed too, and
// takes nothing away. An accessible one
// none of whose prices was ever known gives the free tier (unmapped_price).
// Where none is accessible the account is on the free tier, and the best of the
// others decides status and reason: past_due (expired_grace) before unpaid
// before paused before incomplete before canceled before incomplete_expired
// (canceled); then the newest, then the higher id. No subscription at all: free.
// A subscription under a test clock lives by the clock's time.
type Expectation struct {
	Account string `json:"account"`
	// Lifecycle names the script that the account went through.
	Lifecycle string `json:"lifecycle"`
	Tier      string `json:"tier"`
	// Status is the deciding subscription's, empty if there is none.
	Status string `json:"status"`
	Reason string `json:"reason"`
	// Source is "subscription" or "free".
	Source  string `json:"source"`
	InGrace bool   `json:"in_grace"`
	// GraceUntil is the end of the deciding subscription's grace, past or to
	// come; zero if it owes nothing.
	GraceUntil time.Time `json:"grace_until,omitzero"`
	// SubscriptionID is the deciding subscription's, empty if there is none.
	SubscriptionID string `json:"subscription_id,omitempty"`
	// Features are those of the tier and of all below it.
	Features []string `json:"features"`
	// Members is the limit of that name: digits, or "unlimited".
	Members string `json:"members"`
	// Payments sum the account's money.
	Payments PaymentTotals `json:"payments"`
	// Subscriptions are all of the account, in the order of their making.
	Subscriptions []SubscriptionExpectation `json:"subscriptions"`
}

// SubscriptionExpectation is what must be true of one subscription.
type SubscriptionExpectation struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	Status  string `json:"status"`
	// Tier is what it pays for, whether it has access or not; while it owes,
	// never more than when it last was in good standing; empty if no price of
	// it was ever known.
	Tier string `json:"tier"`
	// Anchor is when it began to owe, zero if it owes nothing.
	Anchor     time.Time `json:"anchor,omitzero"`
	GraceUntil time.Time `json:"grace_until,omitzero"`
	// Paid sums the paid invoices by currency.
	Paid []Money `json:"paid"`
}

// ExpectAt tells what must be true of each account at a moment not before
// Options.End. Only grace depends on it.
func (r *Run) ExpectAt(now time.Time) []Expectation {
	expectations := make([]Expectation, len(r.ends))
	for i, end := range r.ends {
		expectations[i] = end.at(now)
	}
	return expectations
}

// at is the truth about one account.
func (e accountEnd) at(now time.Time) Expectation {
	x := Expectation{Account: e.account, Lifecycle: e.lifecycle, Tier: freeTier, Reason: "free", Source: "free"}
	if best := e.deciding(now); best != nil {
		x.Status, x.SubscriptionID, x.GraceUntil = best.status, best.id, best.graceUntil()
		x.Reason = best.reason(now)
		if best.accessible(now) {
			x.Source, x.Tier = "subscription", cmp.Or(best.tier(), freeTier)
			x.InGrace = best.delinquent != 0 && best.present(now).Before(best.graceUntil())
		}
	}
	x.Payments = totals(e.payments)
	x.Features, x.Members = featuresOf(x.Tier), membersOf(x.Tier)
	for _, sub := range e.subscriptions {
		x.Subscriptions = append(x.Subscriptions, sub.expectation())
	}
	return x
}

// present is the subscription's time: its test clock's, or the true one.
func (s *subscription) present(now time.Time) time.Time {
	if s.clock == nil {
		return now
	}
	return time.Unix(s.clock.frozen, 0).UTC()
}

// deciding returns the subscription that decides, nil if there is none.
func (e accountEnd) deciding(now time.Time) *subscription {
	if len(e.subscriptions) == 0 {
		return nil
	}
	return slices.MaxFunc(e.subscriptions, func(a, b *subscription) int {
		return cmp.Or(
			cmp.Compare(a.standing(now), b.standing(now)),
			cmp.Compare(a.created, b.created),
			cmp.Compare(a.id, b.id),
		)
	})
}

// deniedOrder lists the statuses that deny, the least hopeful first.
var deniedOrder = []string{"incomplete_expired", "canceled", "incomplete", "paused", "unpaid", "past_due"}

// standing ranks subscriptions: those that deny below zero by status, those
// that give access from zero by tier.
func (s *subscription) standing(now time.Time) int {
	if s.accessible(now) {
		return tierRank(s.tier())
	}
	return slices.Index(deniedOrder, s.status) - len(deniedOrder)
}

func (s *subscription) accessible(now time.Time) bool {
	switch {
	case s.status == "active", s.status == "trialing":
		return true
	case s.owing():
		return s.delinquent == 0 || s.present(now).Before(s.graceUntil())
	}
	return false
}

// graceUntil is zero while nothing is owed.
func (s *subscription) graceUntil() time.Time {
	if s.delinquent == 0 {
		return time.Time{}
	}
	return time.Unix(s.delinquent, 0).UTC().Add(Grace)
}

func (s *subscription) reason(now time.Time) string {
	access := s.accessible(now)
	switch {
	case access && s.tier() == "":
		return "unmapped_price"
	case access && s.owing() && s.delinquent == 0:
		return "nothing_owed"
	case access && s.owing():
		return "grace"
	case access:
		return "subscription"
	case s.owing():
		return "expired_grace"
	case s.status == "incomplete_expired":
		return "canceled"
	}
	return s.status
}

func (s *subscription) expectation() SubscriptionExpectation {
	x := SubscriptionExpectation{
		ID: s.id, Account: s.owner, Status: s.status, Tier: s.tier(),
		GraceUntil: s.graceUntil(), Paid: slices.Clone(s.paid),
	}
	if s.delinquent != 0 {
		x.Anchor = time.Unix(s.delinquent, 0).UTC()
	}
	return x
}

// Showcase names a healthy account, one in grace and one cancelled, each empty
// if the run has none at that moment. A run of 3 accounts has them at its end.
// The healthy one has not the highest tier, if there is another.
func (r *Run) Showcase(now time.Time) (healthy, inGrace, cancelled string) {
	highest := false
	for _, x := range r.ExpectAt(now) {
		switch {
		case (healthy == "" || highest) && x.Reason == "subscription" && x.Status == "active":
			healthy, highest = x.Account, x.Members == "unlimited"
		case inGrace == "" && x.InGrace:
			inGrace = x.Account
		case cancelled == "" && x.Status == "canceled":
			cancelled = x.Account
		}
	}
	return healthy, inGrace, cancelled
}
