package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// progressInterval is how often a subscriber that wants none of what is being
// appended is told how far the log has come.
const progressInterval = 250 * time.Millisecond

// Follow implements eventstore.Reader.
func (r *reads) Follow(ctx context.Context, from eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Message, error] {
	return func(yield func(eventstore.Message, error) bool) {
		f := &follower{reads: r, selection: newSelection(filter), at: from, told: true, yield: yield}
		if err := f.run(ctx); !errors.Is(err, errEnough) {
			yield(eventstore.Message{}, err)
		}
	}
}

// follower is one subscription under way.
type follower struct {
	reads     *reads
	selection *selection
	at        eventstore.Position // up to here everything was delivered
	told      bool                // and the receiver knows
	due       time.Time           // when it is told, if nothing comes for it before
	yield     func(eventstore.Message, error) bool
}

func (f *follower) run(ctx context.Context) error {
	head, err := f.reads.Head(ctx)
	if err != nil {
		return err
	}
	if f.at > head {
		return fmt.Errorf("follow from %d: %w (%d)", f.at, eventstore.ErrPositionBeyondEnd, head)
	}
	if err := f.catchUp(ctx, head); err != nil {
		return err
	}
	if err := f.caughtUp(ctx); err != nil {
		return err
	}
	for {
		if err := f.live(ctx); err != nil {
			return err
		}
	}
}

// live waits for the log to move and delivers what came.
func (f *follower) live(ctx context.Context) error {
	if err := f.await(ctx); err != nil {
		return err
	}
	head, err := f.reads.Head(ctx)
	if err != nil {
		return err
	}
	if head < f.at {
		return fmt.Errorf("follow from %d: %w (%d)", f.at, eventstore.ErrPositionBeyondEnd, head)
	}
	return f.catchUp(ctx, head)
}

// await waits until the log has moved. Progress that brought the receiver
// nothing is told after a while, not at every commit.
func (f *follower) await(ctx context.Context) error {
	if f.told {
		return f.wait(ctx)
	}
	patience, cancel := context.WithDeadline(ctx, f.due)
	defer cancel()
	err := f.wait(patience)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return f.caughtUp(ctx)
	}
	return err
}

func (f *follower) wait(ctx context.Context) error {
	if err := f.reads.stopped(ctx); err != nil {
		return err
	}
	return f.reads.moved(ctx, f.at)
}

// catchUp delivers everything up to head, and says so if there was anything.
func (f *follower) catchUp(ctx context.Context, head eventstore.Position) error {
	delivered := false
	w := &walk{reads: f.reads, selection: f.selection, dir: eventstore.Forwards,
		from: f.at, to: head, left: newBudget(0)}
	err := w.run(ctx, func(events []eventstore.RecordedEvent) error {
		delivered = delivered || len(events) > 0
		return f.deliver(ctx, events)
	})
	if err != nil {
		return err
	}
	if head > f.at {
		f.at = head
		if f.told {
			f.told, f.due = false, time.Now().Add(progressInterval)
		}
	}
	if delivered {
		return f.caughtUp(ctx)
	}
	return nil
}

func (f *follower) deliver(ctx context.Context, events []eventstore.RecordedEvent) error {
	for i := range events {
		if err := f.send(ctx, eventstore.Message{Event: &events[i], Position: events[i].Position}); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) caughtUp(ctx context.Context) error {
	f.told = true
	return f.send(ctx, eventstore.Message{Position: f.at, CaughtUp: true})
}

func (f *follower) send(ctx context.Context, m eventstore.Message) error {
	if err := f.reads.stopped(ctx); err != nil {
		return err
	}
	if !f.yield(m, nil) {
		return errEnough
	}
	return nil
}
