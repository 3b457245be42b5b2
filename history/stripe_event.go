package history

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// translator says to which streams a Stripe event leads. That does not depend on
// the keys that name accounts, so it needs none.
var translator intake.Translator

// failures is the category of the streams that tell what could not be posted.
const failures = "posting"

// StripeEvent is everything that is known of one Stripe event.
type StripeEvent struct {
	ID string
	// Entries are the journal's, oldest first: the first delivery, then its
	// variants. Their metadata is the receipt. None if it was never recorded.
	Entries []eventstore.RecordedEvent
	// Posted is the index of the entry that gets posted.
	Posted int
	// Streams are those to which the entries may have led.
	Streams []eventstore.Stream
}

// StripeEvent reads what was recorded of an event.
func (r *Record) StripeEvent(ctx context.Context, id string) (StripeEvent, error) {
	e := StripeEvent{ID: id}
	for entry, err := range r.Store.ReadStream(ctx, intake.JournalStream(id), 0, eventstore.Forwards, intake.MaxEntries) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return StripeEvent{}, err
		}
		e.Entries = append(e.Entries, entry)
	}
	e.Posted, _ = intake.PostedEntry(e.Entries)
	e.Streams = streamsBehind(id, e.Entries)
	return e, nil
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

// Followed reads what was appended because of an event: facts, notes, or why it
// could not be posted.
func (r *Record) Followed(ctx context.Context, e StripeEvent) ([]eventstore.RecordedEvent, error) {
	causes := map[string]bool{}
	for _, entry := range e.Entries {
		causes[entry.ID.String()] = true
	}
	var followed []eventstore.RecordedEvent
	for _, stream := range e.Streams {
		for ev, err := range r.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
			if errors.Is(err, eventstore.ErrStreamNotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			if meta, err := eventstore.DecodeMetadata(ev.Metadata); err == nil && causes[meta.CausationID] {
				followed = append(followed, ev)
			}
		}
	}
	return followed, nil
}

// Receipt reads the journal entry that an event of a domain stream followed from,
// and whether there is one.
func (r *Record) Receipt(ctx context.Context, ev *eventstore.RecordedEvent) (entry eventstore.RecordedEvent, found bool, err error) {
	meta, err := eventstore.DecodeMetadata(ev.Metadata)
	told := ToldBy(ev)
	if err != nil || told.StripeEventID == "" {
		return entry, false, nil //nolint:nilerr // what cannot be read names no cause
	}
	cause, _ := uuid.Parse(meta.CausationID)
	for entry, err = range r.Store.ReadStream(ctx, intake.JournalStream(told.StripeEventID), 0, eventstore.Forwards, intake.MaxEntries) {
		if err != nil {
			return entry, false, ignoreNone(err)
		}
		if entry.ID == cause {
			return entry, true, nil
		}
	}
	return entry, false, nil
}
