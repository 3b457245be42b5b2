package aggregate

import (
	"slices"
	"time"
)

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

// position is the highest among the facts and decisions held.
func (h *Holding) position() uint64 {
	highest := h.Decisions.Position
	for i := range h.Subscriptions {
		highest = max(highest, h.Subscriptions[i].Position)
	}
	for i := range h.Payments {
		highest = max(highest, h.Payments[i].Position)
	}
	return highest
}

// Entitle says what an account may do at now, given what belongs to it: the
// best subscription that grants decides, or a waiver of a higher tier, and a
// block above all. It also returns the next moment at which time alone changes
// the answer, zero if none does. Epoch and Livemode are the caller's to set, for
// they belong to the store. Without any catalog there are no tiers, and nothing
// is granted.
func Entitle(account string, h Holding, c Catalogs, now time.Time) (Entitlement, time.Time) {
	v := evaluate(account, &h, c, now)
	return v.Entitlement, v.until
}

// evaluate is Entitle, and Explain: what is decided and what is told of the
// decision are one.
func evaluate(account string, h *Holding, c Catalogs, now time.Time) *evaluation {
	catalog := c.Current()
	if catalog == nil {
		catalog = &Catalog{}
	}
	v := &evaluation{holding: h, catalog: catalog, now: now, Entitlement: Entitlement{
		Account: account, Known: len(h.Subscriptions) > 0 || h.Decisions.any(), Source: FromFree, Reason: ReasonFree,
		Tier: catalog.FreeTier, Items: []EntitlementItem{}, Flags: []string{}, Position: h.position(),
		AsOf: now.UTC(), Schema: EntitlementSchema}}
	v.weighSubscriptions()
	v.weighWaivers()
	if h.Decisions.Block != nil {
		v.refuse()
	} else {
		v.allow()
	}
	if tier, found := catalog.Tier(v.Tier); found {
		v.TierName = tier.Name
	}
	for i := range h.Payments {
		v.Flags = append(v.Flags, h.Payments[i].Flags...)
	}
	slices.Sort(v.Flags)
	v.Flags = slices.Compact(v.Flags)
	return v
}

// evaluation is an entitlement in the making.
type evaluation struct {
	Entitlement
	holding *Holding
	catalog *Catalog
	now     time.Time
	// candidates are the subscriptions, the one that decides first; waiver is the
	// one that decides, nil if none does.
	candidates []candidate
	waiver     *Waiver
	// paidFor are the items of the subscription that grants, nil if none does.
	paidFor []Item
	// until is the next moment at which time alone changes the answer.
	until time.Time
}

func (v *evaluation) weighSubscriptions() {
	v.candidates = rankCandidates(v.holding, v.catalog, v.now)
	for i, s := range v.candidates {
		v.until = earlier(v.until, s.access.Until, v.now)
		if i == 0 || !s.Status.Terminal() {
			v.Flags = append(append(v.Flags, s.Flags...), s.access.Flags...)
		}
	}
	if len(v.candidates) > 0 {
		v.restOn(&v.candidates[0])
	}
}

// restOn fills in what follows from the subscription that decides.
func (v *evaluation) restOn(s *candidate) {
	v.Status, v.Reason = s.Status, s.access.Reason
	v.Customer, v.SubscriptionID = s.Customer, s.ID
	v.TrialEnd, v.CurrentPeriodEnd, v.CancelAt = s.TrialEnd, s.CurrentPeriodEnd, s.CancelAt
	for _, item := range s.Items {
		v.Items = append(v.Items, EntitlementItem{Price: item.Price, Quantity: item.Quantity})
	}
	v.InGrace, v.GraceUntil = s.access.InGrace, s.access.GraceUntil
	if !s.clocked {
		v.validUntil(s.access.GraceUntil)
		v.validUntil(s.CancelAt)
		v.until = earlier(v.until, s.CancelAt, v.now) // from then on ValidUntil is another
	}
	if !s.access.Granted {
		return
	}
	v.Source, v.paidFor = FromSubscription, s.Items
	if s.Tier == "" || v.catalog.Rank(s.Tier) < 0 {
		v.Reason = ReasonUnmappedPrice
		return
	}
	v.Tier = s.Tier
}

// validUntil makes a reader ask again at a moment, if that is still to come.
func (v *evaluation) validUntil(at time.Time) { v.ValidUntil = earlier(v.ValidUntil, at, v.now) }

// weighWaivers gives the tier of the best waiver in force, if it is better than
// what a subscription grants. The subscription that would decide, and what is
// paid for, stay told.
func (v *evaluation) weighWaivers() {
	best, rank := v.bestWaiver()
	granted := v.catalog.Rank(v.Tier)
	if best == nil || rank < granted || rank == granted && v.Source == FromSubscription {
		return
	}
	v.waiver = best
	v.Tier, v.Source, v.Reason = best.Tier, FromWaiver, ReasonWaiver
	v.validUntil(best.ExpiresAt)
}

// bestWaiver is, of those in force, the one of the highest tier, and of those
// the one that lasts longest; nil if there is none.
func (v *evaluation) bestWaiver() (best *Waiver, rank int) {
	waivers := v.holding.Decisions.Waivers
	for i := range waivers {
		w := &waivers[i]
		if !w.InForce(v.now) {
			continue
		}
		v.until = earlier(v.until, w.ExpiresAt, v.now)
		switch r := v.catalog.Rank(w.Tier); {
		case r < 0:
			v.Flags = append(v.Flags, FlagWaiverUnknownTier)
		case best == nil, r > rank, r == rank && outlasts(w.ExpiresAt, best.ExpiresAt):
			best, rank = w, r
		}
	}
	return best, rank
}

// outlasts compares ends, of which zero is never.
func outlasts(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// allow gives the features and limits of the tier, and what was bought beside.
func (v *evaluation) allow() {
	v.Features = v.catalog.FeaturesOf(v.Tier)
	v.Limits = v.catalog.LimitsOf(v.Tier, quantityOf(v.Tier, v.paidFor, v.catalog))
	for _, item := range v.paidFor {
		if addon, mapped := v.catalog.AddonOfItem(item); mapped {
			v.addAddon(addon, item.Quantity)
		}
	}
}

func (v *evaluation) addAddon(addon Addon, quantity int64) {
	for _, f := range addon.Features {
		if !slices.Contains(v.Features, f) {
			v.Features = append(v.Features, f)
		}
	}
	for name, more := range addon.Adds {
		v.Limits[name] = v.Limits[name].plus(more.Of(quantity))
	}
}

// refuse gives nothing: the lowest there is to say, without any feature, and
// every limit that the catalog knows at zero.
func (v *evaluation) refuse() {
	v.Tier, v.Source, v.Reason = v.catalog.FreeTier, FromBlocked, ReasonBlocked
	v.Features, v.Limits = []string{}, map[string]Limit{}
	for _, t := range v.catalog.Tiers {
		for name := range t.Limits {
			v.Limits[name] = 0
		}
	}
	for _, a := range v.catalog.Addons {
		for name := range a.Adds {
			v.Limits[name] = 0
		}
	}
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
