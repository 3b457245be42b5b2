package esdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Rights are what the user of a connection may do that a ledger never does. On
// a server that enforces nothing they are all there.
type Rights struct {
	// Delete is for the streams under the prefix.
	Delete bool
	// MetaWrite is for what is said of these streams: with it they can be cut
	// off, and their ACLs changed.
	MetaWrite bool
	// Settings is for the default ACL: the user is one of $admins, or as good.
	Settings bool
}

// Any reports whether history can be altered with the rights.
func (r Rights) Any() bool { return r.Delete || r.MetaWrite || r.Settings }

// A server looks at rights before it looks at the expected revision. So rights
// are asked for with calls that expect what cannot be: on a stream that is not
// there, a revision that no stream has reached. A conflict means that the call
// was allowed, and nothing has happened either way.
const (
	probeStream   = "rights-probe"
	probeRevision = 1 << 60
)

// Rights asks the server what the user of the connection may do. It changes
// nothing.
func (s *Store) Rights(ctx context.Context) (r Rights, err error) {
	stream := s.Prefix + probeStream
	if r.Delete, err = s.allowed(ctx, "delete streams", func(ctx context.Context, m *member) error {
		_, err := m.DeleteStream(ctx, stream, client.DeleteStreamOptions{ExpectedRevision: client.Revision(probeRevision)})
		return err
	}); err != nil {
		return r, err
	}
	if r.MetaWrite, err = s.mayAppend(ctx, "write what is said of streams", "$$"+stream); err != nil {
		return r, err
	}
	r.Settings, err = s.mayAppend(ctx, "write the default ACL", settingsStream)
	return r, err
}

func (s *Store) mayAppend(ctx context.Context, what, stream string) (bool, error) {
	event := client.EventData{EventID: uuid.New(), EventType: "$metadata", ContentType: client.ContentTypeJson, Data: []byte("{}")}
	return s.allowed(ctx, what, func(ctx context.Context, m *member) error {
		_, err := m.AppendToStream(ctx, stream, client.AppendToStreamOptions{ExpectedRevision: client.Revision(probeRevision)}, event)
		return err
	})
}

// allowed makes a call that meets a conflict if it may be made at all.
func (s *Store) allowed(ctx context.Context, what string, call func(context.Context, *member) error) (bool, error) {
	yes, err := ask(ctx, s, "ask whether it may "+what, func(ctx context.Context, m *member) (bool, error) {
		err := call(ctx, m)
		if means, _ := judge(err); err == nil || means == conflicted || statusOf(err) == codes.FailedPrecondition {
			return true, nil
		}
		return false, err
	})
	if errors.Is(err, ErrDenied) {
		return false, nil
	}
	return yes, err
}

// statusOf is the gRPC status that the client met.
func statusOf(err error) codes.Code {
	var e *client.Error
	if errors.As(err, &e) {
		return status.Code(e.Err())
	}
	return status.Code(err)
}

// standardProjections are those that a server brings along. Each writes an
// event of its own for events of ours.
var standardProjections = []string{"$by_category", "$by_correlation_id", "$by_event_type", "$stream_by_category", "$streams"}

// StandardProjections names the server's own projections that run. A server
// without projections has none.
func (s *Store) StandardProjections(ctx context.Context) ([]string, error) {
	all, err := ask(ctx, s, "list the server's projections", func(ctx context.Context, m *member) ([]client.ProjectionStatus, error) {
		all, err := client.NewProjectionClientFromExistingClient(m.Client).ListAll(ctx, client.GenericProjectionOptions{})
		if statusOf(err) == codes.Unimplemented {
			return nil, nil
		}
		return all, err
	})
	var running []string
	for _, p := range all {
		if slices.Contains(standardProjections, p.Name) && strings.HasPrefix(p.Status, "Running") {
			running = append(running, p.Name)
		}
	}
	slices.Sort(running)
	return running, err
}

// ServerVersion is the version of the node that is connected, in three parts.
func (s *Store) ServerVersion(ctx context.Context) (string, error) {
	v, err := ask(ctx, s, "ask for the server's version", func(_ context.Context, m *member) (*client.ServerVersion, error) {
		return m.GetServerVersion()
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch), nil
}

// ask makes a call that may be repeated until its outcome is known, or
// AppendTimeout has passed.
func ask[T any](ctx context.Context, s *Store, doing string, call func(context.Context, *member) (T, error)) (value T, err error) {
	ctx, end, err := s.beginRead(ctx)
	if err != nil {
		return value, fmt.Errorf("%s: %w", doing, err)
	}
	defer end()
	began := time.Now()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		m, err := s.pool.get(ctx, s.AttemptTimeout)
		if err == nil {
			value, err = attempt(ctx, m, s.AttemptTimeout, func(ctx context.Context) (T, error) { return call(ctx, m) })
		}
		if err == nil {
			return value, nil
		}
		switch means, _ := judge(err); {
		case means == conflicted:
			return value, fmt.Errorf("%s: %w", doing, err)
		case means == refused, time.Since(began) > s.AppendTimeout:
			return value, unavailable(doing, err)
		}
		if ended := pause(ctx, wait); ended != nil {
			return value, fmt.Errorf("%s: %w", doing, ended)
		}
	}
}
