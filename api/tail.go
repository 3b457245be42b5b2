package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
)

// tailPath is the one route that answers for as long as the caller listens.
const tailPath = "/v1/events/stream"

// lastEventID is the header with which a caller comes back.
const lastEventID = "Last-Event-ID"

// The bounds of one tail, and of all.
const (
	// maxTails bounds those that run at once.
	maxTails = 64
	// tailAhead is how many events are read before the caller has taken those
	// before them.
	tailAhead = 64
	// tailPatience is how long a caller may take to take what is written. One that
	// takes longer is dropped, and may resume.
	tailPatience = 10 * time.Second
	// heartbeatEvery keeps connections open through what stands between.
	heartbeatEvery = 15 * time.Second
)

var (
	errTooManyTails = unavailable("Too many are following the record already.")
	errNoFlush      = problem(http.StatusNotImplemented, "This connection cannot be written to bit by bit.")
)

// tail answers GET /v1/events/stream: the record as it grows, by server-sent
// events. The id of each is the cursor behind it, so a caller that comes back
// with it as Last-Event-ID, as every EventSource does, misses nothing and gets
// nothing twice. Without that, and without from, it begins with what comes next.
// It ends when the caller's key does.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	q := p.eventQuery()
	if !q.Until.IsZero() {
		p.fault("until", "has no place here: what is followed goes on")
	}
	cursors := s.cursors(eventsCursor, eventstore.Forwards)
	place, found := p.place(cursors)
	switch ids := r.Header.Values(lastEventID); {
	case len(ids) > 1:
		p.fault(lastEventID, "is there more than once")
	case len(ids) == 1 && ids[0] != "":
		place, found = p.placeIn(lastEventID, ids[0], cursors)
	}
	q.From = eventstore.Position(place)
	if err := p.err(); err != nil {
		return err
	}
	if err := narrow(r.Context(), &q); err != nil {
		return err
	}
	head, err := s.Store.Head(r.Context())
	switch {
	case err != nil:
		return err
	case q.From > head:
		return eventstore.ErrPositionBeyondEnd
	case !found:
		q.From = head
	}
	select {
	case s.tails <- struct{}{}:
		defer func() { <-s.tails }()
	default:
		return errTooManyTails
	}
	t := &tail{w: w, control: http.NewResponseController(w), cursors: cursors, beat: heartbeatEvery}
	if err := t.begin(); err != nil || r.Method == http.MethodHead {
		return err
	}
	ctx, cancel := s.whileAdmitted(r.Context(), ScopeAudit)
	defer cancel()
	t.run(ctx, s.record, q, s.ended)
	return nil
}

// EndTails ends all that follow the record, and those that come later: a server
// that shuts down waits for its answers to end.
func (s *Server) EndTails() { s.endOnce.Do(func() { close(s.ended) }) }

// tail is one answer under way.
type tail struct {
	w       http.ResponseWriter
	control *http.ResponseController
	cursors cursors
	beat    time.Duration // how often a heartbeat comes
	buf     bytes.Buffer
}

// begin sends the headers. The server's deadlines for a whole request are lifted:
// each write has its own.
func (t *tail) begin() error {
	if t.control.SetReadDeadline(time.Time{}) != nil || t.control.SetWriteDeadline(time.Now().Add(tailPatience)) != nil {
		return errNoFlush
	}
	h := t.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	t.w.WriteHeader(http.StatusOK)
	t.buf.WriteString("retry: 2000\n\n")
	t.flush()
	return nil
}

// followed is what a follower brings: a message, or why it ended.
type followed struct {
	eventstore.Message
	err error
}

// run writes what the record brings, until the caller, the server or the record has
// had enough.
func (t *tail) run(ctx context.Context, record *history.Record, q history.Query, ended <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan followed, tailAhead)
	go func() {
		defer close(messages)
		for m, err := range record.Follow(ctx, q) {
			select {
			case messages <- followed{m, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range messages { // until the follower has ended
		}
	}()
	heartbeat := time.NewTicker(t.beat)
	defer heartbeat.Stop()
	for at := q.From; ; {
		select {
		case m, more := <-messages:
			if !more {
				return // ctx has ended
			}
			if m.err != nil {
				t.sendError(m.err)
				return
			}
			at = max(at, m.Position)
			if m.Event != nil {
				t.add(m.Event)
			}
			if len(messages) > 0 && t.buf.Len() < tailBuffer {
				continue
			}
		case <-heartbeat.C:
			t.buf.WriteString("id: " + t.cursors.atPosition(uint64(at)) + "\n: alive\n\n")
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
		if !t.flush() {
			return
		}
	}
}

// tailBuffer is how much is gathered before it is written.
const tailBuffer = 32 << 10

// add puts an event into the buffer.
func (t *tail) add(ev *eventstore.RecordedEvent) {
	data, err := json.Marshal(NewEventView(*ev, false))
	if err != nil {
		return // a view is plain data
	}
	t.buf.WriteString("id: " + t.cursors.atPosition(uint64(ev.Position)) + "\ndata: ")
	t.buf.Write(bytes.ReplaceAll(data, []byte("\n"), []byte(" "))) // JSON has line ends only between values
	t.buf.WriteString("\n\n")
}

// sendError tells why there is no more. The caller may come again.
func (t *tail) sendError(err error) {
	p, _ := problemOf(err)
	if body, err := json.Marshal(p); err == nil {
		t.buf.WriteString("event: problem\ndata: " + string(body) + "\n\n")
		t.flush()
	}
}

// flush writes the buffer, within the patience for one write.
func (t *tail) flush() bool {
	_ = t.control.SetWriteDeadline(time.Now().Add(tailPatience)) // begin saw that it can be set
	_, err := t.w.Write(t.buf.Bytes())
	t.buf.Reset()
	return err == nil && t.control.Flush() == nil
}
