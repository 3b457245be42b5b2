package projections

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"os"
	"slices"
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
	// bounds part the streams in the order of their names: part i has those up to
	// and with bounds[i], the last one the rest. None part them by hash.
	bounds []eventstore.Stream
	bound  int

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
	events int
	open   []byte
	full   [][]byte
	extent []extent
}

type extent struct {
	offset int64
	length int
}

// chunkBytes is the size of a chunk; a larger event has one of its own.
const chunkBytes = 64 << 10

// The number of parts: about so many events to each, within bounds.
const (
	eventsPerPart = 8192
	fewestParts   = 16
	mostParts     = 1024
	// With so many of a sample to each, few parts are of twice the common size.
	samplePerPart = 16
)

// partsFor is how many parts so many events make.
func partsFor(events uint64) int {
	return int(min(max(events/eventsPerPart, fewestParts), mostParts))
}

// newPartitions makes parts for so many events. A sample of their streams, each as
// often as it has events, lets the parts follow one another in the order of names;
// with too small a one, every part has names of everywhere.
func newPartitions(events uint64, sample []eventstore.Stream, bound int, dir string) *partitions {
	n := partsFor(events)
	p := &partitions{seed: maphash.MakeSeed(), bound: bound, dir: dir}
	if len(sample) >= n*samplePerPart/2 {
		p.bounds = boundsOf(sample, n)
		n = len(p.bounds) + 1
	}
	p.parts = make([]partition, n)
	return p
}

// boundsOf parts the streams of a sample into so many parts of like size, or
// fewer: a stream is never parted.
func boundsOf(sample []eventstore.Stream, parts int) []eventstore.Stream {
	slices.Sort(sample)
	var bounds []eventstore.Stream
	for i := 1; i < parts; i++ {
		bounds = append(bounds, sample[i*len(sample)/parts])
	}
	return slices.Compact(bounds)
}

// partOf is the part that a stream belongs to.
func (p *partitions) partOf(stream eventstore.Stream) *partition {
	if p.bounds == nil {
		return &p.parts[maphash.String(p.seed, string(stream))%uint64(len(p.parts))]
	}
	i, _ := slices.BinarySearch(p.bounds, stream)
	return &p.parts[i]
}

// add keeps an event. It may be called from several goroutines.
func (p *partitions) add(e *eventstore.RecordedEvent) error {
	part := p.partOf(e.Stream)
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
	part.events++
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

// streams returns the events of one part by stream, in the order of the names,
// each in the order in which it was added, and lets go of the part. They are the
// sorter's until it is used again.
func (p *partitions) streams(i int, apart *sorter) ([]streamEvents, error) {
	part := &p.parts[i]
	apart.begin(part.events)
	for chunk, err := range p.chunks(part, apart.chunk) {
		if err == nil {
			err = apart.take(chunk)
		}
		if err != nil {
			return nil, fmt.Errorf("fetch events set aside: %w", err)
		}
	}
	*part = partition{}
	return apart.streams(), nil
}

// chunks goes through a part in the order in which it was filled. What is in the
// file is read into rooms.
func (p *partitions) chunks(part *partition, room func(bytes int) []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, chunk := range part.full {
			if !yield(chunk, nil) {
				return
			}
		}
		for _, x := range part.extent {
			chunk := room(x.length)
			_, err := p.file.ReadAt(chunk, x.offset)
			if errors.Is(err, io.EOF) {
				err = errDamaged
			}
			if !yield(chunk, err) || err != nil {
				return
			}
		}
		yield(part.open, nil)
	}
}

// close removes the temporary file. A second close does nothing.
func (p *partitions) close() error {
	f := p.file
	if p.file = nil; f == nil {
		return nil
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
