package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// translator says to which streams a Stripe event leads. That does not depend on
// the keys that name accounts, so it needs none.
var translator intake.Translator

// failures is the category of the streams that tell what could not be posted.
const failures = "posting"

// eventAnswer is everything that is known of one Stripe event.
type eventAnswer struct {
	EventID string `json:"event_id"`
	// Entries are the journal's, oldest first: the first delivery, then its
	// variants. Their metadata is the receipt.
	Entries []EventView `json:"entries"`
	// Posted is the index of the entry that gets posted.
	Posted int `json:"posted"`
	// Followed lists what was appended because of an entry: facts, notes, or
	// why it could not be posted.
	Followed []EventView `json:"followed"`
}

// event answers GET /v1/events/{event}. A key that is bound to an account sees
// the Stripe events that led to a stream of it.
func (s *Server) event(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	id := p.eventID("event")
	if err := p.err(); err != nil {
		return err
	}
	entries, err := s.entriesOf(r.Context(), id)
	if err != nil {
		return err
	}
	streams := streamsBehind(id, entries)
	if err := s.authorizeStreams(r.Context(), streams...); err != nil {
		return err
	}
	if len(entries) == 0 {
		return notFound("No such event was recorded.")
	}
	posted, _ := intake.PostedEntry(entries)
	answer := eventAnswer{EventID: id, Entries: make([]EventView, len(entries)), Posted: posted}
	for i, entry := range entries {
		answer.Entries[i] = NewEventView(entry, true)
	}
	if answer.Followed, err = s.followed(r.Context(), entries, streams); err != nil {
		return err
	}
	return writeJSON(w, answer)
}

// eventID is a part of the path that names a Stripe event.
func (p *params) eventID(field string) string {
	id := p.vars[field]
	foreign := func(c rune) bool { return c != '_' && !letterOrDigit(c) }
	if len(id) > 255 || strings.ContainsFunc(id, foreign) {
		p.fault(field, "wants a Stripe event id: 1 to 255 letters, digits and underscores")
		return ""
	}
	return id
}

// entriesOf reads the journal entries of a Stripe event, none if there are none.
func (s *Server) entriesOf(ctx context.Context, id string) ([]eventstore.RecordedEvent, error) {
	var entries []eventstore.RecordedEvent
	for entry, err := range s.Store.ReadStream(ctx, intake.JournalStream(id), 0, eventstore.Forwards, intake.MaxEntries) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// streamsBehind lists the streams to which entries may have led. Which they are
// is translated anew; what cannot be translated led to a failure.
func streamsBehind(id string, entries []eventstore.RecordedEvent) []eventstore.Stream {
	streams := []eventstore.Stream{eventstore.NewStream(failures, id)}
	seen := map[eventstore.Stream]bool{streams[0]: true}
	for _, entry := range entries {
		facts, _ := translator.TranslateEntry(entry) // its failure stands in the record
		for _, f := range facts {
			if !seen[f.Stream] {
				seen[f.Stream] = true
				streams = append(streams, f.Stream)
			}
		}
	}
	return streams
}

// followed reads from the streams what one of the entries caused.
func (s *Server) followed(ctx context.Context, entries []eventstore.RecordedEvent, streams []eventstore.Stream) ([]EventView, error) {
	causes := map[string]bool{}
	for _, entry := range entries {
		causes[entry.ID.String()] = true
	}
	views := []EventView{}
	for _, stream := range streams {
		for ev, err := range s.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
			if errors.Is(err, eventstore.ErrStreamNotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			if meta, err := eventstore.DecodeMetadata(ev.Metadata); err == nil && causes[meta.CausationID] {
				views = append(views, NewEventView(ev, true))
			}
		}
	}
	return views, nil
}
