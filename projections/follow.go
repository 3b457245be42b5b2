package projections

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// storeEvery is how often progress without events is written down. What is
// lost of it by a crash is read again, and passed over by the filter.
const storeEvery = 5 * time.Second

// errNotLoaded makes following begin anew, with the model as it then is.
var errNotLoaded = errors.New("the model is not loaded")

// follow folds the log into the model until something fails.
func (r *Runner) follow(ctx context.Context) error {
	from, err := r.start(ctx)
	if err != nil {
		return r.afterDamage(ctx, err)
	}
	// The subscription ends with this function, whatever ends the loop.
	ctx, cancel := context.WithCancel(ctx)
	c := newCollector(r.opts.BatchEvents)
	var collecting sync.WaitGroup
	defer collecting.Wait()
	defer cancel() // before the wait above
	collecting.Go(func() { c.run(ctx, r.opts.Store.Follow(ctx, from, filter())) })
	var gathering time.Time
	for {
		got, err := c.take(ctx, gathering)
		if errors.Is(err, eventstore.ErrPositionBeyondEnd) {
			r.opts.Log.Warn("projection: the model is ahead of the log, and is folded anew")
			r.replaced(true)
			return r.refold(ctx)
		}
		if err != nil {
			return err
		}
		began := time.Now()
		if err := r.receive(ctx, got); err != nil {
			return r.afterDamage(ctx, err)
		}
		if len(got.events) > 0 {
			gathering = time.Now().Add(gatherFor(len(got.events), time.Since(began)))
		}
	}
}

// start makes sure that the model is one of this log and of these projectors,
// and returns the place to follow from.
func (r *Runner) start(ctx context.Context) (eventstore.Position, error) {
	if err := r.load(ctx); err != nil {
		return 0, err
	}
	if cp := r.checkpoint(); !r.fits(cp) {
		if cp.Schema != 0 {
			r.opts.Log.Warn("projection: the model is of another store or another version, and is folded anew")
		}
		if err := r.refold(ctx); err != nil {
			return 0, err
		}
	} else if far, err := r.farBehind(ctx, cp.Position); err != nil {
		return 0, err
	} else if far {
		r.opts.Log.Info("projection: the model is far behind the log, and is folded anew")
		if err := r.refold(ctx); err != nil {
			return 0, err
		}
	}
	return r.checkpoint().Position, nil
}

// farBehind reports that most of the log, and not little, is missing from the
// model. Folding all of it anew, in parallel and with one transaction, is then
// faster than following it.
func (r *Runner) farBehind(ctx context.Context, position eventstore.Position) (bool, error) {
	head, err := r.opts.Store.Head(ctx)
	if err != nil || head <= position {
		return false, err
	}
	missing := head - position
	return missing >= eventstore.Position(r.opts.RefoldFrom) && missing > head/2, nil
}

func (r *Runner) load(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.loaded {
		return nil
	}
	if err := r.live.load(ctx); err != nil {
		return err
	}
	r.loaded = true
	r.moved(false)
	r.ring()
	return nil
}

// replaced notes that the model's content is another one; lost, that it is not
// up with the log any more.
func (r *Runner) replaced(lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contents++
	r.followed = r.followed && !lost
}

func (r *Runner) checkpoint() Checkpoint {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.live.checkpoint
}

// afterDamage throws a damaged model away, so that the next attempt folds anew.
func (r *Runner) afterDamage(ctx context.Context, err error) error {
	if !errors.Is(err, ErrModelBroken) {
		return err
	}
	r.opts.Log.WithError(err).Error("projection: the model is damaged; it is discarded and folded anew")
	r.writing.Lock()
	defer r.writing.Unlock()
	r.loaded = false
	r.replaced(true)
	return errors.Join(err, r.opts.Model.Discard(ctx))
}

// receive takes in what was collected.
func (r *Runner) receive(ctx context.Context, got collected) error {
	for i := range got.events {
		e := &got.events[i]
		if e.Stream.Category() != "catalog" {
			continue
		}
		taken, err := r.receiveCatalog(ctx, got.events[:i], e)
		if err != nil {
			return err
		}
		if taken {
			// What comes behind it goes on, as far as a model folded anew does not
			// have it.
			got.events = got.events[i+1:]
			return r.receive(ctx, got)
		}
	}
	return r.flush(ctx, got.events, got.position, got.caughtUp)
}

// The bounds of gathering.
const (
	leastGather = 5 * time.Millisecond
	mostGather  = 500 * time.Millisecond
	// gatherByWork is how much longer than the work on a batch the gathering of
	// the next one takes, and gatherByEvent how long it takes at most for each
	// event in the batch: a few that were slow to write hold up nobody.
	gatherByWork  = 4
	gatherByEvent = 200 * time.Microsecond
)

// gatherFor is how long the runner lets events gather after work on a batch. A
// transaction costs much the same for one event as for a hundred, and events of
// one subscription that come together are derived and written once; so the more
// there is to do, the longer, and where processors are scarce, webhooks have
// most of them. At a thousand events a second that makes some ten milliseconds.
func gatherFor(events int, work time.Duration) time.Duration {
	wanted := min(gatherByWork*work, time.Duration(events)*gatherByEvent)
	return min(max(leastGather, wanted), mostGather)
}

