package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// Stream holds what was done, each event with all that is to be known: the
// latest counts.
const Stream = eventstore.Stream("reconciliation-main")

// The types of its events.
const (
	// BackfillAdvancedType: a backfill got to a place from which it can go on.
	BackfillAdvancedType = "BackfillAdvanced"
	// BackfillCompletedType: a backfill has seen everything.
	BackfillCompletedType = "BackfillCompleted"
	// SweepCompletedType: everything up to a time was reconciled.
	SweepCompletedType = "SweepCompleted"
)

// state is the content of every event of the stream.
type state struct {
	Schema int `json:"schema"`
	// BackfilledAt is when the latest backfill was completed, zero if none was.
	BackfilledAt time.Time `json:"backfilled_at,omitzero"`
	// Backfill is the one under way, nil if none is.
	Backfill *backfillState `json:"backfill,omitempty"`
	// SweptUntil is Stripe's time up to which no event is missing; SweptAt is our
	// clock when that was found.
	SweptUntil time.Time `json:"swept_until,omitzero"`
	SweptAt    time.Time `json:"swept_at,omitzero"`
	// Sweeps counts them, Missed the events that no webhook brought although they
	// should have, Differed the objects that were not as Stripe answered.
	Sweeps   int64 `json:"sweeps"`
	Missed   int64 `json:"missed"`
	Differed int64 `json:"differed"`
}

// gapAt reports that more than a sweep was left out by a moment.
func (s state) gapAt(now time.Time) bool {
	return !s.SweptAt.IsZero() && now.Sub(s.SweptAt) > gapFrom
}

// backfillState is how far a backfill is: in which of its lists, and where.
type backfillState struct {
	BegunAt time.Time       `json:"begun_at"`
	List    string          `json:"list"`
	Place   stripeapi.Place `json:"place,omitzero"`
	Looked  int64           `json:"looked"`
}

// Load reads what was done before.
func (r *Reconciler) Load(ctx context.Context) error {
	var s state
	for e, err := range r.Store.ReadStream(ctx, Stream, eventstore.LastRevision, eventstore.Backwards, 1) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err == nil {
			err = json.Unmarshal(e.Data, &s)
		}
		if err != nil {
			return fmt.Errorf("read what was reconciled: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	return nil
}

func (r *Reconciler) current() state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// advance records a changed state.
func (r *Reconciler) advance(ctx context.Context, eventType string, change func(*state)) error {
	next := r.current()
	change(&next)
	next.Schema = 1
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode what was reconciled: %w", err)
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: r.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = r.Store.Append(ctx, Stream, eventstore.Any, eventstore.ProposedEvent{ID: uuid.New(), Type: eventType, Data: data, Metadata: metadata})
	if err != nil {
		return fmt.Errorf("record what was reconciled: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = next
	return nil
}
