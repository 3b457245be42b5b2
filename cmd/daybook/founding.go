package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// The stream that says what a store is.
const (
	storeStream = eventstore.Stream("store-main")
	foundedType = "StoreFounded"
)

// founded is the first thing that is ever written to a store.
type founded struct {
	Schema int `json:"schema"`
	// Epoch names the store in which positions count.
	Epoch string `json:"epoch"`
	// Livemode is the mode whose events are posted: a store belongs to one.
	Livemode  bool      `json:"livemode"`
	FoundedAt time.Time `json:"founded_at"`
	// CopyOf is the founding of the store that this one is a copy of, nil for one
	// that began empty. The copy is a store once migratedType says so.
	CopyOf *founded `json:"copy_of,omitempty"`
}

// wrongModeError says that a store belongs to the other mode.
type wrongModeError struct{ live bool }

func (e *wrongModeError) Error() string {
	return fmt.Sprintf("this store belongs to %s mode, and DAYBOOK_LIVEMODE says %s: use another DAYBOOK_DATA_DIR, or the right mode",
		modeName(e.live), modeName(!e.live))
}

func modeName(live bool) string {
	if live {
		return "live"
	}
	return "test"
}

// unfinishedCopyError says that a store is a copy that does not have everything
// yet.
type unfinishedCopyError struct{ of founded }

func (e *unfinishedCopyError) Error() string {
	return fmt.Sprintf("a migration into this store has begun and is not done (of the store with epoch %s): run daybook migrate again, with the data dir that it comes from", e.of.Epoch)
}

// foundStore returns what the store is, and makes it so if it is new. Of two
// that found it at once, one does, and both read the same.
func foundStore(ctx context.Context, store eventstore.Store, livemode bool, now time.Time) (founded, error) {
	found, err := readFounding(ctx, store)
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		fresh := founded{Schema: 1, Epoch: uuid.NewString(), Livemode: livemode, FoundedAt: now.UTC()}
		if err := appendFounding(ctx, store, fresh); err != nil && !eventstore.IsConflict(err) {
			return founded{}, fmt.Errorf("found the store: %w", err)
		}
		found, err = readFounding(ctx, store)
	}
	if err != nil {
		return founded{}, err
	}
	if found.Livemode != livemode {
		return founded{}, &wrongModeError{live: found.Livemode}
	}
	return found, nil
}

func appendFounding(ctx context.Context, store eventstore.Store, f founded) error {
	event, err := ownEvent(foundedType, f, f.FoundedAt)
	if err != nil {
		return err
	}
	_, err = store.Append(ctx, storeStream, eventstore.NoStream, event)
	return err
}

// readFounding returns what a store is. One that is not there gives
// eventstore.ErrStreamNotFound, half a copy *unfinishedCopyError.
func readFounding(ctx context.Context, store eventstore.Reader) (founded, error) {
	f, copied, err := readLineage(ctx, store)
	if err == nil && f.CopyOf != nil && copied == nil {
		err = &unfinishedCopyError{of: *f.CopyOf}
	}
	return f, err
}

// readLineage returns what a store is, and for a finished copy what was copied.
func readLineage(ctx context.Context, store eventstore.Reader) (f founded, copied *migrated, err error) {
	for e, err := range store.ReadStream(ctx, storeStream, 0, eventstore.Forwards, 0) {
		switch {
		case err != nil:
		case e.Type == foundedType:
			err = json.Unmarshal(e.Data, &f)
		case e.Type == migratedType:
			copied = &migrated{}
			err = json.Unmarshal(e.Data, copied)
		}
		if err != nil {
			return f, nil, fmt.Errorf("read what the store is: %w", err)
		}
	}
	return f, copied, nil
}

// ownEvent makes an event of the program's own, with a new ID.
func ownEvent(eventType string, content any, now time.Time) (eventstore.ProposedEvent, error) {
	data, err := json.Marshal(content)
	if err != nil {
		return eventstore.ProposedEvent{}, fmt.Errorf("encode %s: %w", eventType, err)
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: now.UTC()})
	if err != nil {
		return eventstore.ProposedEvent{}, err
	}
	return eventstore.ProposedEvent{ID: uuid.New(), Type: eventType, Data: data, Metadata: metadata}, nil
}
