package projections

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/daybookhq/daybook/eventstore"
)

// streamEvents are the events of one stream.
type streamEvents struct {
	stream eventstore.Stream
	events []eventstore.RecordedEvent
}

var errDamaged = errors.New("the temporary file is damaged")

// sorter puts the events of one part after the other apart by stream. What it returns
// is good until the next part begins, the data of events too.
type sorter struct {
	all     []streamEvents
	numbers map[string]int // of streams, in all
	counts  []int          // by stream
	events  []eventstore.RecordedEvent
	of      []int // the stream of each
	room    []eventstore.RecordedEvent
	types   map[string]string // few types, many events: one string each
	chunks  [][]byte          // rooms for chunks, of which this part has taken so many
	taken   int
}

// begin forgets what there was, and makes room for so many events.
func (s *sorter) begin(events int) {
	if s.numbers == nil {
		s.numbers, s.types = map[string]int{}, map[string]string{}
	}
	clear(s.numbers)
	s.taken = 0
	s.all, s.counts, s.of = s.all[:0], s.counts[:0], s.of[:0]
	s.events, s.room = slices.Grow(s.events[:0], events), slices.Grow(s.room[:0], events)
}

// chunk returns room for a chunk of the part. What is decoded of it copies.
func (s *sorter) chunk(bytes int) []byte {
	if s.taken == len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	room := &s.chunks[s.taken]
	s.taken++
	if cap(*room) < bytes {
		*room = make([]byte, max(bytes, chunkBytes))
	}
	return (*room)[:bytes]
}

// take takes in the events of a chunk. Data shares its memory.
func (s *sorter) take(chunk []byte) error {
	for r := (eventReader{rest: chunk}); len(r.rest) > 0; {
		revision, position := eventstore.Revision(r.number()), eventstore.Position(r.number())
		n, eventType := s.number(r.field()), s.typeOf(r.field())
		data := r.field()
		if r.damaged {
			return errDamaged
		}
		s.counts[n]++
		s.of = append(s.of, n)
		s.events = append(s.events, eventstore.RecordedEvent{
			Stream: s.all[n].stream, Revision: revision, Position: position, Type: eventType, Data: data,
		})
	}
	return nil
}

func (s *sorter) number(name []byte) int {
	n, known := s.numbers[string(name)]
	if !known {
		n = len(s.all)
		stream := eventstore.Stream(name)
		s.numbers[string(stream)] = n
		s.all, s.counts = append(s.all, streamEvents{stream: stream}), append(s.counts, 0)
	}
	return n
}

func (s *sorter) typeOf(name []byte) string {
	eventType, known := s.types[string(name)]
	if !known {
		eventType = string(name)
		s.types[eventType] = eventType
	}
	return eventType
}

// streams returns the streams in the order of their names, the events of each in
// the order in which they came.
func (s *sorter) streams() []streamEvents {
	room := s.room[:len(s.events)]
	for n, count := range s.counts {
		s.all[n].events, room = room[:0:count], room[count:]
	}
	for i, n := range s.of {
		s.all[n].events = append(s.all[n].events, s.events[i])
	}
	slices.SortFunc(s.all, func(x, y streamEvents) int { return cmp.Compare(x.stream, y.stream) })
	return s.all
}

func appendEvent(b []byte, e *eventstore.RecordedEvent) []byte {
	b = binary.AppendUvarint(b, uint64(e.Revision))
	b = binary.AppendUvarint(b, uint64(e.Position))
	for _, field := range []string{string(e.Stream), e.Type} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Data)))
	return append(b, e.Data...)
}

// eventReader reads the parts of events.
type eventReader struct {
	rest    []byte
	damaged bool
}

func (r *eventReader) number() uint64 {
	n, length := binary.Uvarint(r.rest)
	if length <= 0 {
		r.damaged, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[length:]
	return n
}

func (r *eventReader) field() []byte {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.damaged, r.rest = true, nil
		return nil
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}
