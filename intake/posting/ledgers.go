package posting

import (
	"context"
	"errors"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/recent"
)

// ownBytes bounds what work beside Run keeps of the streams it folds.
const ownBytes = recent.DefaultBytes / 4

// ledgers folds domain streams.
type ledgers struct{ streams *recent.Streams }

// newLedgers returns ledgers that leave alone what Run keeps.
func newLedgers(store eventstore.Store) *ledgers { return &ledgers{recent.New(store, ownBytes)} }

// load returns a stream's ledger, as the stream was last seen. It is the caller's
// own. What was last seen may be less than what was appended here, if that gave
// way and a projection that is behind has folded the stream since. An append tells;
// where nothing is to be appended, nothing does.
func (l *ledgers) load(ctx context.Context, stream eventstore.Stream) (*ledger, error) {
	events, expected, err := l.streams.All(ctx, stream)
	return foldedLedger(stream, events, expected, err)
}

// reload returns a stream's ledger as the store has it.
func (l *ledgers) reload(ctx context.Context, stream eventstore.Stream) (*ledger, error) {
	events, expected, err := l.streams.Stored(ctx, stream)
	return foldedLedger(stream, events, expected, err)
}

func foldedLedger(stream eventstore.Stream, events []aggregate.Event, expected eventstore.ExpectedRevision, err error) (*ledger, error) {
	var undecodable *recent.UndecodableError
	if errors.As(err, &undecodable) {
		return nil, &unpostableError{Stream: stream, Err: undecodable.Err}
	}
	if err != nil {
		return nil, err
	}
	to := &ledger{decider: newDecider(stream), expected: expected}
	to.Grow(len(events))
	for _, e := range events {
		to.Evolve(e, aggregate.Place{})
	}
	return to, nil
}

// keep takes note of what was appended to a stream, the last of it at a revision.
func (l *ledgers) keep(stream eventstore.Stream, events []aggregate.Event, last eventstore.Revision) {
	l.streams.Add(stream, last+1-eventstore.Revision(len(events)), events...)
}

// forget lets the stream be read again.
func (l *ledgers) forget(stream eventstore.Stream) { l.streams.Forget(stream) }
