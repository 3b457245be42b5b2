package projections

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/eventstore"
)

// The times of publishing.
const (
	// beatEvery is how often the heartbeat is written, and the outlet found to
	// have been emptied.
	beatEvery = time.Second
	// lastPublishPause bounds the pause behind a failure: lost keys should be
	// back within seconds once the outlet is, and the outlet is left alone by
	// itself.
	lastPublishPause = 2 * time.Second
	// A span is renewed when two thirds of its lease are over.
	renewAfter, renewOf = 2, 3
)

// PublisherOptions configures a Publisher. All but CheckEvery, PageAccounts and
// OnPublished are required.
type PublisherOptions struct {
	Outlet Outlet
	Model  Reader
	// Feed is the one that Runner feeds.
	Feed   *Feed
	Runner interface{ Standing() Standing }
	Store  interface {
		Head(ctx context.Context) (eventstore.Position, error)
	}
	// Vouch is asked whether the record behind the model is whole, as far as anybody
	// knows: when a term begins, with what was told last, and again when the model
	// was folded anew. Until it returns nil, nothing is published and no heartbeat
	// written; its error is the trouble, and it is asked again.
	Vouch func(ctx context.Context, told Told) error
	// Lease is the outlet's.
	Lease time.Duration
	// CheckEvery is how often what is published is compared with the model; 0
	// means every hour.
	CheckEvery time.Duration
	// PageAccounts is how many accounts are read at once when everything is
	// published, at least 500; 0 means 4000.
	PageAccounts int
	// OnPublished is told when what has changed is published. It must not wait.
	// Nil tells nobody.
	OnPublished func(Published)
	Now         func() time.Time
	Log         logrus.FieldLogger
}

// Published tells that all that was fed is published, for traces.
type Published struct {
	// Position is the place up to which the log was folded when the latest of the
	// Entries was evaluated.
	Position     eventstore.Position
	Entries      int
	Began, Ended time.Time
}

// Publisher makes the entitlements of a model appear at an outlet, and keeps
// them there.
//
// It publishes what changes at once, and all else again before its lease ends.
// It does either only while it vouches for the model: the model has everything up
// to a head of the store that was read less than a quarter of the lease ago; and
// nothing tells that the store itself lacks anything. So what a node that is
// behind, cut off, or restored from a backup once published lapses. What is to be
// published can be read of the model at any time, so that nothing is lost by a
// failure: where there may be doubt, everything is published again.
type Publisher struct {
	opts PublisherOptions

	mu     sync.Mutex
	status PublisherStatus
	// vouched is when the store's head was read that the model has reached.
	vouched time.Time
	// asked is the head that it has yet to reach.
	asked headReading
	// allow says that the last beat found an outlet that may be written to.
	allow    bool
	outcomes map[Outcome]uint64
	// rounds are publications of everything, and of what is checked behind.
	rounds rounds

	check chan struct{} // has a token when the outlet is to be checked at once
}

// rounds count how often everything was to be published, by its number: asked
// for, begun, published, and checked. They are equal when all is done.
type rounds struct {
	asked, begun, published, checked uint64
	// why the last one was asked for.
	why string
	// progress is closed, and replaced, when one was checked.
	progress chan struct{}
}

// PublisherStatus is how a Publisher is doing.
type PublisherStatus struct {
	// Leading says that this process publishes, Since when it began to, and
	// Elected that it was elected to: where no election can be held, all lead.
	Leading bool      `json:"leading"`
	Elected bool      `json:"elected"`
	Since   time.Time `json:"since,omitzero"`
	// Position is the place in the log up to which everything is published, and
	// acknowledged.
	Position eventstore.Position `json:"position"`
	// Waiting counts the changes that are not published yet, and LagSeconds tells
	// how long the oldest has been waiting.
	Waiting    int     `json:"waiting"`
	LagSeconds float64 `json:"lag_seconds"`
	// Republishing says why everything is being published again, empty if it is not.
	Republishing string `json:"republishing,omitempty"`
	// VouchedAt is when the head of the store was read that the model has
	// reached. Nothing is published when that is too long ago.
	VouchedAt time.Time `json:"vouched_at,omitzero"`
	// BeatAt is when the heartbeat was last written, and SkewMillis how far our
	// clock is ahead of the outlet's.
	BeatAt     time.Time `json:"beat_at,omitzero"`
	SkewMillis int64     `json:"skew_ms"`
	// Outcomes count what became of publications, since the process began.
	Outcomes map[string]uint64 `json:"outcomes"`
	// LastError is a trouble that has not passed yet, empty if there is none.
	LastError string       `json:"last_error,omitempty"`
	Outlet    OutletHealth `json:"outlet"`
	// Checking says that what is published is being compared with the model.
	Checking bool `json:"checking"`
	// Check is what the last comparison with the model found.
	Check *OutletCheck `json:"check,omitempty"`
}

// NewPublisher returns a publisher, which does nothing until Publish.
func NewPublisher(opts PublisherOptions) *Publisher {
	if opts.CheckEvery <= 0 {
		opts.CheckEvery = time.Hour
	}
	opts.PageAccounts = max(cmp.Or(opts.PageAccounts, pageOfAll), spanOfRenewals)
	return &Publisher{opts: opts, outcomes: map[Outcome]uint64{}, rounds: rounds{progress: make(chan struct{})}, check: make(chan struct{}, 1)}
}

