package simulate

// tierSpec is a tier as this package believes it to be.
type tierSpec struct {
	id       string
	members  string
	features []string
	// cents is the monthly price in US cents.
	cents int64
}

// tiers are ordered, lowest first; each has the features of those below it.
var tiers = []tierSpec{
	{"starter", "100", []string{"discord_bot", "basic_onboarding", "member_profiles"}, 0},
	{"basic", "500", []string{"stats_leaderboard", "position_alerts", "custom_nym"}, 2900},
	{"premium", "1000", []string{"nine_tier_system", "custom_pfp", "weekly_digest", "activity_tracking", "score_badge"}, 9900},
	{"exclusive", "2500", []string{"admin_analytics", "naib_dynamics", "water_sharer_badge"}, 19900},
	{"elite", "10000", []string{"custom_branding", "priority_support", "api_access"}, 44900},
	{"enterprise", "unlimited", []string{"white_label", "dedicated_support", "custom_integrations"}, 99900},
}

const freeTier = "starter"

// tierRank is a tier's place, 0 for the free one and for none.
func tierRank(id string) int {
	for i, t := range tiers {
		if t.id == id {
			return i
		}
	}
	return 0
}

// lowerTier returns the lower of two tiers.
func lowerTier(a, b string) string {
	if tierRank(b) < tierRank(a) {
		return b
	}
	return a
}

// featuresOf lists all features of a tier.
func featuresOf(id string) []string {
	var all []string
	for _, t := range tiers[:tierRank(id)+1] {
		all = append(all, t.features...)
	}
	return all
}

func membersOf(id string) string { return tiers[tierRank(id)].members }

// plan is a price as a subscription's item shows it.
type plan struct {
	price, product, lookup, nickname string
	// tier is what the price stands for, empty if no catalog entry knows it.
	tier     string
	unit     int64
	currency string
	// months is the length of a period.
	months int
}

// planBy is one of the ways by which a catalog entry matches a price.
type planBy int

const (
	byPriceID planBy = iota
	byProduct
	byLookupKey
	planWays
)

// planFor returns the price of a tier. Other currencies and yearly terms have
// prices of their own, which match by product or by lookup key.
func planFor(tier string, way planBy, currency string, months int) plan {
	spec := tiers[tierRank(tier)]
	p := plan{tier: tier, currency: currency, months: months, nickname: nicknameOf(spec.id, months)}
	p.unit = inCurrency(spec.cents, currency)
	if months == 12 {
		p.unit *= 10
	}
	if way == byPriceID && (currency != "usd" || months != 1) {
		way = byProduct
	}
	suffix := spec.id + currency
	if months == 12 {
		suffix += "Year"
	}
	switch way {
	case byPriceID:
		p.price, p.product = "price_"+tier, "prod_SimPlans"+spec.id
	case byProduct:
		p.price, p.product = "price_1SimProduct"+suffix, "prod_"+tier
	default:
		p.price, p.product, p.lookup = "price_1SimLookup"+suffix, "prod_SimLookup"+spec.id, tier
	}
	return p
}

func nicknameOf(tier string, months int) string {
	if months == 12 {
		return tier + ", yearly"
	}
	return tier + ", monthly"
}

// inCurrency turns US cents into the minor unit of a currency. The yen has none.
func inCurrency(cents int64, currency string) int64 {
	switch currency {
	case "eur":
		return cents * 92 / 100
	case "jpy":
		return cents * 3 / 2
	}
	return cents
}

// legacyPlan is a price that no catalog knows.
func legacyPlan(currency string) plan {
	return plan{
		price: "price_1SimLegacy2019" + currency, product: "prod_SimLegacy2019", lookup: "legacy_2019",
		nickname: "Founders 2019", unit: inCurrency(1500, currency), currency: currency, months: 1,
	}
}
