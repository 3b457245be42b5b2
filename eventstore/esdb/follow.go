package esdb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// checkpointInterval is how many times 32 events a server considers between the
// checkpoints it sends. Few are needed: how far the log has got is asked for.
const checkpointInterval = 1000

// Follow implements eventstore.Reader.
func (s *Store) Follow(ctx context.Context, from eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Message, error] {
	return func(yield func(eventstore.Message, error) bool) {
		ctx, end, err := s.beginRead(ctx)
		if err != nil {
			yield(eventstore.Message{}, fmt.Errorf("follow the log: %w", err))
			return
		}
		defer end()
		f := &follower{store: s, filter: filter, at: from, began: time.Now()}
		for wait := firstPause; ; wait = min(2*wait, lastPause) {
			before := f.at
			err := f.run(ctx, yield)
			switch {
			case err == nil:
				return // the receiver wants no more
			case f.at > before:
				wait = firstPause
				f.began = time.Now()
			}
			if fault := s.afterFollowing(ctx, err, f.began, wait); fault != nil {
				yield(eventstore.Message{}, fault)
				return
			}
		}
	}
}

// afterFollowing is afterFault for subscriptions: one from beyond the log's end
// is not begun again.
func (s *Store) afterFollowing(ctx context.Context, err error, since time.Time, wait time.Duration) error {
	if errors.Is(err, eventstore.ErrPositionBeyondEnd) || errors.Is(err, eventstore.ErrClosed) {
		return fmt.Errorf("follow the log: %w", err)
	}
	return s.afterFault(ctx, "follow the log", err, since, wait)
}

// readForwards reads all there is by a subscription, for only those filter on
// the server, up to what was the log's end when it began.
func (s *Store) readForwards(ctx context.Context, from eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		fail := func(err error) { yield(eventstore.RecordedEvent{}, err) }
		if err := ctx.Err(); err != nil {
			fail(fmt.Errorf("read the log: %w", err))
			return
		}
		head, err := s.Head(ctx)
		if err != nil || from >= head {
			if err != nil {
				fail(err)
			}
			return
		}
		for m, err := range s.Follow(ctx, from, filter) {
			switch {
			case err != nil:
				fail(err)
				return
			case m.Event != nil && m.Position <= head:
				if !yield(*m.Event, nil) {
					return
				}
			}
			if m.Position >= head {
				return
			}
		}
	}
}

// follower is a catch-up subscription that outlives its connections.
type follower struct {
	store  *Store
	filter eventstore.Filter
	// at is the place up to which everything was yielded.
	at    eventstore.Position
	began time.Time
}

// run subscribes behind at, and yields until the connection fails, which is the
// error, or the receiver wants no more.
func (f *follower) run(ctx context.Context, yield func(eventstore.Message, error) bool) error {
	if err := f.checkEnd(ctx); err != nil {
		return err
	}
	m, err := f.store.pool.get()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := receive(ctx, m, func(ctx context.Context) (receiver, error) { return f.subscribe(ctx, m) })
	if err := f.confirmed(ctx, m, messages); err != nil {
		return err
	}
	err = f.pump(ctx, messages, yield)
	if err != nil {
		if _, broken := judge(err); broken && ctx.Err() == nil {
			m.retire(err)
		}
	}
	return err
}

// checkEnd refuses a place behind the log's end: a subscription from there
// would skip silently what is appended up to it.
func (f *follower) checkEnd(ctx context.Context) error {
	if f.at == 0 {
		return nil
	}
	r := allBackwards(eventstore.End)
	r.limit = 1
	for e, err := range f.store.raw(ctx, r) {
		if err != nil {
			return err
		}
		if f.at > eventstore.Position(e.Position.Commit) {
			return fmt.Errorf("%w: %d, the log ends at %d", eventstore.ErrPositionBeyondEnd, f.at, e.Position.Commit)
		}
		return nil
	}
	return fmt.Errorf("%w: %d, the log is empty", eventstore.ErrPositionBeyondEnd, f.at)
}

func (f *follower) subscribe(ctx context.Context, m *member) (receiver, error) {
	from := client.AllPosition(client.Start{})
	if f.at > 0 {
		from = client.Position{Commit: uint64(f.at), Prepare: uint64(f.at)}
	}
	subscription, err := m.SubscribeToAll(ctx, client.SubscribeToAllOptions{
		From: from, Filter: f.onServer(), MaxSearchWindow: 32, CheckpointInterval: checkpointInterval,
	})
	if err != nil {
		return nil, err
	}
	return &subscribed{Subscription: subscription}, nil
}