// Status tells how the publisher is doing, without asking anybody.
func (p *Publisher) Status() PublisherStatus {
	waiting, since := p.opts.Feed.waiting()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Waiting, s.VouchedAt = waiting, p.vouched
	if s.Leading && p.rounds.published < p.rounds.asked {
		s.Republishing = p.rounds.why
	}
	if !since.IsZero() {
		s.LagSeconds = max(0, p.opts.Now().Sub(since).Seconds())
	}
	s.Outcomes = make(map[string]uint64, len(p.outcomes))
	for outcome, n := range p.outcomes {
		s.Outcomes[outcome.String()] = n
	}
	s.Outlet = p.opts.Outlet.Health()
	if !s.Leading { // and cannot be elected
		s.LastError = s.Outlet.LastError
	}
	return s
}

// Republish has everything published again, and what is published checked behind
// it. It returns what to give to AwaitRound.
func (p *Publisher) Republish(why string) (round uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds.asked++
	p.rounds.why = why
	signal(p.opts.Feed.woke)
	return p.rounds.asked
}

// AwaitRound waits until what Republish asked for is done. It reports false if
// this process does not publish.
func (p *Publisher) AwaitRound(ctx context.Context, round uint64) (done bool, err error) {
	for {
		p.mu.Lock()
		done, leading, progress := p.rounds.checked >= round, p.status.Leading, p.rounds.progress
		p.mu.Unlock()
		if done || !leading {
			return done, nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// Publish publishes until ctx ends or the term does. It is work for an Elector:
// one call at a time.
func (p *Publisher) Publish(ctx context.Context, term Term) error {
	p.begin(term)
	defer p.end()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.watchHead(ctx) })
	group.Go(func() error { return p.checkOutlet(ctx, term) })
	group.Go(func() error { return p.loop(ctx, term) })
	return group.Wait()
}

func (p *Publisher) begin(term Term) {
	p.opts.Feed.listen(true)
	p.Republish("this process has begun to publish")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Leading, p.status.Elected = true, term.Elected()
	p.status.Since, p.status.Position = p.opts.Now().UTC(), 0
	p.vouched, p.asked, p.allow = time.Time{}, headReading{}, false
}

func (p *Publisher) end() {
	p.opts.Feed.listen(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Leading, p.status.Elected, p.status.Since, p.status.LastError = false, false, time.Time{}, ""
	close(p.rounds.progress) // nobody waits for one who does not publish
	p.rounds.progress = make(chan struct{})
}

// errTermOver ends what is done for a term.
var errTermOver = errors.New("the leadership is over")

// loop does one piece of work after the other, as they fall due.
func (p *Publisher) loop(ctx context.Context, term Term) error {
	pauses := newPauses()
	pauses.MaxInterval = lastPublishPause
	w := &publishing{Publisher: p, since: p.opts.Now(),
		renewals: renewals{cycle: p.opts.Lease * renewAfter / renewOf, pageOfAll: p.opts.PageAccounts}}
	defer w.dropAhead()
	for ctx.Err() == nil {
		if !term.Held() {
			return errTermOver
		}
		idle, err := w.step(ctx)
		if err != nil && ctx.Err() == nil {
			idle = pauses.NextBackOff()
			p.trouble(err, idle)
		} else if err == nil {
			pauses.Reset()
		}
		if err := w.rest(ctx, idle, err == nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *Publisher) trouble(err error, pause time.Duration) {
	p.mu.Lock()
	fresh := p.status.LastError == ""
	p.status.LastError = err.Error()
	p.mu.Unlock()
	if fresh { // it would be told twice a second
		p.opts.Log.WithError(err).WithField("retry_in", pause.Round(time.Millisecond).String()).
			Warn("publisher: entitlements are not published; it is tried on")
	}
}

// well ends the trouble.
func (p *Publisher) well() {
	p.mu.Lock()
	before := p.status.LastError
	p.status.LastError = ""
	p.mu.Unlock()
	if before != "" {
		p.opts.Log.Info("publisher: the trouble is over")
	}
}

// allowed reports whether the outlet may be written to.
func (p *Publisher) allowed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allow
}

// send publishes entries, counts what becomes of them, and returns the outcomes.
func (p *Publisher) send(ctx context.Context, entries []Publication) ([]Outcome, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	outcomes, err := p.opts.Outlet.Publish(ctx, entries)
	p.count(outcomes)
	return outcomes, failedOnly(outcomes, err)
}

// withdraw removes entries likewise.
func (p *Publisher) withdraw(ctx context.Context, entries []Withdrawal) ([]Outcome, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	outcomes, err := p.opts.Outlet.Withdraw(ctx, entries)
	p.count(outcomes)
	return outcomes, failedOnly(outcomes, err)
}

// failedOnly drops an error that tells of nothing that may be tried again.
func failedOnly(outcomes []Outcome, err error) error {
	for _, outcome := range outcomes {
		if outcome == OutcomeFailed {
			return err
		}
	}
	return nil
}

func (p *Publisher) count(outcomes []Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, outcome := range outcomes {
		p.outcomes[outcome]++
	}
}
