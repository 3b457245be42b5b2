// Package eventstore is the contract between Daybook and the place where its
// events live. It knows streams, revisions and bytes, and nothing of billing.
//
// The semantics are EventStoreDB's own, so that the embedded store and a
// cluster behave alike:
//
//   - A stream is an append-only sequence of events; the first has revision 0.
//   - The log is the sequence of all events of all streams; each event has a
//     Position in it. Positions grow in commit order. They are opaque, and mean
//     nothing in another store.
//   - An append names the revision it expects the stream to be at. Events that
//     are already there, with the same IDs at the same places, make a repeated
//     append succeed without writing anything.
//
// Package eventstoretest holds the conformance kit that every implementation
// must pass.
package eventstore

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/google/uuid"
)

// Stream names a stream: a category, a hyphen, and an id that may itself
// contain hyphens, as in "subscription-sub_1MhUT5" or "account-team-42".
type Stream string

// NewStream joins a category and an id.
func NewStream(category, id string) Stream { return Stream(category + "-" + id) }

// Category is the part before the first hyphen.
func (s Stream) Category() string {
	category, _, _ := strings.Cut(string(s), "-")
	return category
}

// ID is the part after the first hyphen.
func (s Stream) ID() string {
	_, id, _ := strings.Cut(string(s), "-")
	return id
}

// MaxStreamBytes bounds a stream's name.
const MaxStreamBytes = 1024

// Validate reports a name that no store accepts: no category, no id, or too long.
func (s Stream) Validate() error {
	switch {
	case len(s) > MaxStreamBytes:
		return fmt.Errorf("stream name of %d bytes: at most %d", len(s), MaxStreamBytes)
	case s.Category() == "" || s.ID() == "":
		return fmt.Errorf("stream name %q: want category-id", string(s))
	case strings.HasPrefix(string(s), "$"):
		return fmt.Errorf("stream name %q: names that begin with $ belong to the server", string(s))
	}
	return nil
}

// Revision is an event's 0-based place in its stream.
type Revision uint64

// LastRevision, as the start of a backward read, is the end of the stream.
const LastRevision = Revision(1<<63 - 1)

// Position is an event's place in the whole log: opaque, ordered by <.
// The zero Position lies before the first event.
type Position uint64

// End, as the start of a backward read of the log, is its end.
const End = Position(1<<63 - 1)

// ExpectedRevision says what a stream must look like for an append to happen.
// The zero value is Any.
type ExpectedRevision struct {
	kind  expectation
	exact Revision
}

type expectation uint8

const (
	expectAny expectation = iota
	expectNoStream
	expectExists
	expectExact
)

// The expectations other than Exactly.
var (
	// Any accepts whatever is there. A repeated append may write twice: use it
	// only where that does no harm.
	Any = ExpectedRevision{kind: expectAny}
	// NoStream wants a stream that has no events yet.
	NoStream = ExpectedRevision{kind: expectNoStream}
	// StreamExists wants a stream with at least one event. Like Any, it does
	// not make a repeated append safe.
	StreamExists = ExpectedRevision{kind: expectExists}
)

// Exactly wants the stream's last event to have this revision.
func Exactly(r Revision) ExpectedRevision { return ExpectedRevision{expectExact, r} }

// IsAny reports whether every state of the stream is accepted.
func (e ExpectedRevision) IsAny() bool { return e.kind == expectAny }

// IsNoStream reports whether the stream must have no events.
func (e ExpectedRevision) IsNoStream() bool { return e.kind == expectNoStream }

// IsStreamExists reports whether the stream must have at least one event.
func (e ExpectedRevision) IsStreamExists() bool { return e.kind == expectExists }

// Exact returns the revision given to Exactly, and whether there is one.
func (e ExpectedRevision) Exact() (Revision, bool) { return e.exact, e.kind == expectExact }

func (e ExpectedRevision) String() string {
	switch e.kind {
	case expectNoStream:
		return "no stream"
	case expectExists:
		return "stream exists"
	case expectExact:
		return fmt.Sprintf("revision %d", e.exact)
	default:
		return "any"
	}
}

// ProposedEvent is an event that is to be appended.
type ProposedEvent struct {
	// ID makes a repeated append recognisable. It must not be the zero UUID.
	ID uuid.UUID
	// Type is a stable name, never a Go type's.
	Type string
	// Data is the event itself, as UTF-8 JSON or as raw bytes of its source.
	Data []byte
	// Metadata is JSON about the event; see Metadata for the common fields.
	Metadata []byte
	// Frozen promises that nobody changes the bytes of Data and Metadata any
	// more, so that a store may keep them as they are. Those of other events it
	// copies, if it needs them longer than the call.
	Frozen bool
}

// MaxAppendBytes bounds the events of one append together, as EventStoreDB up to
// 25.0 does with its default settings.
const MaxAppendBytes = 1024 * 1024

