package posting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// What became of a Stripe event, where that is not just facts, stands in a
// stream of its own, "posting-<evt id>". Its latest event counts.
const (
	// FailureCategory is the category of those streams.
	FailureCategory = "posting"
	// FailedType: the event could not be posted.
	FailedType = "PostingFailed"
	// RepairedType: it could be posted after all.
	RepairedType = "PostingRepaired"
	// RepudiatedType: an operator has declared it forged or mistaken. It is
	// never posted again.
	RepudiatedType = "EventRepudiated"
)

// Failed is the content of a PostingFailed event.
type Failed struct {
	Schema        int       `json:"schema"`
	StripeEventID string    `json:"stripe_event_id"`
	EventType     string    `json:"event_type"`
	Reason        string    `json:"reason"`
	FailedAt      time.Time `json:"failed_at"`
}

// Repaired is the content of a PostingRepaired event.
type Repaired struct {
	Schema        int       `json:"schema"`
	StripeEventID string    `json:"stripe_event_id"`
	EventType     string    `json:"event_type"`
	RepairedAt    time.Time `json:"repaired_at"`
}

// Repudiated is the content of an EventRepudiated event.
type Repudiated struct {
	Schema        int       `json:"schema"`
	StripeEventID string    `json:"stripe_event_id"`
	EventType     string    `json:"event_type"`
	Actor         string    `json:"actor"`
	Reason        string    `json:"reason"`
	RepudiatedAt  time.Time `json:"repudiated_at"`
}

// recordFailure makes a failure visible. Told again it is the same event; of
// what was repudiated nothing is told.
func (p *Poster) recordFailure(ctx context.Context, r *reading) error {
	p.Log.WithFields(logrusFields(r)).Error("a Stripe event could not be posted")
	return p.fileFailure(ctx, r, func([]eventstore.RecordedEvent) string { return "" })
}

// recordFailureAgain is recordFailure for an event that may have been repaired
// since it failed in the same way.
func (p *Poster) recordFailureAgain(ctx context.Context, r *reading) error {
	return p.fileFailure(ctx, r, func(filed []eventstore.RecordedEvent) string {
		repairs := 0
		for _, e := range filed {
			if e.Type == RepairedType {
				repairs++
			}
		}
		if repairs == 0 {
			return ""
		}
		return strconv.Itoa(repairs)
	})
}

// fileFailure files a failure that is not there yet. What after adds to its ID
// tells it from the same failure in an earlier life.
func (p *Poster) fileFailure(ctx context.Context, r *reading, after func(filed []eventstore.RecordedEvent) string) error {
	now := p.Now().UTC()
	stream := outcomeStream(r.entry.Stream.ID())
	data, err := json.Marshal(Failed{Schema: 1, StripeEventID: r.entry.Stream.ID(), EventType: r.entry.Type,
		Reason: r.failure.Error(), FailedAt: now})
	if err != nil {
		return fmt.Errorf("encode failure: %w", err)
	}
	_, err = p.file(ctx, r, FailedType, data, now, func(filed []eventstore.RecordedEvent) (uuid.UUID, bool) {
		parts := []string{FailedType, r.entry.ID.String(), r.failure.Error()}
		if more := after(filed); more != "" {
			parts = append(parts, more)
		}
		id := eventstore.DeriveID(stream, parts...)
		return id, !holds(filed, id) && !holdsType(filed, RepudiatedType)
	})
	return err
}

// recordRepair says that an event which had failed is posted now, and reports
// whether there was anything to say.
func (p *Poster) recordRepair(ctx context.Context, r *reading) (bool, error) {
	now := p.Now().UTC()
	data, err := json.Marshal(Repaired{Schema: 1, StripeEventID: r.entry.Stream.ID(), EventType: r.entry.Type, RepairedAt: now})
	if err != nil {
		return false, fmt.Errorf("encode repair: %w", err)
	}
	return p.file(ctx, r, RepairedType, data, now, func(filed []eventstore.RecordedEvent) (uuid.UUID, bool) {
		if len(filed) == 0 || filed[len(filed)-1].Type != FailedType {
			return uuid.Nil, false
		}
		return eventstore.DeriveID(outcomeStream(r.entry.Stream.ID()), RepairedType, filed[len(filed)-1].ID.String()), true
	})
}

