// Package reconcile makes the record complete by asking Stripe: it backfills
// what was there before Daybook, finds the events that no webhook brought, and
// compares what is true here with what Stripe answers.
//
// Whatever it brings in goes the way of every webhook: into the journal, raw, and
// from there to posting. Nothing is written to a domain stream here. Order and
// repetition make no difference, so all of it may be interrupted, repeated, and
// run beside webhooks.
package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// The bounds and habits of reconciling.
const (
	// Every is how often a server sweeps; Overlap is how much of what was swept
	// before it sweeps again, for events that Stripe listed late.
	Every   = time.Hour
	Overlap = 30 * time.Minute
	// headLag is how far behind the present a sweep ends: Stripe's list is
	// complete after about a minute.
	headLag = time.Minute
	// Kept is for how long Stripe lists events, and cliff when it is time to fear
	// for those not looked at.
	Kept  = 30 * 24 * time.Hour
	cliff = 20 * 24 * time.Hour
	// recent is how old the invoices are that are looked at although nobody owes
	// them.
	recent = 90 * 24 * time.Hour
	// stillTrying is how long a webhook may be on its way before it counts as
	// missed, if Stripe says that it is still being tried.
	stillTrying = time.Hour
	// settleTimeout bounds how long posting may take with what was found.
	settleTimeout = 10 * time.Minute
	// inHand bounds what a backfill records at once. A sweep, which comes every
	// hour, records one after the other, at its pace while webhooks are coming.
	inHand = 8
	// retryEvery is how long a server waits after a sweep that failed.
	retryEvery = 5 * time.Minute
	// gapFrom is how long ago the last sweep is when something may be missing: no
	// server ran since, or the store is one from a backup.
	gapFrom = 2 * Every
	// clocksApart is how far Stripe's clock and ours may differ.
	clocksApart = 5 * time.Minute
)

// Ours tells of the subscriptions that the read model knows.
type Ours interface {
	// Doubtful lists those to look at first: whose order is ambiguous, that are
	// past due, or overdue.
	Doubtful(ctx context.Context) ([]string, error)
	// Live lists those whose status is not terminal.
	Live(ctx context.Context) ([]string, error)
}

// Config is what reconciling needs.
type Config struct {
	// API is nil where no key is configured: then every work is refused with
	// ErrNoKey.
	API        *stripeapi.Client
	Store      eventstore.Store
	Journal    *intake.Journal
	Translator *intake.Translator
	// Catalogs returns the history of catalogs in force.
	Catalogs func() aggregate.Catalogs
	Ours     Ours
	Livemode bool
	// Traffic is the heartbeat of webhooks, for the status; nil for none.
	Traffic *Traffic
	// Settle returns once everything recorded is posted and in the read model.
	Settle func(ctx context.Context) error
	Now    func() time.Time
	Log    logrus.FieldLogger
}

// ErrNoKey says that Stripe cannot be asked.
var ErrNoKey = errors.New("STRIPE_API_KEY is not set: without a key Stripe cannot be asked; a restricted key that may read customers, subscriptions, invoices, checkout sessions and events is enough")

// Reconciler asks. Its methods may be called from many goroutines; one piece of
// work is done at a time.
type Reconciler struct {
	Config
	turn  chan struct{} // has a token while nobody works
	hurry chan struct{} // has a token when a sweep is wanted at once

	mu      sync.Mutex
	giveWay func() bool // whether webhooks are coming; nil if nobody tells
	tried   bool        // a sweep of this process has ended, well or not
	state   state
	last    lastRun
}

// lastRun is how the latest sweep of this process went.
type lastRun struct {
	err    error
	report *Report
	// disabled are the URLs of Daybook's endpoints, if all of them are disabled.
	disabled []string
}

