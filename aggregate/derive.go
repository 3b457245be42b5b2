package aggregate

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Derive says what is true of the subscription: a pure function of the set of
// its facts and the catalogs, the same for every order of arrival.
func (s *Subscription) Derive(c Catalogs) SubscriptionTruth { return s.walk(c).finish() }

// walk goes through the facts so far.
func (s *Subscription) walk(c Catalogs) *walk {
	w := &walk{catalogs: c, catalog: c.Current(), truth: SubscriptionTruth{ID: s.id, Position: s.position}}
	for _, f := range inStripesOrder(s.facts) {
		w.step(f)
	}
	return w
}

// walk goes through the facts in Stripe's order, once.
type walk struct {
	catalogs Catalogs
	catalog  *Catalog
	truth    SubscriptionTruth

	// snapshot is the latest of the subscription itself; its fact tells when.
	snapshot *SubscriptionSnapshot
	latest   held
	invoices invoices
	links    linkContest

	// tier is the present one: of the latest price that maps.
	tier string
	// standings are the tiers held in good standing, each with when it began.
	standings []standing
	// wasGood says that the subscription was active or trialing once; goodAt is
	// the latest time at which a snapshot said so.
	wasGood  bool
	goodAt   time.Time
	open     *Delinquency
	failedBy string // the Stripe event that opened the delinquency
	// settled says that the last delinquency ended by its invoice, not by status.
	settled bool
	// forgiven is how many of the invoices had turned up when a delinquency was
	// last closed by status: they open no other.
	forgiven int
	// fellBackAt is when an invoice was last voided or deleted, so that an older
	// one became the latest.
	fellBackAt time.Time
	// paymentPending and checkoutFailed tell how the latest checkout stands.
	paymentPending, checkoutFailed bool
	flags                          []string
}

type standing struct {
	at   time.Time
	tier string
}

func (w *walk) step(f held) {
	if f.OccurredAt.After(w.truth.LastOccurredAt) {
		w.truth.LastOccurredAt = f.OccurredAt
	}
	before := w.snapshot
	switch {
	case f.Subscription != nil:
		w.links.offer(f.Subscription.Account, LinkSubscription, f)
		w.links.offer(f.Subscription.Customer, LinkCustomerID, f)
		w.flag(f.Subscription.Flags...)
		w.takeSnapshot(f)
	case f.Invoice != nil:
		w.links.offer(f.Invoice.Account, LinkInvoice, f)
		w.links.offer(f.Invoice.Customer, LinkCustomerID, f)
		w.flag(f.Invoice.Flags...)
		w.takeInvoice(f)
	case f.Checkout != nil:
		w.links.offer(f.Checkout.Account, LinkSession, f)
		w.links.offer(f.Checkout.ClientReference, LinkClientReference, f)
		w.links.offer(f.Checkout.Customer, LinkCustomerID, f)
		w.flag(f.Checkout.Flags...)
		w.takeCheckout(f)
	}
	w.settleDelinquency(f, before)
	w.recordStanding(f)
}

// takeCheckout folds how a session's payment stands. An expired session never
// had one.
func (w *walk) takeCheckout(f held) {
	w.flagMoney(f.Checkout.Currency, f.Checkout.AmountTotal)
	switch f.Type {
	case CheckoutCompleted:
		w.paymentPending = f.Checkout.PaymentStatus == "unpaid"
		w.checkoutFailed = w.checkoutFailed && w.paymentPending
	case CheckoutPaid:
		w.paymentPending, w.checkoutFailed = false, false
	case CheckoutFailed:
		w.paymentPending, w.checkoutFailed = false, true
	case CheckoutObserved:
		// A session stays unpaid for ever if its payment failed, or if the
		// invoice was paid by other means.
		w.paymentPending = f.Checkout.PaymentStatus == "unpaid" && !w.checkoutFailed && !w.invoices.anyPaid()
		w.checkoutFailed = w.checkoutFailed && f.Checkout.PaymentStatus == "unpaid"
	}
}

// takeSnapshot makes a snapshot the present one. A terminal status is never
// left, whatever comes later.
func (w *walk) takeSnapshot(f held) {
	if w.snapshot != nil && w.snapshot.Status.Terminal() {
		if f.Type == SubscriptionStarted && w.latest.Type == SubscriptionCanceled {
			w.flag(FlagDeletedBeforeCreated)
		}
		return
	}
	w.snapshot, w.latest = f.Subscription, f
	if good(f.Subscription.Status) {
		w.goodAt = f.OccurredAt
	}
	if good(f.Subscription.Status) || f.Subscription.Status == PastDue {
		w.wasGood = true // past_due is only ever reached from active or trialing
	}
	if tier, mapped := w.catalog.bestTier(f.Subscription.Items); mapped {
		w.tier = tier
	}
}

func good(s Status) bool { return s == Active || s == Trialing }

// owing reports whether a snapshot's status is one that grace keeps alive:
// past_due, or paused for a first failed payment.
func owing(s *SubscriptionSnapshot) bool {
	return s != nil && (s.Status == PastDue || s.Status == Paused && s.PausedFor == "first_payment_failure")
}

// bestTier maps items to the highest tier among them. Without a catalog there is
// none.
func (c *Catalog) bestTier(items []Item) (string, bool) {
	best := -1
	if c != nil {
		for _, item := range items {
			if t, mapped := c.TierOfItem(item); mapped {
				best = max(best, c.Rank(t.ID))
			}
		}
	}
	if best < 0 {
		return "", false
	}
	return c.Tiers[best].ID, true
}

