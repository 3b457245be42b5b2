// Package posting carries the journal into the ledgers: it follows the raw
// Stripe events, translates each into facts, and appends these to the streams
// of the objects they describe, with the notes that follow from them.
//
// Posting may be repeated, by anyone, any number of times: an aggregate knows
// which Stripe events it holds, event IDs are derived from what they say, and
// every append names the exact revision that was read. So nothing here is
// locked, and a crash costs no more than doing the last few seconds again.
package posting

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/semaphore"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/recent"
)

// Translator turns entries of the journal into facts: an intake.Translator does.
type Translator interface {
	TranslateEntry(entry eventstore.RecordedEvent) ([]intake.StreamFact, error)
}

// Config is what posting needs.
type Config struct {
	Store      eventstore.Store
	Translator Translator
	// Catalogs returns the history of catalogs in force.
	Catalogs func() aggregate.Catalogs
	// MapPrices records what prices were first matched to by their lookup key, so
	// that Catalogs then knows it. Nil records nothing.
	MapPrices func(ctx context.Context, mappings []aggregate.PriceMapping) error
	// WithdrawPrices records that mappings count no more and, with that, which take
	// their place, so that Catalogs then knows it. It is there if MapPrices is.
	WithdrawPrices func(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, instead []aggregate.PriceMapping) error
	// OnPosted is told of every entry of the journal that Run has done, once all it
	// led to is durable. It must not wait. Nil tells nobody.
	OnPosted func(Steps)
	// Recent keeps the streams that Run folds; nil if nobody else has a use for it.
	Recent *recent.Streams
	// Livemode is the mode of the store: events of the other are not posted.
	Livemode bool
	// ConnectAccounts are the connected accounts whose events are posted.
	ConnectAccounts []string
	// Epoch names the store in which checkpoints count.
	Epoch string
	Now   func() time.Time
	Log   logrus.FieldLogger
}

// The bounds of posting.
const (
	// batchSize and batchBytes bound the journal entries that are posted at
	// once: enough for the store to commit their appends together, few enough
	// to stay in memory.
	batchSize  = 512
	batchBytes = 4 << 20
	// leastAppends may be in flight at once in any case, and of many one in
	// appendsShare.
	leastAppends = 16
	appendsShare = 8
	// leastGather and mostGather bound how long entries may gather after a
	// batch with which posting has caught up, gatherByEntry for each in it: the
	// store commits many appends for nearly the price of one.
	leastGather   = 3 * time.Millisecond
	mostGather    = 15 * time.Millisecond
	gatherByEntry = 500 * time.Microsecond
	// checkpointEvery is how much work a crash may have done again.
	checkpointEvery = 5 * time.Second
)

// Poster posts. Make one with New, and let one goroutine Run it.
type Poster struct {
	Config
	ledgers *ledgers

	mu       sync.Mutex
	progress Progress
	moved    chan struct{} // closed and replaced whenever progress changes

	// unwritten says that entries were posted since the last checkpoint: one is
	// written only then, for it moves the log itself.
	unwritten bool
	lastWrite time.Time

	// outcomes are the latest that were filed, by any node; Run's alone.
	outcomes map[string]string
	// repudiated holds the Stripe events that are never posted. It is replaced,
	// under mu, and never changed.
	repudiated atomic.Pointer[map[string]bool]
	// withdrawing lets mappings of prices be withdrawn by one at a time here: what
	// one finds to stand in the place of a mapping may be what another is about to
	// withdraw.
	withdrawing *semaphore.Weighted
	// locatedAtOnce is mostLocated, but in tests.
	locatedAtOnce int
}

// Progress tells how far posting is.
type Progress struct {
	// Position is the place in the log up to which everything is posted.
	Position eventstore.Position `json:"position"`
	// BehindSince is when the last posted entry was received, while there are
	// more to post; zero when posting has caught up.
	BehindSince time.Time `json:"behind_since,omitzero"`
	// Posted, Skipped and Failed count entries since the start.
	Posted  int64 `json:"posted"`
	Skipped int64 `json:"skipped"`
	Failed  int64 `json:"failed"`
	// LastError is why posting is waiting, empty while it is not.
	LastError string `json:"last_error,omitempty"`
}

// Lag is for how long the oldest unposted entry has been waiting, 0 if none is.
func (p Progress) Lag(now time.Time) time.Duration {
	if p.BehindSince.IsZero() {
		return 0
	}
	return max(0, now.Sub(p.BehindSince))
}