// onServer is the filter as the server understands it.
func (f *follower) onServer() *client.SubscriptionFilter {
	var prefixes []string
	for _, p := range f.filter.Prefixes {
		if f.store.Prefix+p == "" { // which lets everything through
			return client.ExcludeSystemEventsFilter()
		}
		prefixes = append(prefixes, f.store.Prefix+p)
	}
	if len(prefixes) == 0 && f.store.Prefix != "" {
		prefixes = []string{f.store.Prefix}
	}
	if len(prefixes) == 0 {
		return client.ExcludeSystemEventsFilter()
	}
	return &client.SubscriptionFilter{Type: client.StreamFilterType, Prefixes: prefixes}
}

// subscribed receives from a subscription. Its first message, the confirmation,
// tells that the subscription stands.
type subscribed struct {
	*client.Subscription
	confirmed bool
}

func (r *subscribed) next() (received, error) {
	if !r.confirmed {
		r.confirmed = true
		return received{}, nil
	}
	for {
		e := r.Recv()
		switch {
		case e.SubscriptionDropped != nil:
			return received{}, e.SubscriptionDropped.Error
		case e.EventAppeared != nil:
			return received{event: e.EventAppeared.OriginalEvent()}, nil
		case e.CheckPointReached != nil:
			return received{checkpoint: eventstore.Position(e.CheckPointReached.Commit)}, nil
		case e.CaughtUp != nil:
			return received{caughtUp: true}, nil
		}
	}
}

func (r *subscribed) close() { _ = r.Close() }

// confirmed waits until the subscription stands.
func (f *follower) confirmed(ctx context.Context, m *member, messages <-chan received) error {
	timer := time.NewTimer(f.store.AttemptTimeout)
	defer timer.Stop()
	select {
	case r, open := <-messages:
		if !open {
			return cause(ctx)
		}
		if r.err != nil {
			if _, broken := judge(r.err); broken {
				m.retire(r.err)
			}
			return r.err
		}
		m.succeeded()
		return nil
	case <-ctx.Done():
		return cause(ctx)
	case <-timer.C:
		m.abandon(errHung)
		return errHung
	}
}

// probeEvery is how often the log's end is asked for while nothing comes: it
// shows a connection that has died without a word, and how far the log has got
// with events that the filter keeps back.
const probeEvery = 2 * time.Second

// pump yields what comes. Whenever nothing is waiting, it asks where the log
// ends, and says that it has caught up once everything up to there was yielded:
// a server says so itself only once, old ones never, and none says up to where.
func (f *follower) pump(ctx context.Context, messages <-chan received, yield func(eventstore.Message, error) bool) error {
	told := false // that it has caught up, since the last event
	for {
		r, ok, err := f.take(ctx, messages, told)
		if err != nil {
			return err
		}
		switch {
		case !ok:
			end, err := f.probe(ctx)
			if err != nil {
				return err
			}
			if end.matching > f.at {
				// It is on its way: what comes is yielded first.
				if more, err := f.until(ctx, messages, end.matching, yield); err != nil || !more {
					return err
				}
			}
			if told && end.head <= f.at {
				continue
			}
			f.at, told = max(f.at, end.head), true
			if !yield(eventstore.Message{Position: f.at, CaughtUp: true}, nil) {
				return nil
			}
		case r.event != nil:
			told = false
			if !f.give(r.event, yield) {
				return nil
			}
		case r.checkpoint > f.at:
			f.at = r.checkpoint
		}
	}
}

// take returns what comes next. Without anything, ok is false: at once if it
// has not been told yet that all was yielded, else after a while.
func (f *follower) take(ctx context.Context, messages <-chan received, told bool) (r received, ok bool, err error) {
	if ctx.Err() != nil { // whatever was received ahead
		return received{}, false, cause(ctx)
	}
	if !told {
		select {
		case r, open := <-messages:
			return f.opened(ctx, r, open)
		default:
			return received{}, false, nil
		}
	}
	timer := time.NewTimer(probeEvery)
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
	event := f.store.recorded(e)
	return yield(eventstore.Message{Event: &event, Position: position}, nil)
}

// end is where the log ends, and the last event behind at that the filter lets
// through, 0 if there is none.
type end struct{ head, matching eventstore.Position }

// probe looks at the log from its end down to at.
func (f *follower) probe(ctx context.Context) (end, error) {
	var found end
	for e, err := range f.store.raw(ctx, allBackwards(eventstore.End)) {
		if err != nil {
			return end{}, err
		}
		position := eventstore.Position(e.Position.Commit)
		if position <= f.at {
			break
		}
		if found.head == 0 {
			found.head = position
		}
		if f.store.ours(e.StreamID, f.filter) {
			found.matching = position
			break
		}
	}
	return found, nil
}
