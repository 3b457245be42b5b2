package history

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// Told is what an event of a domain stream says of when and why it came about.
type Told struct {
	// StripeEventID is the Stripe event that stated a fact, empty for decisions.
	StripeEventID string `json:"stripe_event_id"`
	// OccurredAt is Stripe's time of a fact; DecidedAt is ours of a decision.
	OccurredAt time.Time `json:"occurred_at"`
	DecidedAt  time.Time `json:"decided_at"`
}

// ToldBy reads what an event says; of one that says nothing of the kind, nothing.
func ToldBy(ev *eventstore.RecordedEvent) Told {
	var t Told
	if json.Unmarshal(ev.Data, &t) != nil {
		return Told{}
	}
	return t
}

// happenedAt is when what an event tells of came about: by Stripe's clock for a
// fact, by ours for anything else.
func (t Told) happenedAt(ev *eventstore.RecordedEvent) time.Time {
	switch {
	case !t.OccurredAt.IsZero():
		return t.OccurredAt
	case !t.DecidedAt.IsZero():
		return t.DecidedAt
	}
	at, _ := eventstore.RecordedAt(ev.Metadata)
	return at
}

// Place is a place in a timeline that is ordered by when things happened. What is
// recorded later may belong before it: Seen fixes how much of the log the
// timeline shows, so that its pages fit together. The zero Place is the beginning,
// or the end, and sees all that there is.
type Place struct {
	HappenedAt time.Time
	Position   eventstore.Position
	Seen       eventstore.Position
}

// Timeline reads a page of an owner's events in the order in which they happened,
// behind a place in the query's direction; q.From plays no part. It looks at all
// of the owner's events, and holds one page of them.
func (r *Record) Timeline(ctx context.Context, q Query, behind Place) ([]eventstore.RecordedEvent, *Place, error) {
	seen, err := r.reach(ctx)
	if err != nil {
		return nil, nil, err
	}
	if behind.Seen != 0 {
		seen = min(seen, behind.Seen)
	}
	streams, err := r.Model.Streams(ctx, q.Owner)
	if err != nil {
		return nil, nil, err
	}
	page := nearest{query: &q, behind: behind, seen: seen}
	for _, stream := range streams {
		if err := r.offerAll(ctx, stream, &page); err != nil {
			return nil, nil, err
		}
	}
	events, next := page.result()
	return events, next, nil
}

// offerAll offers the events of a stream. A note happened when that did from which
// it was concluded.
func (r *Record) offerAll(ctx context.Context, stream eventstore.Stream, page *nearest) error {
	stated := map[string]time.Time{} // when the Stripe events happened that the stream tells of
	for ev, err := range r.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			return ignoreNone(err)
		}
		if ev.Position > page.seen {
			return nil
		}
		told := ToldBy(&ev)
		h := happened{ev, told.happenedAt(&ev)}
		if !told.OccurredAt.IsZero() {
			stated[told.StripeEventID] = told.OccurredAt
		} else if at, is := stated[told.StripeEventID]; is {
			h.at = at
		}
		if page.query.matches(&ev) {
			page.offer(h)
		}
	}
	return nil
}

// nearest keeps, of the events that are offered, those nearest behind a place:
// one more than the page holds.
type nearest struct {
	query  *Query
	behind Place
	seen   eventstore.Position
	kept   []happened
}

type happened struct {
	eventstore.RecordedEvent
	at time.Time
}

func (p *nearest) compare(a, b happened) int {
	if p.query.Direction == eventstore.Backwards {
		a, b = b, a
	}
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.Position, b.Position))
}

func (p *nearest) offer(h happened) {
	if p.behind.Position != 0 {
		last := happened{at: p.behind.HappenedAt}
		last.Position = p.behind.Position
		if p.compare(h, last) <= 0 {
			return
		}
	}
	i, _ := slices.BinarySearchFunc(p.kept, h, p.compare)
	if i > p.query.Limit {
		return
	}
	p.kept = slices.Insert(p.kept, i, h)
	p.kept = p.kept[:min(len(p.kept), p.query.Limit+1)]
}

func (p *nearest) result() ([]eventstore.RecordedEvent, *Place) {
	var next *Place
	if len(p.kept) > p.query.Limit {
		p.kept = p.kept[:p.query.Limit]
		last := p.kept[p.query.Limit-1]
		next = &Place{HappenedAt: last.at, Position: last.Position, Seen: p.seen}
	}
	events := make([]eventstore.RecordedEvent, len(p.kept))
	for i, h := range p.kept {
		events[i] = h.RecordedEvent
	}
	return events, next
}
