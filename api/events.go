package api

import (
	"context"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/projections"
)

// eventPage is a page of the record.
type eventPage struct {
	Events []EventView `json:"events"`
	// Next continues behind this page. It is missing where there was nothing
	// more; then the position of the last event, as from, asks for what came
	// since.
	Next string `json:"next,omitempty"`
}

// listEvents answers GET /v1/events. With account or customer it lists the events
// of the streams that belong to it now; the journal entries behind them are named
// in them.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	q := p.eventQuery()
	q.Direction, q.Limit = p.direction(), p.limit()
	cursors := s.cursors(eventsCursor, q.Direction)
	place, _ := p.place(cursors)
	q.From = eventstore.Position(place)
	if err := p.err(); err != nil {
		return err
	}
	if err := narrow(r.Context(), &q); err != nil {
		return err
	}
	page, err := s.record.List(r.Context(), q)
	if err != nil {
		return err
	}
	answer := eventPage{Events: eventViews(page.Events)}
	if page.Next != nil {
		answer.Next = cursors.atPosition(uint64(*page.Next))
	}
	return writeJSON(w, answer)
}

// eventQuery reads the parameters that choose events.
func (p *params) eventQuery() history.Query {
	q := history.Query{Stream: p.text("stream"), Types: p.texts("type"),
		Owner: projections.Owner{Account: p.accountFilter(), Customer: p.customerFilter()}}
	q.Since, q.Until = p.span()
	if q.Owner.Account != "" && q.Owner.Customer != "" {
		p.fault("customer", "wants no account beside it")
	}
	return q
}

// narrow keeps a key that is bound to an account to that.
func narrow(ctx context.Context, q *history.Query) error {
	bound := boundAccount(ctx)
	if bound == "" {
		return nil
	}
	if q.Owner != (projections.Owner{}) && q.Owner != (projections.Owner{Account: bound}) {
		return errOtherAccount
	}
	q.Owner = projections.Owner{Account: bound}
	return nil
}

// countPatience is how long events are counted for one answer.
const countPatience = 4 * time.Second

// statistics answers GET /v1/events/statistics: how many events there are, by
// type. Without filters it counts only what came since it was last asked. Where
// the time runs out, the answer says up to where it counted, and from goes on
// from there.
func (s *Server) statistics(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	q := p.eventQuery()
	place, _ := p.place(s.cursors(eventsCursor, eventstore.Forwards))
	q.From = eventstore.Position(place)
	if err := p.err(); err != nil {
		return err
	}
	if err := narrow(r.Context(), &q); err != nil {
		return err
	}
	count := s.record.Count
	if len(r.URL.RawQuery) == 0 && q.Owner == (projections.Owner{}) {
		count = func(ctx context.Context, _ history.Query, patience time.Duration) (history.Statistics, error) {
			return s.totals.Count(ctx, s.record, patience)
		}
	}
	statistics, err := count(r.Context(), q, countPatience)
	if err != nil {
		return err
	}
	return writeJSON(w, statistics)
}
