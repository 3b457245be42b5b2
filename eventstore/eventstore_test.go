package eventstore

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestStream(t *testing.T) {
	for _, c := range []struct {
		stream       Stream
		category, id string
		valid        bool
	}{
		{"order-1", "order", "1", true},
		{"account-team-42", "account", "team-42", true},
		{"acct_1/subscription-sub_1", "acct_1/subscription", "sub_1", true},
		{"order--", "order", "-", true},
		{NewStream("order", "a-b"), "order", "a-b", true},
		{Stream("o-" + strings.Repeat("x", MaxStreamBytes-2)), "o", strings.Repeat("x", MaxStreamBytes-2), true},
		{Stream("o-" + strings.Repeat("x", MaxStreamBytes-1)), "o", strings.Repeat("x", MaxStreamBytes-1), false},
		{"", "", "", false},
		{"order", "order", "", false},
		{"order-", "order", "", false},
		{"-1", "", "1", false},
		{"$ce-order", "$ce", "order", false},
	} {
		if c.stream.Category() != c.category || c.stream.ID() != c.id {
			t.Errorf("%q: category %q, id %q", c.stream, c.stream.Category(), c.stream.ID())
		}
		if err := c.stream.Validate(); (err == nil) != c.valid {
			t.Errorf("%q: %v, want valid %v", c.stream, err, c.valid)
		}
	}
}

func TestExpectedRevision(t *testing.T) {
	var zero ExpectedRevision
	for _, c := range []struct {
		expected                 ExpectedRevision
		any, none, exists, exact bool
		text                     string
	}{
		{zero, true, false, false, false, "any"},
		{Any, true, false, false, false, "any"},
		{NoStream, false, true, false, false, "no stream"},
		{StreamExists, false, false, true, false, "stream exists"},
		{Exactly(0), false, false, false, true, "revision 0"},
		{Exactly(7), false, false, false, true, "revision 7"},
	} {
		_, exact := c.expected.Exact()
		if c.expected.IsAny() != c.any || c.expected.IsNoStream() != c.none ||
			c.expected.IsStreamExists() != c.exists || exact != c.exact || c.expected.String() != c.text {
			t.Errorf("%s: wrong kind, want %s", c.expected, c.text)
		}
	}
	if r, ok := Exactly(7).Exact(); r != 7 || !ok {
		t.Errorf("Exactly(7) is %d, %v", r, ok)
	}
	if Exactly(3) == Exactly(4) || Exactly(0) == NoStream {
		t.Error("different expectations are equal")
	}
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		prefixes []string
		stream   Stream
		want     bool
	}{
		{nil, "order-1", true},
		{[]string{"order-"}, "order-1", true},
		{[]string{"order-"}, "orderly-1", false},
		{[]string{"invoice-", "order-"}, "order-1", true},
		{[]string{"invoice-"}, "order-1", false},
		{[]string{""}, "order-1", true},
	} {
		if got := (Filter{Prefixes: c.prefixes}).Matches(c.stream); got != c.want {
			t.Errorf("%q matches %s: %v", c.prefixes, c.stream, got)
		}
	}
}

// TestDeriveID pins the IDs: they are part of every stored event, and must
// never come out differently.
func TestDeriveID(t *testing.T) {
	for want, got := range map[string]uuid.UUID{
		"72a68620-99f6-5da3-9215-467e8cad6e00": DeriveID("subscription-sub_1", "evt_1", "0", "0"),
		"d7851867-cb7e-5ff4-a8cf-6f598be73df1": DeriveID("subscription-sub_1"),
	} {
		if got.String() != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	seen := map[uuid.UUID]string{}
	for _, parts := range [][]string{{}, {"a"}, {"a", "b"}, {"ab"}, {"a", ""}, {"", "a"}, {"b", "a"}} {
		for _, stream := range []Stream{"order-1", "order-2"} {
			id := DeriveID(stream, parts...)
			name := fmt.Sprintf("%s %q", stream, parts)
			if other, ok := seen[id]; ok {
				t.Errorf("%s and %s have the same ID", name, other)
			}
			seen[id] = name
		}
	}
}

func TestValidateAppend(t *testing.T) {
	good := ProposedEvent{ID: uuid.New(), Type: "T", Data: []byte("{}")}
	sized := func(n int) ProposedEvent {
		return ProposedEvent{ID: uuid.New(), Type: "T", Data: bytes.Repeat([]byte("x"), n-3), Metadata: []byte("m")}
	}
	for _, c := range []struct {
		what   string
		stream Stream
		events []ProposedEvent
		want   error
	}{
		{"good", "order-1", []ProposedEvent{good, good}, nil},
		{"no events", "order-1", nil, ErrInvalid},
		{"bad name", "order", []ProposedEvent{good}, ErrInvalid},
		{"no ID", "order-1", []ProposedEvent{good, {Type: "T"}}, ErrInvalid},
		{"no type", "order-1", []ProposedEvent{{ID: uuid.New()}}, ErrInvalid},
		{"largest", "order-1", []ProposedEvent{sized(MaxAppendBytes)}, nil},
		{"too large", "order-1", []ProposedEvent{sized(MaxAppendBytes + 1)}, ErrTooLarge},
		{"too large together", "order-1", []ProposedEvent{sized(MaxAppendBytes / 2), sized(MaxAppendBytes/2 + 1)}, ErrTooLarge},
	} {
		if err := ValidateAppend(c.stream, c.events); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
}

func TestIsConflict(t *testing.T) {
	conflict := &WrongExpectedRevisionError{Stream: "order-1", Expected: NoStream, Actual: "revision 3"}
	if !IsConflict(fmt.Errorf("append: %w", conflict)) || IsConflict(ErrUnavailable) || IsConflict(nil) {
		t.Error("conflicts are not told from other errors")
	}
	if want := "stream order-1: expected no stream, found revision 3"; conflict.Error() != want {
		t.Errorf("got %q, want %q", conflict, want)
	}
}

func TestMetadata(t *testing.T) {
	m, err := DecodeMetadata([]byte(`{"recorded_at":"2026-01-02T03:04:05.678Z","causation_id":"a","correlation_id":"b","more":1}`))
	want := Metadata{RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC), CausationID: "a", CorrelationID: "b"}
	if err != nil || m != want {
		t.Errorf("got %+v, %v; want %+v", m, err, want)
	}
	if _, err := DecodeMetadata([]byte("{")); err == nil {
		t.Error("half a document was read")
	}
}

// TestRecordedAt: the short way reads what the whole decoding does.
func TestRecordedAt(t *testing.T) {
	when := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600))
	for _, metadata := range []string{
		`{"recorded_at":"2026-03-01T12:00:00.000000005+01:00","causation_id":"a"}`,
		`{"causation_id":"a", "recorded_at": "2026-03-01T12:00:00.000000005+01:00"}`,
	} {
		if got, read := RecordedAt([]byte(metadata)); !read || !got.Equal(when) {
			t.Errorf("%s: %s, %v", metadata, got, read)
		}
	}
	for _, metadata := range []string{``, `{"recorded_at":"yesterday"}`, `{"recorded_at":"`, `null and void`} {
		if got, read := RecordedAt([]byte(metadata)); read {
			t.Errorf("%q: %s", metadata, got)
		}
	}
}