// Size is what the event counts towards MaxAppendBytes: its data, its metadata,
// and twice its type, which a server counts as UTF-16.
func (e *ProposedEvent) Size() int { return len(e.Data) + len(e.Metadata) + 2*len(e.Type) }

// RecordedEvent is an event as the store holds it. Data and Metadata must not
// be changed: other receivers may be looking at the same bytes.
type RecordedEvent struct {
	ID       uuid.UUID
	Stream   Stream
	Revision Revision
	Position Position
	Type     string
	Data     []byte
	Metadata []byte
}

// AppendResult tells where the last event of an append stands. For an append
// that was found to be there already it is the original place.
type AppendResult struct {
	Revision Revision
	Position Position
}

// Direction is the order in which events are read.
type Direction uint8

// The two directions.
const (
	Forwards Direction = iota
	Backwards
)

// Filter chooses events of the log by their stream. The zero Filter lets
// everything through.
type Filter struct {
	// Prefixes lists the beginnings of stream names that are wanted. A category
	// is wanted with its hyphen: "subscription-". What most events begin with is
	// best named first.
	Prefixes []string
	// DataOnly says that IDs and metadata are of no use to the receiver: a
	// store may leave them out where that saves it work, and may have all else of
	// an event share one piece of memory. Who keeps a name for long clones it.
	DataOnly bool
}

// Matches reports whether events of stream pass.
func (f Filter) Matches(stream Stream) bool {
	for _, p := range f.Prefixes {
		if strings.HasPrefix(string(stream), p) {
			return true
		}
	}
	return len(f.Prefixes) == 0
}

// Message is what a subscription delivers: an event, or the news that there
// is none.
type Message struct {
	// Event is nil in a message that only tells progress.
	Event *RecordedEvent
	// Position is the event's, or, without an event, the place up to which the
	// log holds nothing more that the filter lets through. Resuming from it
	// misses nothing.
	Position Position
	// CaughtUp says that the subscriber has now seen everything that was
	// committed when the message was made. It comes in a message of its own,
	// after each run of events, and is the moment to flush what was batched.
	CaughtUp bool
}

// Store is an event store. All methods may be called from many goroutines.
// Every returned error is, or wraps, one of the errors of this package, or the
// context's.
type Store interface {
	Reader

	// Append adds events to one stream, all or none, and returns once they are
	// durable: flushed to disk, and on a cluster replicated to a majority.
	//
	// With NoStream or Exactly, an append whose events are all there already,
	// by ID, directly behind the expected revision, succeeds and writes
	// nothing. If the first ID differs, or only some are there, or the stream
	// is shorter than expected, it fails with *WrongExpectedRevisionError. If
	// the stream is exactly where it was expected, IDs are not compared with
	// what stands before.
	//
	// ErrOutcomeUnknown means that the events may or may not be there. The one
	// safe reaction is to append again with the same IDs and the same expected
	// revision. ErrUnavailable, ErrTooLarge and ErrClosed mean that nothing
	// was written.
	Append(ctx context.Context, stream Stream, expected ExpectedRevision, events ...ProposedEvent) (AppendResult, error)

	// Close lets appends in flight finish, ends reads and subscriptions with
	// ErrClosed, and releases what the store holds. A second Close does nothing.
	Close() error
}

// Reader is the part of a Store that leaves it as it is.
type Reader interface {
	// ReadStream yields up to limit events of a stream, beginning with the one
	// at from, which is included. A limit of 0 means no limit. Backwards from
	// LastRevision begins at the stream's end. A stream without events yields
	// ErrStreamNotFound; a from behind the end yields nothing. A fault in the
	// middle is yielded as an error, never as the end; after an error the
	// sequence ends.
	ReadStream(ctx context.Context, stream Stream, from Revision, dir Direction, limit int) iter.Seq2[RecordedEvent, error]

	// ReadAll yields up to limit events of the log that pass the filter.
	// Forwards it yields events with a position greater than from, backwards
	// those with a position smaller than from; so the position of the last
	// event seen continues a read in either direction. A limit of 0 means no
	// limit.
	ReadAll(ctx context.Context, from Position, dir Direction, filter Filter, limit int) iter.Seq2[RecordedEvent, error]

	// Follow is a catch-up subscription: it yields every event behind from that
	// passes the filter, then every new one, in log order, each exactly once,
	// and does not end but by an error, the context's included. Whenever it has
	// delivered all there is, it yields a message that says CaughtUp. A from
	// beyond the log's end fails with ErrPositionBeyondEnd, for such a
	// checkpoint belongs to a log that was since cut or replaced.
	Follow(ctx context.Context, from Position, filter Filter) iter.Seq2[Message, error]

	// Head returns the position of the last event in the log, 0 if it is empty.
	Head(ctx context.Context) (Position, error)
}
