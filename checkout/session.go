package checkout

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// wishKey is the metadata key under which a session of ours carries what was
// wished for.
const wishKey = "daybook_wish"

const (
	// leastOpen is how long a session must still be open to be given out again.
	leastOpen = 15 * time.Minute
	// recently bounds how old a session may be whose purchase was not heard of yet:
	// a session lasts a day, and a webhook may be late.
	recently = 48 * time.Hour
	// mostRepeats bounds how often a key turns out to be an older one's, or one of a
	// request that failed.
	mostRepeats = 4
)

// purchase is an order with the prices that it was found to mean.
type purchase struct {
	Order
	lines []stripeapi.Line
}

// wish tells purchases apart: those of one wish lead to the same page.
func (p purchase) wish() string {
	parts := []string{p.SuccessURL, p.CancelURL, fmt.Sprint(p.TrialDays)}
	for _, l := range p.lines {
		parts = append(parts, l.Price, fmt.Sprint(l.Quantity))
	}
	return digest(parts...)[:32]
}

// sellTo sells to the first of the account's customers, unless one of them has a
// subscription that lives: then its portal is where to go.
func (d *Desk) sellTo(ctx context.Context, customers []string, p purchase) (Sale, error) {
	sessions, found, err := d.atStripe(ctx, customers, p.Account)
	if err != nil {
		return Sale{}, err
	}
	if found != nil {
		return d.portal(ctx, found.Customer, p.CancelURL, p.Caller)
	}
	return d.sellBeside(ctx, sessions, customers[0], p)
}

// sellBeside gives out an open session of the same wish, or has one made of a
// customer, and ends those of other wishes. Who has just bought by one of them is
// sent to the portal.
func (d *Desk) sellBeside(ctx context.Context, sessions []stripeapi.Session, customer string, p purchase) (Sale, error) {
	for _, s := range sessions {
		if bought, err := d.justBought(ctx, s, p.Account); err != nil || bought {
			return d.portalAfter(ctx, s, p, err)
		}
	}
	session, open := d.openSession(sessions, p)
	if !open {
		var err error
		if session, err = d.newSession(ctx, customer, newestOf(sessions, customer), p); err != nil {
			return Sale{}, err
		}
	}
	if session.Status == stripeapi.SessionComplete {
		return d.portalAfter(ctx, session, p, nil)
	}
	for _, s := range sessions {
		if s.ID == session.ID || !d.isOpen(s, p.Account) {
			continue
		}
		if paid, err := d.end(ctx, s.ID); err != nil || paid {
			return d.insteadOf(ctx, session, s, p, err)
		}
	}
	return Sale{Kind: KindCheckout, SessionID: session.ID, URL: session.URL, ExpiresAt: session.ExpiresAt}, nil
}

// portalAfter sends to the portal of whoever bought by a session, unless something
// went wrong before.
func (d *Desk) portalAfter(ctx context.Context, s stripeapi.Session, p purchase, err error) (Sale, error) {
	if err != nil {
		return Sale{}, err
	}
	return d.portal(ctx, s.Customer, p.CancelURL, p.Caller)
}

// openSession finds one of the same wish that lasts a while.
func (d *Desk) openSession(sessions []stripeapi.Session, p purchase) (stripeapi.Session, bool) {
	i := slices.IndexFunc(sessions, func(s stripeapi.Session) bool {
		return d.isOpen(s, p.Account) && s.Metadata[wishKey] == p.wish() && s.ExpiresAt.After(d.Now().Add(leastOpen))
	})
	if i < 0 {
		return stripeapi.Session{}, false
	}
	return sessions[i], true
}

// isOpen reports a session of ours, for an account, by which something can be
// bought.
func (d *Desk) isOpen(s stripeapi.Session, account string) bool {
	return s.Status == stripeapi.SessionOpen && s.Metadata[wishKey] != "" && s.Metadata[d.AccountKeys[0]] == account
}

// justBought reports that a session has led to a subscription that the read model
// has not heard of yet, or whose first payment is still on its way. A customer may
// have bought for another account.
func (d *Desk) justBought(ctx context.Context, s stripeapi.Session, account string) (bool, error) {
	named := d.accountIn(s.Metadata)
	if s.Status != stripeapi.SessionComplete || s.Subscription == "" || named != "" && named != account || s.Created.Before(d.Now().Add(-recently)) {
		return false, nil
	}
	sub, known, err := d.Model.Subscription(ctx, s.Subscription)
	return err == nil && (!known || sub.Status == "" || sub.Status == aggregate.Incomplete), err
}

