package projections

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"sync"

	"github.com/daybookhq/daybook/eventstore"
)

// partitions hold the events of a log, sorted apart by stream, so that each
// part can be folded on its own: what a rebuild has decoded at one time is one
// part, whatever the log's size. Events stay as bytes, in memory up to a bound,
// behind it in a temporary file. Metadata is left out, for nothing is folded of it.
type partitions struct {
	seed  maphash.Seed
	parts []partition
	bound int

	mu   sync.Mutex // guards what follows
	held int
	dir  string
	file *os.File
	end  int64
}

// partition is one part: full chunks in memory and in the file, and one that is
// being filled.
type partition struct {
	mu     sync.Mutex
	open   []byte
	full   [][]byte
	extent []extent
}

type extent struct {
	offset int64
	length int
}

// chunkBytes is the size of a chunk; a larger event has one of its own.
const chunkBytes = 32 << 10

// The number of parts: about so many events to each, within bounds.
const (
	eventsPerPart = 8192
	fewestParts   = 16
	mostParts     = 1024
)

func newPartitions(events uint64, bound int, dir string) *partitions {
	n := min(max(events/eventsPerPart, fewestParts), mostParts)
	return &partitions{seed: maphash.MakeSeed(), parts: make([]partition, n), bound: bound, dir: dir}
}

// add keeps an event. It may be called from several goroutines.
func (p *partitions) add(e *eventstore.RecordedEvent) error {
	part := &p.parts[maphash.String(p.seed, string(e.Stream))%uint64(len(p.parts))]
	part.mu.Lock()
	defer part.mu.Unlock()
	size := len(e.Stream) + len(e.Type) + len(e.Data) + 5*binary.MaxVarintLen64
	if len(part.open)+size > cap(part.open) {
		if err := p.keep(part); err != nil {
			return err
		}
		if cap(part.open) < size {
			part.open = make([]byte, 0, max(chunkBytes, size))
		}
	}
	part.open = appendEvent(part.open, e)
	return nil
}

// keep puts the open chunk with the full ones, or into the file, whose chunk
// can then be used again.
func (p *partitions) keep(part *partition) error {
	if len(part.open) == 0 {
		return nil
	}
	// Once a part has something in the file, what follows goes there too: the
	// order of its chunks is memory first, then the file, then the open one.
	if len(part.extent) == 0 && p.hold(cap(part.open)) {
		part.full = append(part.full, part.open)
		part.open = nil
		return nil
	}
	at, err := p.reserve(len(part.open))
	if err == nil {
		_, err = p.file.WriteAt(part.open, at)
	}
	if err != nil {
		return fmt.Errorf("set events aside: %w", err)
	}
	part.extent = append(part.extent, extent{offset: at, length: len(part.open)})
	part.open = part.open[:0]
	return nil
}

// hold takes up memory, if the bound allows it.
func (p *partitions) hold(bytes int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held+bytes > p.bound {
		return false
	}
	p.held += bytes
	return true
}

// reserve returns a place in the file for so many bytes.
func (p *partitions) reserve(length int) (at int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		if p.file, err = os.CreateTemp(p.dir, "daybook-rebuild-*"); err != nil {
			return 0, err
		}
	}
	at = p.end
	p.end += int64(length)
	return at, nil
}

// streams returns the events of one part by stream, each in the order in which
// it was added, and lets go of the part.
func (p *partitions) streams(i int) (map[eventstore.Stream][]eventstore.RecordedEvent, error) {
	part := &p.parts[i]
	streams := map[eventstore.Stream][]eventstore.RecordedEvent{}
	for _, chunk := range part.full {
		if err := readEvents(chunk, streams); err != nil {
			return nil, err
		}
	}
	for _, x := range part.extent {
		chunk := make([]byte, x.length)
		if _, err := p.file.ReadAt(chunk, x.offset); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("fetch events set aside: %w", err)
		}
		if err := readEvents(chunk, streams); err != nil {
			return nil, err
		}
	}
	if err := readEvents(part.open, streams); err != nil {
		return nil, err
	}
	part.full, part.open, part.extent = nil, nil, nil
	return streams, nil
}

// close removes the temporary file.
func (p *partitions) close() error {
	if p.file == nil {
		return nil
	}
	return errors.Join(p.file.Close(), os.Remove(p.file.Name()))
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

// readEvents reads what appendEvent wrote. Data shares the chunk's memory.
func readEvents(chunk []byte, into map[eventstore.Stream][]eventstore.RecordedEvent) error {
	types := map[string]string{} // few types, many events: one string each
	r := eventReader{rest: chunk}
	for len(r.rest) > 0 && !r.damaged {
		revision, position := r.number(), r.number()
		stream, kind, data := r.field(), r.field(), r.field()
		eventType, known := types[string(kind)]
		if !known {
			eventType = string(kind)
			types[eventType] = eventType
		}
		events := into[eventstore.Stream(stream)]
		if events == nil {
			events = make([]eventstore.RecordedEvent, 0, 16)
		}
		name := eventstore.Stream(stream)
		if len(events) > 0 {
			name = events[0].Stream
		}
		into[name] = append(events, eventstore.RecordedEvent{
			Stream: name, Revision: eventstore.Revision(revision), Position: eventstore.Position(position),
			Type: eventType, Data: data,
		})
	}
	if r.damaged {
		return errors.New("fetch events set aside: the temporary file is damaged")
	}
	return nil
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
