package eventstore

import (
	"errors"
	"fmt"
)

// The errors a caller acts on. Test for them with errors.Is.
var (
	// ErrStreamNotFound: the stream has no events.
	ErrStreamNotFound = errors.New("stream not found")
	// ErrStreamDeleted: the stream was deleted for ever, and takes no events.
	ErrStreamDeleted = errors.New("stream deleted")
	// ErrOutcomeUnknown: the append may or may not have happened. Ask again
	// with the same event IDs and the same expected revision.
	ErrOutcomeUnknown = errors.New("outcome of the append unknown")
	// ErrUnavailable: the store cannot be reached or has no room, and nothing
	// was written.
	ErrUnavailable = errors.New("event store unavailable")
	// ErrTooLarge: the append exceeds MaxAppendBytes, and nothing was written.
	ErrTooLarge = errors.New("append too large")
	// ErrInvalid: the call breaks the contract (a malformed stream name, no
	// events, an event without ID or type), and nothing was written.
	ErrInvalid = errors.New("invalid argument")
	// ErrPositionBeyondEnd: a position lies behind the end of this log.
	ErrPositionBeyondEnd = errors.New("position beyond the end of the log")
	// ErrClosed: the store was closed, and nothing was written.
	ErrClosed = errors.New("event store closed")
)

// WrongExpectedRevisionError says that a stream was not where an append
// expected it. Nothing was written.
type WrongExpectedRevisionError struct {
	Stream   Stream
	Expected ExpectedRevision
	// Actual describes where the stream was found, in words: stores differ in
	// what they tell.
	Actual string
}

func (e *WrongExpectedRevisionError) Error() string {
	return fmt.Sprintf("stream %s: expected %s, found %s", e.Stream, e.Expected, e.Actual)
}

// IsConflict reports whether err is a wrong expected revision.
func IsConflict(err error) bool {
	var conflict *WrongExpectedRevisionError
	return errors.As(err, &conflict)
}
