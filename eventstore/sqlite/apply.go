package sqlite

import (
	"database/sql/driver"
	"fmt"

	"github.com/daybookhq/daybook/eventstore"
)

// apply judges one append and carries it out. The error is a fault of the
// file; a conflict is an answer. It looks before it inserts, so that a
// conflict has nothing to undo.
func (w *writer) apply(s session, r *request) (answer, error) {
	if r.expected.IsNoStream() {
		// The common case costs one statement: the index itself says whether
		// the stream is there.
		if ok, err := w.insert(s, r.stream, 0, &r.events[0]); err != nil || !ok {
			if err != nil {
				return answer{}, err
			}
			return w.compare(s, r, 0)
		}
		return w.extend(s, r, 1, 1)
	}
	last, exists, err := w.last(s, r.stream)
	if err != nil {
		return answer{}, err
	}
	exact, isExact := r.expected.Exact()
	switch {
	case isExact && exists && exact < last:
		return w.compare(s, r, exact+1)
	case isExact && (!exists || exact > last), r.expected.IsStreamExists() && !exists:
		return conflict(r, describe(last, exists)), nil
	case !exists:
		return w.extend(s, r, 0, 0)
	}
	return w.extend(s, r, 0, last+1)
}

// extend appends the events from index first on, at revision at.
func (w *writer) extend(s session, r *request, first int, at eventstore.Revision) (answer, error) {
	for i := first; i < len(r.events); i++ {
		ok, err := w.insert(s, r.stream, at, &r.events[i])
		if err == nil && !ok {
			err = fmt.Errorf("revision %d of %s is taken, though the stream was seen to end before it", at, r.stream)
		}
		if err != nil {
			return answer{}, err
		}
		at++
	}
	if !r.expected.IsNoStream() {
		w.heads.Add(r.stream, at-1)
	}
	return answer{result: eventstore.AppendResult{Revision: at - 1, Position: w.head}}, nil
}

// last returns a stream's last revision.
func (w *writer) last(s session, stream eventstore.Stream) (eventstore.Revision, bool, error) {
	if last, ok := w.heads.Get(stream); ok {
		return last, true, nil
	}
	n, ok, err := s.integer("SELECT max(revision) FROM events WHERE stream = ?", string(stream))
	if ok && err == nil {
		w.heads.Add(stream, eventstore.Revision(n))
	}
	return eventstore.Revision(n), ok, err
}

// compare decides about an append that comes behind others: what stands in
// its place, from revision at on, is either the same events or a conflict.
func (w *writer) compare(s session, r *request, at eventstore.Revision) (answer, error) {
	var result eventstore.AppendResult
	same := 0
	err := s.query("SELECT position, revision, id FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?",
		[]driver.Value{string(r.stream), int64(at), int64(len(r.events))},
		func(row []driver.Value) (bool, error) {
			found, err := scanPlace(row)
			if err != nil || found.ID != r.events[same].ID {
				return false, err
			}
			same++
			result = eventstore.AppendResult{Revision: found.Revision, Position: found.Position}
			return true, nil
		})
	if err != nil {
		return answer{}, err
	}
	if same == len(r.events) {
		return answer{result: result}, nil
	}
	last, exists, err := w.last(s, r.stream)
	if err != nil {
		return answer{}, err
	}
	return conflict(r, describe(last, exists)), nil
}

func conflict(r *request, actual string) answer {
	return answer{err: &eventstore.WrongExpectedRevisionError{Stream: r.stream, Expected: r.expected, Actual: actual}}
}

func describe(last eventstore.Revision, exists bool) string {
	if !exists {
		return "no stream"
	}
	return fmt.Sprintf("revision %d", last)
}
