package esdb

import (
	"errors"
	"fmt"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// The pauses between the making of clients in one place of the pool.
const (
	firstRenewal = 20 * time.Millisecond
	lastRenewal  = time.Second
)

// pool keeps a few clients, each with one connection. A client is used until
// its connection fails.
type pool struct {
	config *client.Configuration
	report func(error)

	mu     sync.Mutex
	places []place
	next   int
	closed bool
}

// place is a place in the pool.
type place struct {
	member *member
	// made is when its latest client was made, pause how long the next one has
	// to wait after that, so that a server that is gone is not rushed at.
	made  time.Time
	pause time.Duration
}

// member is a client and its users.
type member struct {
	*client.Client
	pool    *pool
	at      int
	users   int
	retired bool
	good    bool // a call has succeeded
}

func newPool(config *client.Configuration, size int, report func(error)) *pool {
	return &pool{config: config, report: report, places: make([]place, size)}
}

// errResting says that a new client is not made yet. Nothing was sent.
var errResting = errors.New("waiting to connect again")

// get lends a client out. Give it back with release.
func (p *pool) get() (*member, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, eventstore.ErrClosed
	}
	at := p.next % len(p.places)
	p.next++
	here := &p.places[at]
	if here.member == nil {
		if time.Since(here.made) < here.pause {
			return nil, errResting
		}
		config := *p.config
		c, err := client.NewClient(&config)
		if err != nil {
			return nil, fmt.Errorf("make a client: %w", err)
		}
		here.made, here.pause = time.Now(), min(max(2*here.pause, firstRenewal), lastRenewal)
		here.member = &member{Client: c, pool: p, at: at}
	}
	here.member.users++
	return here.member, nil
}

// succeeded says that the member's connection works.
func (m *member) succeeded() {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	if !m.good {
		m.good = true
		m.pool.places[m.at].pause = 0
	}
}

// retire takes the member out of the pool, because its connection has failed.
func (m *member) retire(why error) {
	m.pool.mu.Lock()
	first := !m.retired
	m.retired = true
	if here := &m.pool.places[m.at]; here.member == m {
		here.member = nil
	}
	m.pool.mu.Unlock()
	if first {
		m.pool.report(fmt.Errorf("a connection to the event store is replaced: %w", why))
	}
}

// release gives the member back. A retired one is closed behind its last user:
// before that, a call might be about to use it.
func (m *member) release() {
	m.pool.mu.Lock()
	m.users--
	last := m.users == 0 && m.retired
	m.pool.mu.Unlock()
	if last {
		m.shut()
	}
}

// shut closes the client. It has nothing to tell.
func (m *member) shut() { _ = m.Client.Close() }

// abandon closes a retired member though calls may hang in it: they end with
// the panic of a send on a closed channel, which attempt catches.
func (m *member) abandon(why error) {
	m.retire(why)
	m.shut()
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for i := range p.places {
		if m := p.places[i].member; m != nil {
			m.retired = true
			p.places[i].member = nil
			m.shut()
		}
	}
}
