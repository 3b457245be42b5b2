package esdb

import (
	"context"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// The times between looks at the log's end.
const (
	// settling is how long after the first of a run of events it is looked
	// whether that was all: events that come together should be told together.
	settling = 5 * time.Millisecond
	// longestRun is how long a run may be before it is looked all the same.
	longestRun = 100 * time.Millisecond
	// probeEvery is how often it is looked while nothing comes: that shows a
	// connection that has died without a word, and how far the log has got with
	// events that the filter keeps back.
	probeEvery = 2 * time.Second
)

// pump yields what comes. After each run of events it looks where the log ends,
// and says that it has caught up once everything up to there was yielded: a
// server says so itself only once, old ones never, and none says up to where.
func (f *follower) pump(ctx context.Context, messages <-chan received, yield func(eventstore.Message, error) bool) error {
	due := time.Now() // when to look
	unseen := f.at    // where the log ended when a look did not reach down to at
	for {
		r, ok, err := f.take(ctx, messages, due)
		switch {
		case err != nil:
			return err
		case !ok:
			more, partial, err := f.look(ctx, messages, yield)
			if err != nil || !more {
				return err
			}
			unseen, due = max(unseen, partial), time.Now().Add(probeEvery)
		case r.event != nil:
			if f.told {
				due = time.Now().Add(settling)
			}
			if !f.give(r.event, yield) {
				return nil
			}
		case r.caughtUp:
			f.at, due = max(f.at, unseen), time.Now()
		case r.checkpoint > f.at:
			f.at = r.checkpoint
		}
	}
}

// look probes, yields what is known to come, and then tells that it has caught
// up, if there is any news in that. partial is where the log ends if the probe
// did not reach down to the follower's place.
func (f *follower) look(ctx context.Context, messages <-chan received, yield func(eventstore.Message, error) bool) (more bool, partial eventstore.Position, err error) {
	end, err := f.probe(ctx)
	if err != nil {
		return false, 0, err
	}
	f.lastGood = time.Now()
	if end.matching == 0 && end.partial {
		return true, end.head, nil
	}
	if more, err := f.until(ctx, messages, end.matching, yield); err != nil || !more {
		return false, 0, err
	}
	if f.told && end.head <= f.at {
		return true, 0, nil
	}
	f.at, f.told = max(f.at, end.head), true
	return yield(eventstore.Message{Position: f.at, CaughtUp: true}, nil), 0, nil
}

// take returns what comes next. It is time to look, and ok is false, if nothing
// has come when it is due, or a run of events does not end.
func (f *follower) take(ctx context.Context, messages <-chan received, due time.Time) (r received, ok bool, err error) {
	if over := f.store.over(ctx); over != nil { // whatever was received ahead
		return received{}, false, over
	}
	wait := time.Until(due)
	if !f.told && wait < -longestRun {
		return received{}, false, nil
	}
	select {
	case r, open := <-messages: // most often it is there
		return f.opened(ctx, r, open)
	default:
	}
	if wait <= 0 {
		return received{}, false, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case r, open := <-messages:
		return f.opened(ctx, r, open)
	case <-ctx.Done():
		return received{}, false, cause(ctx)
	case <-timer.C:
		return received{}, false, nil
	}
}

func (f *follower) opened(ctx context.Context, r received, open bool) (received, bool, error) {
	if !open {
		return received{}, false, cause(ctx)
	}
	return r, true, r.err
}

// until yields what comes up to a position that is known to come. more is false
// if the receiver wants no more.
func (f *follower) until(ctx context.Context, messages <-chan received, target eventstore.Position, yield func(eventstore.Message, error) bool) (more bool, err error) {
	timer := time.NewTimer(f.store.AttemptTimeout)
	defer timer.Stop()
	for f.at < target {
		select {
		case r, open := <-messages:
			if r, _, err = f.opened(ctx, r, open); err != nil {
				return false, err
			}
			if r.event != nil && !f.give(r.event, yield) {
				return false, nil
			}
			f.at = max(f.at, r.checkpoint)
			timer.Reset(f.store.AttemptTimeout)
		case <-ctx.Done():
			return false, cause(ctx)
		case <-timer.C:
			return false, errHung // the subscription lost its way: begin another
		}
	}
	return true, nil
}

// give yields an event. The server's own, and what was yielded before, are
// passed over.
func (f *follower) give(e *client.RecordedEvent, yield func(eventstore.Message, error) bool) bool {
	position := eventstore.Position(e.Position.Commit)
	if position <= f.at {
		return true
	}
	f.at = position
	if !f.store.ours(e.StreamID, f.filter) {
		return true
	}
	f.told = false
	event := f.store.recorded(e)
	return yield(eventstore.Message{Event: &event, Position: position}, nil)
}
