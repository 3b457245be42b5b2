package history

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/daybookhq/daybook/eventstore"
)

// listOwned reads a page from the streams of an owner, merged by position. It
// goes no further than the read model does: what is recorded behind that may
// belong to the owner by a stream that the model does not know of yet, and a
// cursor must not pass it.
func (r *Record) listOwned(ctx context.Context, q Query) (Page, error) {
	reach, err := r.reach(ctx) // before the streams, which may then know more
	if err != nil {
		return Page{}, err
	}
	streams, err := r.Model.Streams(ctx, q.Owner)
	if err != nil {
		return Page{}, err
	}
	within := between(&q, reach)
	var merged []eventstore.RecordedEvent
	for _, stream := range streams {
		found, err := r.fromStream(ctx, stream, &q, within)
		if err != nil {
			return Page{}, err
		}
		merged = append(merged, found...)
	}
	slices.SortFunc(merged, func(a, b eventstore.RecordedEvent) int {
		if q.Direction == eventstore.Backwards {
			a, b = b, a
		}
		return cmp.Compare(a.Position, b.Position)
	})
	if len(merged) > q.Limit {
		return Page{Events: merged[:q.Limit], Next: &merged[q.Limit-1].Position}, nil
	}
	return Page{Events: merged}, nil
}

// stretch is the part of the log between two positions, of which the first is not
// in it.
type stretch struct{ after, upTo eventstore.Position }

func between(q *Query, upTo eventstore.Position) stretch {
	if q.Direction == eventstore.Backwards {
		return stretch{upTo: min(upTo, q.start()-1)}
	}
	return stretch{after: q.From, upTo: upTo}
}

// fromStream reads from one stream what a page can need of it: one event more
// than the page holds. A stream that has no events gives none.
func (r *Record) fromStream(ctx context.Context, stream eventstore.Stream, q *Query, within stretch) ([]eventstore.RecordedEvent, error) {
	from, err := r.seek(ctx, stream, q.Direction, within)
	if err != nil {
		return nil, ignoreNone(err)
	}
	var found []eventstore.RecordedEvent
	for ev, err := range r.Store.ReadStream(ctx, stream, from, q.Direction, 0) {
		if err != nil {
			return nil, ignoreNone(err)
		}
		forwards := q.Direction == eventstore.Forwards
		if forwards && ev.Position > within.upTo || !forwards && ev.Position <= within.after {
			break
		}
		if ev.Position <= within.after || ev.Position > within.upTo || !q.matches(&ev) {
			continue
		}
		if found = append(found, ev); len(found) > q.Limit {
			break
		}
	}
	return found, nil
}

func ignoreNone(err error) error {
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		return nil
	}
	return err
}

// seekFrom is how long a stream is before looking for the place in it is better
// than reading up to it.
const seekFrom = 64

// seek finds where in a long stream the stretch begins, in a direction.
func (r *Record) seek(ctx context.Context, stream eventstore.Stream, dir eventstore.Direction, within stretch) (eventstore.Revision, error) {
	if dir == eventstore.Forwards && within.after == 0 {
		return 0, nil
	}
	last, err := r.one(ctx, stream, eventstore.LastRevision, eventstore.Backwards)
	if err != nil {
		return 0, err
	}
	if dir == eventstore.Backwards && last.Position <= within.upTo {
		return last.Revision, nil
	}
	if last.Revision < seekFrom {
		if dir == eventstore.Forwards {
			return 0, nil
		}
		return last.Revision, nil
	}
	bound := within.after
	if dir == eventstore.Backwards {
		bound = within.upTo
	}
	// The first revision behind the bound; backwards, one too far does no harm.
	var failed error
	n := sort.Search(int(last.Revision)+1, func(n int) bool {
		if failed != nil {
			return true
		}
		ev, err := r.one(ctx, stream, eventstore.Revision(n), eventstore.Forwards)
		failed = err
		return ev.Position > bound
	})
	return min(eventstore.Revision(n), last.Revision), failed
}

// one reads the event at a revision.
func (r *Record) one(ctx context.Context, stream eventstore.Stream, at eventstore.Revision, dir eventstore.Direction) (eventstore.RecordedEvent, error) {
	for ev, err := range r.Store.ReadStream(ctx, stream, at, dir, 1) {
		return ev, err
	}
	return eventstore.RecordedEvent{}, eventstore.ErrStreamNotFound
}
