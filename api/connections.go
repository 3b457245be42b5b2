package api

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// DefaultConnections is how many connections there are at most, if nothing else
// is said.
const DefaultConnections = 2048

// Connections bounds the connections of an http.Server. Where there is no room
// for a new one, the one gives way that has been waiting for its client the
// longest: whose request comes in drop by drop, or not at all, and only then one
// that idles after good requests. So neither clients that hold connections and
// send nothing nor a flood of connections can keep others out. A request that is
// being worked on is never cut off; if all are, the new connection is.
type Connections struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*connection
	// evicted counts those that were cut off, shunned those that were not let in.
	evicted, shunned atomic.Uint64
	// shuns says of an address that it gets no new connections now, nil for none.
	shuns atomic.Pointer[func(netip.Addr) bool]
	// unproven and proven are those that wait, the longest first.
	unproven, proven list.List // of *connection
}

// connection is one that is open.
type connection struct {
	net.Conn
	of *Connections
	// waits is the list of those like it that wait, and place the one in it, nil
	// while a request is worked on. One is proven that had a request worth working on.
	waits *list.List
	place *list.Element
}

func (c *connection) begin() { c.place = c.waits.PushBack(c) }

func (c *connection) end() {
	if c.place != nil {
		c.waits.Remove(c.place)
		c.place = nil
	}
}

// NewConnections bounds connections to so many, 0 for DefaultConnections.
func NewConnections(most int) *Connections {
	if most <= 0 {
		most = DefaultConnections
	}
	return &Connections{most: most, open: map[net.Conn]*connection{}}
}

// Listen returns a listener that hangs up on those who are shunned.
func (c *Connections) Listen(l net.Listener) net.Listener { return &choosyListener{l, c} }

type choosyListener struct {
	net.Listener
	of *Connections
}

// Accept returns the next connection of somebody who is not shunned. To hang up
// here costs a fraction of what an answer does.
func (l *choosyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, ok := conn.RemoteAddr().(*net.TCPAddr)
		shuns := l.of.shuns.Load()
		if !ok || shuns == nil || !(*shuns)(peer.AddrPort().Addr().Unmap()) {
			return refusingConn{conn}, nil
		}
		l.of.shunned.Add(1)
		_ = conn.Close() // nothing was said
	}
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
	mine := &connection{Conn: conn, of: c, waits: &c.unproven}
	mine.begin()
	c.open[conn] = mine
	var over *connection
	if len(c.open) > c.most {
		over = c.first(mine)
		over.end()
		delete(c.open, over.Conn)
	}
	c.mu.Unlock()
	if over != nil {
		c.evicted.Add(1)
		_ = over.Close() // whoever it was has been given up
	}
	return mine
}

// first is who has to give way to a new connection.
func (c *Connections) first(latest *connection) *connection {
	if longest := c.unproven.Front().Value.(*connection); longest != latest {
		return longest
	}
	if idle := c.proven.Front(); idle != nil {
		return idle.Value.(*connection)
	}
	return latest
}

// rest says that a connection waits for its client's next request.
func (c *Connections) rest(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine := c.open[conn]; mine != nil {
		mine.end()
		mine.begin()
	}
}

func (c *Connections) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine := c.open[conn]; mine != nil {
		delete(c.open, conn)
		mine.end()
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
	mine.end()
	mine.waits = &mine.of.proven
}

// count is how many connections are open, and how many were cut off.
func (c *Connections) count() (open int, evicted uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.evicted.Load()
}
