package esdb

import (
	"context"
	"fmt"
	"iter"
	"strings"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// ReadStream implements eventstore.Reader.
func (s *Store) ReadStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		if err := stream.Validate(); err != nil {
			yield(eventstore.RecordedEvent{}, fmt.Errorf("%w: %w", eventstore.ErrInvalid, err))
			return
		}
		r := streamRead(s.named(stream), from, dir)
		r.what, r.limit = "read "+string(stream), limit
		for e, err := range s.raw(ctx, r) {
			if err != nil {
				yield(eventstore.RecordedEvent{}, err)
				return
			}
			if !yield(s.recorded(e), nil) {
				return
			}
		}
	}
}

// recorded gives an event in the contract's form.
func (s *Store) recorded(e *client.RecordedEvent) eventstore.RecordedEvent {
	return eventstore.RecordedEvent{
		ID: e.EventID, Stream: eventstore.Stream(strings.TrimPrefix(e.StreamID, s.Prefix)),
		Revision: eventstore.Revision(e.EventNumber), Position: eventstore.Position(e.Position.Commit),
		Type: e.EventType, Data: e.Data, Metadata: e.UserMetadata,
	}
}

// ours reports an event under the prefix that a filter lets through.
func (s *Store) ours(stream string, filter eventstore.Filter) bool {
	rest, under := strings.CutPrefix(stream, s.Prefix)
	return under && !isSystem(rest) && filter.Matches(eventstore.Stream(rest))
}

// ReadAll implements eventstore.Reader. The client's reads know no filter; its
// subscriptions do, but go forwards only.
func (s *Store) ReadAll(ctx context.Context, from eventstore.Position, dir eventstore.Direction, filter eventstore.Filter, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	switch {
	case dir == eventstore.Backwards && from == 0, dir == eventstore.Forwards && from >= eventstore.End:
		return func(func(eventstore.RecordedEvent, error) bool) {} // nothing lies there
	case dir == eventstore.Backwards:
		return limited(s.filtered(ctx, allBackwards(from), filter), limit)
	case limit > 0:
		return limited(s.readNear(ctx, from, filter, limit), limit)
	}
	return s.readForwards(ctx, from, filter)
}

// limited ends a sequence after so many events, 0 for never.
func limited(events iter.Seq2[eventstore.RecordedEvent, error], limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	if limit == 0 {
		return events
	}
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		given := 0
		for e, err := range events {
			if given++; !yield(e, err) || given == limit {
				return
			}
		}
	}
}

// filtered yields what of a read the filter lets through.
func (s *Store) filtered(ctx context.Context, r *request, filter eventstore.Filter) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range s.raw(ctx, r) {
			if err != nil {
				yield(eventstore.RecordedEvent{}, err)
				return
			}
			if s.ours(e.StreamID, filter) && !yield(s.recorded(e), nil) {
				return
			}
		}
	}
}

// nearEvents is how many events are looked at here before the server is asked
// to filter.
const nearEvents = 512

// readNear is for reads of a few events, which are most often near: it filters
// here, and goes on as readForwards if that is not enough.
func (s *Store) readNear(ctx context.Context, from eventstore.Position, filter eventstore.Filter, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		r := allForwards(from)
		r.page = max(r.page, min(limit+1, nearEvents))
		seen, at := 0, from
		for e, err := range s.raw(ctx, r) {
			if err != nil {
				yield(eventstore.RecordedEvent{}, err)
				return
			}
			position := eventstore.Position(e.Position.Commit)
			if position <= at { // it comes again at the beginning of each page
				continue
			}
			at = position
			if s.ours(e.StreamID, filter) && !yield(s.recorded(e), nil) {
				return
			}
			if seen++; seen == nearEvents {
				s.readForwards(ctx, at, filter)(yield)
				return
			}
		}
	}
}

// readForwards reads all there is by a subscription, up to the last event that
// was there when it began.
func (s *Store) readForwards(ctx context.Context, from eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		ctx, end, err := s.beginRead(ctx)
		if err == nil {
			defer end()
			err = ctx.Err()
		}
		if err != nil {
			yield(eventstore.RecordedEvent{}, fmt.Errorf("read the log: %w", err))
			return
		}
		f := &follower{store: s, filter: filter, at: from, what: "read the log"}
		last, err := f.probe(ctx)
		if err != nil {
			yield(eventstore.RecordedEvent{}, err)
			return
		}
		if f.limit, f.exact = last.target(); f.limit <= from {
			return
		}
		f.follow(ctx, func(m eventstore.Message, err error) bool {
			switch {
			case err != nil:
				return yield(eventstore.RecordedEvent{}, err)
			case m.Event != nil && m.Position <= f.limit && !yield(*m.Event, nil):
				return false
			}
			return m.Position < f.limit
		})
	}
}
