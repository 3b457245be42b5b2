package checkout

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// Stage is how far a checkout has come.
type Stage string

// The stages.
const (
	// Pending: it is not paid yet, or not posted, or not all that access needs.
	Pending Stage = "pending"
	// Granted: what was bought is in the read model, and gives access.
	Granted Stage = "granted"
	// Expired: nothing was bought, and nothing will be.
	Expired Stage = "expired"
)

// Standing is how a checkout stands.
type Standing struct {
	Session stripeapi.Session
	Stage   Stage
	// Account is whose it is, empty if nothing names it.
	Account string
	// Posted says that the subscription is in the read model, as one of Account.
	Posted bool
}

// sessionID is the form of a checkout session's id.
var sessionID = regexp.MustCompile(`^cs_[A-Za-z0-9_]{1,250}$`)

// IsSession reports what may be the id of a checkout session.
func IsSession(id string) bool { return sessionID.MatchString(id) }

// Look says how a checkout session stands. One that Stripe does not have is a
// *stripeapi.Error of the kind NotFound.
func (d *Desk) Look(ctx context.Context, id string) (Standing, error) {
	session, err := d.Stripe.Session(ctx, id)
	if err != nil {
		return Standing{}, err
	}
	return d.standing(ctx, session)
}

// standing says how a session stands by the read model.
func (d *Desk) standing(ctx context.Context, session stripeapi.Session) (Standing, error) {
	s := Standing{Session: session, Stage: Pending, Account: d.accountOf(session)}
	if session.Status == stripeapi.SessionExpired {
		s.Stage = Expired
	}
	if session.Subscription == "" {
		return s, nil
	}
	sub, known, err := d.Model.Subscription(ctx, session.Subscription)
	if err != nil || !known || sub.Account == "" || s.Account != "" && s.Account != sub.Account {
		return s, err
	}
	s.Account, s.Posted = sub.Account, true
	e, err := d.Entitlements.Entitlement(ctx, s.Account, d.Now())
	if e.Source == aggregate.FromSubscription || e.Source == aggregate.FromWaiver && slices.Contains(paying, sub.Status) {
		s.Stage = Granted
	}
	return s, err
}

// paying are the statuses of a subscription that would give access, were there no
// better waiver.
var paying = []aggregate.Status{aggregate.Active, aggregate.Trialing, aggregate.PastDue}

// accountOf is whom the session's metadata names.
func (d *Desk) accountOf(s stripeapi.Session) string {
	for _, key := range d.AccountKeys {
		if account := s.Metadata[key]; aggregate.ValidAccount(account) {
			return account
		}
	}
	return ""
}

const (
	// lookEvery is how long is waited at least between two looks at the read model,
	// however often it changes.
	lookEvery = 25 * time.Millisecond
	// firstAsk is when Stripe is asked again about a session that was not complete;
	// each time after, it takes twice as long.
	firstAsk = time.Second
)

// Await waits until a checkout is no longer pending, or done is closed, and says
// how it stands then. Changes of the read model wake it; Stripe is asked again now
// and then, as long as nothing was bought.
func (d *Desk) Await(ctx context.Context, s Standing, done <-chan struct{}) (Standing, error) {
	pause := firstAsk
	ask := time.NewTimer(pause)
	defer ask.Stop()
	for {
		moved := d.Moved()
		var err error
		if s, err = d.standing(ctx, s.Session); err != nil || s.Stage != Pending {
			return s, err
		}
		select {
		case <-done:
			return s, nil
		case <-ctx.Done():
			return s, ctx.Err()
		case <-moved:
			if err := rest(ctx, lookEvery); err != nil {
				return s, err
			}
		case <-ask.C:
			if s.Session.Subscription == "" {
				if s.Session, err = d.Stripe.Session(ctx, s.Session.ID); err != nil {
					return s, err
				}
			}
			pause *= 2
			ask.Reset(pause)
		}
	}
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
