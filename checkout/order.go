package checkout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daybookhq/daybook/aggregate"
)

// Caller names who asks, and its own idempotency key, if it has one.
type Caller struct{ Name, Key string }

// Order is what somebody wants to buy.
type Order struct {
	Account string
	// Tier or Price says what; one of them is enough.
	Tier, Price string
	// Interval chooses among a tier's prices: "month", "year", "3 months".
	Interval string
	// Quantity is how many; 0 for one, or as many as are used.
	Quantity int64
	// Addons are bought beside the tier: how many of each, by the add-on's id or a
	// price of it.
	Addons map[string]int64
	// TrialDays is 0 for none.
	TrialDays             int64
	SuccessURL, CancelURL string
	Caller                Caller
}

// The bounds of an order.
const (
	// MaxQuantity is the most that Stripe sells at once.
	MaxQuantity = 999_999
	// MaxTrialDays is Stripe's bound, too.
	MaxTrialDays = 730
	// MaxAddons leaves one of the twenty lines of a session to the tier.
	MaxAddons = 19
	// maxMetadataValue is how many characters of a value Stripe keeps.
	maxMetadataValue = 500
)

// Check lists what is wrong with an order, as far as that shows without asking
// Stripe.
func (d *Desk) Check(o Order) Faults {
	faults := d.checkAccount(o.Account)
	faults = append(faults, d.checkURL("success_url", o.SuccessURL)...)
	faults = append(faults, d.checkURL("cancel_url", o.CancelURL)...)
	return append(faults, checkWanted(o, d.Catalog())...)
}

// checkAccount wants an account whose name Stripe keeps whole.
func (d *Desk) checkAccount(account string) Faults {
	if utf8.RuneCountInString(account) > maxMetadataValue {
		return Faults{{"account", fmt.Sprintf("is longer than the %d characters that Stripe keeps", maxMetadataValue)}}
	}
	return nil
}

func (d *Desk) checkURL(field, url string) Faults {
	if _, refusal := d.Redirects.Check(url); refusal != "" {
		return Faults{{field, refusal}}
	}
	return nil
}

// CheckPortal lists what is wrong with a request for the portal, as far as that
// shows without asking anybody.
func (d *Desk) CheckPortal(account, returnURL string) Faults {
	return append(d.checkAccount(account), d.checkURL("return_url", returnURL)...)
}

// checkWanted lists what is wrong with what an order is of.
func checkWanted(o Order, c *aggregate.Catalog) (faults Faults) {
	tier, known := c.Tier(o.Tier)
	choice := "want one of " + strings.Join(sold(c), ", ")
	if len(sold(c)) == 0 {
		choice = "the catalog has no tier that has a price"
	}
	switch {
	case o.Tier == "" && o.Price == "":
		faults = append(faults, Fault{"tier", "is missing, and so is price; " + choice})
	case o.Tier == "":
	case !known:
		faults = append(faults, Fault{"tier", "is no tier of the catalog; " + choice})
	case o.Tier == c.FreeTier:
		faults = append(faults, Fault{"tier", "is the free one; " + choice})
	case len(tier.Prices) == 0:
		faults = append(faults, Fault{"tier", "is not sold: the catalog has no price of it; " + choice})
	}
	if o.Price != "" && !objectID.MatchString(o.Price) {
		faults = append(faults, Fault{"price", "wants the id of a price at Stripe"})
	}
	if len(o.Addons) > MaxAddons {
		return append(faults, Fault{"addons", fmt.Sprintf("wants at most %d", MaxAddons)})
	}
	for _, name := range slices.Sorted(maps.Keys(o.Addons)) {
		if _, is := addonOf(c, name); !is && !objectID.MatchString(name) {
			faults = append(faults, Fault{addonField(name), "is neither an add-on of the catalog nor the id of a price"})
		}
	}
	return faults
}

// sold names the tiers that can be bought.
func sold(c *aggregate.Catalog) []string {
	var names []string
	for _, t := range c.Tiers {
		if t.ID != c.FreeTier && len(t.Prices) > 0 {
			names = append(names, t.ID)
		}
	}
	return names
}

func addonOf(c *aggregate.Catalog, id string) (aggregate.Addon, bool) {
	i := slices.IndexFunc(c.Addons, func(a aggregate.Addon) bool { return a.ID == id })
	if i < 0 {
		return aggregate.Addon{}, false
	}
	return c.Addons[i], true
}

// Fault is one thing that is wrong with an order.
type Fault struct{ Field, Reason string }

// Faults is everything that is wrong with an order.
type Faults []Fault

func (f Faults) Error() string {
	reasons := make([]string, len(f))
	for i, fault := range f {
		reasons[i] = fault.Field + " " + fault.Reason
	}
	return "the order has faults: " + strings.Join(reasons, "; ")
}
