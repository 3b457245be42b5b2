package aggregate

import (
	"reflect"
	"slices"
	"time"
)

// Explanation says why an account may do what it may at a moment. It is made by
// the evaluation that decides, so it cannot tell of another answer.
type Explanation struct {
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	Known   bool      `json:"known"`
	// Feature, Allowed and RequiredTier answer for the feature that was asked
	// about; they are missing if none was.
	Feature      string `json:"feature,omitempty"`
	Allowed      *bool  `json:"allowed,omitempty"`
	RequiredTier string `json:"required_tier,omitempty"`
	UpgradeURL   string `json:"upgrade_url,omitempty"`

	Tier     string `json:"tier"`
	TierName string `json:"tier_name"`
	Source   Source `json:"source"`
	Reason   Reason `json:"reason"`
	// Rule tells in words what the reason stands for.
	Rule     string           `json:"rule"`
	Features []FeatureVerdict `json:"features"`
	Limits   map[string]Limit `json:"limits"`
	Flags    []string         `json:"flags"`

	Catalog CatalogInForce `json:"catalog"`
	// Subscriptions are all of the account, in the order of preference: the first
	// decides, unless a waiver or a block does.
	Subscriptions []Weighed `json:"subscriptions"`
	// Waivers are those in force.
	Waivers []WeighedWaiver `json:"waivers"`
	Block   *Block          `json:"block,omitempty"`
	// Evidence are the events that suffice: from them alone, the same answer
	// follows.
	Evidence []Evidence `json:"evidence"`
	// Changes are what would change the answer, those with a time first.
	Changes []Change `json:"changes"`
	// Summary tells it all in sentences, for a person.
	Summary []string `json:"summary"`

	evaluation *evaluation
	catalogs   Catalogs
}

// FeatureVerdict says whether the account has one feature of the catalog.
type FeatureVerdict struct {
	Feature string `json:"feature"`
	Allowed bool   `json:"allowed"`
	// RequiredTier is the lowest tier that has it, empty if only an add-on brings
	// it.
	RequiredTier string `json:"required_tier,omitempty"`
}

// CatalogInForce is the catalog by which an explanation goes.
type CatalogInForce struct {
	Hash string `json:"hash"`
	// AdoptedAt is when it came into force, missing for the built-in catalog where
	// none was ever adopted.
	AdoptedAt time.Time `json:"adopted_at,omitzero"`
	FreeTier  string    `json:"free_tier"`
}

// Weighed is a subscription of the account, and what it counts for.
type Weighed struct {
	ID       string `json:"id"`
	Customer string `json:"customer,omitempty"`
	Status   Status `json:"status"`
	// Tier is the one it pays for; see SubscriptionTruth.
	Tier string `json:"tier"`
	// Kept says that the tier is not that of its present prices: it was held before
	// a payment came to be owed, or by an earlier price that maps.
	Kept bool `json:"kept,omitempty"`
	// Decides says that the answer rests on it.
	Decides bool   `json:"decides"`
	Granted bool   `json:"granted"`
	Reason  Reason `json:"reason"`
	// Lines are what the catalog says of its prices.
	Lines       []CatalogLine `json:"lines"`
	Link        Link          `json:"link,omitzero"`
	Delinquency *Delinquency  `json:"delinquency,omitempty"`
	InGrace     bool          `json:"in_grace"`
	GraceUntil  time.Time     `json:"grace_until,omitzero"`
	TrialEnd    time.Time     `json:"trial_end,omitzero"`
	CancelAt    time.Time     `json:"cancel_at,omitzero"`
	TestClock   string        `json:"test_clock,omitempty"`
	Flags       []string      `json:"flags"`
}

// WeighedWaiver is a waiver in force.
type WeighedWaiver struct {
	Waiver
	// Decides says that the answer rests on it.
	Decides bool `json:"decides"`
}

// Evidence is an event on which the answer rests: a fact, told by a Stripe event,
// or an operator's decision.
type Evidence struct {
	// For names what it shows: "status", "delinquency", "account", "history" (what
	// it was before counts), "payment", "clock", "waiver", "block" or "grace".
	For           []string  `json:"for"`
	StripeEventID string    `json:"stripe_event_id,omitempty"`
	Type          string    `json:"type"`
	Stream        string    `json:"stream"`
	Position      uint64    `json:"position"`
	OccurredAt    time.Time `json:"occurred_at"`
}

// ChangeKind names what would change an answer.
type ChangeKind string

// The changes.
const (
	GraceEnds     ChangeKind = "grace_ends"
	WaiverEnds    ChangeKind = "waiver_ends"
	Cancellation  ChangeKind = "scheduled_cancellation"
	TrialEnds     ChangeKind = "trial_ends"
	PaymentComes  ChangeKind = "payment"
	PauseEnds     ChangeKind = "resumption"
	BlockIsLifted ChangeKind = "unblock"
)

