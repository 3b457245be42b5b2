package esdb

import (
	"context"
	"fmt"
	"iter"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// checkpointInterval is how many times 32 events a server considers between the
// checkpoints it sends. Few are needed: how far the log has got is asked for.
const checkpointInterval = 100

// Follow implements eventstore.Reader.
func (s *Store) Follow(ctx context.Context, from eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Message, error] {
	return func(yield func(eventstore.Message, error) bool) {
		f := &follower{store: s, filter: filter, at: from, what: "follow the log"}
		ctx, end, err := s.beginRead(ctx)
		if err != nil {
			yield(eventstore.Message{}, fmt.Errorf("%s: %w", f.what, err))
			return
		}
		defer end()
		if err := f.checkEnd(ctx); err != nil {
			yield(eventstore.Message{}, err)
			return
		}
		f.follow(ctx, yield)
	}
}

// follower is a catch-up subscription that outlives its connections.
type follower struct {
	store  *Store
	filter eventstore.Filter
	what   string
	// at is the place up to which everything was yielded.
	at eventstore.Position
	// limit, where it is not 0, is the last place of interest; exact says that
	// an event stands there that will come.
	limit eventstore.Position
	exact bool
	// told says that it was told to have caught up, and nothing came since.
	told bool
	// lastGood is when the subscription was last known to work.
	lastGood time.Time
}

// follow subscribes, again whenever a subscription ends, until the receiver
// wants no more, or it did not get on for the time of ReadTimeout.
func (f *follower) follow(ctx context.Context, yield func(eventstore.Message, error) bool) {
	began := time.Now()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		before := f.at
		stood, err := f.run(ctx, yield)
		if err == nil {
			return // the receiver wants no more
		}
		if f.at > before || f.lastGood.After(began) {
			wait, began = firstPause, time.Now()
		}
		fault := f.store.afterFault(ctx, f.what, err, began, wait)
		if fault == nil && stood && f.limit == 0 {
			fault = f.checkEnd(ctx) // the log may be another one now
		}
		if fault != nil {
			yield(eventstore.Message{}, fault)
			return
		}
	}
}

// run subscribes behind at, and yields until the subscription ends, which is
// the error, or the receiver wants no more. stood says that it had begun.
func (f *follower) run(ctx context.Context, yield func(eventstore.Message, error) bool) (stood bool, err error) {
	if over := f.store.over(ctx); over != nil {
		return false, over
	}
	m, err := f.store.pool.get(ctx, f.store.AttemptTimeout)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := receive(ctx, m, func(ctx context.Context) (receiver, error) { return f.subscribe(ctx, m) })
	if err := f.confirmed(ctx, m, messages); err != nil {
		return false, err
	}
	if f.exact {
		_, err := f.until(ctx, messages, f.limit, yield)
		return true, err
	}
	return true, f.pump(ctx, messages, yield)
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
		return r.err
	case <-ctx.Done():
		return cause(ctx)
	case <-timer.C:
		m.retire(errHung)
		return errHung
	}
}
