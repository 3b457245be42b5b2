package posting

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// Where the facts of a Stripe event are, nothing in the record says: this build
// knows where it would put them, and an earlier one may have put them elsewhere.
// Only corrections need to know, which are rare; so posting writes nothing for
// them, and they look through the log.

// whereabouts are the streams that hold facts of Stripe events, in force or not,
// by event. An event without any is in it too.
type whereabouts map[string][]eventstore.Stream

// mostLocated bounds the events whose facts are looked for at once: some tens of
// megabytes.
const mostLocated = 100_000

// lookEvery is after how many events looking through the log tells how far it is.
const lookEvery = 1000

// look goes over the events of the log behind one place, up to another, whose
// streams are of the categories.
func (p *Poster) look(ctx context.Context, from, to eventstore.Position, categories []string,
	visit func(e *eventstore.RecordedEvent), tell func(at eventstore.Position)) error {
	filter := eventstore.Filter{DataOnly: true}
	for _, category := range categories {
		filter.Prefixes = append(filter.Prefixes, category+"-")
	}
	seen := 0
	for e, err := range p.Store.ReadAll(ctx, from, eventstore.Forwards, filter, 0) {
		if err != nil {
			return fmt.Errorf("look through the facts: %w", err)
		}
		if e.Position > to {
			break
		}
		visit(&e)
		if seen++; seen%lookEvery == 0 {
			tell(e.Position)
		}
	}
	tell(to)
	return nil
}

// locate finds the facts of Stripe events in the whole log. It holds as much as
// it finds, so that callers bound the number of events.
func (p *Poster) locate(ctx context.Context, ids []string, head eventstore.Position, tell func(at eventstore.Position)) (whereabouts, error) {
	where := make(whereabouts, len(ids))
	for _, id := range ids {
		where[id] = nil
	}
	err := p.look(ctx, 0, head, intake.Categories, func(e *eventstore.RecordedEvent) { where.note(e.Stream, factIn(e)) }, tell)
	return where, err
}

// note takes down where a fact is, if it is of one of the events.
func (w whereabouts) note(stream eventstore.Stream, f *aggregate.Fact) {
	if f == nil {
		return
	}
	id := f.Key.StripeEventID
	if streams, wanted := w[id]; wanted && !slices.Contains(streams, stream) {
		w[id] = append(streams, eventstore.Stream(strings.Clone(string(stream))))
	}
}

// factIn is the fact that an event of the log is, nil if it is none. What cannot
// be read says nothing: its stream is parked.
func factIn(e *eventstore.RecordedEvent) *aggregate.Fact {
	event, err := aggregate.Decode(e.Type, e.Data)
	if err != nil {
		return nil
	}
	return event.Fact
}

// says reports whether a Stripe event has a fact in a stream from which
// something follows.
func (l *ledgers) says(ctx context.Context, stream eventstore.Stream, stripeEventID string) (bool, error) {
	to, err := l.load(ctx, stream)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(to.KeysOf(stripeEventID), func(key aggregate.FactKey) bool {
		held, _ := to.Held(key)
		return !held.Type.Silent()
	}), nil
}