// Change is something that would change the answer, if nothing else happens
// before.
type Change struct {
	What ChangeKind `json:"what"`
	// At is when, missing where nobody knows.
	At time.Time `json:"at,omitzero"`
	// By says who brings it about: "time" alone, "stripe", the "customer" or an
	// "operator".
	By string `json:"by"`
	// Of is the subscription, the invoice, the waiver or the account concerned.
	Of string `json:"of"`
	// Tier and Reason are the account's from then on, empty where that cannot be
	// foretold; Allowed is for the feature that was asked about.
	Tier    string `json:"tier,omitempty"`
	Reason  Reason `json:"reason,omitempty"`
	Allowed *bool  `json:"allowed,omitempty"`

	features []string
}

// Explain evaluates as Entitle does, and tells how it came to the answer. Its
// evidence is added by the Cite methods, its summary by Summarize.
func Explain(account string, h Holding, c Catalogs, now time.Time) *Explanation {
	v := evaluate(account, &h, c, now)
	x := &Explanation{
		Account: account, At: v.AsOf, Known: v.Known, UpgradeURL: v.catalog.UpgradeURL,
		Tier: v.Tier, TierName: v.TierName, Source: v.Source, Reason: v.Reason, Rule: RuleOf(v.Reason),
		Features: []FeatureVerdict{}, Limits: v.Limits, Flags: v.Flags,
		Catalog:       CatalogInForce{Hash: c.CurrentHash(), AdoptedAt: c.CurrentSince(), FreeTier: v.catalog.FreeTier},
		Subscriptions: v.weighed(), Waivers: v.weighedWaivers(), Block: h.Decisions.Block, Evidence: []Evidence{},
		evaluation: v, catalogs: c,
	}
	for _, name := range v.catalog.features() {
		x.Features = append(x.Features, v.verdict(name))
	}
	x.Changes = v.changes(c)
	return x
}

// Ask makes the explanation one of a single feature. It is false if the catalog
// in force then has no such feature.
func (x *Explanation) Ask(feature string) bool {
	answer, found := x.evaluation.Feature(feature, x.evaluation.catalog)
	if !found {
		return false
	}
	x.Feature, x.Allowed, x.RequiredTier = feature, &answer.Allowed, answer.RequiredTier
	x.Features = []FeatureVerdict{x.evaluation.verdict(feature)}
	for i := range x.Changes {
		if c := &x.Changes[i]; c.Tier != "" {
			allowed := slices.Contains(c.features, feature)
			c.Allowed = &allowed
		}
	}
	return true
}

func (v *evaluation) verdict(feature string) FeatureVerdict {
	answer, _ := v.Feature(feature, v.catalog)
	return FeatureVerdict{Feature: feature, Allowed: answer.Allowed, RequiredTier: answer.RequiredTier}
}

// features lists all that the catalog has, those of the lowest tier first.
func (c *Catalog) features() []string {
	var names []string
	for _, t := range c.Tiers {
		names = addFlags(names, t.Features...)
	}
	for _, a := range c.Addons {
		names = addFlags(names, a.Features...)
	}
	return names
}

// decides reports whether the answer rests on the first candidate: whether it
// grants, or denies for want of anything better.
func (v *evaluation) decides() bool {
	return len(v.candidates) > 0 && (v.Source == FromSubscription || v.Source == FromFree)
}

func (v *evaluation) weighed() []Weighed {
	all := make([]Weighed, len(v.candidates))
	for i := range v.candidates {
		s := &v.candidates[i]
		all[i] = Weighed{
			ID: s.ID, Customer: s.Customer, Status: s.Status, Tier: s.Tier, Decides: i == 0 && v.decides(),
			Granted: s.access.Granted, Reason: s.access.Reason, Lines: make([]CatalogLine, len(s.Items)), Link: s.Link,
			Delinquency: s.Delinquency, InGrace: s.access.InGrace, GraceUntil: s.access.GraceUntil,
			TrialEnd: s.TrialEnd, CancelAt: s.CancelAt, TestClock: s.TestClock,
			Flags: addFlags(append([]string{}, s.access.Flags...), s.Flags...),
		}
		tier, _ := v.catalog.bestTier(s.Items)
		all[i].Kept = s.Tier != "" && s.Tier != tier
		for n, item := range s.Items {
			all[i].Lines[n] = v.catalog.LineOf(item)
		}
		slices.Sort(all[i].Flags)
	}
	return all
}

func (v *evaluation) weighedWaivers() []WeighedWaiver {
	inForce := []WeighedWaiver{}
	waivers := v.holding.Decisions.Waivers
	for i := range waivers {
		if waivers[i].InForce(v.now) {
			decides := v.Source == FromWaiver && &waivers[i] == v.waiver
			inForce = append(inForce, WeighedWaiver{Waiver: waivers[i], Decides: decides})
		}
	}
	return inForce
}

// sameAnswer reports whether two entitlements say the same: what is told beside
// the answer (flags, the place in the log, when to ask again) left aside.
func sameAnswer(a, b Entitlement) bool {
	for _, e := range []*Entitlement{&a, &b} {
		e.Position, e.Flags, e.Known, e.ValidUntil = 0, nil, false, time.Time{}
	}
	return reflect.DeepEqual(a, b)
}
