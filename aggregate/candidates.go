package aggregate

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// candidate is a subscription of an account, with what it grants now.
type candidate struct {
	SubscriptionTruth
	access Access
	// clocked says that its time is a test clock's, and tells nothing of ours.
	clocked bool
	rank    int
}

// Access says what one of the account's subscriptions grants at now: what its
// status does, unless a policy of the catalog denies it. An extension of grace
// counts, and a subscription with a test clock lives in its clock's time, if
// that is known: it has no Until, for its time does not pass with ours.
func (h Holding) Access(t SubscriptionTruth, catalog *Catalog, now time.Time) Access {
	frozen, clocked := h.clock(&t)
	if clocked {
		now = frozen
	}
	a := t.accessUntil(h.Decisions.GraceUntil, now)
	if reason, denied := catalog.denies(&t, h.Payments); a.Granted && denied {
		a.Granted, a.Reason = false, reason
	}
	if clocked {
		a.Until = time.Time{}
	}
	return a
}

// clock is the present time of the subscription's test clock, false if it has
// none or that is not known.
func (h *Holding) clock(t *SubscriptionTruth) (time.Time, bool) {
	if t.TestClock == "" {
		return time.Time{}, false
	}
	frozen := h.Clocks[t.TestClock]
	return frozen, !frozen.IsZero()
}

// rankCandidates puts the subscription that decides first: one that grants
// before one that does not, the higher tier, then the newer. Among those that
// deny, the one closest to granting again.
func rankCandidates(h *Holding, catalog *Catalog, now time.Time) []candidate {
	candidates := make([]candidate, len(h.Subscriptions))
	for i, s := range h.Subscriptions {
		_, clocked := h.clock(&s)
		candidates[i] = candidate{SubscriptionTruth: s, access: h.Access(s, catalog, now), clocked: clocked, rank: catalog.Rank(s.Tier)}
		if candidates[i].rank < 0 {
			candidates[i].rank = catalog.Rank(catalog.FreeTier)
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(
			compareBools(b.access.Granted, a.access.Granted),
			compareGranted(a, b),
			b.CreatedAt.Compare(a.CreatedAt),
			strings.Compare(b.ID, a.ID))
	})
	return candidates
}

func compareGranted(a, b candidate) int {
	if a.access.Granted {
		return cmp.Compare(b.rank, a.rank)
	}
	return cmp.Compare(denialRank(a.Status), denialRank(b.Status))
}

// denialRank is lower for a status from which access comes back more easily. A
// status that this build does not know may be such a one; no status at all is
// the least.
func denialRank(s Status) int {
	return slices.Index([]Status{PastDue, Unpaid, Paused, Incomplete, knownOr(s, "unknown"), Canceled, IncompleteExpired, ""}, s)
}

// knownOr returns other for a status that has a place of its own.
func knownOr(s, other Status) Status {
	if s == "" || s.Known() {
		return other
	}
	return s
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