// New returns a Poster.
func New(c Config) *Poster {
	if c.Recent == nil {
		c.Recent = recent.New(c.Store, 0)
	}
	return &Poster{Config: c, ledgers: &ledgers{c.Recent}, moved: make(chan struct{}),
		withdrawing: semaphore.NewWeighted(1), locatedAtOnce: mostLocated}
}

// Progress returns how far posting is now.
func (p *Poster) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.progress
}

// WaitFor returns once everything up to position is posted, or ctx ends.
func (p *Poster) WaitFor(ctx context.Context, position eventstore.Position) error {
	for {
		p.mu.Lock()
		reached, moved := p.progress.Position >= position, p.moved
		p.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

func (p *Poster) update(change func(*Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.progress)
	close(p.moved)
	p.moved = make(chan struct{})
}

// Run posts until ctx ends, and then writes its checkpoint. A store that is in
// trouble is asked again, for ever, ever more slowly up to 30 seconds.
func (p *Poster) Run(ctx context.Context) error {
	wait := newBackOff()
	for {
		before := p.Progress().Position
		err := p.follow(ctx)
		if ctx.Err() != nil {
			p.lastCheckpoint(ctx)
			return nil
		}
		if errors.Is(err, eventstore.ErrPositionBeyondEnd) || errors.Is(err, eventstore.ErrClosed) {
			return err
		}
		if p.Progress().Position > before {
			wait.Reset()
		}
		p.update(func(g *Progress) { g.LastError = err.Error() })
		p.Log.WithError(err).Warn("posting waits for the event store")
		if !sleep(ctx, wait.NextBackOff()) {
			p.lastCheckpoint(ctx)
			return nil
		}
	}
}

// follow posts from the checkpoint on, until an error.
func (p *Poster) follow(ctx context.Context) error {
	from, err := p.start(ctx)
	if err != nil {
		return err
	}
	if p.outcomes, err = p.loadOutcomes(ctx); err != nil {
		return err
	}
	batch, size := make([]eventstore.RecordedEvent, 0, batchSize), 0
	filter := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-", FailureCategory + "-"}}
	for msg, err := range p.Store.Follow(ctx, from, filter) {
		switch {
		case err != nil:
			return fmt.Errorf("follow the journal: %w", err)
		case msg.Event == nil:
		case msg.Event.Stream.Category() == FailureCategory:
			p.takeOutcome(msg.Event)
		default:
			batch = append(batch, *msg.Event)
			size += len(msg.Event.Data)
		}
		if len(batch) < batchSize && size < batchBytes && !msg.CaughtUp {
			continue
		}
		if err := p.postBatch(ctx, batch, msg); err != nil {
			return err
		}
		if msg.CaughtUp && len(batch) > 0 && !sleep(ctx, gatherFor(len(batch))) {
			return ctx.Err()
		}
		clear(batch) // let go of the payloads
		batch, size = batch[:0], 0
	}
	return errors.New("the journal's subscription ended")
}

// gatherFor is longer after a larger batch: under load there is more to gather.
func gatherFor(entries int) time.Duration {
	return min(max(leastGather, time.Duration(entries)*gatherByEntry), mostGather)
}

func (p *Poster) postBatch(ctx context.Context, batch []eventstore.RecordedEvent, msg eventstore.Message) error {
	var done tally
	if len(batch) > 0 {
		var err error
		if done, err = p.post(ctx, batch); err != nil {
			return err
		}
		p.unwritten = true
	}
	p.update(func(g *Progress) {
		g.Position, g.LastError, g.BehindSince = msg.Position, "", time.Time{}
		g.Posted, g.Skipped, g.Failed = g.Posted+done.posted, g.Skipped+done.skipped, g.Failed+done.failed
		if !msg.CaughtUp {
			g.BehindSince = done.receivedAt
		}
	})
	p.checkpoint(ctx, msg.Position)
	return nil
}

// Conclude notes what time alone has brought about for a subscription: that its
// grace has run out. It keeps no state, so it may run beside Run.
func (p *Poster) Conclude(ctx context.Context, subscriptionID string) error {
	stream := eventstore.NewStream(intake.SubscriptionCategory, subscriptionID)
	err := p.postTo(ctx, newLedgers(p.Store), &job{stream: stream})
	if err == nil {
		p.update(func(g *Progress) { g.LastError = "" })
	}
	return err
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 30*time.Second
	return b
}

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
