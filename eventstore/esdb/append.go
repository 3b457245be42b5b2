package esdb

import (
	"context"
	"errors"
	"fmt"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// Append implements eventstore.Store.
func (s *Store) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	// A denied append can show as no more than the end of the connection: what
	// the server would refuse is refused here.
	if err := eventstore.ValidateAppend(stream, events); err != nil {
		return eventstore.AppendResult{}, err
	}
	if ctx.Err() != nil {
		return eventstore.AppendResult{}, notBegun(stream, ctx.Err())
	}
	if err := s.beginAppend(); err != nil {
		return eventstore.AppendResult{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	defer s.pending.Done()
	ctx, cancel := context.WithTimeout(ctx, s.AppendTimeout)
	defer cancel()
	a := &appending{store: s, stream: stream, expected: expected, events: events, wire: toWire(events)}
	return a.run(ctx)
}

func notBegun(stream eventstore.Stream, err error) error {
	return fmt.Errorf("append to %s was not begun: %w: %w", stream, eventstore.ErrUnavailable, err)
}

// toWire leaves the content type at binary: an entry's payload is whatever
// arrived, and the server must not care.
func toWire(events []eventstore.ProposedEvent) []client.EventData {
	wire := make([]client.EventData, len(events))
	for i, e := range events {
		wire[i] = client.EventData{EventID: e.ID, EventType: e.Type, ContentType: client.ContentTypeBinary, Data: e.Data, Metadata: e.Metadata}
	}
	return wire
}

// appending is one append with its attempts.
type appending struct {
	store    *Store
	stream   eventstore.Stream
	expected eventstore.ExpectedRevision
	events   []eventstore.ProposedEvent
	wire     []client.EventData
	// doubt is the error of an attempt that may have written, nil if none has.
	doubt error
}

// run asks until the outcome is known, or the context ends.
func (a *appending) run(ctx context.Context) (eventstore.AppendResult, error) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		result, err, known := a.try(ctx)
		if known {
			return result, err
		}
		ended := pause(ctx, wait)
		if ended == nil && a.store.closing() {
			ended = eventstore.ErrClosed
		}
		if ended != nil {
			return eventstore.AppendResult{}, a.giveUp(ended, err)
		}
	}
}

// giveUp words the end of the attempts: last is the error of the latest.
func (a *appending) giveUp(ended, last error) error {
	if a.doubt != nil {
		return fmt.Errorf("append to %s: %w: %w (%w)", a.stream, eventstore.ErrOutcomeUnknown, plain(a.doubt), plain(ended))
	}
	if errors.Is(ended, eventstore.ErrClosed) {
		return fmt.Errorf("append to %s: %w", a.stream, eventstore.ErrClosed)
	}
	return unavailable(fmt.Sprintf("append to %s", a.stream), fmt.Errorf("%w (%w)", last, ended))
}

// try makes one attempt. It is not known what became of the append if the
// attempt failed in doubt, or did not reach the server.
func (a *appending) try(ctx context.Context) (result eventstore.AppendResult, err error, known bool) { //nolint:revive // known qualifies the error
	m, err := a.store.pool.get(ctx, a.store.AttemptTimeout)
	switch {
	case errors.Is(err, errNoConnection) && a.doubt == nil:
		return result, unavailable(fmt.Sprintf("append to %s", a.stream), err), true
	case err != nil:
		return result, err, errors.Is(err, eventstore.ErrClosed)
	}
	written, err := attempt(ctx, m, a.store.AttemptTimeout, func(ctx context.Context) (*client.WriteResult, error) {
		options := client.AppendToStreamOptions{ExpectedRevision: toExpected(a.expected), Deadline: &a.store.AttemptTimeout}
		return m.AppendToStream(ctx, a.store.named(a.stream), options, a.wire...)
	})
	if err == nil {
		return eventstore.AppendResult{
			Revision: eventstore.Revision(written.NextExpectedVersion), Position: eventstore.Position(written.CommitPosition),
		}, nil, true
	}
	switch means, _ := judge(err); means {
	case unsent:
		return result, err, false
	case refused:
		if a.doubt != nil {
			return result, a.giveUp(err, err), true
		}
		return result, unavailable(fmt.Sprintf("append to %s", a.stream), err), true
	case gone:
		return result, fmt.Errorf("append to %s: %w", a.stream, eventstore.ErrStreamDeleted), true
	case conflicted:
		return a.verify(ctx, err)
	}
	a.doubt = err
	return result, err, false
}

func toExpected(e eventstore.ExpectedRevision) client.ExpectedRevision {
	if revision, exact := e.Exact(); exact {
		return client.StreamRevision{Value: uint64(revision)}
	}
	switch {
	case e.IsNoStream():
		return client.NoStream{}
	case e.IsStreamExists():
		return client.StreamExists{}
	}
	return client.Any{}
}

// verify reads the stream, because a conflict alone proves nothing: it may be
// about a write that a failover has since undone, and then the append is to be
// tried again.
func (a *appending) verify(ctx context.Context, conflict error) (result eventstore.AppendResult, err error, known bool) { //nolint:revive // as try
	refusal := &eventstore.WrongExpectedRevisionError{Stream: a.stream, Expected: a.expected}
	last, found, err := a.store.lastRevision(ctx, a.stream)
	if err != nil {
		return result, errors.Join(conflict, err), false
	}
	refusal.Actual = "no stream"
	if found {
		refusal.Actual = fmt.Sprintf("revision %d", last)
	}
	exact, isExact := a.expected.Exact()
	switch {
	case a.expected.IsStreamExists() && !found, isExact && (!found || last != exact), a.expected.IsNoStream() && found:
		return result, refusal, true
	}
	return result, conflict, false
}

// lastRevision is where a stream ends, and whether it has any events.
func (s *Store) lastRevision(ctx context.Context, stream eventstore.Stream) (eventstore.Revision, bool, error) {
	r := streamRead(s.named(stream), eventstore.LastRevision, eventstore.Backwards)
	r.limit = 1
	for e, err := range s.raw(ctx, r) {
		switch {
		case errors.Is(err, eventstore.ErrStreamNotFound):
			return 0, false, nil
		case err != nil:
			return 0, false, err
		}
		return eventstore.Revision(e.EventNumber), true, nil
	}
	return 0, false, nil
}

// named is a stream's name on the server.
func (s *Store) named(stream eventstore.Stream) string { return s.Prefix + string(stream) }
