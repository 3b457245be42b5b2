package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// Follow yields every event behind q.From that the query chooses, then every new
// one, each once; between them messages without an event, whose position may be
// resumed from. It ends by an error only. Direction and Limit play no part.
//
// Narrowed to an owner, it waits with each event of the domain streams until the
// read model knows whose it is.
func (r *Record) Follow(ctx context.Context, q Query) iter.Seq2[eventstore.Message, error] {
	return func(yield func(eventstore.Message, error) bool) {
		owners := ownership{record: r, owner: q.Owner}
		for m, err := range r.Store.Follow(ctx, q.From, q.filter()) {
			if err == nil && m.Event != nil {
				wanted := q.matches(m.Event)
				if wanted && q.owned() {
					wanted, err = owners.has(ctx, m.Event)
				}
				if !wanted {
					m.Event = nil
				}
			}
			if err != nil {
				yield(eventstore.Message{}, fmt.Errorf("follow the record: %w", err))
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// modelPoll is how long it takes to look again how far the read model is.
const modelPoll = 25 * time.Millisecond

// ownership remembers which streams are an owner's, as of a position of the read
// model.
type ownership struct {
	record  *Record
	owner   projections.Owner
	streams []eventstore.Stream
	asOf    eventstore.Position
	known   bool
}

func (o *ownership) has(ctx context.Context, ev *eventstore.RecordedEvent) (bool, error) {
	if !(eventstore.Filter{Prefixes: projections.Prefixes}).Matches(ev.Stream) {
		return false, nil // no read model knows of it
	}
	if !o.known || ev.Position > o.asOf {
		if err := o.refresh(ctx, ev.Position); err != nil {
			return false, err
		}
	}
	return slices.Contains(o.streams, ev.Stream), nil
}

func (o *ownership) refresh(ctx context.Context, at eventstore.Position) error {
	ticker := time.NewTicker(modelPoll)
	defer ticker.Stop()
	for {
		reach, err := o.record.reach(ctx)
		if err == nil && reach >= at {
			o.asOf = reach
			break
		}
		if err != nil && !errors.Is(err, projections.ErrNotFolded) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var err error
	o.streams, err = o.record.Model.Streams(ctx, o.owner)
	o.known = true
	return err
}
