package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// JournalCategory is the category of the journal's streams.
const JournalCategory = "stripeEvent"

// MaxEntries bounds the entries of one Stripe event: the first and its
// variants.
const MaxEntries = 8

// The bounds of recording one entry.
const (
	recordTimeout = 30 * time.Second // for callers that set none of their own
	firstPause    = 5 * time.Millisecond
	maxPause      = 500 * time.Millisecond
)

// ErrNotDurable says that a delivery is not known to be durable and must not
// be acknowledged. It wraps what the store said.
var ErrNotDurable = errors.New("not durable")

// JournalStream names the stream of one Stripe event.
func JournalStream(eventID string) eventstore.Stream {
	return eventstore.NewStream(JournalCategory, eventID)
}

// Entry is one delivery of a Stripe event, ready to be recorded.
type Entry struct {
	// Body is recorded exactly as it is. It must not be changed afterwards,
	// not even once Record has returned: a store whose answer came too late
	// may still hold it.
	Body     []byte
	Envelope Envelope
	// Source is SourceWebhook or another source's name.
	Source string
	// Secret is the fingerprint that Verify returned, empty if unsigned.
	Secret string
}

// Status says what became of a delivery.
type Status string

// The statuses. Both mean that the event is durable.
const (
	Recorded  Status = "recorded"
	Duplicate Status = "duplicate"
)

// Outcome is the durable result of recording a delivery.
type Outcome struct {
	Status Status
	// EntryID is the entry's own: of the new one or, for a duplicate, of the one
	// that has its content.
	EntryID uuid.UUID
	// Revision and Position tell where the entry stands: the new one or, for a
	// duplicate, the one that has its content.
	Revision eventstore.Revision
	Position eventstore.Position
	// Dropped says that the delivery was counted as a duplicate, though its
	// content was new, because the stream has its full number of entries.
	Dropped bool
}

// Journal records deliveries. It may be used from many goroutines.
type Journal struct {
	store eventstore.Store
	now   func() time.Time
}

// NewJournal returns the journal that is kept in store.
func NewJournal(store eventstore.Store, now func() time.Time) *Journal {
	return &Journal{store: store, now: now}
}

// Record makes a delivery durable, and returns once it is.
//
// The first delivery of an event is appended with NoStream: the event's id in
// the stream's name is what makes it happen once. A conflict alone proves
// nothing, so the entry is read back before a delivery is called a duplicate.
//
// A delivery with other content than the entries that are there is appended
// behind them as a variant, and so is a signed one where only unsigned entries
// have its content: at most MaxEntries in all, the last of which is kept for a
// signed one. Contents are the same if they are the same JSON value, the
// top-level pending_webhooks aside; see sameContent.
//
// Every error wraps ErrNotDurable and what the store said.
func (j *Journal) Record(ctx context.Context, e Entry) (Outcome, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, recordTimeout)
		defer cancel()
	}
	event, err := j.propose(e)
	if err != nil {
		return Outcome{}, notDurable(e, err)
	}
	res, err := j.append(ctx, JournalStream(e.Envelope.ID), eventstore.NoStream, event)
	switch {
	case err == nil:
		return Outcome{Status: Recorded, EntryID: event.ID, Revision: res.Revision, Position: res.Position}, nil
	case !eventstore.IsConflict(err):
		return Outcome{}, notDurable(e, err)
	}
	outcome, err := j.recordBehind(ctx, e, event)
	if err != nil {
		return Outcome{}, notDurable(e, err)
	}
	return outcome, nil
}

// Supply records an entry where nothing of its event is recorded yet, and returns
// once it is durable. It reports whether it did: whatever is there already was
// rendered for another endpoint or an earlier question, and stays as it is.
// Errors are those of Record.
func (j *Journal) Supply(ctx context.Context, e Entry) (supplied bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	stream := JournalStream(e.Envelope.ID)
	// Most is there, and reading costs nobody's commit.
	if _, err := j.readBack(ctx, stream); err == nil {
		return false, nil
	} else if !errors.Is(err, eventstore.ErrStreamNotFound) {
		return false, notDurable(e, err)
	}
	event, err := j.propose(e)
	if err != nil {
		return false, notDurable(e, err)
	}
	_, err = j.append(ctx, stream, eventstore.NoStream, event)
	if err == nil {
		return true, nil
	}
	if !eventstore.IsConflict(err) {
		return false, notDurable(e, err)
	}
	entries, err := j.readBack(ctx, stream)
	if err != nil {
		return false, notDurable(e, err)
	}
	return entries[0].ID == event.ID, nil
}

func notDurable(e Entry, err error) error {
	return fmt.Errorf("record %s: %w: %w", e.Envelope.ID, ErrNotDurable, err)
}

