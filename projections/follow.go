package projections

import (
	"context"
	"errors"
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
	defer cancel()
	var batch []eventstore.RecordedEvent
	for message, err := range r.opts.Store.Follow(ctx, from, filter()) {
		if errors.Is(err, eventstore.ErrPositionBeyondEnd) {
			r.opts.Log.Warn("projection: the model is ahead of the log, and is folded anew")
			return r.refold(ctx)
		}
		if err != nil {
			return err
		}
		if batch, err = r.receive(ctx, batch, message); err != nil {
			return r.afterDamage(ctx, err)
		}
	}
	return ctx.Err()
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
	}
	return r.checkpoint().Position, nil
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
	return errors.Join(err, r.opts.Model.Discard(ctx))
}

// receive takes one message in, and returns the batch as it then is.
func (r *Runner) receive(ctx context.Context, batch []eventstore.RecordedEvent, m eventstore.Message) ([]eventstore.RecordedEvent, error) {
	if m.Event != nil {
		if m.Event.Stream.Category() == "catalog" {
			var err error
			if batch, err = r.receiveCatalog(ctx, batch, m.Event); err != nil {
				return batch, err
			}
		} else {
			batch = append(batch, *m.Event)
		}
	}
	if m.CaughtUp || len(batch) >= r.opts.BatchEvents {
		if err := r.flush(ctx, batch, m.Position, m.CaughtUp); err != nil {
			return batch, err
		}
		gathered := len(batch)
		clear(batch) // let go of the events' bytes
		batch = batch[:0]
		if m.CaughtUp && gathered > 0 {
			return batch, sleep(ctx, gatherFor(gathered))
		}
	}
	return batch, nil
}

// The bounds of gathering.
const (
	leastGather   = 5 * time.Millisecond
	mostGather    = 30 * time.Millisecond
	gatherByEvent = 200 * time.Microsecond
)

// gatherFor is how long the runner lets events gather after a batch with which
// it has caught up. A transaction costs much the same for one event as for a
// hundred, and under load an account's events often come together; so the more
// there were, the longer.
func gatherFor(events int) time.Duration {
	return min(max(leastGather, time.Duration(events)*gatherByEvent), mostGather)
}

// receiveCatalog takes in an event of the catalogs, behind all that came before
// it. One that changes what other events mean makes the model be folded from
// zero, beside the one that keeps answering: that is the fastest way to derive
// every subscription again.
func (r *Runner) receiveCatalog(ctx context.Context, batch []eventstore.RecordedEvent, e *eventstore.RecordedEvent) ([]eventstore.RecordedEvent, error) {
	if n := len(batch); n > 0 {
		if err := r.flush(ctx, batch, batch[n-1].Position, false); err != nil {
			return batch, err
		}
		clear(batch)
		batch = batch[:0]
	}
	r.writing.Lock()
	if !r.loaded {
		r.writing.Unlock()
		return batch, errNotLoaded
	}
	taken, err := r.live.takeCatalog(ctx, e)
	if taken {
		r.moved(false)
	}
	r.writing.Unlock()
	switch {
	case errors.Is(err, errCatalogAdopted):
		return batch, r.refold(ctx)
	case err != nil || taken:
		return batch, err
	}
	return append(batch, *e), nil
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
		r.ringAt(c.due)
		r.reportParked(c.parked)
	}
	r.moved(caughtUp)
	return nil
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
	if caughtUp {
		r.current = r.opts.Now()
		s.LastError = ""
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

// Status tells how the runner is doing. It asks the store for the log's end;
// if that fails, Head is the one last heard of.
func (r *Runner) Status(ctx context.Context) Status {
	head, err := r.opts.Store.Head(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.status.LastError == "" {
			r.status.LastError = "ask for the log's end: " + err.Error()
		}
	} else {
		r.status.Head = head
	}
	s := r.status
	if s.Position < s.Head || err != nil {
		s.LagSeconds = max(0, r.opts.Now().Sub(r.current).Seconds())
	}
	return s
}
