package projections

import (
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/recent"
)

// Options configures a Runner. Store, Model, Epoch, Now and Log are required.
type Options struct {
	Store eventstore.Reader
	Model Model
	// Epoch names the store, Livemode its mode; both stand in entitlements.
	Epoch    string
	Livemode bool
	Now      func() time.Time
	// Sleep waits until Now has reached t, or ctx ends. Nil waits by the
	// machine's clock.
	Sleep func(ctx context.Context, t time.Time) error
	// OnDue is told when the grace of subscriptions has ended, so that it can
	// be noted in their streams. It may be called again for the same end: after
	// an error, after a crash, after a rebuild. Nil tells nobody.
	OnDue func(ctx context.Context, account string, subscriptions []string, now time.Time) error
	// OnCatalog is told that the stream of the catalogs has got as far as a
	// revision at least, by this node or another. It must not wait. Nil tells
	// nobody.
	OnCatalog func(eventstore.Revision)
	// OnFolded is told of every batch that was folded while following, once it is
	// in the model, before what follows is published. It must not wait. Nil tells nobody.
	OnFolded func(Folded)
	// Feed is told of every entitlement that changed; nil tells nobody.
	Feed *Feed
	Log  logrus.FieldLogger

	// BatchEvents bounds the events of one transaction; 0 means 4000.
	BatchEvents int
	// Recent keeps the streams that are folded, for posting as well; nil if nobody
	// else has a use for it.
	Recent *recent.Streams
	// CachedStreams bounds the streams of which anything else is kept in memory
	// between batches; 0 means 32,768.
	CachedStreams int
	// RefoldFrom is how many positions a model must be behind at least, when
	// following begins, to be folded anew instead; 0 means 20,000. Besides, it
	// must lack most of the log.
	RefoldFrom int
	// Rebuild bounds what a rebuild uses.
	Rebuild RebuildOptions
}

// Folded tells of a batch that was folded into the model, for traces.
type Folded struct {
	Events []eventstore.RecordedEvent
	// Position is the place up to which the log is now in the model.
	Position eventstore.Position
	// Entitlements counts those that were written because of it, and Fed says that
	// they are about to be published.
	Entitlements int
	Fed          bool
	Began, Ended time.Time
}

// Status is how a Runner is doing.
type Status struct {
	// Position is the place up to which the log is in the model; Head is the
	// log's end as last heard.
	Position eventstore.Position `json:"position"`
	Head     eventstore.Position `json:"head"`
	// LagSeconds is for how long the model has been behind; 0 if it is not.
	LagSeconds float64 `json:"lag_seconds"`
	// Rebuilding says that the model is being folded from zero.
	Rebuilding bool `json:"rebuilding"`
	// Parked counts the streams that could not be applied.
	Parked int `json:"parked"`
	// LastError is a trouble that has not passed yet, empty if there is none.
	LastError string `json:"last_error,omitempty"`
}

// Runner keeps a model up with the log. It is the only writer of its model.
type Runner struct {
	opts Options
	// writing serialises what the runner does with the model; live is used
	// under it.
	writing sync.Mutex
	live    *applier
	loaded  bool
	stored  time.Time // when the checkpoint was last written
	// rebuilding lets one rebuild happen at a time.
	rebuilding sync.Mutex

	// alarm wakes the watch over due times.
	alarm chan struct{}

	mu       sync.Mutex
	status   Status
	troubles map[string]string // by what was being done
	folded   bool              // the model is one of this log
	followed bool              // it was up with the log since it was loaded
	contents uint64            // counts the models there have been
	drift    *DriftCheck       // what the last check found
	current  time.Time         // when the model was last up with the log
	armed    time.Time         // what the watch over due times waits for
	progress chan struct{}     // closed, and replaced, when the position changes
}

// NewRunner returns a runner, which does nothing until Run.
func NewRunner(opts Options) *Runner {
	if opts.BatchEvents <= 0 {
		opts.BatchEvents = 4000
	}
	if opts.Recent == nil {
		opts.Recent = recent.New(opts.Store, 0)
	}
	if opts.RefoldFrom <= 0 {
		opts.RefoldFrom = 20_000
	}
	if opts.OnCatalog == nil {
		opts.OnCatalog = func(eventstore.Revision) {}
	}
	if opts.Sleep == nil {
		opts.Sleep = func(ctx context.Context, t time.Time) error { return sleep(ctx, t.Sub(opts.Now())) }
	}
	return &Runner{
		opts: opts, live: newApplier(opts, opts.Model),
		alarm: make(chan struct{}, 1), progress: make(chan struct{}), current: opts.Now(), troubles: map[string]string{},
	}
}

// Run follows the log until ctx ends, and returns once everything that it
// started has stopped. Trouble with the store or the model is retried for ever,
// and shown by Status; meanwhile the model keeps answering.
func (r *Runner) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.persist(ctx, following, r.follow) })
	group.Go(func() error { return r.persist(ctx, watching, r.watchDues) })
	return group.Wait()
}

// What a runner does, and may have trouble with.
const (
	following = "follow the log"
	watching  = "watch due times"
	telling   = "tell of the end of grace"
)

// persist runs work again and again until ctx ends.
func (r *Runner) persist(ctx context.Context, doing string, work func(context.Context) error) error {
	return Persist(ctx, func(err error, pause time.Duration) { r.trouble(doing, err, pause) }, work)
}

func (r *Runner) trouble(doing string, err error, pause time.Duration) {
	r.opts.Log.WithError(err).WithField("retry_in", pause.String()).Warnf("projection: cannot %s", doing)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles[doing] = err.Error()
}

// passed ends the trouble with what was being done.
func (r *Runner) passed(doing string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.troubles, doing)
}

// lastError words one of the troubles, the same one as long as they are the
// same. It is called under mu.
func (r *Runner) lastError() string {
	for _, doing := range []string{following, watching, telling} {
		if err, trouble := r.troubles[doing]; trouble {
			return doing + ": " + err
		}
	}
	return ""
}

// sleep waits by the machine's clock.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