// propose makes the event of a delivery. Its ID is new for each delivery, so
// that a redelivery conflicts, and stays the same over our own retries.
func (j *Journal) propose(e Entry) (eventstore.ProposedEvent, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return eventstore.ProposedEvent{}, fmt.Errorf("make an entry's id: %w", err)
	}
	now := j.now().UTC()
	receipt, err := json.Marshal(Receipt{
		Metadata:     eventstore.Metadata{RecordedAt: now, CorrelationID: id.String()},
		ReceivedAt:   now,
		EventCreated: e.Envelope.Created,
		APIVersion:   e.Envelope.APIVersion,
		Livemode:     e.Envelope.Livemode,
		Account:      e.Envelope.Account,
		Source:       e.Source,
		Secret:       e.Secret,
	})
	if err != nil {
		return eventstore.ProposedEvent{}, fmt.Errorf("encode receipt: %w", err)
	}
	return eventstore.ProposedEvent{ID: id, Type: e.Envelope.Type, Data: e.Body, Metadata: receipt, Frozen: true}, nil
}

// append asks again, with the same ID and the same expectation, for as long as
// the outcome is unknown and ctx allows.
func (j *Journal) append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, event eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		res, err := j.store.Append(ctx, stream, expected, event)
		if !errors.Is(err, eventstore.ErrOutcomeUnknown) {
			return res, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return res, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// recordBehind decides what a delivery is to the entries that are there.
func (j *Journal) recordBehind(ctx context.Context, e Entry, event eventstore.ProposedEvent) (Outcome, error) {
	stream := JournalStream(e.Envelope.ID)
	// Each conflict means that another delivery has taken a place: there are
	// no more than MaxEntries of those.
	for range MaxEntries + 1 {
		entries, err := j.readBack(ctx, stream)
		if err != nil {
			return Outcome{}, err
		}
		if outcome, settled := settle(entries, e, event.ID); settled {
			return outcome, nil
		}
		last := entries[len(entries)-1].Revision
		res, err := j.append(ctx, stream, eventstore.Exactly(last), event)
		if err == nil {
			return Outcome{Status: Recorded, EntryID: event.ID, Revision: res.Revision, Position: res.Position}, nil
		}
		if !eventstore.IsConflict(err) {
			return Outcome{}, fmt.Errorf("append variant: %w", err)
		}
	}
	return Outcome{}, errors.New("append variant: conflicts did not end")
}

// readBack returns the committed entries of a stream that was reported to have
// some. If there are none, the conflict was about a write that was lost since.
func (j *Journal) readBack(ctx context.Context, stream eventstore.Stream) ([]eventstore.RecordedEvent, error) {
	entries := make([]eventstore.RecordedEvent, 0, 1)
	for event, err := range j.store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			return nil, fmt.Errorf("read back after a conflict: %w", err)
		}
		entries = append(entries, event)
	}
	if len(entries) == 0 {
		return nil, errors.New("read back after a conflict: nothing there")
	}
	return entries, nil
}

// settle tells the outcome if nothing need be appended.
func settle(entries []eventstore.RecordedEvent, e Entry, id uuid.UUID) (Outcome, bool) {
	for _, entry := range entries {
		if entry.ID == id {
			return outcomeAt(Recorded, entry), true
		}
	}
	signed := e.Secret != ""
	for _, entry := range entries {
		// An unsigned entry does not stand for a signed delivery.
		if (!signed || isSigned(entry)) && sameContent(entry.Data, e.Body) {
			return outcomeAt(Duplicate, entry), true
		}
	}
	room := MaxEntries
	if posted, _ := PostedEntry(entries); !signed && !isSigned(entries[posted]) {
		room-- // so that unsigned entries never shut out the signed one
	}
	if len(entries) < room {
		return Outcome{}, false
	}
	outcome := outcomeAt(Duplicate, entries[0])
	outcome.Dropped = true
	return outcome, true
}

func outcomeAt(status Status, entry eventstore.RecordedEvent) Outcome {
	return Outcome{Status: status, EntryID: entry.ID, Revision: entry.Revision, Position: entry.Position}
}

// PostedEntry tells which of a stream's entries, given oldest first, is the one
// that gets posted: the earliest signed one, else the earliest. It is false
// only for no entries.
func PostedEntry(entries []eventstore.RecordedEvent) (index int, ok bool) {
	for i, entry := range entries {
		if isSigned(entry) {
			return i, true
		}
	}
	return 0, len(entries) > 0
}

// isSigned counts a receipt that cannot be read as unsigned.
func isSigned(entry eventstore.RecordedEvent) bool {
	r, err := DecodeReceipt(entry.Metadata)
	return err == nil && r.Signed()
}
