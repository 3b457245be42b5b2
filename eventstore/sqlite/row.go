package sqlite

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"unicode/utf8"
	"unsafe"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// eventColumns are read in the order of scanEvent.
const eventColumns = "position, revision, id, stream, type, metadata, data"

// stored is the form in which bytes go into the file: TEXT where that loses
// nothing and an auditor gains, else BLOB. The bytes must never change.
func stored(b []byte) driver.Value {
	if len(b) == 0 {
		return ""
	}
	if bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) {
		return unsafe.String(&b[0], len(b))
	}
	return b
}

// loaded is stored's inverse, for a value that the driver made for us alone.
func loaded(v driver.Value) []byte {
	switch v := v.(type) {
	case string:
		return unsafe.Slice(unsafe.StringData(v), len(v))
	case []byte:
		return v
	}
	return nil
}

// scanEvent reads a row of eventColumns.
func scanEvent(row []driver.Value) (eventstore.RecordedEvent, error) {
	e, err := scanPlace(row)
	if err != nil {
		return e, err
	}
	stream, okStream := row[3].(string)
	kind, okKind := row[4].(string)
	if !okStream || !okKind {
		return e, &CorruptError{Detail: fmt.Sprintf("event %d has no stream or no type", e.Position)}
	}
	e.Stream, e.Type = eventstore.Stream(stream), kind
	e.Metadata, e.Data = loaded(row[5]), loaded(row[6])
	return e, nil
}

// scanPlace reads a row's first three columns: position, revision and id.
func scanPlace(row []driver.Value) (e eventstore.RecordedEvent, err error) {
	position, okPosition := row[0].(int64)
	revision, okRevision := row[1].(int64)
	text, okID := row[2].(string)
	if !okPosition || !okRevision || !okID {
		return e, &CorruptError{Detail: "a row of events has a column of a wrong type"}
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return e, &CorruptError{Detail: fmt.Sprintf("event %d has no UUID", position), Err: err}
	}
	e.ID = id
	e.Position, e.Revision = eventstore.Position(position), eventstore.Revision(revision)
	return e, nil
}
