package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"

	"github.com/daybookhq/daybook/eventstore"
)

// walk goes through the stretch (from, to] of the log, chunk by chunk, in one
// direction. It narrows the stretch as it goes.
type walk struct {
	reads     *reads
	selection *selection
	next      *selection // of the same, for the next portion; nil if none was read yet
	dir       eventstore.Direction
	from, to  eventstore.Position
	left      budget
	// reuses says that nobody has a chunk once it is delivered: spare is one such.
	reuses bool
	spare  []eventstore.RecordedEvent
}

// portion is a chunk of a walk, and what is left of the stretch behind it.
type portion struct {
	events   []eventstore.RecordedEvent
	from, to eventstore.Position
	err      error
}

// run hands chunk after chunk to deliver. While the receiver works on one, the
// next is being read.
func (w *walk) run(ctx context.Context, deliver func([]eventstore.RecordedEvent) error) error {
	var ahead chan portion
	defer func() {
		if ahead != nil {
			<-ahead
		}
	}()
	for w.from < w.to && !w.left.spent() {
		var p portion
		if ahead != nil {
			p = <-ahead
			ahead = nil
		} else {
			p = w.read(ctx, w.left.chunk())
		}
		if p.err != nil {
			return p.err
		}
		w.next = w.selection.behind(len(p.events), w.to-w.from-(p.to-p.from))
		w.from, w.to = p.from, p.to
		w.left.use(len(p.events))
		if w.from < w.to && !w.left.spent() && w.left.next >= fullChunk {
			ahead = make(chan portion, 1)
			next, n := *w, w.left.chunk()
			w.spare = nil // it is the next portion's
			go func(ch chan<- portion) { ch <- next.read(ctx, n) }(ahead)
		}
		if err := deliver(p.events); err != nil {
			return err
		}
		if w.reuses {
			w.spare = p.events
		}
	}
	return nil
}

// read fetches up to n events from the near end of the stretch.
func (w *walk) read(ctx context.Context, n int) portion {
	if w.dir == eventstore.Forwards && w.reads.tail != nil {
		if events, reached, ok := w.reads.tail.after(w.from, w.to, w.selection.filter, n); ok {
			return portion{events: events, from: reached, to: w.to, err: w.reads.stopped(ctx)}
		}
	}
	s := cmp.Or(w.next, w.selection)
	from, to := s.stretch(w.from, w.to, w.dir)
	args := append([]driver.Value{int64(from), int64(to), int64(n)}, s.args...)
	events, cut, err := w.reads.events(ctx, s.form, s.text[w.dir], args, n, w.spare)
	w.spare = nil // the events stand there
	p := portion{events: events, from: w.from, to: w.to, err: err}
	forwards := w.dir == eventstore.Forwards
	switch {
	case err != nil:
	case cut && forwards:
		p.from = events[len(events)-1].Position
	case cut:
		p.to = events[len(events)-1].Position - 1
	case forwards:
		p.from = to
	default:
		p.to = from
	}
	return p
}
