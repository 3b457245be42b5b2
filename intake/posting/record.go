package posting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// The streams that posting keeps for itself.
const (
	// CheckpointStream holds how far posting is.
	CheckpointStream = eventstore.Stream("checkpoint-posting")
	checkpointType   = "PostingCheckpointed"
	// FailureCategory is the category of the streams "posting-<evt id>", which
	// tell what could not be posted.
	FailureCategory = "posting"
	// FailedType is the type of an event that records a failure.
	FailedType = "PostingFailed"
)

// Failed is the content of a PostingFailed event.
type Failed struct {
	Schema        int       `json:"schema"`
	StripeEventID string    `json:"stripe_event_id"`
	EventType     string    `json:"event_type"`
	Reason        string    `json:"reason"`
	FailedAt      time.Time `json:"failed_at"`
}

// checkpointed is the content of a PostingCheckpointed event.
type checkpointed struct {
	Schema   int                 `json:"schema"`
	Epoch    string              `json:"epoch"`
	Position eventstore.Position `json:"position"`
}

// recordFailure makes a failure visible. Told again it is the same event.
func (p *Poster) recordFailure(ctx context.Context, r *reading) error {
	now := p.Now().UTC()
	stream := eventstore.NewStream(FailureCategory, r.entry.Stream.ID())
	data, err := json.Marshal(Failed{Schema: 1, StripeEventID: r.entry.Stream.ID(), EventType: r.entry.Type,
		Reason: r.failure.Error(), FailedAt: now})
	if err != nil {
		return fmt.Errorf("encode failure: %w", err)
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: now,
		CausationID: r.entry.ID.String(), CorrelationID: r.receipt.CorrelationID})
	if err != nil {
		return err
	}
	p.Log.WithFields(logrusFields(r)).Error("a Stripe event could not be posted")
	return p.appendOnce(ctx, stream, eventstore.ProposedEvent{
		ID:   eventstore.DeriveID(stream, FailedType, r.entry.ID.String(), r.failure.Error()),
		Type: FailedType, Data: data, Metadata: metadata})
}

func logrusFields(r *reading) map[string]any {
	return map[string]any{"stripe_event_id": r.entry.Stream.ID(), "event_type": r.entry.Type,
		"reason": r.failure.Error()}
}

// appendOnce appends an event to the end of a stream, unless it is in it.
func (p *Poster) appendOnce(ctx context.Context, stream eventstore.Stream, event eventstore.ProposedEvent) error {
	wait := newBackOff()
	for {
		expected, held, err := p.endOf(ctx, stream, event.ID)
		if err == nil && held {
			return nil
		}
		if err == nil {
			_, err = p.Store.Append(ctx, stream, expected, event)
		}
		switch {
		case err == nil, errors.Is(err, eventstore.ErrClosed):
			return err
		case errors.Is(err, eventstore.ErrTooLarge), errors.Is(err, eventstore.ErrInvalid), errors.Is(err, eventstore.ErrStreamDeleted):
			p.Log.WithError(err).WithField("stream", stream).Error("a failure could not be recorded")
			return nil // the log has it; to try again would stop all posting
		}
		if !sleep(ctx, wait.NextBackOff()) {
			return ctx.Err()
		}
	}
}

// endOf finds where a stream ends, and whether it holds an event.
func (p *Poster) endOf(ctx context.Context, stream eventstore.Stream, id uuid.UUID) (eventstore.ExpectedRevision, bool, error) {
	expected := eventstore.NoStream
	for e, err := range p.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return expected, false, fmt.Errorf("read %s: %w", stream, err)
		}
		if e.ID == id {
			return expected, true, nil
		}
		expected = eventstore.Exactly(e.Revision)
	}
	return expected, false, nil
}

// start finds where to go on: where this process stopped, else the checkpoint.
// A checkpoint of another store's epoch counts positions that mean nothing here.
func (p *Poster) start(ctx context.Context) (eventstore.Position, error) {
	if at := p.Progress().Position; at > 0 {
		return at, nil
	}
	for e, err := range p.Store.ReadStream(ctx, CheckpointStream, eventstore.LastRevision, eventstore.Backwards, 1) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read the posting checkpoint: %w", err)
		}
		var c checkpointed
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return 0, fmt.Errorf("read the posting checkpoint: %w", err)
		}
		if c.Epoch == p.Epoch {
			return c.Position, nil
		}
	}
	return 0, nil
}

// checkpoint writes how far posting is, at most every few seconds. A write that
// fails costs work after a restart, and nothing else.
func (p *Poster) checkpoint(ctx context.Context, at eventstore.Position) error {
	now := p.Now()
	if !p.unwritten || now.Sub(p.lastWrite) < checkpointEvery {
		return nil
	}
	p.lastWrite = now
	return p.writeCheckpoint(ctx, at, now)
}

func (p *Poster) writeCheckpoint(ctx context.Context, at eventstore.Position, now time.Time) error {
	data, err := json.Marshal(checkpointed{Schema: 1, Epoch: p.Epoch, Position: at})
	if err != nil {
		return fmt.Errorf("encode the posting checkpoint: %w", err)
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: now.UTC()})
	if err != nil {
		return err
	}
	_, err = p.Store.Append(ctx, CheckpointStream, eventstore.Any, eventstore.ProposedEvent{
		ID: uuid.New(), Type: checkpointType, Data: data, Metadata: metadata})
	if err != nil {
		p.Log.WithError(err).Warn("the posting checkpoint could not be written")
		return nil
	}
	p.unwritten = false
	return nil
}

// lastCheckpoint writes the final checkpoint, when the work itself is over.
func (p *Poster) lastCheckpoint(ctx context.Context) {
	if !p.unwritten {
		return
	}
	at := p.Progress().Position
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := p.writeCheckpoint(ctx, at, p.Now()); err != nil {
		p.Log.WithError(err).Warn("the posting checkpoint could not be written")
	}
}
