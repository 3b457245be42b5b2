package projections

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/daybookhq/daybook/eventstore"
)

// TestEventsSetAsideKeepTheirOrder fills memory, spills, and fills memory again
// where an event larger than a chunk left room: whatever lies where, a stream's
// events come back in the order in which they were added.
func TestEventsSetAsideKeepTheirOrder(t *testing.T) {
	const streams, each = 5, 400
	for _, bound := range []int{0, chunkBytes * fewestParts / 2, 4 * chunkBytes, 1 << 30} {
		p := newPartitions(streams*each, bound, t.TempDir())
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
		for i := range p.parts {
			parts, err := p.streams(i)
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
