package api

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// DefaultConnections is how many connections there are at most, if nothing else
// is said.
const DefaultConnections = 2048

// Connections bounds the connections of an http.Server. Where there is no room
// for a new one, the one gives way that has been waiting for its client the
// longest: an idle one, or one whose request comes in drop by drop. So clients
// that hold connections and send nothing cannot keep others out. A request that
// is being worked on is never cut off; if all are, the new connection is.
type Connections struct {
	most int

	mu      sync.Mutex
	open    map[net.Conn]*connection
	waiting *list.List // of *connection, the longest first
	evicted atomic.Uint64
}

// connection is one that is open.
type connection struct {
	net.Conn
	of *Connections
	// place is in the list of those that wait, nil while a request is worked on.
	place *list.Element
}

// NewConnections bounds connections to so many, 0 for DefaultConnections.
func NewConnections(most int) *Connections {
	if most <= 0 {
		most = DefaultConnections
	}
	return &Connections{most: most, open: map[net.Conn]*connection{}, waiting: list.New()}
}

// guard has a server tell of its connections.
func (c *Connections) guard(server *http.Server) {
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionContext{}, c.accept(conn))
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateIdle:
			c.rest(conn)
		case http.StateHijacked, http.StateClosed:
			c.leave(conn)
		}
	}
}

type connectionContext struct{}

// accept takes a new connection in, and cuts one off if that is one too many.
func (c *Connections) accept(conn net.Conn) *connection {
	c.mu.Lock()
	mine := &connection{Conn: conn, of: c}
	mine.place = c.waiting.PushBack(mine)
	c.open[conn] = mine
	var over *connection
	if len(c.open) > c.most {
		over = c.waiting.Remove(c.waiting.Front()).(*connection)
		over.place = nil
		delete(c.open, over.Conn)
	}
	c.mu.Unlock()
	if over != nil {
		c.evicted.Add(1)
		_ = over.Close() // whoever it was has been given up
	}
	return mine
}

// rest says that a connection waits for its client's next request.
func (c *Connections) rest(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine := c.open[conn]; mine != nil && mine.place == nil {
		mine.place = c.waiting.PushBack(mine)
	} else if mine != nil {
		c.waiting.MoveToBack(mine.place)
	}
}

func (c *Connections) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine := c.open[conn]; mine != nil {
		delete(c.open, conn)
		if mine.place != nil {
			c.waiting.Remove(mine.place)
		}
	}
}

// working says that a request is worked on from now on: all of it that the server
// must wait for is here.
func working(ctx context.Context) {
	mine, ok := ctx.Value(connectionContext{}).(*connection)
	if !ok {
		return
	}
	mine.of.mu.Lock()
	defer mine.of.mu.Unlock()
	if mine.place != nil {
		mine.of.waiting.Remove(mine.place)
		mine.place = nil
	}
}

// count is how many connections are open, and how many were cut off.
func (c *Connections) count() (open int, evicted uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.evicted.Load()
}
