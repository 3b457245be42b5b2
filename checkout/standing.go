package checkout

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/projections"
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
	if givesAccess(e, sub) {
		s.Stage = Granted
	}
	return s, err
}

// givesAccess reports that an account may do what a subscription of it gives, though
// something else it has may give more.
func givesAccess(e aggregate.Entitlement, sub projections.SubscriptionRecord) bool {
	has := e.Source == aggregate.FromSubscription || e.Source == aggregate.FromWaiver
	return has && (e.SubscriptionID == sub.ID || slices.Contains(paying, sub.Status))
}

// paying are the statuses of a subscription that would give access, were there
// nothing better.
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

// Await waits until a checkout is no longer pending, or ctx ends, and says how it
// stood when it was last looked at. Changes of the read model wake it; Stripe is
// asked again now and then, as long as nothing was bought, and what it does not
// answer is as it was.
func (d *Desk) Await(ctx context.Context, s Standing) (Standing, error) {
	pause := firstAsk
	ask := time.NewTimer(pause)
	defer ask.Stop()
	for {
		moved := d.Moved()
		now, err := d.standing(ctx, s.Session)
		switch {
		case ctx.Err() != nil:
			return s, nil
		case err != nil || now.Stage != Pending:
			return now, err
		}
		s = now
		select {
		case <-ctx.Done():
		case <-moved:
			rest(ctx, lookEvery)
		case <-ask.C:
			s.Session = d.askAgain(ctx, s.Session)
			pause *= 2
			ask.Reset(pause)
		}
	}
}

// askAgain asks how a session stands by which nothing was bought.
func (d *Desk) askAgain(ctx context.Context, s stripeapi.Session) stripeapi.Session {
	if s.Subscription != "" {
		return s
	}
	now, err := d.Stripe.Session(ctx, s.ID)
	if err != nil {
		return s
	}
	return now
}

// rest waits, as long as ctx lasts.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
