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
// Webhooks get lost, and an account must not pay twice for that. So Stripe is asked
// for the customers' subscriptions too, and one that lives is one to be changed,
// though the read model does not know it; and before an account is given a customer,
// Stripe is searched for one whose metadata names it already. Without an answer
// nothing is sold; only a Stripe that never searches, as in some countries, is put up
// with. What was found that way is handed on (Learn): it is paid for, and the account
// does not have it yet.
//
// A buyer who clicks twice gets one session. A session carries in its metadata
// what was wished for (wishKey): of the sessions of the account's customers an open
// one of the same wish is given out again, and open ones of other wishes are ended,
// so that an account does not pay twice by a tab that was left open. A session is
// not given out before that is done, and not at all if one of the others turns out
// to be paid: then the portal is.
//
// A server carries out the orders of one account one after the other. Two servers
// at the same moment see no session yet: both then ask for one with the same
// idempotency key, which follows from account, customer, wish, and the customer's
// newest session as it was seen. The latter works as an expected revision does: who
// saw the same makes the same, and once something was made, the next key is another.
// Where a key turns out to be older than that, because the list lagged, the
// session that Stripe repeats is looked at again, and is the newest seen from then
// on; and a key under which Stripe keeps a failure gives way to a next one. What is
// left open is that different wishes, or different keys of callers, at two servers
// in one moment make two sessions, of which the next request ends one.
//
// A caller's own idempotency key takes the place of that key. Callers never meet:
// their names are part of what Stripe gets.
package checkout

import (
	"context"
	"errors"
	"slices"
	"time"

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

// Config is what a Desk is made of. All of it is required, but Redirects and Learn.
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
	// Learn is told, before the buyer is answered, of a subscription that Stripe has and
	// the read model does not know to live, and of what belongs to it; see handOn.
	Learn func(ctx context.Context, objects ...stripeapi.Object)
	Now   func() time.Time
}

// Desk sells. It may be used from many goroutines.
type Desk struct {
	Config
	orders turns // of each account
}

// NewDesk returns a desk.
func NewDesk(c Config) *Desk { return &Desk{Config: c} }

// The errors that are no fault of the order's form.
var (
	// ErrBlocked: an operator refused the account all access, so it would pay for
	// nothing.
	ErrBlocked = errors.New("the account is blocked")
	// ErrBusy: too many orders of the account wait for their turn.
	ErrBusy = errors.New("too many orders of the account are under way")
	// ErrKeySpent: the caller's idempotency key belongs to a session that is over.
	ErrKeySpent = errors.New("the session of this idempotency key is over")
)

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

// Sell has Stripe make what an order asks for. An account that has a subscription
// already, or has just bought one, is sent to the portal. The error is Faults,
// ErrBlocked, ErrBusy, ErrKeySpent, *stripeapi.Error, or one of the read model's.
func (d *Desk) Sell(ctx context.Context, o Order) (Sale, error) {
	if faults := d.Check(o); len(faults) > 0 {
		return Sale{}, faults
	}
	o.SuccessURL, _ = d.Redirects.Check(o.SuccessURL)
	o.CancelURL, _ = d.Redirects.Check(o.CancelURL)
	done, err := d.orders.take(ctx, o.Account)
	if err != nil {
		return Sale{}, err
	}
	defer done()
	b, err := d.buyer(ctx, o.Account)
	if err != nil {
		return Sale{}, err
	}
	// A customer that is gone took its subscriptions along.
	if sale, gone, err := d.portalOf(ctx, b.live(), o.CancelURL, o.Caller); !gone {
		return sale, err
	}
	if b.Block != nil {
		return Sale{}, ErrBlocked
	}
	if end := b.trialed(); o.TrialDays > 0 && !end.IsZero() {
		return Sale{}, Faults{{"trial_days", "is for accounts that had no trial yet; this one had one until " + end.UTC().Format(time.DateOnly)}}
	}
	lines, err := d.lines(ctx, o)
	if err != nil {
		return Sale{}, err
	}
	return d.sellAs(ctx, b, purchase{Order: o, lines: lines})
}

// sellAs sells to one of the account's customers, or to a new one.
func (d *Desk) sellAs(ctx context.Context, b buyer, p purchase) (Sale, error) {
	try := func(customers []string) (Sale, error) { return d.sellTo(ctx, customers, p) }
	if sale, gone, err := firstThere(b.sellable(), try); !gone {
		return sale, err
	}
	unheard, err := d.unheardCustomers(ctx, b, p.Account)
	if err != nil {
		return Sale{}, err
	}
	if sale, gone, err := firstThere(unheard, try); !gone {
		return sale, err
	}
	for known := b.Customers; ; {
		customer, err := d.newCustomer(ctx, p.Account, known)
		switch {
		case err != nil:
			return Sale{}, err
		case !customer.Replayed:
			return d.sellBeside(ctx, nil, customer.ID, p) // there is nothing to ask for
		}
		sale, err := d.sellTo(ctx, []string{customer.ID}, p)
		if slices.Contains(known, customer.ID) || !stripeapi.IsMissing(err, "customer") {
			return sale, err
		}
		known = append(slices.Clone(known), customer.ID) // made earlier, and deleted since
	}
}

// firstThere tries customers, each with those behind it, until Stripe has one. A
// customer that it has deleted, and whose deletion was not heard of, is passed over;
// gone says that all are.
func firstThere(customers []string, try func(rest []string) (Sale, error)) (sale Sale, gone bool, err error) {
	for i := range customers {
		if sale, err = try(customers[i:]); !stripeapi.IsMissing(err, "customer") {
			return sale, false, err
		}
	}
	return Sale{}, true, nil
}

// newCustomer makes a customer for an account, one for all who know of the same
// customers before it.
func (d *Desk) newCustomer(ctx context.Context, account string, known []string) (stripeapi.Customer, error) {
	return anew("customer", append([]string{d.AccountKeys[0], account}, known...), func(key string) (stripeapi.Customer, error) {
		return d.Stripe.CreateCustomer(ctx, map[string]string{d.AccountKeys[0]: account}, key)
	})
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
	if sale, gone, err := d.portalOf(ctx, append(b.live(), b.customers()...), returnURL, caller); !gone {
		return sale.URL, err
	}
	unheard, err := d.unheardCustomers(ctx, b, account)
	if err != nil {
		return "", err
	}
	if sale, gone, err := d.portalOf(ctx, unheard, returnURL, caller); !gone {
		return sale.URL, err
	}
	return "", Faults{{"account", "has no customer at Stripe: it has bought nothing yet"}}
}

// portalOf makes a portal session of the first of some customers that is there.
func (d *Desk) portalOf(ctx context.Context, customers []string, returnURL string, c Caller) (sale Sale, gone bool, err error) {
	return firstThere(customers, func(rest []string) (Sale, error) { return d.portal(ctx, rest[0], returnURL, c) })
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
