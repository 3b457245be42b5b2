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
// if others have got further meanwhile.
func (p *Poster) start(ctx context.Context) (eventstore.Position, error) {
	at, err := Checkpoint(ctx, p.Store, p.Epoch)
	return max(at, p.Progress().Position), err
}

// Checkpoint returns the place in the log up to which everything is posted, 0 if
// nothing says so. A checkpoint of another store's epoch counts positions that
// mean nothing in this one.
func Checkpoint(ctx context.Context, store eventstore.Reader, epoch string) (eventstore.Position, error) {
	at, _, err := latestCheckpoint(ctx, store, epoch)
	return at, err
}

// latestCheckpoint also returns what to expect of the stream when the next is
// written.
func latestCheckpoint(ctx context.Context, store eventstore.Reader, epoch string) (eventstore.Position, eventstore.ExpectedRevision, error) {
	for e, err := range store.ReadStream(ctx, CheckpointStream, eventstore.LastRevision, eventstore.Backwards, 1) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		var c checkpointed
		if err == nil {
			err = json.Unmarshal(e.Data, &c)
		}
		if err != nil {
			return 0, eventstore.NoStream, fmt.Errorf("read the posting checkpoint: %w", err)
		}
		if c.Epoch != epoch {
			c.Position = 0
		}
		return c.Position, eventstore.Exactly(e.Revision), nil
	}
	return 0, eventstore.NoStream, nil
}

// WriteCheckpoint records that everything up to a place in the log is posted.
// One that says more stays: of several nodes that post the same log, whoever has
// got furthest has done the work for all.
func WriteCheckpoint(ctx context.Context, store eventstore.Store, epoch string, at eventstore.Position, now time.Time) error {
	data, err := json.Marshal(checkpointed{Schema: 1, Epoch: epoch, Position: at})
	if err != nil {
		return fmt.Errorf("encode the posting checkpoint: %w", err)
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: now.UTC()})
	if err != nil {
		return err
	}
	event := eventstore.ProposedEvent{ID: uuid.New(), Type: checkpointType, Data: data, Metadata: metadata}
	for {
		latest, expected, err := latestCheckpoint(ctx, store, epoch)
		if err != nil || latest >= at {
			return err
		}
		_, err = store.Append(ctx, CheckpointStream, expected, event)
		if !eventstore.IsConflict(err) { // with one, another node has just written its own
			return err
		}
	}
}

// checkpoint writes how far posting is, at most every few seconds. A write that
// fails costs work after a restart, and nothing else.
func (p *Poster) checkpoint(ctx context.Context, at eventstore.Position) {
	now := p.Now()
	if !p.unwritten || now.Sub(p.lastWrite) < checkpointEvery {
		return
	}
	p.lastWrite = now
	p.writeCheckpoint(ctx, at, now)
}

func (p *Poster) writeCheckpoint(ctx context.Context, at eventstore.Position, now time.Time) {
	if err := WriteCheckpoint(ctx, p.Store, p.Epoch, at, now); err != nil {
		p.Log.WithError(err).Warn("the posting checkpoint could not be written")
		return
	}
	p.unwritten = false
}

// lastCheckpoint writes the final checkpoint, when the work itself is over.
func (p *Poster) lastCheckpoint(ctx context.Context) {
	if !p.unwritten {
		return
	}
	at := p.Progress().Position
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	p.writeCheckpoint(ctx, at, p.Now())
}
