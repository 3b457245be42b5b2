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
	// mostRepeats bounds how often a key turns out to be an older one's.
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

// sellTo gives out the customer's open session of the same wish, or has one made,
// and ends those of other wishes.
func (d *Desk) sellTo(ctx context.Context, customer string, p purchase) (Sale, error) {
	sessions, err := d.Stripe.SessionsOf(ctx, customer)
	if err != nil {
		return Sale{}, err
	}
	if bought, err := d.justBought(ctx, sessions, p.Account); err != nil || bought {
		if err != nil {
			return Sale{}, err
		}
		return d.portal(ctx, customer, p.CancelURL, p.Caller)
	}
	i := slices.IndexFunc(sessions, func(s stripeapi.Session) bool {
		return d.isOpen(s, p.Account) && s.Metadata[wishKey] == p.wish() && s.ExpiresAt.After(d.Now().Add(leastOpen))
	})
	var session stripeapi.Session
	if i >= 0 {
		session = sessions[i]
	} else if session, err = d.newSession(ctx, customer, newestOf(sessions), p); err != nil {
		return Sale{}, err
	}
	d.endOthers(ctx, sessions, session.ID, p.Account)
	return Sale{Kind: KindCheckout, SessionID: session.ID, URL: session.URL, ExpiresAt: session.ExpiresAt}, nil
}

// isOpen reports a session of ours, for an account, by which something can be
// bought.
func (d *Desk) isOpen(s stripeapi.Session, account string) bool {
	return s.Status == stripeapi.SessionOpen && s.Metadata[wishKey] != "" && s.Metadata[d.AccountKeys[0]] == account
}

// justBought reports that one of the sessions has led to a subscription that the
// read model has not heard of yet. A customer may have bought for another account.
func (d *Desk) justBought(ctx context.Context, sessions []stripeapi.Session, account string) (bool, error) {
	for _, s := range sessions {
		named := d.accountOf(s)
		if s.Status != stripeapi.SessionComplete || s.Subscription == "" || named != "" && named != account || s.Created.Before(d.Now().Add(-recently)) {
			continue
		}
		if _, known, err := d.Model.Subscription(ctx, s.Subscription); err != nil || !known {
			return true, err
		}
	}
	return false, nil
}

func newestOf(sessions []stripeapi.Session) string {
	if len(sessions) == 0 {
		return ""
	}
	return sessions[0].ID
}

// newSession makes a session, the same for all who saw the same newest one. See
// the package's comment.
func (d *Desk) newSession(ctx context.Context, customer, newest string, p purchase) (stripeapi.Session, error) {
	order := stripeapi.SessionOrder{
		Customer: customer, Lines: p.lines, TrialDays: p.TrialDays, SuccessURL: p.SuccessURL, CancelURL: p.CancelURL,
		ClientReference:      clientReference(p.Account),
		Metadata:             map[string]string{d.AccountKeys[0]: p.Account, wishKey: p.wish()},
		SubscriptionMetadata: map[string]string{d.AccountKeys[0]: p.Account},
	}
	var session stripeapi.Session
	for range mostRepeats {
		key := p.Caller.keyFor("checkout")
		if key == "" {
			key = keyOf("checkout", p.Account, customer, p.wish(), newest)
		}
		made, err := d.Stripe.CreateSession(ctx, order, key)
		if err != nil || !made.Replayed {
			return made, err
		}
		if session, err = d.Stripe.Session(ctx, made.ID); err != nil || session.Status == stripeapi.SessionOpen {
			return session, err
		}
		newest = session.ID
		if p.Caller.Key != "" {
			break
		}
	}
	return session, ErrKeySpent
}

// endOthers ends the account's open sessions but one. That it could not be done
// makes nothing wrong with that one, so it is logged and no more.
func (d *Desk) endOthers(ctx context.Context, sessions []stripeapi.Session, but, account string) {
	for _, s := range sessions {
		if s.ID == but || !d.isOpen(s, account) {
			continue
		}
		if err := d.Stripe.ExpireSession(ctx, s.ID); err != nil && !stripeapi.IsKind(err, stripeapi.Refused) {
			d.Log.WithError(err).Warn("an older checkout session of an account stays open")
		}
	}
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
