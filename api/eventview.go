package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/intake"
)

// EventView is a recorded event in an answer.
type EventView struct {
	ID       uuid.UUID           `json:"id"`
	Stream   eventstore.Stream   `json:"stream"`
	Revision eventstore.Revision `json:"revision"`
	Position eventstore.Position `json:"position"`
	Type     string              `json:"type"`
	// RecordedAt is our clock when the event was appended.
	RecordedAt time.Time `json:"recorded_at,omitzero"`
	// StripeEventID is the Stripe event that stated a fact, OccurredAt Stripe's time
	// of it.
	StripeEventID string    `json:"stripe_event_id,omitempty"`
	OccurredAt    time.Time `json:"occurred_at,omitzero"`
	// Metadata is that of the event; of a journal entry it is the receipt.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Receipt is the metadata of the journal entry that the event followed from,
	// where it was asked for.
	Receipt json.RawMessage `json:"receipt,omitempty"`
	// DataBytes and DataSHA256 are of the data exactly as it is stored.
	DataBytes  int    `json:"data_bytes"`
	DataSHA256 string `json:"data_sha256"`
	// Data is the data as JSON: the same value, perhaps with other white space.
	Data json.RawMessage `json:"data,omitempty"`
	// Raw is the data byte by byte. Only journal entries have it: there the
	// bytes are what was signed.
	Raw []byte `json:"raw_base64,omitempty"`
}

// NewEventView shows an event. The raw payload of a journal entry holds personal
// data, and is shown only if withPayload; the data of other events always is.
func NewEventView(ev eventstore.RecordedEvent, withPayload bool) EventView {
	sum := sha256.Sum256(ev.Data)
	view := EventView{
		ID: ev.ID, Stream: ev.Stream, Revision: ev.Revision, Position: ev.Position, Type: ev.Type,
		Metadata: asJSON(ev.Metadata), DataBytes: len(ev.Data), DataSHA256: hex.EncodeToString(sum[:]),
	}
	if meta, err := eventstore.DecodeMetadata(ev.Metadata); err == nil {
		view.RecordedAt = meta.RecordedAt
	}
	journal := ev.Stream.Category() == intake.JournalCategory
	if !journal {
		told := history.ToldBy(&ev)
		view.StripeEventID, view.OccurredAt = told.StripeEventID, told.OccurredAt
	}
	if !journal || withPayload {
		view.Data = asJSON(ev.Data)
	}
	if journal && withPayload {
		view.Raw = ev.Data
	}
	return view
}

// eventViews shows events without the raw payloads.
func eventViews(events []eventstore.RecordedEvent) []EventView {
	views := make([]EventView, len(events))
	for i, ev := range events {
		views[i] = NewEventView(ev, false)
	}
	return views
}

// asJSON passes on well-formed JSON, and leaves out anything else.
func asJSON(b []byte) json.RawMessage {
	if !json.Valid(b) {
		return nil
	}
	return b
}
