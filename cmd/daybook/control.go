package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// Commands that write do so through the control socket of whoever owns the
// data dir. It is a file only its owner may open (mode 0600), so it needs no
// keys. Each call streams lines of JSON: how far it is, and at last its result.

// controlLine is one line of the answer to a control call.
type controlLine struct {
	// Done of Total is how far the work is; Total is 0 where nobody knows.
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Result ends a call that was carried out.
	Result json.RawMessage `json:"result,omitempty"`
	// Error ends a call that was not. Refused says that it cannot be carried out
	// as it was given.
	Error   string `json:"error,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// controlWork is what a control route does. It calls tell as it gets on.
type controlWork func(r *http.Request, tell func(done, total int64)) (result any, err error)

func (n *node) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /ingest", controlHandler(n.ingest))
	mux.Handle("POST /rebuild", controlHandler(n.rebuildCall))
	mux.Handle("POST /repost", controlHandler(n.repost))
	mux.Handle("POST /repudiate", controlHandler(n.repudiate))
	mux.Handle("POST /decide", controlHandler(n.decide))
	mux.Handle("POST /backfill", controlHandler(n.backfill))
	mux.Handle("POST /reconcile", controlHandler(n.reconcile))
	mux.Handle("POST /accept-loss", controlHandler(n.acceptLoss))
	return mux
}

// controlServer serves the routes; ctx ends the calls under way.
func (n *node) controlServer(ctx context.Context) *http.Server {
	return &http.Server{Handler: n.controlRoutes(), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
}

func controlHandler(work controlWork) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := json.NewEncoder(w)
		flush := http.NewResponseController(w)
		// A call reads and answers at once, which HTTP/1.1 leaves to be asked for.
		_ = flush.EnableFullDuplex()
		// A call that fails may leave part of its body unread; a connection of
		// its own means that nobody goes on reading there.
		w.Header().Set("Connection", "close")
		send := func(line controlLine) {
			_ = out.Encode(line) // a caller that went away misses the rest
			_ = flush.Flush()
		}
		result, err := work(r, func(done, total int64) { send(controlLine{Done: done, Total: total}) })
		if err != nil {
			send(controlLine{Error: err.Error(), Refused: len(aggregate.CommandErrors(err)) > 0})
			return
		}
		raw, err := json.Marshal(result)
		if err != nil {
			send(controlLine{Error: err.Error()})
			return
		}
		send(controlLine{Result: raw})
	})
}

// maxCallBytes bounds the content of a control call that has any.
const maxCallBytes = 16 << 20

// readCall reads the content of a control call. A field that is not known is a
// fault: the command and the server may be of different builds.
func readCall(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxCallBytes))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read the call: %w", err)
	}
	return nil
}

// maxSocketPath is the least that systems allow for the path of a socket; the
// kernel's own refusal would be just "invalid argument".
const maxSocketPath = 103

// listenControl opens the socket. Only the owner of the data dir gets here, so
// a socket that lies there was left by a process that is gone.
func listenControl(ctx context.Context, dir string) (net.Listener, error) {
	path := socketPath(dir)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path of the control socket, %s, has %d bytes, and the system allows %d: use a shorter DAYBOOK_DATA_DIR, perhaps a relative one",
			path, len(path), maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the control socket: %w", err), listener.Close())
	}
	return listener, nil
}
