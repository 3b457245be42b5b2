// Package migration copies the log of one store into another, event by event,
// and proves that the copy is one.
//
// # Order
//
// The copy has its events in the order of the original: not only within each
// stream, but over the whole log. So what is said of the log up to a place, such
// as what was known at a time, or how far it is posted, can be said of the copy.
// A server promises no order among appends that are under way together, so there
// is only ever one: the next begins once the last is durable. What is of one
// stream and stands together in the log goes by one append.
//
// # Resumption
//
// A copy that was broken off is therefore a prefix of the original, and its last
// event tells where to go on. Every append names the revision that it expects,
// so that one whose outcome was never learnt is recognised when it is repeated.
package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/daybookhq/daybook/eventstore"
)

// Migration copies From into To.
type Migration struct {
	From eventstore.Reader
	To   eventstore.Store
	// Own are streams that every store has of its own, such as the one that says
	// what it is. They are neither copied nor compared.
	Own []eventstore.Stream
	// Patience is how long the target may be in trouble before copying ends with
	// the trouble's error; 0 for as long as the context allows.
	Patience time.Duration
	// Report hears of trouble with the target that may pass; nil for nobody.
	Report func(error)
	// Progress hears how many positions of the original, of how many, are behind;
	// nil for nobody.
	Progress func(done, total uint64)
}

// DifferenceError says where a copy is not what the original is.
type DifferenceError struct {
	Stream   eventstore.Stream
	Revision eventstore.Revision
	// What differs, in words that tell nothing of the content.
	What string
}

func (e *DifferenceError) Error() string {
	return fmt.Sprintf("the copy differs from the original at revision %d of %s: %s", e.Revision, e.Stream, e.What)
}

// Empty reports that the target holds nothing, its own streams included.
func (m *Migration) Empty(ctx context.Context) (bool, error) {
	for _, err := range m.To.ReadAll(ctx, 0, eventstore.Forwards, eventstore.Filter{}, 1) {
		return false, err
	}
	return true, nil
}

// Copy brings into the target what it lacks. It goes on where an earlier one
// ended, and may be repeated. A target that holds anything else fails with
// *DifferenceError, as far as it is noticed: Compare notices everything.
func (m *Migration) Copy(ctx context.Context) error {
	from, err := m.resume(ctx)
	if err != nil {
		return err
	}
	head, err := m.From.Head(ctx)
	if err != nil {
		return fmt.Errorf("copy the log: %w", err)
	}
	var r run
	for e, err := range m.From.ReadAll(ctx, from, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			return fmt.Errorf("copy the log: %w", err)
		}
		if m.isOwn(e.Stream) {
			continue
		}
		if !r.continues(&e) {
			if err := m.append(ctx, &r); err != nil {
				return err
			}
			m.progress(e.Position-1, head)
		}
		r.add(&e)
	}
	if err := m.append(ctx, &r); err != nil {
		return err
	}
	m.progress(head, head)
	return nil
}

// resume is the place in the original up to which the target has everything.
func (m *Migration) resume(ctx context.Context) (eventstore.Position, error) {
	for last, err := range m.To.ReadAll(ctx, eventstore.End, eventstore.Backwards, eventstore.Filter{}, 0) {
		if err != nil {
			return 0, fmt.Errorf("find where the copy ends: %w", err)
		}
		if !m.isOwn(last.Stream) {
			return m.placeOf(ctx, last)
		}
	}
	return 0, nil
}

// placeOf finds in the original what stands in the target.
func (m *Migration) placeOf(ctx context.Context, copied eventstore.RecordedEvent) (eventstore.Position, error) {
	for e, err := range m.From.ReadStream(ctx, copied.Stream, copied.Revision, eventstore.Forwards, 1) {
		if err != nil && !errors.Is(err, eventstore.ErrStreamNotFound) {
			return 0, fmt.Errorf("find the copy's end in the original: %w", err)
		}
		if err == nil && e.ID == copied.ID {
			return e.Position, nil
		}
	}
	return 0, &DifferenceError{Stream: copied.Stream, Revision: copied.Revision, What: "the original has no such event"}
}

// append copies a run. A store in trouble is asked again, with the same IDs and
// the same expected revision.
func (m *Migration) append(ctx context.Context, r *run) error {
	if len(r.events) == 0 {
		return nil
	}
	try := func() (eventstore.AppendResult, error) {
		result, err := m.To.Append(ctx, r.stream, r.expected(), r.events...)
		if err != nil && !errors.Is(err, eventstore.ErrUnavailable) && !errors.Is(err, eventstore.ErrOutcomeUnknown) {
			err = backoff.Permanent(err)
		}
		return result, err
	}
	_, err := backoff.Retry(ctx, try, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(m.Patience),
		backoff.WithNotify(func(err error, _ time.Duration) { m.report(err) }))
	if eventstore.IsConflict(err) {
		return fmt.Errorf("%w (%w)", &DifferenceError{Stream: r.stream, Revision: r.first, What: "something else stands there"}, err)
	}
	if err != nil {
		return fmt.Errorf("copy the log: %w", err)
	}
	r.reset()
	return nil
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	return b
}

func (m *Migration) isOwn(stream eventstore.Stream) bool { return slices.Contains(m.Own, stream) }

func (m *Migration) report(err error) {
	if m.Report != nil {
		m.Report(err)
	}
}

func (m *Migration) progress(done, total eventstore.Position) {
	if m.Progress != nil {
		m.Progress(uint64(done), uint64(total))
	}
}

// The bounds of what goes by one append.
const (
	maxRunEvents = 500
	maxRunBytes  = eventstore.MaxAppendBytes
)

// run is what is of one stream and stands together in the log.
type run struct {
	stream eventstore.Stream
	first  eventstore.Revision
	events []eventstore.ProposedEvent
	bytes  int
}

// continues reports whether an event belongs to the run, and fits in.
func (r *run) continues(e *eventstore.RecordedEvent) bool {
	p := proposed(e)
	return len(r.events) > 0 && e.Stream == r.stream && e.Revision == r.first+eventstore.Revision(len(r.events)) &&
		len(r.events) < maxRunEvents && r.bytes+p.Size() <= maxRunBytes
}

func (r *run) add(e *eventstore.RecordedEvent) {
	p := proposed(e)
	if len(r.events) == 0 {
		r.stream, r.first = e.Stream, e.Revision
	}
	r.events = append(r.events, p)
	r.bytes += p.Size()
}

func (r *run) reset() {
	clear(r.events) // let go of the payloads
	r.events, r.bytes = r.events[:0], 0
}

func (r *run) expected() eventstore.ExpectedRevision {
	if r.first == 0 {
		return eventstore.NoStream
	}
	return eventstore.Exactly(r.first - 1)
}

func proposed(e *eventstore.RecordedEvent) eventstore.ProposedEvent {
	return eventstore.ProposedEvent{ID: e.ID, Type: e.Type, Data: e.Data, Metadata: e.Metadata, Frozen: true}
}