func outcomeStream(stripeEventID string) eventstore.Stream {
	return eventstore.NewStream(FailureCategory, stripeEventID)
}

func holds(filed []eventstore.RecordedEvent, id uuid.UUID) bool {
	return slices.ContainsFunc(filed, func(e eventstore.RecordedEvent) bool { return e.ID == id })
}

func holdsType(filed []eventstore.RecordedEvent, eventType string) bool {
	return slices.ContainsFunc(filed, func(e eventstore.RecordedEvent) bool { return e.Type == eventType })
}

// file appends an event to the outcome of a journal entry's Stripe event, if
// choose, shown what is there, gives it an ID and wants it; it reports whether
// it was appended.
func (p *Poster) file(ctx context.Context, r *reading, eventType string, data []byte, now time.Time,
	choose func(filed []eventstore.RecordedEvent) (uuid.UUID, bool)) (bool, error) {
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: now,
		CausationID: r.entry.ID.String(), CorrelationID: r.receipt.CorrelationID})
	if err != nil {
		return false, err
	}
	stream := outcomeStream(r.entry.Stream.ID())
	wait := newBackOff()
	for {
		filed, expected, err := p.readFiled(ctx, stream)
		if err == nil {
			id, wanted := choose(filed)
			if !wanted {
				return false, nil
			}
			_, err = p.Store.Append(ctx, stream, expected, eventstore.ProposedEvent{ID: id, Type: eventType, Data: data, Metadata: metadata})
		}
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, eventstore.ErrClosed):
			return false, err
		case errors.Is(err, eventstore.ErrTooLarge), errors.Is(err, eventstore.ErrInvalid), errors.Is(err, eventstore.ErrStreamDeleted):
			p.Log.WithError(err).WithField("stream", stream).Error("the outcome of an event could not be recorded")
			return false, nil // the log has it; to try again would stop all posting
		}
		if !sleep(ctx, wait.NextBackOff()) {
			return false, ctx.Err()
		}
	}
}

// readFiled reads what is filed in a stream, and where it ends.
func (p *Poster) readFiled(ctx context.Context, stream eventstore.Stream) ([]eventstore.RecordedEvent, eventstore.ExpectedRevision, error) {
	var filed []eventstore.RecordedEvent
	expected := eventstore.NoStream
	for e, err := range p.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return nil, expected, fmt.Errorf("read %s: %w", stream, err)
		}
		filed = append(filed, e)
		expected = eventstore.Exactly(e.Revision)
	}
	return filed, expected, nil
}

// readOutcomes returns, for every Stripe event that has any, the type of its
// latest outcome; that of a repudiated one is RepudiatedType whatever follows.
func readOutcomes(ctx context.Context, store eventstore.Reader) (map[string]string, error) {
	outcomes := map[string]string{}
	filter := eventstore.Filter{Prefixes: []string{FailureCategory + "-"}}
	for e, err := range store.ReadAll(ctx, 0, eventstore.Forwards, filter, 0) {
		if err != nil {
			return nil, fmt.Errorf("read what could not be posted: %w", err)
		}
		addOutcome(outcomes, &e)
	}
	return outcomes, nil
}

func addOutcome(outcomes map[string]string, e *eventstore.RecordedEvent) {
	if id := e.Stream.ID(); outcomes[id] != RepudiatedType {
		outcomes[id] = e.Type
	}
}

// takeOutcome takes in an outcome as it is filed: what is repudiated at another
// node is posted here no more either, and what failed there is repaired here.
func (p *Poster) takeOutcome(e *eventstore.RecordedEvent) {
	addOutcome(p.outcomes, e)
	if e.Type == RepudiatedType {
		p.markRepudiated(e.Stream.ID())
	}
}

// withOutcome lists the Stripe events of one latest outcome, in order.
func withOutcome(outcomes map[string]string, eventType string) []string {
	ids := slices.Sorted(maps.Keys(outcomes))
	return slices.DeleteFunc(ids, func(id string) bool { return outcomes[id] != eventType })
}

func logrusFields(r *reading) map[string]any {
	return map[string]any{"event_id": r.entry.Stream.ID(), "event_type": r.entry.Type,
		"reason": r.failure.Error()}
}
