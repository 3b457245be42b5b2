package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// Told is what the heartbeat at an outlet says: how far a publisher got last.
type Told struct {
	// Epoch names the store that was published, and FoundedAt is what its entries
	// were ordered by. Both are zero if there is no heartbeat that counts.
	Epoch     string
	FoundedAt time.Time
	// Position is the place in the log up to which everything was published, and
	// At when that was told.
	Position eventstore.Position
	At       time.Time
	// Ignored says why the heartbeat that is there counts for nothing; empty if it
	// counts, or if there is none.
	Ignored string
}

// Opening is how a log was when this process, which alone writes to it, opened
// it. It is zero where others write too.
type Opening struct {
	Head eventstore.Position
	At   time.Time
}

const (
	// clocksApart is how far the clocks of two servers on one store may differ. One
	// whose clock is further off takes no webhook: signatures hold no longer.
	clocksApart = 5 * time.Minute
	// lookedBack bounds how many events are read to find the one that stands where
	// a heartbeat says: those that were recorded after it.
	lookedBack = 100_000
)

// Lacks reports whether a log lacks events that it had when a heartbeat told of
// it, as one does that was restored from a backup. It does so if it ends before
// the place that was told of or, where it has grown past that place since, if
// what stands there was recorded later than was told.
func Lacks(ctx context.Context, log eventstore.Reader, told Told, opened Opening) (bool, error) {
	short, err := endsBefore(ctx, log, told.Position)
	if short || err != nil {
		return short, err
	}
	for e, err := range log.ReadAll(ctx, eventstore.End, eventstore.Backwards, eventstore.Filter{}, lookedBack) {
		if err != nil {
			return false, fmt.Errorf("look for what the heartbeat told of: %w", err)
		}
		if e.Position > told.Position {
			continue
		}
		recorded, known := eventstore.RecordedAt(e.Metadata)
		grown := told.At.Before(opened.At) && e.Position > opened.Head
		return grown || known && recorded.After(told.At.Add(clocksApart)), nil
	}
	return false, nil
}

// endsBefore reports whether a log ends before a place. Its head need not tell:
// on a cluster, how far it was read can be the place of an event of the server's
// own.
func endsBefore(ctx context.Context, log eventstore.Reader, position eventstore.Position) (bool, error) {
	head, err := log.Head(ctx)
	if err != nil || head >= position {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, headWithin)
	defer cancel()
	for _, err := range log.Follow(ctx, position, eventstore.Filter{}) {
		if errors.Is(err, eventstore.ErrPositionBeyondEnd) {
			return true, nil
		}
		return false, err
	}
	return false, nil
}
