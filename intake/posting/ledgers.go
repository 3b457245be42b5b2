package posting

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/daybookhq/daybook/eventstore"
)

// The bounds of what is kept folded. A miss costs one read of the stream.
const (
	keptLedgers = 8192
	// keptEvents is about 40 MB of facts.
	keptEvents = 40_000
)

// ledgers folds domain streams, and keeps the recently used, bounded by their
// number and by the events in them.
type ledgers struct {
	store eventstore.Store

	mu     sync.Mutex
	kept   *simplelru.LRU[eventstore.Stream, *ledger]
	weight int
}

func newLedgers(store eventstore.Store) *ledgers {
	l := &ledgers{store: store}
	kept, err := simplelru.NewLRU(keptLedgers, func(_ eventstore.Stream, gone *ledger) {
		l.weight -= gone.counted
		gone.counted = 0
	})
	if err != nil {
		panic("a positive size is a valid size: " + err.Error())
	}
	l.kept = kept
	return l
}

// load returns a stream's ledger, as it is kept or else as the store has it.
func (l *ledgers) load(ctx context.Context, stream eventstore.Stream) (*ledger, error) {
	if kept := l.find(stream); kept != nil {
		return kept, nil
	}
	folded := &ledger{decider: newDecider(stream), expected: eventstore.NoStream}
	for e, err := range l.store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		if err := folded.evolve(e); err != nil {
			return nil, &unpostableError{Stream: stream, Err: err}
		}
	}
	l.keep(stream, folded)
	return folded, nil
}

func (l *ledgers) find(stream eventstore.Stream) *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, _ := l.kept.Get(stream)
	return kept
}

// keep keeps a ledger, and counts what it has grown by. What was used least
// recently gives way; whoever still uses that goes on with it.
func (l *ledgers) keep(stream eventstore.Stream, folded *ledger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, found := l.kept.Peek(stream); found && other != folded {
		l.kept.Remove(stream)
	}
	l.kept.Add(stream, folded)
	l.weight += folded.events - folded.counted
	folded.counted = folded.events
	for l.weight > keptEvents && l.kept.Len() > 1 {
		l.kept.RemoveOldest()
	}
}

func (l *ledgers) forget(stream eventstore.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Remove(stream)
}
