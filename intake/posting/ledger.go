package posting

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// decider is an aggregate as posting sees it.
type decider interface {
	Evolve(e aggregate.Event, at aggregate.Place)
	Grow(events int)
	Decide(facts []aggregate.Fact, c aggregate.Catalogs, now time.Time) []aggregate.Event
	Held(key aggregate.FactKey) (aggregate.Fact, bool)
	KeysOf(stripeEventID string) []aggregate.FactKey
}

// ledger is a folded domain stream and the revision it was folded to.
type ledger struct {
	decider
	expected eventstore.ExpectedRevision
}

// unpostableError says that nothing can be added to a domain stream, however
// often it is tried: it holds what this build cannot read, or what would be
// added does not fit. Its entries fail, visibly; other streams go on.
type unpostableError struct {
	Stream eventstore.Stream
	Err    error
}

func (e *unpostableError) Error() string { return fmt.Sprintf("stream %s: %v", e.Stream, e.Err) }
func (e *unpostableError) Unwrap() error { return e.Err }

func isUnpostable(err error) bool {
	var unpostable *unpostableError
	return errors.As(err, &unpostable)
}

// newDecider returns the aggregate of a stream's category: most objects are just
// what Stripe said of them, and their truth is derived where it is asked for.
func newDecider(stream eventstore.Stream) decider {
	if stream.Category() == intake.SubscriptionCategory {
		return aggregate.NewSubscription(stream.ID())
	}
	return &aggregate.FactSet{}
}

// postTo brings a job's facts into its stream. A conflict means that somebody
// else wrote, an unknown outcome that we may have: either way the stream is
// read again and decided anew, for what is held already is not decided twice.
func (p *Poster) postTo(ctx context.Context, cache *ledgers, j *job) error {
	wait := newBackOff()
	for {
		err := p.tryPost(ctx, cache, j)
		if err == nil {
			return nil
		}
		cache.forget(j.stream) // it may be behind the store
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case isUnpostable(err), errors.Is(err, eventstore.ErrClosed):
			return err
		case errors.Is(err, eventstore.ErrTooLarge), errors.Is(err, eventstore.ErrInvalid), errors.Is(err, eventstore.ErrStreamDeleted):
			return &unpostableError{Stream: j.stream, Err: err} // asking again would change nothing
		case eventstore.IsConflict(err):
			continue
		}
		p.update(func(g *Progress) { g.LastError = err.Error() })
		if !sleep(ctx, wait.NextBackOff()) {
			return ctx.Err()
		}
	}
}

// tryPost brings a job's facts in, as far as nothing comes in between.
func (p *Poster) tryPost(ctx context.Context, cache *ledgers, j *job) error {
	if !j.decided {
		if _, err := p.decideJob(ctx, cache, j); err != nil {
			return err
		}
	}
	j.decided = false // what follows holds for one attempt
	if j.rehearsed || len(j.proposed) == 0 {
		return nil
	}
	began := p.clock()
	var last eventstore.Revision
	for _, portion := range portions(j.proposed) {
		result, err := p.Store.Append(ctx, j.stream, j.expected, portion...)
		if err != nil {
			return fmt.Errorf("append to %s: %w", j.stream, err)
		}
		last = result.Revision
		j.expected = eventstore.Exactly(last)
	}
	j.appended = Span{began, p.clock()}
	cache.keep(j.stream, j.events, last)
	return nil
}

// decideJob decides fact by fact, as if each had come alone, so that the notes
// do not depend on how entries came in batches. It returns the ledger as it will
// be once all that is proposed is appended; jobs do not keep it, for they are many.
func (p *Poster) decideJob(ctx context.Context, cache *ledgers, j *job) (*ledger, error) {
	load := cache.load
	if j.manner == received && len(j.swept) > 0 {
		load = cache.reload // what is not seen would not be swept, and nothing would tell
	}
	to, err := load(ctx, j.stream)
	if err != nil {
		return nil, err
	}
	now, catalogs := p.Now().UTC(), p.Catalogs()
	j.expected, j.events, j.proposed, j.changes = to.expected, nil, nil, nil
	for facts := range j.steps(to) {
		j.count(to, facts)
		events, err := decide(to, facts, catalogs, now)
		if err != nil {
			return nil, &unpostableError{Stream: j.stream, Err: err}
		}
		for _, e := range events {
			event, err := propose(j, e, now)
			if err != nil {
				return nil, &unpostableError{Stream: j.stream, Err: err}
			}
			j.events, j.proposed = append(j.events, e), append(j.proposed, event)
			to.Evolve(e, aggregate.Place{})
		}
	}
	j.decided, j.took = true, Span{now, p.clock()}
	return to, nil
}

// portionBytes bounds what is appended at once, well below what a store takes.
const portionBytes = eventstore.MaxAppendBytes / 2

// portions cuts events into appends of bounded size.
func portions(events []eventstore.ProposedEvent) [][]eventstore.ProposedEvent {
	var cut [][]eventstore.ProposedEvent
	begin, size := 0, 0
	for i, e := range events {
		more := e.Size()
		if i > begin && size+more > portionBytes {
			cut = append(cut, events[begin:i])
			begin, size = i, 0
		}
		size += more
	}
	if begin < len(events) {
		cut = append(cut, events[begin:])
	}
	return cut
}

// decide guards the flow against a bug in one subscription's derivation.
func decide(to *ledger, facts []aggregate.Fact, c aggregate.Catalogs, now time.Time) (events []aggregate.Event, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			events, err = nil, fmt.Errorf("internal error in Decide: %v", caught)
		}
	}()
	return to.Decide(facts, c, now), nil
}

// propose makes the event to append. Its ID is derived from what it says, so
// that it is the same whoever posts it.
func propose(j *job, e aggregate.Event, now time.Time) (eventstore.ProposedEvent, error) {
	data, err := aggregate.Encode(e)
	if err != nil {
		return eventstore.ProposedEvent{}, err
	}
	metadata, err := eventstore.EncodeMetadata(j.metadata(e, now))
	if err != nil {
		return eventstore.ProposedEvent{}, err
	}
	return eventstore.ProposedEvent{ID: eventID(j.stream, e), Type: e.Type(), Data: data, Metadata: metadata, Frozen: true}, nil
}

func eventID(stream eventstore.Stream, e aggregate.Event) uuid.UUID {
	if e.Note != nil {
		return eventstore.DeriveID(stream, e.Note.Concludes()...)
	}
	f := e.Fact
	return eventstore.DeriveID(stream, f.Key.StripeEventID, strconv.Itoa(f.Key.Ordinal), strconv.Itoa(f.Epoch))
}

// metadata leads from an event back to the delivery that caused it.
func (j *job) metadata(e aggregate.Event, now time.Time) eventstore.Metadata {
	m := eventstore.Metadata{RecordedAt: now.UTC()}
	id := ""
	switch {
	case e.Fact != nil:
		id = e.Fact.Key.StripeEventID
	case e.Note != nil:
		id = e.Note.StripeEventID
	}
	if source := j.sourceOf(id); source != nil {
		m.CausationID = source.entry.ID.String()
		m.CorrelationID = source.receipt.CorrelationID
	}
	return m
}
