package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/daybookhq/daybook/eventstore"
)

// streamsOf lists the streams that belong to an account now.
func (s *Server) streamsOf(ctx context.Context, account string) ([]eventstore.Stream, error) {
	streams := []eventstore.Stream{eventstore.NewStream("account", account)}
	record, known, err := s.Model.Account(ctx, account)
	if err != nil || !known {
		return streams, err
	}
	for _, sub := range record.Subscriptions {
		streams = append(streams, eventstore.NewStream("subscription", sub.ID))
	}
	for _, customer := range record.Customers {
		streams = append(streams, eventstore.NewStream("customer", customer))
	}
	return streams, nil
}

// owns reports whether a stream belongs to an account now.
func (s *Server) owns(ctx context.Context, account string, stream eventstore.Stream) (bool, error) {
	streams, err := s.streamsOf(ctx, account)
	return slices.Contains(streams, stream), err
}

// scanStream reads from one stream what a page of q can need of it: one event
// more than the page holds. A stream that has no events yet gives none.
func (s *Server) scanStream(ctx context.Context, stream eventstore.Stream, q eventQuery) ([]eventstore.RecordedEvent, error) {
	from := eventstore.Revision(0)
	if q.dir == eventstore.Backwards {
		from = eventstore.LastRevision
	}
	var found []eventstore.RecordedEvent
	for ev, err := range s.Store.ReadStream(ctx, stream, from, q.dir, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		behind := q.dir == eventstore.Forwards && ev.Position <= q.from ||
			q.dir == eventstore.Backwards && ev.Position >= q.from
		if behind || !q.matches(&ev) {
			continue
		}
		if found = append(found, ev); len(found) > q.limit {
			break
		}
	}
	return found, nil
}

// streamPage is a page of one stream.
type streamPage struct {
	Stream eventstore.Stream `json:"stream"`
	eventPage
}

// stream answers GET /v1/streams/{stream}: its events with their data, the raw
// payloads of journal entries included.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	stream, dir, limit := eventstore.Stream(p.name("stream")), p.direction(), p.limit()
	place, found := p.place(streamCursor, dir)
	if stream != "" && stream.Validate() != nil {
		p.fault("stream", "wants a category, a hyphen and an id, like subscription-sub_1")
	}
	if err := p.err(); err != nil {
		return err
	}
	if err := s.authorizeStreams(r.Context(), stream); err != nil {
		return err
	}
	from := eventstore.Revision(place)
	if !found && dir == eventstore.Backwards {
		from = eventstore.LastRevision
	}
	page, err := s.readStream(r.Context(), stream, from, dir, limit)
	if err != nil {
		return err
	}
	return writeJSON(w, page)
}

// authorizeStreams refuses a key that is bound to an account, unless one of the
// streams belongs to it.
func (s *Server) authorizeStreams(ctx context.Context, streams ...eventstore.Stream) error {
	bound := boundAccount(ctx)
	if bound == "" {
		return nil
	}
	for _, stream := range streams {
		owned, err := s.owns(ctx, bound, stream)
		if err != nil {
			return err
		}
		if owned {
			return nil
		}
	}
	return errOtherAccount
}

// readStream reads a page. Its cursor is the revision to begin the next at.
func (s *Server) readStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int) (streamPage, error) {
	page := streamPage{Stream: stream, eventPage: eventPage{Events: []EventView{}}}
	for ev, err := range s.Store.ReadStream(ctx, stream, from, dir, limit+1) {
		if err != nil {
			return streamPage{}, err
		}
		if len(page.Events) == limit {
			page.Next = encodeCursor(streamCursor, dir, strconv.FormatUint(uint64(ev.Revision), 10))
			break
		}
		page.Events = append(page.Events, NewEventView(ev, true))
	}
	return page, nil
}