// New returns a Reconciler; Load makes it know what was done before.
func New(c Config) *Reconciler {
	r := &Reconciler{Config: c, turn: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

// GiveWay has the sweeps that begin from now on keep a pace while webhooks are
// coming, as busy tells; without it, and when none are coming, they go on as fast as
// Stripe lets them.
func (r *Reconciler) GiveWay(busy func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.giveWay = busy
}

// newPace is that of one sweep.
func (r *Reconciler) newPace() *pace {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.giveWay == nil {
		return &pace{busy: func() bool { return false }}
	}
	return &pace{busy: r.giveWay}
}

// begin waits for its turn and knows the present state.
func (r *Reconciler) begin(ctx context.Context) (end func(), err error) {
	if r.API == nil {
		return nil, ErrNoKey
	}
	select {
	case <-r.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	end = func() { r.turn <- struct{}{} }
	if err := r.Load(ctx); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// Run sweeps every hour until ctx ends: at once, if the last sweep is longer ago,
// whoever of several servers on one store made it, and whenever Hurry asks for it.
// Without a key it returns.
func (r *Reconciler) Run(ctx context.Context) {
	if r.API == nil {
		return
	}
	for first, hurried := true, false; ; first = false {
		if err := r.Load(ctx); err != nil {
			r.Log.WithError(err).Warn("reconciling does not know what was done before")
		}
		if first {
			r.announceGap()
		}
		wait := r.current().SweptAt.Add(Every).Sub(r.Now())
		if wait <= 0 || hurried {
			wait = r.sweepOnce(ctx)
		}
		var ended bool
		if hurried, ended = r.rest(ctx, wait); ended {
			return
		}
	}
}

// Hurry has Run sweep now, or once more if it is at it. It does not wait.
func (r *Reconciler) Hurry() {
	select {
	case r.hurry <- struct{}{}:
	default: // one will do
	}
}

// rest waits until a sweep is due, or is asked for, or ctx ends.
func (r *Reconciler) rest(ctx context.Context, d time.Duration) (hurried, ended bool) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, true
	case <-timer.C:
		return false, false
	case <-r.hurry:
		return true, false
	}
}

// Gap reports that more than a sweep was left out, and that none of this process
// has tried to make up for it yet.
func (r *Reconciler) Gap() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.API != nil && !r.tried && r.state.gapAt(r.Now())
}

// SweptSince reports whether a sweep that left nothing out has ended after a
// moment, and looked through what Stripe listed then: whoever made it, as far as
// was loaded.
func (r *Reconciler) SweptSince(moment time.Time) bool {
	s := r.current()
	return s.SweptAt.After(moment) && s.SweptUntil.After(moment.Add(-clocksApart))
}

// sweepOnce sweeps, tells of it in the log, and returns when to look again.
func (r *Reconciler) sweepOnce(ctx context.Context) time.Duration {
	report, err := r.Reconcile(ctx, Plan{})
	r.mu.Lock()
	r.tried = true
	r.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			r.Log.WithError(err).Error("the record could not be compared with Stripe")
		}
		return retryEvery
	}
	report.log(r.Log)
	r.LookAtEndpoints(ctx)
	return Every
}

// announceGap says that more than a sweep was left out: nothing ran meanwhile, or
// the store is an older one, restored from a backup.
func (r *Reconciler) announceGap() {
	if s := r.current(); s.gapAt(r.Now()) {
		r.Log.WithFields(logrus.Fields{"swept_until": s.SweptUntil, "hours": int(r.Now().Sub(s.SweptAt).Hours())}).
			Warn("this store was last compared with Stripe hours ago: no server ran since, or it is restored from a backup; sweeping the gap")
	}
}

// LookAtEndpoints finds out whether Stripe still sends anything. A key that may
// not list endpoints does not tell.
func (r *Reconciler) LookAtEndpoints(ctx context.Context) {
	endpoints, err := r.API.Endpoints(ctx)
	if err != nil {
		if !stripeapi.IsKind(err, stripeapi.Forbidden) {
			r.Log.WithError(err).Warn("the webhook endpoints could not be looked at")
		}
		return
	}
	var disabled []string
	for _, e := range endpoints {
		switch {
		case !OfDaybook(e):
		case e.Status == "disabled":
			disabled = append(disabled, e.URL)
		default:
			r.noteDisabled(nil) // one is enough
			return
		}
	}
	r.noteDisabled(disabled)
	if len(disabled) > 0 {
		r.Log.WithField("urls", disabled).Error("the webhook endpoint is disabled: Stripe sends nothing; enable it in Stripe's dashboard")
	}
}

func (r *Reconciler) noteDisabled(urls []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.disabled = urls
}
