package eventstore

import (
	"fmt"

	"github.com/google/uuid"
)

// ValidateAppend checks what every store asks of an append. The error wraps
// ErrInvalid or ErrTooLarge.
func ValidateAppend(stream Stream, events []ProposedEvent) error {
	if err := stream.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(events) == 0 {
		return fmt.Errorf("%w: append to %s without events", ErrInvalid, stream)
	}
	size := 0
	for i := range events {
		e := &events[i]
		if e.ID == uuid.Nil || e.Type == "" {
			return fmt.Errorf("%w: event %d for %s has no ID or no type", ErrInvalid, i, stream)
		}
		size += e.Size()
	}
	if size > MaxAppendBytes {
		return fmt.Errorf("%w: %d bytes for %s, at most %d", ErrTooLarge, size, stream, MaxAppendBytes)
	}
	return nil
}
