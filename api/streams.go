package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// owns reports whether a stream belongs to an account now.
func (s *Server) owns(ctx context.Context, account string, stream eventstore.Stream) (bool, error) {
	streams, err := s.Model.Streams(ctx, projections.Owner{Account: account})
	return slices.Contains(streams, stream), err
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
	place, found := p.place(s.streamCursors(stream, dir))
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

// streamCursors are those of one stream: a place in another is another place.
func (s *Server) streamCursors(stream eventstore.Stream, dir eventstore.Direction) cursors {
	return s.cursors(streamCursor+" "+string(stream), dir)
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
			page.Next = s.streamCursors(stream, dir).atPosition(uint64(ev.Revision))
			break
		}
		page.Events = append(page.Events, NewEventView(ev, true))
	}
	return page, nil
}
