package aggregate

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// overdueAfter is how long all periods may have ended before a subscription
// that still grants is shown to a person.
const overdueAfter = 72 * time.Hour

// Access is what a subscription grants at one moment.
type Access struct {
	Granted bool
	Reason  Reason
	// InGrace says that a payment is owed and grace has not run out.
	InGrace bool
	// Flags are those that depend on the moment.
	Flags []string
	// Until is the next moment at which time alone changes this answer, zero
	// if none does.
	Until time.Time
}

// Access says what the subscription grants at now. Stripe's status decides; a
// period's end never ends access.
func (t SubscriptionTruth) Access(now time.Time) Access {
	a := t.accessByStatus(now)
	if t.Delinquency != nil && t.livesOnGrace() {
		a.InGrace = now.Before(t.Delinquency.GraceUntil)
		a.changesAt(t.Delinquency.GraceUntil, now)
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

func (t SubscriptionTruth) livesOnGrace() bool {
	return good(t.Status) || t.Status == PastDue || t.pausedForPayment()
}

func (t SubscriptionTruth) pausedForPayment() bool {
	return t.Status == Paused && t.PausedFor == "first_payment_failure"
}

func (t SubscriptionTruth) accessByStatus(now time.Time) Access {
	switch {
	case good(t.Status):
		return Access{Granted: true, Reason: ReasonSubscription}
	case t.Delinquency != nil && (t.Status == PastDue || t.pausedForPayment()):
		if now.Before(t.Delinquency.GraceUntil) {
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

// candidate is a subscription of an account, with what it grants now.
type candidate struct {
	SubscriptionTruth
	access Access
	rank   int
}

// Holding is everything that an account's entitlement rests on.
type Holding struct {
	// Subscriptions are those that belong to the account, in the order of their ids.
	Subscriptions []SubscriptionTruth
	// Payments are those of the subscriptions' invoices that were refunded or
	// disputed, in the order of their ids.
	Payments []PaymentTruth
	// Decisions are the operators'.
	Decisions AccountTruth
	// Clocks has the present time of the Stripe test clocks that subscriptions
	// are bound to, by the clock's id.
	Clocks map[string]time.Time
}

// Entitle says what an account may do at now, given what belongs to it: the
// best subscription that grants decides. It also returns the next
// moment at which time alone changes the answer, zero if none does. Epoch and
// Livemode are the caller's to set, for they belong to the store. Without any
// catalog there are no tiers, and nothing is granted.
func Entitle(account string, h Holding, c Catalogs, now time.Time) (Entitlement, time.Time) {
	subs := h.Subscriptions
	catalog := c.Current()
	if catalog == nil {
		catalog = &Catalog{}
	}
	candidates := rankCandidates(subs, catalog, now)
	e := Entitlement{Account: account, Known: len(subs) > 0, Source: FromFree, Reason: ReasonFree,
		Tier: catalog.FreeTier, Items: []EntitlementItem{}, Flags: []string{}, AsOf: now.UTC(), Schema: EntitlementSchema}
	var until time.Time
	for i, s := range candidates {
		until = earlier(until, s.access.Until, now)
		e.Position = max(e.Position, s.Position)
		if i == 0 || !s.Status.Terminal() {
			e.Flags = append(append(e.Flags, s.Flags...), s.access.Flags...)
		}
	}
	if len(candidates) > 0 {
		e.restOn(candidates[0], catalog, now)
	}
	slices.Sort(e.Flags)
	e.Flags = slices.Compact(e.Flags)
	var paidFor []Item
	if e.Source == FromSubscription {
		paidFor = candidates[0].Items
	}
	e.Features, e.Limits = catalog.FeaturesOf(e.Tier), catalog.LimitsOf(e.Tier, quantityOf(e.Tier, paidFor, catalog))
	e.addAddons(paidFor, catalog)
	if tier, found := catalog.Tier(e.Tier); found {
		e.TierName = tier.Name
	}
	return e, until
}

// quantityOf is how many units of a tier are paid for, at least one. Where no
// item maps to the tier (it is kept from an earlier price), the items count
// that are no add-ons.
func quantityOf(tier string, items []Item, catalog *Catalog) int64 {
	ofTier, others := int64(0), int64(0)
	for _, item := range items {
		if t, mapped := catalog.TierOfItem(item); mapped && t.ID == tier {
			ofTier += item.Quantity
		} else if _, addon := catalog.AddonOfItem(item); !addon {
			others += item.Quantity
		}
	}
	if ofTier > 0 {
		return ofTier
	}
	return max(others, 1)
}

// addAddons adds what was bought beside the tier.
func (e *Entitlement) addAddons(items []Item, catalog *Catalog) {
	for _, item := range items {
		addon, mapped := catalog.AddonOfItem(item)
		if !mapped {
			continue
		}
		for _, f := range addon.Features {
			if !slices.Contains(e.Features, f) {
				e.Features = append(e.Features, f)
			}
		}
		for name, more := range addon.Adds {
			e.Limits[name] = e.Limits[name].plus(more.Of(item.Quantity))
		}
	}
}

// rankCandidates puts the subscription that decides first: one that grants
// before one that does not, the higher tier, then the newer. Among those that
// deny, the one closest to granting again.
func rankCandidates(subs []SubscriptionTruth, catalog *Catalog, now time.Time) []candidate {
	candidates := make([]candidate, len(subs))
	for i, s := range subs {
		candidates[i] = candidate{SubscriptionTruth: s, access: s.Access(now), rank: catalog.Rank(s.Tier)}
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

// restOn fills in what follows from the subscription that decides.
func (e *Entitlement) restOn(s candidate, catalog *Catalog, now time.Time) {
	e.Status, e.Reason = s.Status, s.access.Reason
	e.Customer, e.SubscriptionID = s.Customer, s.ID
	e.TrialEnd, e.CurrentPeriodEnd, e.CancelAt = s.TrialEnd, s.CurrentPeriodEnd, s.CancelAt
	for _, item := range s.Items {
		e.Items = append(e.Items, EntitlementItem{Price: item.Price, Quantity: item.Quantity})
	}
	e.InGrace = s.access.InGrace
	if s.Delinquency != nil && s.livesOnGrace() {
		e.GraceUntil = s.Delinquency.GraceUntil
		e.ValidUntil = earlier(e.ValidUntil, e.GraceUntil, now)
	}
	e.ValidUntil = earlier(e.ValidUntil, s.CancelAt, now)
	if !s.access.Granted {
		return
	}
	e.Source = FromSubscription
	if s.Tier == "" || catalog.Rank(s.Tier) < 0 {
		e.Reason = ReasonUnmappedPrice
		return
	}
	e.Tier = s.Tier
}

// Feature is the answer to whether an account may use one feature.
type Feature struct {
	Account string `json:"account"`
	Feature string `json:"feature"`
	Allowed bool   `json:"allowed"`
	Reason  Reason `json:"reason"`
	// CurrentTier is the account's, RequiredTier the lowest that has the feature,
	// empty if only an add-on brings it.
	CurrentTier  string `json:"current_tier"`
	RequiredTier string `json:"required_tier"`
	UpgradeURL   string `json:"upgrade_url,omitempty"`
}

// Feature answers for one feature; false if the catalog has none of that name.
func (e Entitlement) Feature(name string, catalog *Catalog) (Feature, bool) {
	required, found := catalog.TierOfFeature(name)
	if !found && !catalog.addonHas(name) {
		return Feature{}, false
	}
	return Feature{Account: e.Account, Feature: name, Allowed: slices.Contains(e.Features, name), Reason: e.Reason,
		CurrentTier: e.Tier, RequiredTier: required.ID, UpgradeURL: catalog.UpgradeURL}, true
}
