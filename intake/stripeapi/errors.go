package stripeapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// Kind tells errors apart by what a caller does about them.
type Kind int

// The kinds.
const (
	// Unavailable: Stripe cannot be reached, or failed, however often it was asked.
	Unavailable Kind = iota
	// RateLimited: Stripe refuses further requests for longer than we wait.
	RateLimited
	// BadKey: Stripe does not know the key.
	BadKey
	// Forbidden: the key lacks a permission.
	Forbidden
	// WrongMode: the answers are of the other mode.
	WrongMode
	// NotFound: there is no such object.
	NotFound
	// CursorExpired: the object from which a list was to go on is gone.
	CursorExpired
	// Refused: Stripe takes the request for a wrong one.
	Refused
	// Unreadable: the answer is not what Stripe answers.
	Unreadable
	// KeyReused: the idempotency key belongs to a request that was another one.
	KeyReused
)

// Error is why a request was in vain.
type Error struct {
	Kind Kind
	// Doing is what was tried, as in "list invoices".
	Doing string
	// Permission is Stripe's name of the one that lacks, empty if it does not tell.
	Permission string
	// Status is HTTP's, 0 without an answer. Code is Stripe's word for the fault,
	// and Param its name of the parameter at fault; both may be empty.
	Status      int
	Code, Param string
	// RequestID names the request to Stripe's support.
	RequestID string
	// Replayed says that Stripe repeats how an earlier request of the same idempotency
	// key failed, which it does for a day, whatever has changed since. Another key has
	// it try again.
	Replayed bool

	live  bool
	cause error
	// again says that asking once more may help, after at least pause.
	again bool
	pause time.Duration
}

// Unwrap returns what went wrong below, nil if Stripe answered.
func (e *Error) Unwrap() error { return e.cause }

// RetryAfter is for how long Stripe asks not to be asked again, 0 if it does not
// say.
func (e *Error) RetryAfter() time.Duration { return e.pause }

// Error is a sentence for an operator.
func (e *Error) Error() string {
	text := fmt.Sprintf("cannot %s: %s", e.Doing, e.reason())
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

func (e *Error) reason() string {
	switch e.Kind {
	case RateLimited:
		return "Stripe refuses further requests for now (429); try again later"
	case BadKey:
		return "Stripe does not accept the API key: it may be revoked, expired or mistyped; see STRIPE_API_KEY"
	case Forbidden:
		if e.Permission != "" {
			return "the API key lacks the permission " + e.Permission + ": add it to the restricted key in Stripe's dashboard, or use another key in STRIPE_API_KEY"
		}
		return "the API key lacks the permission: add it to the restricted key in Stripe's dashboard, or use another key in STRIPE_API_KEY"
	case WrongMode:
		modes := map[bool]string{true: "live", false: "test"}
		return "Stripe answers with objects of " + modes[!e.live] + " mode, and this is a store of " + modes[e.live] + " mode: use a key of " + modes[e.live] + " mode in STRIPE_API_KEY"
	case NotFound:
		return "Stripe has no such object"
	case CursorExpired:
		return "the place from which the list was to go on is gone"
	case Refused:
		return "Stripe refuses the request (" + e.particulars() + ")"
	case KeyReused:
		return "the idempotency key was used before, for a request that was another one"
	case Unreadable:
		return "the answer is none of Stripe's: is STRIPE_API_BASE right?"
	}
	switch {
	case e.Status != 0:
		return fmt.Sprintf("Stripe is in trouble (%d); try again later", e.Status)
	case errors.Is(e.cause, context.Canceled):
		return "it was interrupted"
	case errors.Is(e.cause, context.DeadlineExceeded):
		return "Stripe does not answer in time; try again later"
	}
	return "Stripe cannot be reached; is the network, or STRIPE_API_BASE, all right?"
}

// particulars are what Stripe tells of a refusal, its prose left out.
func (e *Error) particulars() string {
	text := strconv.Itoa(e.Status)
	if e.Code != "" {
		text += ", " + e.Code
	}
	if e.Param != "" {
		text += ", at " + e.Param
	}
	return text
}

// IsMissing reports that a request named, as a parameter, an object that Stripe
// does not have, or no longer has.
func IsMissing(err error, param string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == string(stripe.ErrorCodeResourceMissing) && e.Param == param
}

// IsReplayed reports that Stripe only repeats how an earlier request failed; see
// Error.Replayed.
func IsReplayed(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Replayed
}

// IsKind reports whether an error is one of this package's and of a kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// permission is Stripe's name of a permission, as it stands in its refusals.
var permission = regexp.MustCompile(`\brak_[a-z_]+\b`)

// paramName is the form of a parameter's name, as in line_items[0][price].
var paramName = regexp.MustCompile(`^[a-z0-9_\[\]]{1,100}$`)

// explain makes an Error of what stripe-go returned for an attempt.
func explain(doing string, err error, seen *attempt) *Error {
	e := &Error{Doing: doing, Status: seen.status, Replayed: seen.replayed, pause: seen.retryAfter, cause: err}
	var answered *stripe.Error
	if errors.As(err, &answered) {
		e.cause, e.Code, e.RequestID = nil, string(answered.Code), answered.RequestID
		e.Permission, e.Param = permission.FindString(answered.Msg), paramName.FindString(answered.Param)
		e.classify(answered.Type)
	} else if e.Status != 0 {
		// An answer that is not Stripe's JSON: stripe-go quotes it, we do not.
		e.cause = nil
		e.classify("")
	} else {
		e.again = true
	}
	switch seen.shouldRetry {
	case "true":
		e.again = true
	case "false":
		e.again = false
	}
	e.again = e.again && !e.Replayed
	return e
}

// classify finds the kind of an answered request.
func (e *Error) classify(of stripe.ErrorType) {
	switch {
	case e.Status < http.StatusBadRequest:
		e.Kind = Unreadable
	case e.Status == http.StatusUnauthorized:
		e.Kind = BadKey
	case e.Status == http.StatusForbidden, e.Permission != "":
		e.Kind = Forbidden
	case e.Status == http.StatusTooManyRequests:
		e.Kind, e.again = RateLimited, true
	case e.Status == http.StatusConflict:
		e.Kind, e.again = Refused, true
	case e.Status >= http.StatusInternalServerError:
		e.Kind, e.again = Unavailable, true
	case of == stripe.ErrorTypeIdempotency:
		e.Kind = KeyReused
	case e.Param == "starting_after" || e.Param == "ending_before":
		e.Kind = CursorExpired
	case e.Status == http.StatusNotFound:
		e.Kind = NotFound
	default:
		e.Kind = Refused
	}
}
