package esdb

import (
	"context"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A client holds one connection, which a goroutine of its own gives to the calls
// that ask for it. A call whose connection has failed tells that goroutine, and
// for the next that asks another connection is made, without the old one being
// closed: its goroutines stay for ever. As long as nobody asks, the client holds
// the old one, and closes it when it is closed itself.
//
// So nobody must ask a client that was told. A flag that calls look at before
// they begin is not enough: one may look, another tell, and then the first ask.
// The gate closes that gap. A call is in the gate from its look at the flag until
// it has the connection. A call that is about to tell sets the flag, and waits
// until the gate is empty.
//
// The client gives a sign at both places, if not for this purpose. It logs what
// has failed before it tells, in the goroutine of the call. And it asks for a
// call's deadline as soon as the call has the connection, not before.
//
// The wait is short: whoever is in the gate is given the connection that there
// is. It is bounded in any case by the closing of the client.

// pass makes a call of a client through its gate, unless the client was taken
// out of use.
func pass[T any](ctx context.Context, m *member, call func(context.Context) (T, error)) (value T, err error) {
	m.gate.RLock()
	p := &passage{Context: ctx, gate: &m.gate}
	defer p.leave() // it may have got no connection
	if m.retired.Load() {
		return value, errRetired
	}
	return call(p)
}

// passage is the context of a call that is in the gate.
type passage struct {
	context.Context
	gate *sync.RWMutex
	left sync.Once
}

func (p *passage) leave() { p.left.Do(p.gate.RUnlock) }

// Deadline is what the client asks for once the call has its connection.
func (p *passage) Deadline() (time.Time, bool) {
	p.leave()
	return p.Context.Deadline()
}

// failedCall is how the client logs a call that has failed. If it was for want
// of a connection, the client is told next.
const failedCall = "unexpected exception: %v"

// listen is what the client logs to.
func (m *member) listen(_ client.LogLevel, format string, args ...any) {
	if format != failedCall || len(args) != 1 {
		return
	}
	if err, ok := args[0].(error); ok && status.Code(err) == codes.Unavailable {
		m.retire(err)
		m.gate.Lock()
		defer m.gate.Unlock()
	}
}
