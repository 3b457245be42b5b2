package esdb

import (
	"context"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// probed is what a look at the log from its end downwards found.
type probed struct {
	// head is the position of the log's last event, the server's own included,
	// if it lies behind where the follower is; else 0.
	head eventstore.Position
	// matching is the last event behind the follower that its filter lets
	// through, 0 if there is none.
	matching eventstore.Position
	// partial says that the look did not reach down to the follower, so that
	// there may be a match where none was seen.
	partial bool
}

// target is the place up to which there may be something to yield; exact says
// that there is something at that place.
func (p probed) target() (at eventstore.Position, exact bool) {
	if p.matching == 0 && p.partial {
		return p.head, false
	}
	return p.matching, true
}

// maxProbed bounds a probe. It is more than a server considers between two
// checkpoints, so that a follower whose filter lets little through gets close
// enough to the end by those.
const maxProbed = 40 * checkpointInterval

// probe looks at the log from its end down to the follower's place.
func (f *follower) probe(ctx context.Context) (probed, error) {
	var found probed
	seen := 0
	for e, err := range f.store.raw(ctx, allBackwards(eventstore.End)) {
		if err != nil {
			return probed{}, err
		}
		position := eventstore.Position(e.Position.Commit)
		if position <= f.at {
			break
		}
		found.head = max(found.head, position)
		if f.store.ours(e.StreamID, f.filter) {
			found.matching = position
			break
		}
		if seen++; seen == maxProbed {
			found.partial = true
			break
		}
	}
	return found, nil
}

// beyondEndPatience is how long the log may seem to end before a follower's
// place. A node that has just lost its leadership lags behind for a moment.
const beyondEndPatience = time.Second

// checkEnd refuses a place behind the log's end: a subscription from there
// would skip silently what is appended up to it.
func (f *follower) checkEnd(ctx context.Context) error {
	if f.at == 0 {
		return nil
	}
	since := time.Now()
	for {
		end, err := f.store.logEnd(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
		if f.at <= end {
			return nil
		}
		if time.Since(since) > beyondEndPatience {
			return fmt.Errorf("%s: %w: %d, the log ends at %d", f.what, eventstore.ErrPositionBeyondEnd, f.at, end)
		}
		if ended := pause(ctx, lastPause); ended != nil {
			return fmt.Errorf("%s: %w", f.what, ended)
		}
	}
}

// logEnd is the position of the last event, whoever's it is; 0 in an empty log.
func (s *Store) logEnd(ctx context.Context) (eventstore.Position, error) {
	r := allBackwards(eventstore.End)
	r.limit = 1
	for e, err := range s.raw(ctx, r) {
		if err != nil {
			return 0, err
		}
		return eventstore.Position(e.Position.Commit), nil
	}
	return 0, nil
}