// receiveCatalog takes in an event of the catalogs, behind all that came before
// it. One that changes what other events mean makes the model be folded from
// zero, beside the one that keeps answering: that is the fastest way to derive
// every subscription again. One that cannot be read is not taken.
func (r *Runner) receiveCatalog(ctx context.Context, before []eventstore.RecordedEvent, e *eventstore.RecordedEvent) (taken bool, err error) {
	r.opts.OnCatalog(e.Revision)
	if n := len(before); n > 0 {
		if err := r.flush(ctx, before, before[n-1].Position, false); err != nil {
			return false, err
		}
	}
	taken, err = r.takeCatalog(ctx, e)
	if errors.Is(err, errCatalogAdopted) {
		return true, r.refold(ctx)
	}
	return taken, err
}

func (r *Runner) takeCatalog(ctx context.Context, e *eventstore.RecordedEvent) (bool, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !r.loaded {
		return false, errNotLoaded
	}
	taken, err := r.live.takeCatalog(ctx, e)
	if taken {
		r.moved(false)
	}
	return taken, err
}

// flush folds a batch. Nothing is written while nothing happens.
func (r *Runner) flush(ctx context.Context, batch []eventstore.RecordedEvent, upTo eventstore.Position, caughtUp bool) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !r.loaded { // it was discarded, or replaced by one that could not be loaded
		return errNotLoaded
	}
	now := r.opts.Now()
	switch {
	case upTo <= r.live.checkpoint.Position:
		// A rebuild has been here before.
	case len(batch) == 0 && now.Sub(r.stored) < storeEvery:
		r.live.checkpoint.Position = upTo
	default:
		c, err := r.live.apply(ctx, batch, upTo)
		if err != nil {
			return err
		}
		r.stored = now
		r.tellFolded(Folded{Events: batch, Position: upTo, Entitlements: len(c.evaluated), Began: now})
		r.opts.Feed.put(c.evaluated, upTo)
		r.ringAt(c.due)
		r.reportParked(c.parked)
	}
	r.moved(caughtUp)
	return nil
}

// tellFolded tells of a batch with events in it.
func (r *Runner) tellFolded(f Folded) {
	if r.opts.OnFolded == nil || len(f.Events) == 0 {
		return
	}
	f.Ended = r.opts.Now()
	f.Fed = f.Entitlements > 0 && r.opts.Feed.listens()
	r.opts.OnFolded(f)
}

func (r *Runner) reportParked(parked []Parked) {
	for _, p := range parked {
		r.opts.Log.WithField("stream", p.Stream).WithField("position", p.Position).WithField("cause", p.Error).
			Error("projection: a stream cannot be applied and is parked; its account keeps its last state")
	}
}

// moved publishes where the model is. It is called under writing.
func (r *Runner) moved(caughtUp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.status
	s.Parked = len(r.live.parked)
	r.opts.Feed.reached(r.live.checkpoint.Position)
	if caughtUp {
		r.current, r.followed = r.opts.Now(), true
		delete(r.troubles, following)
	}
	s.Head = max(s.Head, r.live.checkpoint.Position)
	folded := r.fits(r.live.checkpoint)
	if s.Position != r.live.checkpoint.Position || folded != r.folded {
		s.Position, r.folded = r.live.checkpoint.Position, folded
		close(r.progress)
		r.progress = make(chan struct{})
	}
}

// WaitFor returns once the model is one of this log, and everything up to a
// position is in it.
func (r *Runner) WaitFor(ctx context.Context, position eventstore.Position) error {
	for {
		r.mu.Lock()
		there, progress := r.folded && r.status.Position >= position, r.progress
		r.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Moved returns a channel that is closed when the model next has more of the log.
// Who takes it before looking at the model, and waits for it after, misses nothing.
func (r *Runner) Moved() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

// Standing is what may be told of a model's content.
type Standing struct {
	// Position is a place up to which the log is in it; it may have more.
	Position eventstore.Position
	// Current says that it is one of this log, and was up with it.
	Current bool
	// Content changes whenever the whole content is replaced. What was read of a
	// model between two Standings of different Content is of nobody knows which.
	Content uint64
}

// Standing tells what may be told of the model's content. It answers at once.
func (r *Runner) Standing() Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Standing{Position: r.status.Position, Current: r.folded && r.followed, Content: r.contents}
}

// Status tells how the runner is doing. It asks the store for the log's end;
// if that fails, Head is the one last heard of.
func (r *Runner) Status(ctx context.Context) Status {
	head, err := r.opts.Store.Head(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.status.Head = head
	}
	s := r.status
	if s.LastError = r.lastError(); s.LastError == "" && err != nil {
		s.LastError = "ask for the log's end: " + err.Error()
	}
	if s.Position < s.Head || err != nil {
		s.LagSeconds = max(0, r.opts.Now().Sub(r.current).Seconds())
	}
	return s
}