// recordStanding remembers since when the present tier is held in good standing.
func (w *walk) recordStanding(f held) {
	if f.Subscription == nil || w.open != nil || w.snapshot == nil || !good(w.snapshot.Status) {
		return
	}
	if n := len(w.standings); n == 0 || w.standings[n-1].tier != w.tier {
		w.standings = append(w.standings, standing{f.OccurredAt, w.tier})
	}
}

// effectiveTier is the present tier, or, while delinquent, the lower of it and
// the last held in good standing before the delinquency opened: an upgrade is
// not given away before it was paid.
func (w *walk) effectiveTier() string {
	if w.open == nil {
		return w.tier
	}
	for _, s := range slices.Backward(w.standings) {
		if s.at.Before(w.owedSince()) {
			if w.catalog != nil && w.catalog.Rank(s.tier) < w.catalog.Rank(w.tier) {
				return s.tier
			}
			break
		}
	}
	return w.tier
}

// owedSince is when what is owed came about: Stripe bills an upgrade, and tries
// the card a moment or an hour later.
func (w *walk) owedSince() time.Time {
	since := w.open.Anchor
	if inv := w.invoices.find(w.open.Invoice); inv != nil && inv.createdAt.Before(since) {
		since = inv.createdAt
	}
	return since
}

func (w *walk) flag(flags ...string) { w.flags = addFlags(w.flags, flags...) }

func (w *walk) flagMoney(currency string, amounts ...int64) {
	w.flags = flagMoney(w.flags, currency, amounts...)
}

func (w *walk) finish() SubscriptionTruth {
	t := &w.truth
	w.finishSnapshot(t)
	t.Tier = w.effectiveTier()
	t.Delinquency = w.open
	t.Link = w.links.best
	w.finishInvoices(t)
	if w.links.best.ConflictsWith != "" {
		w.flag(FlagAccountConflict)
	}
	if w.checkoutFailed {
		w.flag(FlagCheckoutFailed)
	}
	t.PaymentPending = w.paymentPending
	slices.Sort(w.flags)
	t.Flags = w.flags
	t.Sources = w.sources()
	return *t
}

func (w *walk) finishSnapshot(t *SubscriptionTruth) {
	s := w.snapshot
	if s == nil {
		w.flag(FlagNoSnapshot)
		return
	}
	t.Customer, t.Status, t.Items = s.Customer, s.Status, s.Items
	t.TrialEnd, t.CancelAt, t.CancelAtPeriodEnd = s.TrialEnd, s.endsAt(), s.CancelAtPeriodEnd
	t.CanceledAt, t.EndedAt, t.CreatedAt = s.CanceledAt, s.EndedAt, s.CreatedAt
	t.PausedFor, t.PauseCollection, t.TestClock = s.PausedFor, s.PauseCollection, s.TestClock
	for _, item := range s.Items {
		if item.PeriodEnd.After(t.CurrentPeriodEnd) {
			t.CurrentPeriodEnd = item.PeriodEnd
		}
	}
	if w.latest.ambiguous {
		w.flag(FlagAmbiguous)
	}
	if !s.Status.Known() {
		w.flag(FlagUnknownStatus)
	}
	if w.catalog != nil && slices.ContainsFunc(s.Items, w.unmapped) {
		w.flag(FlagUnmappedPrice)
	}
	t.NothingOwed = w.open == nil && owing(s) && (s.Status == PastDue || w.settled)
	if t.NothingOwed {
		w.flag(FlagPastDueNothingOwed)
	}
}

func (w *walk) unmapped(item Item) bool {
	_, tier := w.catalog.TierOfItem(item)
	_, addon := w.catalog.AddonOfItem(item)
	return !tier && !addon
}

// sources lists the Stripe events that decide: the latest snapshot, the one
// that opened the delinquency, and the one that named the account.
func (w *walk) sources() []string {
	var ids []string
	for _, id := range []string{w.latestID(), w.failedBy, w.links.best.StripeEventID} {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *walk) latestID() string {
	if w.snapshot == nil {
		return ""
	}
	return w.latest.Key.StripeEventID
}

// linkContest finds the best claim on the account: by rank, and within a rank
// the newest.
type linkContest struct{ best Link }

func (c *linkContest) offer(account string, rank LinkRank, f held) {
	if account == "" {
		return
	}
	offered := Link{Account: account, Rank: rank, StripeEventID: f.Key.StripeEventID, OccurredAt: f.OccurredAt}
	switch {
	case c.best.Rank == LinkNone || rank < c.best.Rank:
		c.best = offered
	case rank > c.best.Rank:
	case account == c.best.Account:
		offered.ConflictsWith = c.best.ConflictsWith
		c.best = offered // facts come in order, so this one is the newest
	default:
		// A subscription's metadata may be changed on purpose, and at a later
		// time names its new account; two sessions, or two names in one second,
		// contradict each other.
		if rank != LinkSubscription || offered.OccurredAt.Equal(c.best.OccurredAt) {
			offered.ConflictsWith = c.best.Account
		}
		c.best = offered
	}
}

// sumPaid adds up what the invoices brought in, by currency.
func sumPaid(invoices []InvoiceTruth) []Money {
	var sums []Money
	for _, inv := range invoices {
		if inv.Paid == 0 {
			continue
		}
		i := slices.IndexFunc(sums, func(m Money) bool { return m.Currency == inv.Currency })
		if i < 0 {
			sums = append(sums, Money{inv.Paid, inv.Currency})
		} else {
			sums[i].Amount += inv.Paid
		}
	}
	slices.SortFunc(sums, func(a, b Money) int { return strings.Compare(a.Currency, b.Currency) })
	return sums
}

func compareInvoices(a, b *invoice) int {
	return cmp.Or(a.createdAt.Compare(b.createdAt), strings.Compare(a.id, b.id))
}
