package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// Fault is one thing that is wrong with a request.
type Fault struct {
	// Field is the parameter, header or path part at fault.
	Field string `json:"field"`
	// Reason tells the caller what would be right.
	Reason string `json:"reason"`
}

// Problem is an error answer: application/problem+json, RFC 9457. It is an
// error, so that handlers return it as one.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Errors lists every fault of a bad request.
	Errors []Fault `json:"errors,omitempty"`
	// retryAfter, in seconds, becomes the Retry-After header; 0 sends none.
	retryAfter int
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// problem makes a Problem whose type adds nothing to its status, as RFC 9457
// asks for about:blank.
func problem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// badRequest lists every fault of a request.
func badRequest(faults ...Fault) *Problem {
	p := problem(http.StatusBadRequest, "The request has faults; errors lists each of them.")
	p.Errors = faults
	return p
}

func notFound(detail string) *Problem { return problem(http.StatusNotFound, detail) }

// unavailable asks the caller to come again.
func unavailable(detail string) *Problem {
	p := problem(http.StatusServiceUnavailable, detail)
	p.retryAfter = retryAfterSeconds
	return p
}

// retryAfterSeconds is long enough for a store to be restarted, and short
// against Stripe's own backoff.
const retryAfterSeconds = 5

// errorTable gives each error that a handler can meet its answer. The first
// row that matches counts. What is not in it is a fault of ours: 500.
var errorTable = []struct {
	err    error
	answer *Problem
}{
	{eventstore.ErrStreamNotFound, notFound("There is no such stream.")},
	{eventstore.ErrStreamDeleted, problem(http.StatusGone, "The stream was deleted.")},
	{eventstore.ErrTooLarge, problem(http.StatusRequestEntityTooLarge, "The body is too large to be recorded.")},
	{eventstore.ErrPositionBeyondEnd, badRequest(Fault{"from", "lies beyond the end of the log"})},
	{eventstore.ErrUnavailable, unavailable("The event store cannot be reached.")},
	{eventstore.ErrClosed, unavailable("The event store is closed.")},
	{eventstore.ErrOutcomeUnknown, unavailable("The event store did not confirm in time.")},
	{projections.ErrNotFolded, unavailable("The read model is still being folded from history.")},
	{context.DeadlineExceeded, unavailable("The answer was not ready in time.")},
	{context.Canceled, unavailable("The request was cancelled.")},
}

// problemOf returns the answer to an error, and whether the error was expected.
func problemOf(err error) (*Problem, bool) {
	var p *Problem
	if errors.As(err, &p) {
		return p, true
	}
	for _, row := range errorTable {
		if errors.Is(err, row.err) {
			return row.answer, true
		}
	}
	return problem(http.StatusInternalServerError, "Something failed here; the log has it under this request's id."), false
}

// writeProblem sends p.
func writeProblem(w http.ResponseWriter, p *Problem) {
	document, err := encodeJSON(p)
	if err != nil {
		panic("a problem is plain data: " + err.Error())
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	writeBody(w, p.Status, "application/problem+json", document)
}

// writeJSON sends value with status 200.
func writeJSON(w http.ResponseWriter, value any) error {
	return writeJSONStatus(w, http.StatusOK, value)
}

// writeJSONStatus sends value with a status. Encoding comes first, so that a value
// that cannot be encoded becomes an error instead of half an answer.
func writeJSONStatus(w http.ResponseWriter, status int, value any) error {
	document, err := encodeJSON(value)
	if err != nil {
		return err
	}
	writeDocument(w, status, document)
	return nil
}

// encodeJSON is a line of JSON for people, too: < and > stay what they are.
func encodeJSON(value any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return buf.Bytes(), err
}

// writeDocument sends what is JSON already.
func writeDocument(w http.ResponseWriter, status int, document []byte) {
	writeBody(w, status, "application/json", document)
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever has gone away misses it
}
