package aggregate

import "time"

// BuiltinCatalog is the catalog in force where none is configured: six tiers,
// each paid one with price_<id>, lookup:<id> and product:prod_<id>.
func BuiltinCatalog() *Catalog {
	tier := func(id, name string, members Limit, features ...string) Tier {
		return Tier{
			ID: id, Name: name, Features: features, Limits: map[string]Allowance{"members": {Fixed: members}},
			Prices: []string{"price_" + id, "lookup:" + id, "product:prod_" + id},
		}
	}
	starter := tier("starter", "Starter", 100, "discord_bot", "basic_onboarding", "member_profiles")
	starter.Prices = nil
	return &Catalog{
		GracePeriod: Span(24 * time.Hour),
		FreeTier:    "starter",
		UpgradeURL:  "https://example.com/billing",
		Tiers: []Tier{
			starter,
			tier("basic", "Basic", 500, "stats_leaderboard", "position_alerts", "custom_nym"),
			tier("premium", "Premium", 1000, "nine_tier_system", "custom_pfp", "weekly_digest", "activity_tracking", "score_badge"),
			tier("exclusive", "Exclusive", 2500, "admin_analytics", "naib_dynamics", "water_sharer_badge"),
			tier("elite", "Elite", 10000, "custom_branding", "priority_support", "api_access"),
			tier("enterprise", "Enterprise", Unlimited, "white_label", "dedicated_support", "custom_integrations"),
		},
	}
}
