package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/daybookhq/daybook/eventstore"
)

// errHung says that the client did not answer within our deadline, whatever
// its context said.
var errHung = errors.New("the client does not answer")

// errSlow says that the server did not answer within our deadline.
var errSlow = errors.New("the server does not answer")

// patience is how long a call may outlive its context before it is given up.
const patience = 250 * time.Millisecond

// answer is what a call came to.
type answer[T any] struct {
	value T
	err   error
}

// attempt runs one call of a client, with a deadline of our own. The call gets
// a context that ends with the deadline; one that does not heed it is left
// behind, and its client taken out of use, which ends it.
func attempt[T any](ctx context.Context, m *member, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	own, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := make(chan answer[T], 1)
	go func() {
		defer m.release()
		answers <- answered(own, m, call)
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-own.Done():
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var zero T
	select {
	case a := <-answers:
		if a.err != nil && ctx.Err() == nil {
			m.retire(errSlow) // the connection may be dead without a word
		}
		return a.value, a.err
	case <-timer.C:
		m.retire(errHung)
		return zero, errHung
	}
}

// answered makes the call. A connection that failed is taken out of use at
// once, lest others go on with it.
func answered[T any](ctx context.Context, m *member, call func(context.Context) (T, error)) (a answer[T]) {
	defer func() {
		if p := recover(); p != nil { // the client was closed under the call
			a.err = fmt.Errorf("%w: %v", errHung, p)
		}
		if a.err == nil {
			m.succeeded()
		} else if _, broken := judge(a.err); broken {
			m.retire(a.err)
		}
	}()
	a.value, a.err = pass(ctx, m, call)
	return a
}

// outcome is what an error of the client means for what was asked.
type outcome int

const (
	// unknown: it may have happened.
	unknown outcome = iota
	// unsent: it has not happened, and may be tried again.
	unsent
	// refused: it has not happened, and would not if it were tried again.
	refused
	conflicted
	notFound
	gone
)

// judge reads an error, and says whether the connection it came by is to be
// replaced.
func judge(err error) (o outcome, broken bool) {
	if errors.Is(err, errRetired) || errors.Is(err, errNoConnection) {
		return unsent, false
	}
	var e *client.Error
	if !errors.As(err, &e) {
		return judgeStatus(err)
	}
	switch e.Code() {
	case client.ErrorCodeWrongExpectedVersion:
		return conflicted, false
	case client.ErrorCodeStreamDeleted:
		return gone, false
	case client.ErrorCodeResourceNotFound:
		return notFound, false
	case client.ErrorCodeAccessDenied, client.ErrorCodeUnauthenticated, client.ErrorCodeUnsupportedFeature:
		return refused, false
	case client.ErrorCodeNotLeader:
		return unsent, false // the client goes to the leader by itself; see awaitLeader
	case client.ErrorCodeConnectionClosed:
		return unsent, true
	case client.ErrorAborted, client.ErrorCodeDeadlineExceeded:
		return unknown, false
	}
	switch o, broken = judgeStatus(e.Err()); {
	case strings.Contains(e.Error(), "maximum discovery attempt count"):
		return unsent, true // it had lost its connection and found no other
	case strings.HasPrefix(err.Error(), "could not construct append operation"):
		return unsent, broken // the call was not begun
	case strings.HasPrefix(err.Error(), "could not send append request") && errors.Is(e.Err(), io.EOF):
		return unsent, true // the call was ended before it was whole, and nothing is written before that
	case strings.Contains(e.Error(), "Error while dialing"):
		return unsent, broken // nor was it here: there was no connection to begin it on
	}
	return o, broken
}

// judgeStatus judges what the client did not: the gRPC errors of subscriptions,
// and a bare EOF.
func judgeStatus(err error) (o outcome, broken bool) {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument:
		return refused, false
	case codes.Canceled: // by us, or because the client goes to the leader
		return unknown, false
	case codes.FailedPrecondition, codes.OutOfRange, codes.ResourceExhausted:
		return unknown, false // said by a server that is there
	}
	return unknown, !errors.Is(err, context.Canceled)
}

// Why a server refuses what is asked. Both come with eventstore.ErrUnavailable.
var (
	// ErrDenied: the user of the connection may not do it.
	ErrDenied = errors.New("access denied")
	// ErrUnauthenticated: the server wants a user, and does not know this one.
	ErrUnauthenticated = errors.New("user not accepted")
)

// unavailable words a trouble for callers. Nothing was done.
func unavailable(doing string, err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("the connection ended")
	}
	switch statusOf(err) {
	case codes.PermissionDenied:
		return fmt.Errorf("%s: %w: %w by the server", doing, eventstore.ErrUnavailable, ErrDenied)
	case codes.Unauthenticated:
		return fmt.Errorf("%s: %w: %w by the server", doing, eventstore.ErrUnavailable, ErrUnauthenticated)
	}
	return fmt.Errorf("%s: %w: %w", doing, eventstore.ErrUnavailable, plain(err))
}

// plain drops the error's chain, which might be taken for what it is not: the
// end of a context of ours is not the end of the caller's.
func plain(err error) error {
	if errors.Is(err, eventstore.ErrClosed) {
		return err
	}
	return errors.New(err.Error())
}

// pause waits between attempts, or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		if ctx.Err() == nil {
			return nil
		}
	case <-ctx.Done():
	}
	return cause(ctx)
}

// The pauses between attempts.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)
