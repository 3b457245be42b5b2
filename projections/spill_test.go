package projections

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/daybookhq/daybook/eventstore"
)

// TestEventsSetAsideKeepTheirOrder fills memory, spills, and fills memory again
// where an event larger than a chunk left room: whatever lies where, a stream's
// events come back in the order in which they were added.
func TestEventsSetAsideKeepTheirOrder(t *testing.T) {
	const streams, each = 5, 400
	for _, bound := range []int{0, chunkBytes * fewestParts / 2, 4 * chunkBytes, 1 << 30} {
		p := newPartitions(streams*each, nil, bound, t.TempDir())
		position := eventstore.Position(0)
		for revision := range each {
			for s := range streams {
				position++
				size := 600
				if (revision+s)%97 == 0 {
					size = 3 * chunkBytes
				}
				e := eventstore.RecordedEvent{Stream: eventstore.NewStream("subscription", fmt.Sprint(s)), Type: "T",
					Revision: eventstore.Revision(revision), Position: position, Data: bytes.Repeat([]byte{byte(revision)}, size)}
				if err := p.add(&e); err != nil {
					t.Fatal(err)
				}
			}
		}
		found := 0
		var apart sorter
		for i := range p.parts {
			parts, err := p.streams(i, &apart)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range parts {
				for want, e := range s.events {
					if e.Stream != s.stream || e.Revision != eventstore.Revision(want) || e.Data[0] != byte(want) {
						t.Fatalf("bound %d: %s has revision %d in place %d", bound, s.stream, e.Revision, want)
					}
					found++
				}
			}
		}
		if found != streams*each {
			t.Errorf("bound %d: %d events came back, want %d", bound, found, streams*each)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestASampleLetsPartsFollowOneAnother: whatever the sample, no event is lost, and
// a stream lies in one part; with a fair one, parts are of like size and in order.
func TestASampleLetsPartsFollowOneAnother(t *testing.T) {
	const streams, each = 1000, 20
	name := func(i int) eventstore.Stream { return eventstore.NewStream("subscription", fmt.Sprintf("%04d", i)) }
	fair, one := []eventstore.Stream{}, []eventstore.Stream{}
	for i := range samplePerPart * fewestParts {
		fair = append(fair, name(i*streams/(samplePerPart*fewestParts)))
		one = append(one, name(500))
	}
	for title, sample := range map[string][]eventstore.Stream{"none": nil, "too small": fair[:10], "one stream": one, "fair": fair} {
		p := newPartitions(streams*each, sample, 1<<30, t.TempDir())
		for i := range streams * each {
			s := i * 7919 % streams
			if err := p.add(&eventstore.RecordedEvent{Stream: name(s), Type: "T", Position: eventstore.Position(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		var found []eventstore.Stream
		var apart sorter
		largest := 0
		for i := range p.parts {
			part, err := p.streams(i, &apart)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range part {
				if len(s.events) != each {
					t.Errorf("%s: %d events of %s in one part", title, len(s.events), s.stream)
				}
				found = append(found, s.stream)
			}
			largest = max(largest, len(part))
		}
		if title == "fair" && (!slices.IsSorted(found) || largest > 2*streams/fewestParts) {
			t.Errorf("sorted: %v; the largest part has %d of %d streams", slices.IsSorted(found), largest, streams)
		}
		slices.Sort(found)
		if found = slices.Compact(found); len(found) != streams {
			t.Errorf("%s: %d streams came back, want %d", title, len(found), streams)
		}
	}
}
