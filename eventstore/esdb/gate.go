package esdb

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A client holds one connection, which a goroutine of its own gives to the calls
// that ask for it. A call whose connection has failed tells that goroutine, and
// the next call that asks has it make another connection, without closing the
// first, whose goroutines then stay for ever. If nobody asks any more, the client
// goes on holding the first, and closes it when it is closed itself.
//
// So nobody may ask a client that was told. A flag that calls look at before they
// begin is not enough: one may look, another tell, and the first ask only then,
// which happens every thirtieth time when 64 callers are at work. The gate closes
// that gap. A call is in the gate from its look at the flag until it has the
// connection; a call that is about to tell sets the flag, and waits until the
// gate is empty.
//
// The client gives a sign at both moments. It logs what has failed before it
// tells, in the goroutine of the call; and it asks for a call's deadline as soon
// as the call has the connection, not before. These are ways of this version of
// the client: with another, TestReconnectsLeaveNothingBehind has to pass again.
//
// The wait is short, because those in the gate are given the connection that
// there is; in any case it ends when the client is closed.

// pass makes a call of a client through its gate, unless the client was taken
// out of use.
func pass[T any](ctx context.Context, m *member, call func(context.Context) (T, error)) (value T, err error) {
	m.gate.RLock()
	p := &passage{Context: ctx, gate: &m.gate}
	defer p.leave() // it may have got no connection
	if m.retired.Load() {
		return value, errRetired
	}
	return call(p) //nolint:contextcheck // it is ctx, and tells when it is looked at
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

// What the client logs, and acts on next.
const (
	// failedCall comes from a call that has failed. If it was for want of a
	// connection, the client is told.
	failedCall = "unexpected exception: %v"
	// redirected comes from the client's goroutine, which has closed its
	// connection, to make one to the leader that a follower has named.
	redirected = "Connecting to leader node %s ..."
)

// listen is what the client logs to.
func (m *member) listen(_ client.LogLevel, format string, args ...any) {
	if len(args) != 1 {
		return
	}
	switch subject := args[0].(type) {
	case error:
		if format == failedCall && status.Code(subject) == codes.Unavailable {
			m.retire(subject)
			m.gate.Lock()
			defer m.gate.Unlock()
		}
	case string:
		if format == redirected {
			m.awaitLeader(subject)
		}
	}
}

// awaitLeader holds the client back until a leader answers. The client would
// ask it once, and leave the connection unclosed if there was no answer; so it
// may now only if the leader goes away between our question and the client's. A
// client that is closed meanwhile goes no further: it has nothing to close.
func (m *member) awaitLeader(address string) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		err := m.pool.reaches(address)
		if err == nil {
			return
		}
		m.retire(fmt.Errorf("the leader %s: %w", address, err))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-m.over:
			timer.Stop()
			runtime.Goexit() // ends the client's goroutine
		}
	}
}

// reaches asks a node whether it is there.
func (p *pool) reaches(address string) error {
	config := *p.config
	config.Address, config.GossipSeeds, config.DnsDiscover = address, nil, false
	c, err := client.NewClient(&config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer c.Close() //nolint:errcheck // it has nothing to tell
	_, err = c.GetServerVersion()
	return err
}
