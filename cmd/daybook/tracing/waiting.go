package tracing

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/daybookhq/daybook/eventstore"
)

// mostFolded bounds the events of which it is awaited that they are published.
const mostFolded = 4096

// foldedEvent is one that was folded into the model at a position, by a span.
type foldedEvent struct {
	position eventstore.Position
	event    string
	span     trace.SpanContext
}

// waitingEvents are those of which it is awaited that they are published, in the
// order of the log. When there are too many, nobody will hear of the oldest.
type waitingEvents struct {
	mu     sync.Mutex
	events []foldedEvent
}

func (w *waitingEvents) add(e foldedEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == mostFolded {
		w.events = slices.Delete(w.events, 0, mostFolded/2)
	}
	w.events = append(w.events, e)
}

// upTo takes those that were folded up to a position.
func (w *waitingEvents) upTo(position eventstore.Position) []foldedEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := slices.IndexFunc(w.events, func(e foldedEvent) bool { return e.position > position })
	if n < 0 {
		n = len(w.events)
	}
	taken := slices.Clone(w.events[:n])
	w.events = slices.Delete(w.events, 0, n)
	return taken
}
