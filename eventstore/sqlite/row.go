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

// rowForm is which columns of an event are read, and how.
type rowForm struct {
	columns string
	scan    func(row []driver.Value) (eventstore.RecordedEvent, error)
}

var (
	wholeEvent = rowForm{"position, revision, id, stream, type, metadata, data", scanEvent}
	// dataOnly leaves out the ID and the metadata. What is left comes as one text:
	// each column that is not a number costs as much as the step to the next row.
	dataOnly = rowForm{"position, revision, octet_length(stream), octet_length(type), stream || type || data", scanDataOnly}
)

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

// scanEvent reads a row of wholeEvent.
func scanEvent(row []driver.Value) (eventstore.RecordedEvent, error) {
	e, err := scanPlace(row)
	if err == nil {
		err = scanNames(&e, row[3], row[4])
	}
	e.Metadata, e.Data = loaded(row[5]), loaded(row[6])
	return e, err
}

// scanDataOnly reads a row of dataOnly. All of an event shares one piece of memory.
func scanDataOnly(row []driver.Value) (e eventstore.RecordedEvent, err error) {
	if err := scanOrder(&e, row[0], row[1]); err != nil {
		return e, err
	}
	streamEnd, okStream := row[2].(int64)
	typeLength, okType := row[3].(int64)
	text := loaded(row[4])
	typeEnd := streamEnd + typeLength
	if !okStream || !okType || typeEnd > int64(len(text)) {
		return e, errColumnType()
	}
	e.Stream, e.Type = eventstore.Stream(asText(text[:streamEnd])), asText(text[streamEnd:typeEnd])
	e.Data = text[typeEnd:]
	return e, nil
}

// asText is a text that shares the memory of bytes that nobody changes.
func asText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func scanNames(e *eventstore.RecordedEvent, stream, kind driver.Value) error {
	name, okStream := stream.(string)
	text, okKind := kind.(string)
	if !okStream || !okKind {
		return &CorruptError{Detail: fmt.Sprintf("event %d has no stream or no type", e.Position)}
	}
	e.Stream, e.Type = eventstore.Stream(name), text
	return nil
}

func scanOrder(e *eventstore.RecordedEvent, position, revision driver.Value) error {
	p, okPosition := position.(int64)
	r, okRevision := revision.(int64)
	if !okPosition || !okRevision {
		return errColumnType()
	}
	e.Position, e.Revision = eventstore.Position(p), eventstore.Revision(r)
	return nil
}

func errColumnType() error {
	return &CorruptError{Detail: "a row of events has a column of a wrong type"}
}

// scanPlace reads a row's first three columns: position, revision and id.
func scanPlace(row []driver.Value) (e eventstore.RecordedEvent, err error) {
	if err := scanOrder(&e, row[0], row[1]); err != nil {
		return e, err
	}
	text, okID := row[2].(string)
	if !okID {
		return e, errColumnType()
	}
	if e.ID, err = uuid.Parse(text); err != nil {
		return e, &CorruptError{Detail: fmt.Sprintf("event %d has no UUID", e.Position), Err: err}
	}
	return e, nil
}
