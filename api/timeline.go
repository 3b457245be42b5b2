package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/projections"
)

// The orders of a timeline: by the position in the log, or by when things
// happened.
const (
	orderRecorded = "recorded"
	orderOccurred = "occurred"
)

// timelinePage is a page of all that is recorded of an account.
type timelinePage struct {
	Account string `json:"account"`
	Order   string `json:"order"`
	eventPage
}

// timeline answers GET /v1/accounts/{account}/timeline: every event of what
// belongs to the account, oldest first. In the order in which things happened,
// the pages show the record as it was when the first was asked for.
func (s *Server) timeline(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	account, order := p.accountInPath(), p.oneOf("order", orderRecorded, orderOccurred)
	q := history.Query{Types: p.texts("type"), Direction: p.direction(), Limit: p.limit(), Owner: projections.Owner{Account: account}}
	q.Since, q.Until = p.span()
	receipts := p.oneOf("receipts", "false", "true") == "true"
	cursors := s.cursors(timelineCursor+" "+order, q.Direction)
	place := history.Place{}
	if order == orderOccurred {
		place = p.timelinePlace(cursors)
	} else {
		n, _ := p.place(cursors)
		q.From = eventstore.Position(n)
	}
	if err := p.err(); err != nil {
		return err
	}
	if err := s.knownAccount(r.Context(), account); err != nil {
		return err
	}
	page := timelinePage{Account: account, Order: order}
	events, next, err := s.timelineEvents(r.Context(), q, order, place, cursors)
	if err != nil {
		return err
	}
	page.eventPage = eventPage{Events: eventViews(events), Next: next}
	if receipts {
		if err := s.addReceipts(r.Context(), events, page.Events); err != nil {
			return err
		}
	}
	return writeJSON(w, page)
}

// knownAccount refuses another's account, and one that nothing is known of.
func (s *Server) knownAccount(ctx context.Context, account string) error {
	if _, err := s.entitlementOf(ctx, account); err != nil {
		return err // it is another's, or the model cannot be asked
	}
	_, known, err := s.Model.Account(ctx, account)
	if err == nil && !known {
		return errNoAccount
	}
	return err
}

func (s *Server) timelineEvents(ctx context.Context, q history.Query, order string, place history.Place, c cursors) (events []eventstore.RecordedEvent, next string, err error) {
	if order == orderOccurred {
		events, behind, err := s.record.Timeline(ctx, q, place)
		if behind != nil {
			next = c.at(encodePlace(*behind))
		}
		return events, next, err
	}
	page, err := s.record.List(ctx, q)
	if page.Next != nil {
		next = c.atPosition(uint64(*page.Next))
	}
	return page.Events, next, err
}

// addReceipts puts beside each event how its Stripe event came in.
func (s *Server) addReceipts(ctx context.Context, events []eventstore.RecordedEvent, views []EventView) error {
	for i := range events {
		entry, found, err := s.record.Receipt(ctx, &events[i])
		if err != nil {
			return err
		}
		if found {
			views[i].Receipt = asJSON(entry.Metadata)
		}
	}
	return nil
}

// A place in a timeline is four numbers, the first two a time.
const placeForm = "%d %d %d %d"

func encodePlace(p history.Place) string {
	return fmt.Sprintf(placeForm, p.HappenedAt.Unix(), p.HappenedAt.Nanosecond(), p.Position, p.Seen)
}

// timelinePlace reads the parameter "from".
func (p *params) timelinePlace(c cursors) (place history.Place) {
	text := p.after(c)
	if text == "" {
		return place
	}
	var seconds, nanos int64
	if n, err := fmt.Sscanf(text, placeForm, &seconds, &nanos, &place.Position, &place.Seen); err != nil || n != 4 {
		p.fault("from", cursorReason)
	}
	place.HappenedAt = time.Unix(seconds, nanos).UTC()
	return place
}
