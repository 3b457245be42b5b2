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
	// Failed: it was completed, but its payment did not come. Should one come all the
	// same, as by the invoice in the portal, it is Granted then.
	Failed Stage = "failed"
	// Ended: what was bought is over.
	Ended Stage = "ended"
	// Expired: nothing was bought, and nothing will be.
	Expired Stage = "expired"
)

// Standing is how a checkout stands.
type Standing struct {
	Session stripeapi.Session
	Stage   Stage
	// Detail says what became of it, in a sentence; empty while Pending, and if
	// Granted.
	Detail string
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
	s := Standing{Session: session, Stage: Pending, Account: d.accountIn(session.Metadata)}
	if session.Status == stripeapi.SessionExpired {
		s.Stage, s.Detail = Expired, "The checkout has expired: nothing was bought by it."
	}
	if session.Subscription == "" {
		return s, nil
	}
	sub, known, err := d.Model.Subscription(ctx, session.Subscription)
	if err != nil || !known || sub.Account == "" || s.Account != "" && s.Account != sub.Account {
		return s, err
	}
	s.Account, s.Posted = sub.Account, true
	granted, err := d.grants(ctx, sub)
	s.Stage, s.Detail = stageOf(session, sub, granted)
	return s, err
}

// grants reports that an account may do what a subscription of it gives, though
// something else it has may give more.
func (d *Desk) grants(ctx context.Context, sub projections.SubscriptionRecord) (bool, error) {
	now := d.Now()
	e, err := d.Entitlements.Entitlement(ctx, sub.Account, now)
	if err != nil || e.Source != aggregate.FromSubscription && e.Source != aggregate.FromWaiver {
		return false, err
	}
	account, _, err := d.Model.Account(ctx, sub.Account)
	return account.AccessOf(sub, d.Catalog(), now).Granted, err
}

// stageOf says what became of a session by which a subscription was bought, and
// why it gives no access.
func stageOf(session stripeapi.Session, sub projections.SubscriptionRecord, granted bool) (Stage, string) {
	switch {
	case granted:
		return Granted, ""
	case slices.Contains(sub.Flags, aggregate.FlagCheckoutFailed):
		return Failed, "The checkout was completed, but its payment failed, and nothing has been paid since."
	case sub.Status == aggregate.IncompleteExpired, sub.Status == aggregate.Canceled && session.PaymentStatus == unpaid && len(sub.Paid) == 0:
		return Failed, "The checkout was completed, but its payment did not come before the subscription ended."
	case sub.Status == aggregate.Canceled:
		return Ended, "What was bought has ended: the subscription is canceled."
	}
	return Pending, ""
}

// unpaid is Stripe's word for a session whose payment is on its way, or failed.
const unpaid = "unpaid"

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
// asked again now and then, as long as nothing was bought, and once a delayed
// payment has come; what it does not answer is as it was.
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
		case err != nil:
			return now, err
		case now.Stage == Granted && now.Session.PaymentStatus == unpaid:
			now.Session = d.askAgain(ctx, now.Session)
			return now, nil
		case now.Stage != Pending:
			return now, nil
		}
		s = now
		select {
		case <-ctx.Done():
		case <-moved:
			rest(ctx, lookEvery)
		case <-ask.C:
			if s.Session.Subscription == "" {
				s.Session = d.askAgain(ctx, s.Session)
			}
			pause *= 2
			ask.Reset(pause)
		}
	}
}

// askAgain asks how a session stands by now.
func (d *Desk) askAgain(ctx context.Context, s stripeapi.Session) stripeapi.Session {
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
