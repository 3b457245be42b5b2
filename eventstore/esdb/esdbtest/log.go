package esdbtest

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// record is an event in the server's log.
type record struct {
	id       uuid.UUID
	stream   string
	revision uint64
	position uint64
	system   map[string]string // type, content-type, created
	metadata []byte
	data     []byte
}

// log is what the server holds: it outlives stops and starts, as a disk does.
type log struct {
	mu      sync.Mutex
	records []*record
	streams map[string][]*record
	deleted map[string]bool // tombstoned
	end     uint64
	// forgotten is where the log ended when the server last stopped. Repeated
	// appends that expect any state are recognised behind it: a leader keeps a
	// cache for that in memory.
	forgotten uint64
	changed   chan struct{} // closed, and replaced, when the log grows
}

// systemEvents stand at the log's beginning, as a server's own do.
const systemEvents = 3

func newLog() *log {
	l := &log{streams: map[string][]*record{}, deleted: map[string]bool{}, changed: make(chan struct{})}
	for i := range systemEvents {
		l.write("$server", []proposed{{id: uuid.New(), system: map[string]string{
			"type": "$started", "content-type": "application/json"}, data: []byte(strconv.Itoa(i))}})
	}
	return l
}

// proposed is an event of an append.
type proposed struct {
	id       uuid.UUID
	system   map[string]string
	metadata []byte
	data     []byte
}

// expectation is an append's expected revision. Exact is used for revision.
type expectation int

const (
	expectAny expectation = iota
	expectNoStream
	expectExists
	expectRevision
)

// verdict is what an append came to.
type verdict struct {
	deleted  bool
	conflict bool
	// current is the stream's last revision, if it has one.
	current  uint64
	noStream bool
	// last is the last event of the append, written now or before.
	last *record
}

// append applies the server's rules, of which the strong ones rest on the IDs
// of the stream's events, the weak ones on the cache.
func (l *log) append(stream string, want expectation, revision uint64, events []proposed) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.streams[stream]
	v := verdict{noStream: len(held) == 0, deleted: l.deleted[stream]}
	if !v.noStream {
		v.current = uint64(len(held) - 1)
	}
	if v.deleted {
		return v
	}
	switch want {
	case expectAny:
		v.last = l.repeatedLately(held, events)
	case expectExists:
		v.last = l.repeatedLately(held, events)
		v.conflict = v.noStream
	case expectNoStream:
		v.last, v.conflict = repeated(held, 0, events)
	case expectRevision:
		if revision >= uint64(len(held)) {
			v.conflict = true
		} else {
			v.last, v.conflict = repeated(held, int(revision)+1, events)
		}
	}
	if v.conflict || v.last != nil {
		return v
	}
	v.last = l.write(stream, events)
	return v
}

// repeatedLately finds an append among the events of its stream that the server
// has not forgotten. It is called under mu.
func (l *log) repeatedLately(held []*record, events []proposed) (last *record) {
	if len(events) == 0 {
		return nil
	}
	first := slices.IndexFunc(held, func(r *record) bool { return r.position > l.forgotten && r.id == events[0].id })
	if first < 0 {
		return nil
	}
	last, _ = repeated(held, first, events)
	return last
}

// forgetRecent has the server not recognise what was appended up to now.
func (l *log) forgetRecent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgotten = l.end
}

// repeated compares the IDs of an append with those that stand where it would
// have gone. Nothing there means that it goes on from the expected revision.
func repeated(held []*record, at int, events []proposed) (last *record, conflict bool) {
	if at == len(held) {
		return nil, false
	}
	for i, e := range events {
		if at+i >= len(held) || held[at+i].id != e.id {
			return nil, true
		}
		last = held[at+i]
	}
	return last, false
}

// write adds events behind the log's end. It is called under mu, but for the
// making of the log.
func (l *log) write(stream string, events []proposed) *record {
	held := l.streams[stream]
	var last *record
	for _, e := range events {
		e.system["created"] = strconv.FormatInt(time.Now().UnixNano()/100, 10)
		// Positions are places in a file: they grow by the event's size.
		l.end += uint64(100 + len(e.data) + len(e.metadata) + len(stream))
		last = &record{id: e.id, stream: stream, revision: uint64(len(held)), position: l.end,
			system: e.system, metadata: e.metadata, data: e.data}
		held = append(held, last)
		l.records = append(l.records, last)
	}
	l.streams[stream] = held
	close(l.changed)
	l.changed = make(chan struct{})
	return last
}

// tombstone deletes a stream for ever.
func (l *log) tombstone(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deleted[stream] = true
}

// cut loses everything behind a position, as a restored backup has.
func (l *log) cut(position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.records) > 0 && l.records[len(l.records)-1].position > position {
		r := l.records[len(l.records)-1]
		l.records = l.records[:len(l.records)-1]
		l.streams[r.stream] = l.streams[r.stream][:r.revision]
		if r.revision == 0 {
			delete(l.streams, r.stream)
		}
	}
	l.end, l.forgotten = position, min(l.forgotten, position)
}

// snapshot returns the log as it is, and a channel that closes when it grows.
func (l *log) snapshot() ([]*record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[:len(l.records):len(l.records)], l.changed
}

// stream returns a stream as it is, and whether it was deleted for ever.
func (l *log) stream(name string) ([]*record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.streams[name]
	return held[:len(held):len(held)], l.deleted[name]
}
