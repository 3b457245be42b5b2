package intake_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
)

// entry is a signed delivery of evt_1.
func entry(t *testing.T, body string) intake.Entry {
	t.Helper()
	envelope, err := intake.ParseEnvelope([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return intake.Entry{Body: []byte(body), Envelope: envelope, Source: intake.SourceWebhook, Secret: "0123abcd"}
}

func unsigned(e intake.Entry) intake.Entry {
	e.Source, e.Secret = "backfill", ""
	return e
}

// body is an event whose content is n.
func body(n int) string { return string(event(paid, fmt.Sprintf(`{"n":%d}`, n))) }

func entriesOf(t *testing.T, store eventstore.Reader) []eventstore.RecordedEvent {
	t.Helper()
	var entries []eventstore.RecordedEvent
	for e, err := range store.ReadStream(t.Context(), intake.JournalStream("evt_1"), 0, eventstore.Forwards, 0) {
		if err != nil && !errors.Is(err, eventstore.ErrStreamNotFound) {
			t.Fatal(err)
		}
		if err == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

func record(t *testing.T, j *intake.Journal, e intake.Entry) intake.Outcome {
	t.Helper()
	outcome, err := j.Record(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestRecordKeepsWhatCame(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	raw := " {\"livemode\":true,\"id\":\"evt_1\",\"object\":\"event\",\n\t\"account\":\"acct_1\",\"api_version\":\"2023-10-16; b=v1\",\"created\":1700000000,\"type\":\"invoice.paid\"}\r\n"
	outcome := record(t, j, entry(t, raw))
	entries := entriesOf(t, store)
	if len(entries) != 1 || string(entries[0].Data) != raw || entries[0].Type != "invoice.paid" {
		t.Fatalf("%d entries, not the one that came", len(entries))
	}
	if want := (intake.Outcome{Status: intake.Recorded, EntryID: entries[0].ID, Position: entries[0].Position}); outcome != want {
		t.Errorf("%+v", outcome)
	}
	got, err := intake.DecodeReceipt(entries[0].Metadata)
	if err != nil {
		t.Fatal(err)
	}
	want := intake.Receipt{
		Metadata:   eventstore.Metadata{RecordedAt: clock, CorrelationID: entries[0].ID.String()},
		ReceivedAt: clock, EventCreated: at(1700000000), APIVersion: "2023-10-16; b=v1", Livemode: true, Account: "acct_1",
		Source: "stripe-webhook", Secret: "0123abcd",
	}
	if got != want || !got.Signed() {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if common, err := eventstore.DecodeMetadata(entries[0].Metadata); err != nil || common != want.Metadata {
		t.Errorf("%+v, %v", common, err)
	}
}

func TestStoredReceipt(t *testing.T) {
	store := sqlitetest.Open(t)
	record(t, intake.NewJournal(store, atClock), entry(t, body(1)))
	e := entriesOf(t, store)[0]
	got := strings.ReplaceAll(string(e.Metadata), e.ID.String(), "ID")
	const want = `{"recorded_at":"2026-03-01T12:00:00Z","correlation_id":"ID","received_at":"2026-03-01T12:00:00Z",` +
		`"event_created":"2023-11-14T22:13:20Z","livemode":false,"source":"stripe-webhook","secret":"0123abcd"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRedelivery(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	first := record(t, j, entry(t, body(1)))
	for name, again := range map[string]string{
		"the same bytes":              body(1),
		"fewer pending":               strings.Replace(body(1), `"pending_webhooks":1`, `"pending_webhooks":0`, 1),
		"no pending":                  strings.Replace(body(1), `"pending_webhooks":1,`, ``, 1),
		"other white space":           strings.ReplaceAll(body(1), ",", ",\n  "),
		"other order and other marks": `{"data":{"object":{"n":1}},"livemode":false,"created":1700000000,"type":"invoice\u002epaid","object":"event","id":"evt_1"}`,
	} {
		got := record(t, j, entry(t, again))
		if want := (intake.Outcome{Status: intake.Duplicate, EntryID: first.EntryID, Revision: first.Revision, Position: first.Position}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if n := len(entriesOf(t, store)); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestVariants(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	for n := range intake.MaxEntries {
		got := record(t, j, entry(t, body(n)))
		if got.Status != intake.Recorded || got.Revision != eventstore.Revision(n) {
			t.Fatalf("%d: %+v", n, got)
		}
	}
	if got := record(t, j, entry(t, body(3))); got.Status != intake.Duplicate || got.Revision != 3 || got.Dropped {
		t.Errorf("a variant again: %+v", got)
	}
	if got := record(t, j, entry(t, body(99))); got.Status != intake.Duplicate || !got.Dropped {
		t.Errorf("one too many: %+v", got)
	}
	entries := entriesOf(t, store)
	for n, e := range entries {
		if string(e.Data) != body(n) {
			t.Errorf("%d: %s", n, e.Data)
		}
	}
	if index, ok := intake.PostedEntry(entries); len(entries) != intake.MaxEntries || index != 0 || !ok {
		t.Errorf("%d entries, posted %d", len(entries), index)
	}
}

func TestContentThatDiffers(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	record(t, j, entry(t, string(event(paid, `{"n":9007199254740993,"pending_webhooks":1,"list":[1,2]}`))))
	for i, object := range []string{
		`{"n":9007199254740992,"pending_webhooks":1,"list":[1,2]}`, // the same as a float64
		`{"n":9007199254740993,"pending_webhooks":2,"list":[1,2]}`, // only the envelope's is left out
		`{"n":9007199254740993,"pending_webhooks":1,"list":[2,1]}`,
	} {
		if got := record(t, j, entry(t, string(event(paid, object)))); got.Status != intake.Recorded || got.Revision != eventstore.Revision(i+1) {
			t.Errorf("%s: %+v", object, got)
		}
	}
}

func TestSignedAndUnsigned(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	steps := []struct {
		entry    intake.Entry
		status   intake.Status
		revision eventstore.Revision
		posted   int
	}{
		{unsigned(entry(t, body(1))), intake.Recorded, 0, 0},
		{unsigned(entry(t, body(1))), intake.Duplicate, 0, 0},
		{unsigned(entry(t, body(2))), intake.Recorded, 1, 0},
		{entry(t, body(2)), intake.Recorded, 2, 2}, // its content is there, but unsigned
		{entry(t, body(2)), intake.Duplicate, 2, 2},
		{entry(t, body(1)), intake.Recorded, 3, 2},
		{unsigned(entry(t, body(1))), intake.Duplicate, 0, 2},
	}
	for i, step := range steps {
		got := record(t, j, step.entry)
		if got.Status != step.status || got.Revision != step.revision {
			t.Errorf("step %d: %+v", i, got)
		}
		if index, ok := intake.PostedEntry(entriesOf(t, store)); index != step.posted || !ok {
			t.Errorf("step %d: posted %d", i, index)
		}
	}
	if _, ok := intake.PostedEntry(nil); ok {
		t.Error("an entry of none")
	}
}

// TestUnsignedLeaveRoom: no number of unsigned entries keeps the signed one out.
func TestUnsignedLeaveRoom(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	for n := range intake.MaxEntries + 2 {
		got := record(t, j, unsigned(entry(t, body(n))))
		if wantDropped := n >= intake.MaxEntries-1; got.Dropped != wantDropped {
			t.Errorf("%d: %+v", n, got)
		}
	}
	got := record(t, j, entry(t, body(0)))
	if got.Status != intake.Recorded || got.Revision != intake.MaxEntries-1 {
		t.Errorf("signed: %+v", got)
	}
	if index, _ := intake.PostedEntry(entriesOf(t, store)); index != intake.MaxEntries-1 {
		t.Errorf("posted %d", index)
	}
}

func TestRacingDeliveries(t *testing.T) {
	for name, contents := range map[string]int{"one content": 1, "twenty contents": 20} {
		t.Run(name, func(t *testing.T) {
			store := sqlitetest.Open(t)
			j := intake.NewJournal(store, atClock)
			var recorded, dropped atomic.Int64
			var wg sync.WaitGroup
			gate := make(chan struct{})
			for i := range 20 {
				e := entry(t, body(i%contents))
				wg.Go(func() {
					<-gate
					outcome, err := j.Record(t.Context(), e)
					if err != nil {
						t.Error(err)
					}
					if outcome.Status == intake.Recorded {
						recorded.Add(1)
					}
					if outcome.Dropped {
						dropped.Add(1)
					}
				})
			}
			close(gate)
			wg.Wait()
			want := int64(min(contents, intake.MaxEntries))
			if n := len(entriesOf(t, store)); int64(n) != want || recorded.Load() != want {
				t.Errorf("%d entries, %d recorded, want %d", n, recorded.Load(), want)
			}
			if want := int64(contents) - want; dropped.Load() != want {
				t.Errorf("%d dropped, want %d", dropped.Load(), want)
			}
		})
	}
}

// faultyStore lets a test break the calls to a real store. A nil function
// breaks nothing.
type faultyStore struct {
	eventstore.Store
	appends atomic.Int64
	// onAppend is told which append this is, from 1, and may call next.
	onAppend func(n int64, next func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error)
	onRead   error
	seen     []proposed
}

// proposed is what an append asked for.
type proposed struct {
	id       uuid.UUID
	expected eventstore.ExpectedRevision
}

func (s *faultyStore) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	s.seen = append(s.seen, proposed{events[0].ID, expected})
	next := func() (eventstore.AppendResult, error) { return s.Store.Append(ctx, stream, expected, events...) }
	return s.onAppend(s.appends.Add(1), next)
}

func (s *faultyStore) ReadStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	if s.onRead == nil {
		return s.Store.ReadStream(ctx, stream, from, dir, limit)
	}
	return func(yield func(eventstore.RecordedEvent, error) bool) { yield(eventstore.RecordedEvent{}, s.onRead) }
}

var errUnknown = fmt.Errorf("the connection broke: %w", eventstore.ErrOutcomeUnknown)

// TestOutcomeUnknown breaks the append both ways, for the first entry and for
// a variant: either way the delivery is recorded once, under one ID.
func TestOutcomeUnknown(t *testing.T) {
	for _, variant := range []bool{false, true} {
		for _, persisted := range []bool{false, true} {
			t.Run(fmt.Sprintf("variant=%t,persisted=%t", variant, persisted), func(t *testing.T) {
				real := sqlitetest.Open(t)
				breaks := int64(1)
				if variant {
					record(t, intake.NewJournal(real, atClock), entry(t, body(1)))
					breaks = 2 // the first meets the conflict
				}
				store := &faultyStore{Store: real}
				store.onAppend = func(n int64, next func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
					if n < breaks || n > breaks+2 {
						return next()
					}
					if persisted && n == breaks {
						if _, err := next(); err != nil {
							t.Error(err)
						}
					}
					return eventstore.AppendResult{}, errUnknown
				}
				got := record(t, intake.NewJournal(store, atClock), entry(t, body(2)))
				entries := entriesOf(t, real)
				if want := eventstore.Revision(breaks - 1); got.Status != intake.Recorded || got.Revision != want || got.Position != entries[want].Position {
					t.Errorf("%+v", got)
				}
				if int64(len(entries)) != breaks {
					t.Errorf("%d entries", len(entries))
				}
				sameQuestion(t, store.seen[breaks-1:])
			})
		}
	}
}

// sameQuestion: a retry is safe only with the ID and the expectation of the
// append whose outcome is unknown.
func sameQuestion(t *testing.T, seen []proposed) {
	t.Helper()
	if len(seen) != 4 {
		t.Errorf("%d appends, want three that broke and one", len(seen))
	}
	for _, p := range seen {
		if p != seen[0] {
			t.Errorf("asked %+v after %+v", p, seen[0])
		}
	}
}

// TestOvertaken: while an outcome is unknown, another delivery gets in.
func TestOvertaken(t *testing.T) {
	real := sqlitetest.Open(t)
	store := &faultyStore{Store: real}
	store.onAppend = func(n int64, next func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
		if n == 1 {
			record(t, intake.NewJournal(real, atClock), entry(t, body(1)))
			return eventstore.AppendResult{}, errUnknown
		}
		return next()
	}
	got := record(t, intake.NewJournal(store, atClock), entry(t, body(1)))
	if n := len(entriesOf(t, real)); got.Status != intake.Duplicate || n != 1 {
		t.Errorf("%+v, %d entries", got, n)
	}
}

// TestOwnEntryReadBack: an append that broke, was persisted, and is reported as
// a conflict when asked again, is still this delivery's own.
func TestOwnEntryReadBack(t *testing.T) {
	real := sqlitetest.Open(t)
	store := &faultyStore{Store: real}
	store.onAppend = func(n int64, next func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
		if n == 1 {
			if _, err := next(); err != nil {
				t.Error(err)
			}
		}
		return eventstore.AppendResult{}, &eventstore.WrongExpectedRevisionError{Stream: intake.JournalStream("evt_1"), Expected: eventstore.NoStream, Actual: "revision 0"}
	}
	got := record(t, intake.NewJournal(store, atClock), entry(t, body(1)))
	if n := len(entriesOf(t, real)); got.Status != intake.Recorded || n != 1 {
		t.Errorf("%+v, %d entries", got, n)
	}
}

func TestNotDurable(t *testing.T) {
	conflict := &eventstore.WrongExpectedRevisionError{Stream: intake.JournalStream("evt_1"), Expected: eventstore.NoStream, Actual: "revision 0"}
	tests := []struct {
		name         string
		append, read error
		want         error
	}{
		{"unavailable", eventstore.ErrUnavailable, nil, eventstore.ErrUnavailable},
		{"closed", eventstore.ErrClosed, nil, eventstore.ErrClosed},
		{"too large", eventstore.ErrTooLarge, nil, eventstore.ErrTooLarge},
		{"a conflict, and nothing there", conflict, nil, eventstore.ErrStreamNotFound},
		{"a conflict, and no answer", conflict, eventstore.ErrUnavailable, eventstore.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &faultyStore{Store: sqlitetest.Open(t), onRead: tt.read}
			store.onAppend = func(int64, func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
				return eventstore.AppendResult{}, tt.append
			}
			got, err := intake.NewJournal(store, atClock).Record(t.Context(), entry(t, body(1)))
			if !errors.Is(err, intake.ErrNotDurable) || !errors.Is(err, tt.want) || got != (intake.Outcome{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestOutcomeStaysUnknown(t *testing.T) {
	store := &faultyStore{Store: sqlitetest.Open(t)}
	store.onAppend = func(int64, func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
		return eventstore.AppendResult{}, errUnknown
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := intake.NewJournal(store, atClock).Record(ctx, entry(t, body(1)))
	if !errors.Is(err, intake.ErrNotDurable) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.Error(err)
	}
	if store.appends.Load() < 2 {
		t.Error("asked once only")
	}
}

// TestConflictsThatDoNotEnd: a store that reports conflicts for ever is given up.
func TestConflictsThatDoNotEnd(t *testing.T) {
	real := sqlitetest.Open(t)
	record(t, intake.NewJournal(real, atClock), entry(t, body(1)))
	store := &faultyStore{Store: real}
	store.onAppend = func(int64, func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
		return eventstore.AppendResult{}, &eventstore.WrongExpectedRevisionError{}
	}
	if _, err := intake.NewJournal(store, atClock).Record(t.Context(), entry(t, body(2))); !errors.Is(err, intake.ErrNotDurable) {
		t.Error(err)
	}
}

// TestEveryFixtureIsRecorded sends all recorded payloads through the journal.
func TestEveryFixtureIsRecorded(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	bodies := map[string]bool{}
	for i, f := range eventFixtures(t) {
		e := entry(t, string(f.body))
		e.Envelope.ID = fmt.Sprintf("evt_fixture_%d", i)
		if got := record(t, j, e); got.Status != intake.Recorded {
			t.Errorf("%s: %+v", f.path, got)
		}
		bodies[e.Envelope.ID] = true
		for stored, err := range store.ReadStream(t.Context(), intake.JournalStream(e.Envelope.ID), 0, eventstore.Forwards, 0) {
			if err != nil || string(stored.Data) != string(f.body) || stored.Type != f.kind {
				t.Errorf("%s: not as received (%v)", f.path, err)
			}
		}
	}
}
