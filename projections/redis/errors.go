package redis

import (
	"context"
	"errors"
	"net"
	"strings"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/projections"
)

// kinds are what servers say first, and what it means.
var kinds = []struct {
	prefix string
	kind   error
}{
	{"WRONGPASS", projections.ErrOutletDenied},
	{"NOAUTH", projections.ErrOutletDenied},
	{"NOPERM", projections.ErrOutletDenied},
	{"Protocol error: unauthenticated", projections.ErrOutletDenied},
	{"READONLY", projections.ErrOutletReadOnly},
	{"OOM", projections.ErrOutletFull},
}

// fault is an error of a server in words for the operator.
type fault struct {
	kind error
	// said is what the server said, or what became of the connection.
	said string
}

func (f *fault) Error() string {
	if f.said == "" {
		return "Redis: " + f.kind.Error()
	}
	return "Redis: " + f.kind.Error() + " (" + f.said + ")"
}

func (f *fault) Unwrap() error { return f.kind }

// explain gives an error of the client the words and the kind that callers act
// on. What the client says about connections names hosts, and no secrets.
func explain(err error) error {
	var known *fault
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &fault{kind: projections.ErrOutletAway, said: "no answer in time"}
	}
	for _, k := range kinds {
		if client.HasErrorPrefix(err, k.prefix) {
			return &fault{kind: k.kind, said: firstWords(err)}
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &fault{kind: projections.ErrOutletAway, said: "no answer in time"}
	}
	return &fault{kind: projections.ErrOutletAway, said: firstWords(err)}
}

// mostWords bounds what is quoted of a server.
const mostWords = 200

func firstWords(err error) string {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "?")
	if len(text) > mostWords {
		text = text[:mostWords] + "…"
	}
	return text
}
