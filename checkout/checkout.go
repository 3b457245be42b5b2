// Package checkout decides what comes of somebody wanting to buy: which price at
// Stripe a tier stands for, which customer an account is there, where the buyer
// may be sent back to, and whether a new session is made, an open one given out
// again, or the portal shown instead, because there is a subscription already.
//
// Nothing is kept here. What an account has is asked of the read model, what a
// customer has open of Stripe; so any number of servers may sell to one account
// at once, and all of them may forget.
//
// An account is given a customer at Stripe before its first session. Sessions are
// then found by the customer, however they were made; and what is bought in two
// of them belongs to one customer, not to two.
//
// A buyer who clicks twice gets one session. A session carries in its metadata
// what was wished for (wishKey): of the customer's sessions an open one of the
// same wish is given out again, and open ones of other wishes are ended, so that
// an account does not pay twice by a tab that was left open. Two requests at the
// same moment see no session yet: both then ask for one with the same idempotency
// key, which follows from account, customer, wish, and the customer's newest
// session as it was seen. The latter works as an expected revision does: who saw
// the same makes the same, and once something was made, the next key is another.
// Where a key turns out to be older than that, because the list lagged, the
// session that Stripe repeats is looked at again, and is the newest seen from then
// on. What is left open is that two different wishes of one moment make two
// sessions, of which the next request ends one.
//
// A caller's own idempotency key takes the place of that key. Callers never meet:
// their names are part of what Stripe gets.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/projections"
)

// Model is what is asked of the read model.
type Model interface {
	Account(ctx context.Context, account string) (projections.AccountRecord, bool, error)
	Subscription(ctx context.Context, id string) (projections.SubscriptionRecord, bool, error)
}

// Entitlements answers what an account may do; see projections.Answers.
type Entitlements interface {
	Entitlement(ctx context.Context, account string, now time.Time) (aggregate.Entitlement, error)
}

// Config is what a Desk is made of. All of it is required, but Redirects.
type Config struct {
	Stripe       *stripeapi.Client
	Model        Model
	Entitlements Entitlements
	// Moved returns a channel that is closed when the read model next changes.
	Moved func() <-chan struct{}
	// Catalog returns the catalog in force.
	Catalog func() *aggregate.Catalog
	// AccountKeys are the metadata keys that name the account; the first is written.
	AccountKeys []string
	// Redirects says where buyers may be sent back to; by default, nowhere.
	Redirects Redirects
	Now       func() time.Time
	Log       logrus.FieldLogger
}

// Desk sells. It may be used from many goroutines.
type Desk struct{ Config }

// NewDesk returns a desk.
func NewDesk(c Config) *Desk { return &Desk{c} }

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

// The errors that are no fault of the order's form.
var (
	// ErrBlocked: an operator refused the account all access, so it would pay for
	// nothing.
	ErrBlocked = errors.New("the account is blocked")
	// ErrKeySpent: the caller's idempotency key belongs to a session that is over.
	ErrKeySpent = errors.New("the session of this idempotency key is over")
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

// Kind says what a buyer is sent to.
type Kind string

// The kinds.
const (
	// KindCheckout is a page where something is bought.
	KindCheckout Kind = "checkout"
	// KindPortal is the page where a subscription that is there is changed.
	KindPortal Kind = "portal"
)

// Sale is where a buyer is sent.
type Sale struct {
	Kind Kind
	URL  string
	// SessionID and ExpiresAt are those of a checkout session.
	SessionID string
	ExpiresAt time.Time
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

// Sell has Stripe make what an order asks for. An account that has a subscription
// already, or has just bought one, is sent to the portal. The error is Faults,
// ErrBlocked, ErrKeySpent, *stripeapi.Error, or one of the read model's.
func (d *Desk) Sell(ctx context.Context, o Order) (Sale, error) {
	if faults := d.Check(o); len(faults) > 0 {
		return Sale{}, faults
	}
	o.SuccessURL, _ = d.Redirects.Check(o.SuccessURL)
	o.CancelURL, _ = d.Redirects.Check(o.CancelURL)
	b, err := d.buyer(ctx, o.Account)
	if err != nil {
		return Sale{}, err
	}
	if customer, live := b.live(); live {
		// A customer that is gone took its subscriptions along.
		if sale, err := d.portal(ctx, customer, o.CancelURL, o.Caller); !stripeapi.IsMissing(err, "customer") {
			return sale, err
		}
	}
	if b.Block != nil {
		return Sale{}, ErrBlocked
	}
	lines, err := d.lines(ctx, o)
	if err != nil {
		return Sale{}, err
	}
	return d.sellAs(ctx, b, purchase{Order: o, lines: lines})
}

// sellAs sells to one of the account's customers, or to a new one. A customer that
// Stripe has deleted, and whose deletion was not heard of, is passed over.
func (d *Desk) sellAs(ctx context.Context, b buyer, p purchase) (Sale, error) {
	for _, customer := range b.customers() {
		if sale, err := d.sellTo(ctx, customer, p); !stripeapi.IsMissing(err, "customer") {
			return sale, err
		}
	}
	known := b.Customers
	for {
		customer, err := d.newCustomer(ctx, p.Account, known)
		if err != nil {
			return Sale{}, err
		}
		sale, err := d.sellTo(ctx, customer, p)
		if slices.Contains(known, customer) || !stripeapi.IsMissing(err, "customer") {
			return sale, err
		}
		known = append(slices.Clone(known), customer) // made earlier, and deleted since
	}
}

// newCustomer makes a customer for an account, one for all who know of the same
// customers before it.
func (d *Desk) newCustomer(ctx context.Context, account string, known []string) (string, error) {
	key := keyOf("customer", append([]string{account}, known...)...)
	return d.Stripe.CreateCustomer(ctx, map[string]string{d.AccountKeys[0]: account}, key)
}

// OpenPortal returns a page at Stripe where an account sees to what it has. The
// error is Faults, *stripeapi.Error, or one of the read model's.
func (d *Desk) OpenPortal(ctx context.Context, account, returnURL string, caller Caller) (string, error) {
	if faults := d.CheckPortal(account, returnURL); len(faults) > 0 {
		return "", faults
	}
	returnURL, _ = d.Redirects.Check(returnURL)
	b, err := d.buyer(ctx, account)
	if err != nil {
		return "", err
	}
	customers := b.customers()
	if customer, live := b.live(); live {
		customers = append([]string{customer}, customers...)
	}
	for _, customer := range customers {
		if sale, err := d.portal(ctx, customer, returnURL, caller); !stripeapi.IsMissing(err, "customer") {
			return sale.URL, err
		}
	}
	return "", Faults{{"account", "has no customer at Stripe: it has bought nothing yet"}}
}

// CheckPortal lists what is wrong with a request for the portal, as far as that
// shows without asking anybody.
func (d *Desk) CheckPortal(account, returnURL string) Faults {
	return append(d.checkAccount(account), d.checkURL("return_url", returnURL)...)
}

// portal makes a portal session. Each is used once, so the key of a caller who has
// none is new each time; what Stripe is asked again has the same.
func (d *Desk) portal(ctx context.Context, customer, returnURL string, c Caller) (Sale, error) {
	key := c.keyFor("portal")
	if key == "" {
		key = randomKey("portal")
	}
	url, err := d.Stripe.CreatePortal(ctx, customer, withoutPlaceholder(returnURL), key)
	return Sale{Kind: KindPortal, URL: url}, err
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
		faults = append(faults, Fault{"addons", fmt.Sprintf("wants at most %d", MaxAddons)})
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
