package migration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"iter"

	"github.com/daybookhq/daybook/eventstore"
)

// Comparison is what a copy was found to have of its original.
type Comparison struct {
	// Events and Streams count what is the same in both.
	Events, Streams uint64
	// SHA256 is over all of it, in order; see digest. In hexadecimal.
	SHA256 string
	// From and To are the positions of its last event in the original and in the
	// copy, 0 if there is none.
	From, To eventstore.Position
	// Marked is the position in the copy of the last event that stands up to the
	// mark in the original, 0 if there is none.
	Marked eventstore.Position
	// More counts the events that the copy has behind it.
	More uint64
}

// Compare goes through both logs side by side, and wants every event of the
// original in the copy: of the same stream, at the same revision, in the same
// order, with the same ID, type, data and metadata. Where they differ it fails
// with *DifferenceError. The mark is a position in the original.
func (m *Migration) Compare(ctx context.Context, mark eventstore.Position) (Comparison, error) {
	head, err := m.From.Head(ctx)
	if err != nil {
		return Comparison{}, fmt.Errorf("compare the copy: %w", err)
	}
	next, stop := iter.Pull2(m.copied(ctx, m.To))
	defer stop()
	var c Comparison
	sum := newDigest()
	for original, err := range m.copied(ctx, m.From) {
		if err != nil {
			return c, err
		}
		got, err, there := next()
		if there && err != nil {
			return c, err
		}
		if what := difference(&original, &got, there); what != "" {
			return c, &DifferenceError{Stream: original.Stream, Revision: original.Revision, What: what}
		}
		sum.add(&original)
		c.take(&original, &got, mark)
		m.progress(original.Position, head)
	}
	c.SHA256 = sum.hex()
	for _, err, more := next(); more; _, err, more = next() {
		if err != nil {
			return c, err
		}
		c.More++
	}
	return c, nil
}

func (c *Comparison) take(original, got *eventstore.RecordedEvent, mark eventstore.Position) {
	c.Events++
	if original.Revision == 0 {
		c.Streams++
	}
	c.From, c.To = original.Position, got.Position
	if original.Position <= mark {
		c.Marked = got.Position
	}
}

// copied yields what of a log is copied.
func (m *Migration) copied(ctx context.Context, store eventstore.Reader) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range store.ReadAll(ctx, 0, eventstore.Forwards, eventstore.Filter{}, 0) {
			if err != nil {
				yield(eventstore.RecordedEvent{}, fmt.Errorf("compare the copy: %w", err))
				return
			}
			if !m.isOwn(e.Stream) && !yield(e, nil) {
				return
			}
		}
	}
}

// difference says in what a copied event is not the original, empty for nothing.
func difference(original, got *eventstore.RecordedEvent, there bool) string {
	switch {
	case !there:
		return "the copy ends before"
	case got.Stream != original.Stream || got.Revision != original.Revision:
		return fmt.Sprintf("revision %d of %s stands in its place", got.Revision, got.Stream)
	case got.ID != original.ID:
		return "another ID"
	case got.Type != original.Type:
		return "another type"
	case !bytes.Equal(got.Data, original.Data):
		return "other data"
	case !bytes.Equal(got.Metadata, original.Metadata):
		return "other metadata"
	}
	return ""
}

// digest is a SHA-256 over events: of each its stream, type, metadata and data,
// every one behind its length, then its revision and its ID. Lengths and
// revisions are 8 bytes, big-endian.
type digest struct{ sum hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) add(e *eventstore.RecordedEvent) {
	for _, part := range [][]byte{[]byte(e.Stream), []byte(e.Type), e.Metadata, e.Data} {
		d.number(uint64(len(part)))
		d.sum.Write(part)
	}
	d.number(uint64(e.Revision))
	d.sum.Write(e.ID[:])
}

func (d digest) number(n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	d.sum.Write(b[:])
}

func (d digest) hex() string { return hex.EncodeToString(d.sum.Sum(nil)) }
