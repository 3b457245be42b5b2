package api

import (
	"net/http"
	"strings"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/intake"
)

// EventAnswer is everything that is known of one Stripe event.
type EventAnswer struct {
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
	e, err := s.record.StripeEvent(r.Context(), id)
	if err != nil {
		return err
	}
	if err := s.authorizeStreams(r.Context(), e.Streams...); err != nil {
		return err
	}
	if len(e.Entries) == 0 {
		return notFound("No such event was recorded.")
	}
	followed, err := s.record.Followed(r.Context(), e)
	if err != nil {
		return err
	}
	return writeJSON(w, NewEventAnswer(e, followed, true))
}

// NewEventAnswer shows a Stripe event with what followed from it; the raw payloads
// only if withPayload.
func NewEventAnswer(e history.StripeEvent, followed []eventstore.RecordedEvent, withPayload bool) EventAnswer {
	answer := EventAnswer{EventID: e.ID, Posted: e.Posted, Followed: eventViews(followed)}
	for _, entry := range e.Entries {
		answer.Entries = append(answer.Entries, NewEventView(entry, withPayload))
	}
	return answer
}

// ReceiptOf reads the receipt of a journal entry.
func ReceiptOf(entry EventView) (intake.Receipt, error) { return intake.DecodeReceipt(entry.Metadata) }

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
