package aggregate

import (
	"slices"
	"time"
)

// EntitlementSchema is the version of the entitlement's public shape.
const EntitlementSchema = 1

// Source says what an entitlement rests on.
type Source string

// The sources.
const (
	FromSubscription Source = "subscription"
	// FromWaiver: an operator granted a tier above what is paid for.
	FromWaiver Source = "waiver"
	FromFree   Source = "free"
	// FromBlocked: an operator refused all access.
	FromBlocked Source = "blocked"
)

// Reason says by which rule the tier was given.
type Reason string

// The reasons.
const (
	// ReasonSubscription: an active or trialing subscription.
	ReasonSubscription Reason = "subscription"
	// ReasonGrace: a past_due subscription within its grace.
	ReasonGrace Reason = "grace"
	// ReasonNothingOwed: past_due or paused in status, but the invoice was settled.
	ReasonNothingOwed Reason = "nothing_owed"
	// ReasonExpiredGrace: a past_due subscription whose grace has run out.
	ReasonExpiredGrace Reason = "expired_grace"
	// ReasonUnmappedPrice: a subscription that grants, but no price of it maps.
	ReasonUnmappedPrice Reason = "unmapped_price"
	// ReasonFree: no subscription at all.
	ReasonFree Reason = "free"
	// ReasonIncomplete, ReasonUnpaid, ReasonPaused and ReasonCanceled: the best
	// subscription has a status that denies.
	ReasonIncomplete Reason = "incomplete"
	ReasonUnpaid     Reason = "unpaid"
	ReasonPaused     Reason = "paused"
	ReasonCanceled   Reason = "canceled"
	// ReasonUnknownStatus: a status that this build does not know, and denies.
	ReasonUnknownStatus Reason = "unknown_status"
	// ReasonWaiver: the best is a tier that an operator granted.
	ReasonWaiver Reason = "waiver"
	// ReasonBlocked: an operator refused all access.
	ReasonBlocked Reason = "blocked"
	// ReasonDisputed, ReasonRefunded, ReasonCollectionPaused, ReasonPaymentPending
	// and ReasonCheckoutFailed: the status would grant, a policy of the catalog
	// denies.
	ReasonDisputed         Reason = "disputed"
	ReasonRefunded         Reason = "refunded"
	ReasonCollectionPaused Reason = "collection_paused"
	ReasonPaymentPending   Reason = "payment_pending"
	ReasonCheckoutFailed   Reason = "checkout_failed"
)

// FlagWaiverUnknownTier flags an entitlement: a waiver is of a tier that the
// catalog in force no longer has, and grants nothing.
const FlagWaiverUnknownTier = "waiver_unknown_tier"

// Entitlement is what an account may do: the public read model.
type Entitlement struct {
	Account  string `json:"account"`
	Known    bool   `json:"known"`
	Tier     string `json:"tier"`
	TierName string `json:"tier_name"`
	// Status is that of the subscription that decides, empty if there is none.
	Status   Status           `json:"status"`
	Reason   Reason           `json:"reason"`
	Features []string         `json:"features"`
	Limits   map[string]Limit `json:"limits"`
	Source   Source           `json:"source"`

	Customer       string            `json:"customer,omitempty"`
	SubscriptionID string            `json:"subscription_id,omitempty"`
	Items          []EntitlementItem `json:"items"`
	Livemode       bool              `json:"livemode"`

	InGrace          bool      `json:"in_grace"`
	GraceUntil       time.Time `json:"grace_until,omitzero"`
	TrialEnd         time.Time `json:"trial_end,omitzero"`
	CurrentPeriodEnd time.Time `json:"current_period_end,omitzero"`
	CancelAt         time.Time `json:"cancel_at,omitzero"`
	Flags            []string  `json:"flags"`

	// ValidUntil is when a reader must ask again: the earliest of the lease,
	// grace end, waiver end and scheduled cancellation. Never a period's end.
	ValidUntil time.Time `json:"valid_until,omitzero"`
	// Epoch names the store in which Position counts.
	Epoch string `json:"epoch"`
	// Position is the highest among the facts and decisions that the entitlement
	// rests on.
	Position uint64 `json:"position"`
	// AsOf is the moment for which the entitlement was computed.
	AsOf time.Time `json:"as_of"`
	// Stale says that the store could not be reached when the answer was given.
	Stale  bool `json:"stale,omitempty"`
	Schema int  `json:"schema"`
}

// EntitlementItem is one price that the account pays for.
type EntitlementItem struct {
	Price    string `json:"price"`
	Quantity int64  `json:"quantity"`
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

// LimitCheck is the answer to whether an account may have so many of something.
type LimitCheck struct {
	Limit   string `json:"limit"`
	Wanted  Limit  `json:"wanted"`
	Allowed bool   `json:"allowed"`
	Reason  Reason `json:"reason"`
	// Maximum is what the account may have.
	Maximum     Limit  `json:"maximum"`
	CurrentTier string `json:"current_tier"`
	// RequiredTier is the lowest that allows so many, empty if none does;
	// RequiredQuantity is how often it must be bought for that, where that counts.
	RequiredTier     string `json:"required_tier"`
	RequiredQuantity int64  `json:"required_quantity,omitempty"`
	UpgradeURL       string `json:"upgrade_url,omitempty"`
}

// CheckLimit answers for one limit; false if the catalog has none of that name. A
// blocked account may have nothing, not even none.
func (e Entitlement) CheckLimit(name string, wanted Limit, catalog *Catalog) (LimitCheck, bool) {
	maximum, has := e.Limits[name]
	if !has && !catalog.hasLimit(name) {
		return LimitCheck{}, false
	}
	tier, quantity := catalog.tierAllowing(name, wanted)
	return LimitCheck{Limit: name, Wanted: wanted, Allowed: wanted <= maximum && e.Source != FromBlocked, Reason: e.Reason,
		Maximum: maximum, CurrentTier: e.Tier, RequiredTier: tier, RequiredQuantity: quantity, UpgradeURL: catalog.UpgradeURL}, true
}

// hasLimit reports whether a tier sets the limit, or an add-on adds to it.
func (c *Catalog) hasLimit(name string) bool {
	return slices.ContainsFunc(c.Tiers, func(t Tier) bool { _, sets := t.Limits[name]; return sets }) ||
		slices.ContainsFunc(c.Addons, func(a Addon) bool { _, adds := a.Adds[name]; return adds })
}

// tierAllowing is the lowest tier that allows so many, and the quantity of it that
// does, 0 where the quantity does not matter.
func (c *Catalog) tierAllowing(name string, wanted Limit) (tier string, quantity int64) {
	for _, t := range c.Tiers {
		allowance, sets := t.Limits[name]
		switch per := Limit(allowance.PerUnit); {
		case !sets:
		case per == 0 && wanted <= allowance.Fixed:
			return t.ID, 0
		case per > 0 && wanted != Unlimited:
			return t.ID, max(int64(wanted/per)+min(int64(wanted%per), 1), 1)
		}
	}
	return "", 0
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
