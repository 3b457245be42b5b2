package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// maxScanned bounds the events that one request looks at. A filter that matches
// few of them gets a short page, perhaps an empty one, and a next to go on from.
const maxScanned = 50_000

// bookkeeping is the category of checkpoints. They say nothing of billing, and
// are left out of the list of events; GET /v1/streams has them.
const bookkeeping = "checkpoint"

// eventPage is a page of the record.
type eventPage struct {
	Events []EventView `json:"events"`
	// Next continues behind this page. It is missing where there was nothing
	// more; then the position of the last event, as from, asks for what came
	// since.
	Next string `json:"next,omitempty"`
}

// eventQuery is what GET /v1/events is asked for.
type eventQuery struct {
	from  eventstore.Position
	dir   eventstore.Direction
	limit int
	types []string
	// since is included, until is not; both are by our clock.
	since, until time.Time
	account      string
}

// listEvents answers GET /v1/events. With account it lists the events of the
// streams that belong to the account now; the journal entries behind them are
// named in them.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	q := p.eventQuery()
	if err := p.err(); err != nil {
		return err
	}
	if bound := boundAccount(r.Context()); bound != "" {
		if q.account != "" && q.account != bound {
			return errOtherAccount
		}
		q.account = bound
	}
	list := s.scanLog
	if q.account != "" {
		list = s.scanAccount
	}
	events, next, err := list(r.Context(), q)
	if err != nil {
		return err
	}
	page := eventPage{Events: make([]EventView, len(events))}
	for i, ev := range events {
		page.Events[i] = NewEventView(ev, false)
	}
	if next != nil {
		page.Next = encodeCursor(eventsCursor, q.dir, strconv.FormatUint(uint64(*next), 10))
	}
	return writeJSON(w, page)
}

// eventQuery reads the parameters of GET /v1/events.
func (p *params) eventQuery() eventQuery {
	q := eventQuery{dir: p.direction(), limit: p.limit(), types: p.texts("type"),
		since: p.moment("since"), until: p.moment("until"), account: p.accountFilter()}
	if !q.since.IsZero() && !q.until.IsZero() && !q.since.Before(q.until) {
		p.fault("until", "wants a time after since")
	}
	place, found := p.place(eventsCursor, q.dir)
	switch {
	case found:
		q.from = eventstore.Position(place)
	case q.dir == eventstore.Backwards:
		q.from = eventstore.End
	}
	return q
}

// matches reports whether an event is wanted. One whose metadata cannot be read
// has no time, and is wanted only where no time was asked for.
func (q *eventQuery) matches(ev *eventstore.RecordedEvent) bool {
	if ev.Stream.Category() == bookkeeping || len(q.types) > 0 && !slices.Contains(q.types, ev.Type) {
		return false
	}
	if q.since.IsZero() && q.until.IsZero() {
		return true
	}
	meta, err := eventstore.DecodeMetadata(ev.Metadata)
	if err != nil {
		return false
	}
	return !meta.RecordedAt.Before(q.since) && (q.until.IsZero() || meta.RecordedAt.Before(q.until))
}

// scanLog reads a page from the log. next is the position to go on from, nil at
// the end.
func (s *Server) scanLog(ctx context.Context, q eventQuery) (events []eventstore.RecordedEvent, next *eventstore.Position, err error) {
	scanned := 0
	for ev, err := range s.Store.ReadAll(ctx, q.from, q.dir, eventstore.Filter{}, 0) {
		if err != nil {
			return nil, nil, err
		}
		if q.matches(&ev) {
			if len(events) == q.limit {
				return events, &events[q.limit-1].Position, nil
			}
			events = append(events, ev)
		}
		if scanned++; scanned == maxScanned {
			return events, &ev.Position, nil
		}
	}
	return events, nil, nil
}

// scanAccount reads a page from the streams of an account, merged by position.
func (s *Server) scanAccount(ctx context.Context, q eventQuery) ([]eventstore.RecordedEvent, *eventstore.Position, error) {
	streams, err := s.streamsOf(ctx, q.account)
	if err != nil {
		return nil, nil, err
	}
	var merged []eventstore.RecordedEvent
	for _, stream := range streams {
		found, err := s.scanStream(ctx, stream, q)
		if err != nil {
			return nil, nil, err
		}
		merged = append(merged, found...)
	}
	slices.SortFunc(merged, func(a, b eventstore.RecordedEvent) int {
		if q.dir == eventstore.Backwards {
			a, b = b, a
		}
		return cmp.Compare(a.Position, b.Position)
	})
	if len(merged) > q.limit {
		return merged[:q.limit], &merged[q.limit-1].Position, nil
	}
	return merged, nil, nil
}
