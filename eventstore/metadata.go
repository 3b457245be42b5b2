package eventstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Metadata holds the fields of an event's metadata that every event of ours
// has. Writers may add fields of their own by embedding it.
type Metadata struct {
	// RecordedAt is our clock when the event was appended. It lives here
	// because a server's own timestamps change when a log is migrated.
	RecordedAt time.Time `json:"recorded_at"`
	// CorrelationID is shared by everything that follows from one delivery.
	CorrelationID string `json:"correlation_id,omitempty"`
	// CausationID is the ID of the event or request that led to this one.
	CausationID string `json:"causation_id,omitempty"`
}

// DecodeMetadata reads the common fields of an event's metadata.
func DecodeMetadata(b []byte) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return Metadata{}, fmt.Errorf("decode event metadata: %w", err)
	}
	return m, nil
}

// recordedFirst is how metadata begins that EncodeMetadata wrote.
var recordedFirst = []byte(`{"recorded_at":"`)

// RecordedAt reads that one field, for those who look at many events; false where
// it cannot be read.
func RecordedAt(metadata []byte) (time.Time, bool) {
	if rest, ours := bytes.CutPrefix(metadata, recordedFirst); ours {
		if text, _, ends := bytes.Cut(rest, []byte(`"`)); ends {
			if t, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
				return t, true
			}
		}
	}
	m, err := DecodeMetadata(metadata)
	return m.RecordedAt, err == nil
}

// idNamespace makes the UUIDs of DeriveID ours. It never changes: it is part
// of every stored event.
var idNamespace = uuid.MustParse("5f0c1b0e-6d0a-5c2e-9d53-0f6f3f9c7a41")

// DeriveID returns the UUIDv5 of a stream and what makes an event unique in
// it, so that whoever concludes the same writes the same event. The stream is
// part of the name because a server may take one UUID for one event wherever
// it stands.
func DeriveID(stream Stream, parts ...string) uuid.UUID {
	name := string(stream) + "\x00" + strings.Join(parts, "\x00")
	return uuid.NewSHA1(idNamespace, []byte(name))
}

// EncodeMetadata writes the common fields.
func EncodeMetadata(m Metadata) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode event metadata: %w", err)
	}
	return b, nil
}
