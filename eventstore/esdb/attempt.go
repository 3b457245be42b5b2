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

// patience is how long a call may outlive its context before it is given up.
const patience = 250 * time.Millisecond

// attempt runs one call of a client, with a deadline of our own. The call gets
// a context that ends with the deadline; one that does not heed it is left
// behind, and its client closed, which ends it.
func attempt[T any](ctx context.Context, m *member, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		defer m.release()
		var a answer
		defer func() {
			if p := recover(); p != nil { // the client was closed under the call
				a.err = fmt.Errorf("%w: %v", errHung, p)
			}
			answers <- a
		}()
		a.value, a.err = call(ctx)
	}()
	var zero T
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-timer.C:
		m.abandon(errHung)
		return zero, errHung
	}
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
	var e *client.Error
	if !errors.As(err, &e) {
		switch status.Code(err) {
		case codes.PermissionDenied, codes.Unauthenticated:
			return refused, false
		case codes.Canceled:
			return unknown, false
		}
		return unknown, true // a bare EOF, a hung call, a gRPC error of a subscription
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
		return unsent, false // the client has gone to the leader by itself
	case client.ErrorCodeConnectionClosed:
		return unsent, true
	case client.ErrorAborted, client.ErrorCodeDeadlineExceeded:
		return unknown, false
	}
	if strings.Contains(e.Error(), "maximum discovery attempt count") {
		return unsent, true // it never had a connection
	}
	return unknown, !errors.Is(err, context.Canceled)
}

// unavailable words a trouble for callers. Nothing was done.
func unavailable(doing string, err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("the connection ended")
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
		return nil
	case <-ctx.Done():
		return cause(ctx)
	}
}

// The pauses between attempts.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)
