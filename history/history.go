// Package history reads the record back, for people and programs: by stream,
// type, account, customer and time, in both directions; as it grows; what one
// Stripe event led to; and counted.
//
// HTTP and the command line both answer from here. Nothing here changes anything,
// and nothing is held in memory but the page that is asked for.
package history

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/projections"
)

// Record is the record, with the read model that knows what belongs to whom.
type Record struct {
	Store eventstore.Reader
	Model projections.Reader
	// Epoch is that of the store. A model of another one knows of nobody here.
	Epoch string
}

// reach is how far the read model is: what belongs to whom is known up to there.
// The error is projections.ErrNotFolded for a model that was not folded from this
// store yet.
func (r *Record) reach(ctx context.Context) (eventstore.Position, error) {
	checkpoint, err := r.Model.Checkpoint(ctx)
	if err == nil && (checkpoint.Epoch != r.Epoch || checkpoint.Schema != projections.Schema) {
		err = projections.ErrNotFolded
	}
	return checkpoint.Position, err
}

// Query chooses events. Empty fields choose all.
type Query struct {
	// Stream is what names of streams begin with.
	Stream string
	Types  []string
	// Since is included, Until is not; both are by our clock, of the recording.
	Since, Until time.Time
	// Owner narrows to the streams of what belongs to an account or to a customer
	// now. The journal's entries belong to nobody; what followed names them.
	Owner     projections.Owner
	Direction eventstore.Direction
	// From is the position behind which to begin, in the query's direction.
	From  eventstore.Position
	Limit int
}

// bookkeeping is the category of checkpoints. They say nothing of billing, and
// are found only by the name of their stream.
const bookkeeping = "checkpoint"

// filter is what of the query a store can choose by.
func (q *Query) filter() eventstore.Filter {
	switch {
	case q.Stream != "":
		return eventstore.Filter{Prefixes: []string{q.Stream}}
	case len(q.Types) > 0 && !slices.ContainsFunc(q.Types, isDomainType):
		return eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	}
	return eventstore.Filter{}
}

// isDomainType tells the types of our own events from Stripe's, all of which have
// a dot.
func isDomainType(eventType string) bool { return !strings.Contains(eventType, ".") }

// matches reports whether an event is wanted. One whose metadata cannot be read
// has no time, and is wanted only where no time was asked for.
func (q *Query) matches(ev *eventstore.RecordedEvent) bool {
	if len(q.Types) > 0 && !slices.Contains(q.Types, ev.Type) {
		return false
	}
	if q.Stream == "" && ev.Stream.Category() == bookkeeping || !strings.HasPrefix(string(ev.Stream), q.Stream) {
		return false
	}
	if q.Since.IsZero() && q.Until.IsZero() {
		return true
	}
	at, read := eventstore.RecordedAt(ev.Metadata)
	return read && !at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until))
}

// owned reports whether the query is narrowed to an owner.
func (q *Query) owned() bool { return q.Owner != projections.Owner{} }

// start is the position to begin at.
func (q *Query) start() eventstore.Position {
	if q.Direction == eventstore.Backwards && q.From == 0 {
		return eventstore.End
	}
	return q.From
}

// Page is a part of what a query chooses.
type Page struct {
	Events []eventstore.RecordedEvent
	// Next is the position to go on from, nil where there was nothing more.
	Next *eventstore.Position
}

// maxScanned bounds the events that are looked at for one page. A query that
// matches few of them gets a short page, perhaps an empty one, and a place to go
// on from.
const maxScanned = 50_000

// List reads a page of up to q.Limit events.
func (r *Record) List(ctx context.Context, q Query) (Page, error) {
	if q.owned() {
		return r.listOwned(ctx, q)
	}
	var page Page
	scanned := 0
	for ev, err := range r.Store.ReadAll(ctx, q.start(), q.Direction, q.filter(), 0) {
		if err != nil {
			return Page{}, err
		}
		if q.matches(&ev) {
			if len(page.Events) == q.Limit {
				page.Next = &page.Events[q.Limit-1].Position
				return page, nil
			}
			page.Events = append(page.Events, ev)
		}
		if scanned++; scanned == maxScanned {
			page.Next = &ev.Position
			return page, nil
		}
	}
	return page, nil
}

// Events yields all that the query chooses, up to q.Limit, 0 for all.
func (r *Record) Events(ctx context.Context, q Query) iter.Seq2[eventstore.RecordedEvent, error] {
	events := r.matching(ctx, q)
	if q.owned() {
		events = r.pages(ctx, q)
	}
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		given := 0
		for ev, err := range events {
			if !yield(ev, err) || err != nil {
				return
			}
			if given++; given == q.Limit {
				return
			}
		}
	}
}

// matching yields what of the log matches.
func (r *Record) matching(ctx context.Context, q Query) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for ev, err := range r.Store.ReadAll(ctx, q.start(), q.Direction, q.filter(), 0) {
			if err != nil || q.matches(&ev) {
				if !yield(ev, err) {
					return
				}
			}
		}
	}
}

// fullPage is how many events of an owner are held at a time.
const fullPage = 500

// pages yields page after page.
func (r *Record) pages(ctx context.Context, q Query) iter.Seq2[eventstore.RecordedEvent, error] {
	q.Limit = fullPage
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for {
			page, err := r.List(ctx, q)
			if err != nil {
				yield(eventstore.RecordedEvent{}, err)
				return
			}
			for _, ev := range page.Events {
				if !yield(ev, nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
			q.From = *page.Next
		}
	}
}
