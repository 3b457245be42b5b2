package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What may come of a question. An error is one of these by errors.Is, and if the
// server told it, an *Error by errors.As.
var (
	// ErrUnauthorized: the server does not know the key.
	ErrUnauthorized = errors.New("the key is not known to Daybook")
	// ErrForbidden: the key lacks the scope "read", or is bound to another account.
	ErrForbidden = errors.New("the key may not ask this")
	// ErrNotFound: the catalog has no such feature.
	ErrNotFound = errors.New("there is nothing of this name")
	// ErrInvalid: what was asked cannot be answered, as with an account's name that
	// cannot be one, or a limit that the catalog does not have.
	ErrInvalid = errors.New("the question is not one that Daybook takes")
	// ErrUnavailable: there was no answer in time, or not from Daybook.
	ErrUnavailable = errors.New("there is no answer from Daybook")
	// ErrStale: the answer rests on what was known too long ago; see MaxStale.
	ErrStale = errors.New("what Daybook knows is too old")
	// ErrUnknown: nothing is known of the account. It wraps why.
	ErrUnknown = errors.New("nothing is known of the account")
)

// Error is the server's refusal of a question.
type Error struct {
	// Status is that of HTTP; Detail is a sentence for a person.
	Status int    `json:"-"`
	Detail string `json:"detail"`
	// Faults are what is wrong with the question, each with what would be right.
	Faults []Fault `json:"errors"`
	// RetryAfter is how long the server asks to be left alone, 0 if it does not.
	RetryAfter time.Duration `json:"-"`
}

// Fault is one thing that is wrong with a question.
type Fault struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Daybook answers %d", e.Status)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	for _, fault := range e.Faults {
		b.WriteString(" " + fault.Field + " " + fault.Reason + ".")
	}
	return b.String()
}

// Is tells which of the errors above it is.
func (e *Error) Is(target error) bool { return target == e.kind() }

func (e *Error) kind() error {
	switch {
	case e.Status == http.StatusUnauthorized:
		return ErrUnauthorized
	case e.Status == http.StatusForbidden:
		return ErrForbidden
	case e.Status == http.StatusNotFound:
		return ErrNotFound
	case e.retry() || e.Status >= 500 || e.Status < 400:
		return ErrUnavailable
	}
	return ErrInvalid
}

// retry reports whether asking again may help.
func (e *Error) retry() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
