package aggregate

import "time"

// overdueAfter is how long all periods may have ended before a subscription
// that still grants is shown to a person.
const overdueAfter = 72 * time.Hour

// Access is what a subscription grants at one moment.
type Access struct {
	Granted bool
	Reason  Reason
	// InGrace says that a payment is owed and grace has not run out.
	InGrace bool
	// GraceUntil is when grace ends, or ended; zero if there is none.
	GraceUntil time.Time
	// Flags are those that depend on the moment.
	Flags []string
	// Until is the next moment at which time alone changes this answer, zero
	// if none does.
	Until time.Time
}

// Access says what the subscription grants at now by itself. Stripe's status
// decides; a period's end never ends access. What its account and the catalog add
// to that, Holding.Access knows.
func (t SubscriptionTruth) Access(now time.Time) Access { return t.accessUntil(time.Time{}, now) }

// accessUntil is Access where no grace ends before extended.
func (t *SubscriptionTruth) accessUntil(extended, now time.Time) Access {
	var grace time.Time
	if t.Delinquency != nil && t.livesOnGrace() {
		grace = later(t.Delinquency.GraceUntil, extended)
	}
	a := t.accessByStatus(grace, now)
	if !grace.IsZero() {
		a.GraceUntil, a.InGrace = grace, now.Before(grace)
		a.changesAt(grace, now)
		if a.Granted && !a.InGrace {
			a.Flags = append(a.Flags, FlagPaymentOverdue)
		}
	}
	if end := t.CurrentPeriodEnd; good(t.Status) && !end.IsZero() {
		overdue := end.Add(overdueAfter)
		a.changesAt(overdue, now)
		if !now.Before(overdue) {
			a.Flags = append(a.Flags, FlagPeriodOverdue)
		}
	}
	return a
}

func (t *SubscriptionTruth) livesOnGrace() bool {
	return good(t.Status) || t.Status == PastDue || t.pausedForPayment()
}

func (t *SubscriptionTruth) pausedForPayment() bool {
	return t.Status == Paused && t.PausedFor == "first_payment_failure"
}

func (t *SubscriptionTruth) accessByStatus(grace, now time.Time) Access {
	switch {
	case good(t.Status):
		return Access{Granted: true, Reason: ReasonSubscription}
	case t.Delinquency != nil && (t.Status == PastDue || t.pausedForPayment()):
		if now.Before(grace) {
			return Access{Granted: true, Reason: ReasonGrace}
		}
		return Access{Reason: ReasonExpiredGrace}
	case t.NothingOwed:
		return Access{Granted: true, Reason: ReasonNothingOwed}
	}
	return Access{Reason: reasonOfDenial(t.Status)}
}

func reasonOfDenial(s Status) Reason {
	switch s {
	case Unpaid:
		return ReasonUnpaid
	case Paused:
		return ReasonPaused
	case Canceled, IncompleteExpired:
		return ReasonCanceled
	case Incomplete:
		return ReasonIncomplete
	case "":
		return ReasonFree
	}
	return ReasonUnknownStatus
}

func (a *Access) changesAt(at, now time.Time) { a.Until = earlier(a.Until, at, now) }

// earlier returns the earlier of two moments that lie after now; zero is never.
func earlier(a, b, now time.Time) time.Time {
	if !b.After(now) || !a.IsZero() && !b.Before(a) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
