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

// How far posting is.
const (
	// CheckpointStream holds it.
	CheckpointStream = eventstore.Stream("checkpoint-posting")
	checkpointType   = "PostingCheckpointed"
)

// checkpointed is the content of a PostingCheckpointed event.
type checkpointed struct {
	Schema   int                 `json:"schema"`
	Epoch    string              `json:"epoch"`
	Position eventstore.Position `json:"position"`
}

// start finds where to go on: where this process stopped, or at the checkpoint
// if others have got further meanwhile. A checkpoint of another store's epoch
// counts positions that mean nothing here.
func (p *Poster) start(ctx context.Context) (eventstore.Position, error) {
	own := p.Progress().Position
	for e, err := range p.Store.ReadStream(ctx, CheckpointStream, eventstore.LastRevision, eventstore.Backwards, 1) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("read the posting checkpoint: %w", err)
		}
		var c checkpointed
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return 0, fmt.Errorf("read the posting checkpoint: %w", err)
		}
		if c.Epoch == p.Epoch {
			return max(own, c.Position), nil
		}
	}
	return own, nil
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