// newestOf is the newest session of a customer, empty if it has none.
func newestOf(sessions []stripeapi.Session, customer string) string {
	for _, s := range sessions {
		if s.Customer == customer {
			return s.ID
		}
	}
	return ""
}

// newSession makes a session, the same for all who saw the same newest one. See
// the package's comment. Where that was made before, and something was just bought
// by it, it is returned as complete.
func (d *Desk) newSession(ctx context.Context, customer, newest string, p purchase) (stripeapi.Session, error) {
	order := stripeapi.SessionOrder{
		Customer: customer, Lines: p.lines, TrialDays: p.TrialDays, SuccessURL: p.SuccessURL, CancelURL: p.CancelURL,
		ClientReference:      clientReference(p.Account),
		Metadata:             map[string]string{d.AccountKeys[0]: p.Account, wishKey: p.wish()},
		SubscriptionMetadata: map[string]string{d.AccountKeys[0]: p.Account},
	}
	for range mostRepeats {
		ask := func(key string) (stripeapi.Session, error) { return d.Stripe.CreateSession(ctx, order, key) }
		var session stripeapi.Session
		var err error
		if key := p.Caller.keyFor("checkout"); key != "" {
			session, err = ask(key)
		} else {
			session, err = anew("checkout", []string{d.AccountKeys[0], p.Account, customer, p.wish(), newest}, ask)
		}
		if err != nil || !session.Replayed {
			return session, err
		}
		if session, err = d.Stripe.Session(ctx, session.ID); err != nil || session.Status == stripeapi.SessionOpen {
			return session, err
		}
		if bought, err := d.justBought(ctx, session, p.Account); err != nil || bought {
			return session, err
		}
		newest = session.ID
		if p.Caller.Key != "" {
			break
		}
	}
	return stripeapi.Session{}, ErrKeySpent
}

// end ends a session, and reports whether it was paid before that could be done.
func (d *Desk) end(ctx context.Context, id string) (paid bool, err error) {
	if err := d.Stripe.ExpireSession(ctx, id); !stripeapi.IsKind(err, stripeapi.Refused) {
		return false, err
	}
	s, err := d.Stripe.Session(ctx, id)
	return s.Status == stripeapi.SessionComplete, err
}

// insteadOf ends a session in favour of one that was paid meanwhile.
func (d *Desk) insteadOf(ctx context.Context, session, paid stripeapi.Session, p purchase, err error) (Sale, error) {
	if err == nil {
		_, err = d.end(ctx, session.ID)
	}
	return d.portalAfter(ctx, paid, p, err)
}

// reference is what Stripe takes as a client's reference.
var reference = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

// clientReference is the account's name, where Stripe takes it as a reference. The
// metadata has it in any case.
func clientReference(account string) string { return reference.FindString(account) }

// keyFor is the idempotency key that Stripe gets for a caller's own, empty if it
// has none. Stripe wants another for another kind of request.
func (c Caller) keyFor(what string) string {
	if c.Key == "" {
		return ""
	}
	return keyOf(what, "caller", c.Name, c.Key)
}

// keyOf is an idempotency key that follows from what it is for.
func keyOf(what string, parts ...string) string { return "daybook-" + what + "-" + digest(parts...) }

// anew asks for something to be made, by a key that follows from what it is for. As
// long as Stripe only repeats how it failed, which may be long mended, it goes on to
// a next key, the same for all who meet the same.
func anew[T any](what string, parts []string, ask func(key string) (T, error)) (T, error) {
	for failed := range mostRepeats {
		key := keyOf(what, parts...)
		if failed > 0 {
			key = keyOf(what, append(slices.Clone(parts), "failed", fmt.Sprint(failed))...)
		}
		if made, err := ask(key); !stripeapi.IsReplayed(err) {
			return made, err
		}
	}
	return ask(randomKey(what))
}

// randomKey is an idempotency key that no other request has.
func randomKey(what string) string { return "daybook-" + what + "-" + rand.Text() }

// digest is one for each list of texts.
func digest(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = fmt.Sprintf("%q", p)
	}
	sum := sha256.Sum256([]byte(strings.Join(quoted, ",")))
	return hex.EncodeToString(sum[:])
}
