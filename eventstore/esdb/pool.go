package esdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybookhq/daybook/eventstore"
)

// The pauses between the making of clients in one place of the pool.
const (
	firstRenewal = 10 * time.Millisecond
	lastRenewal  = 250 * time.Millisecond
)

// pool keeps a few clients, each with one connection. A client is lent out once
// it is connected, and until its connection fails: so nobody waits in a client
// that looks for its server, where no context would be heeded, and a call that
// got no client was certainly not sent.
type pool struct {
	config *client.Configuration
	report func(error)
	// grace is how long a client that was taken out may still be in use.
	grace time.Duration

	mu      sync.Mutex
	places  []place
	next    int
	waiting int           // calls that wait for a client
	news    chan struct{} // closed, and replaced, when there is another client
	retired map[*member]*time.Timer
	trouble error     // why there is no client, as far as it is known
	since   time.Time // when that began
	closed  bool
	closing chan struct{} // closed with the pool
}

// place is a place in the pool.
type place struct {
	member     *member
	connecting bool
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
	gate    sync.RWMutex // held for reading by calls that are in the gate; see gate.go
	retired atomic.Bool
	good    atomic.Bool // a call has succeeded
	// leased ends when reads and subscriptions that go on have to leave.
	leased context.Context
	evict  context.CancelFunc
	once   sync.Once
	over   chan struct{} // closed with the client
}

func newPool(config *client.Configuration, size int, grace time.Duration, report func(error)) *pool {
	return &pool{config: config, report: report, grace: grace, places: make([]place, size),
		news: make(chan struct{}), retired: map[*member]*time.Timer{}, closing: make(chan struct{})}
}

// The errors of a call that was certainly not sent.
var (
	errNoConnection = errors.New("no connection")
	errRetired      = errors.New("the connection was replaced before the call")
)

// get lends a client out, and waits up to patience for one. Where there was
// none for that long already, it does not wait: callers who come by the
// thousand should not be kept. Give the client back with release.
func (p *pool) get(ctx context.Context, patience time.Duration) (*member, error) {
	m, _, err := p.take(false)
	if m != nil || err != nil {
		return m, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	defer p.leave()
	for waits := false; ; waits = true {
		m, news, err := p.take(!waits)
		if m != nil || err != nil {
			return m, err
		}
		if p.troubledFor() > patience {
			return nil, p.without(nil)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, p.without(cause(ctx))
		case <-timer.C:
			return nil, p.without(nil)
		}
	}
}

// take lends out the next client that there is, and has the next place filled
// if it is empty. Without a client it returns what to wait for; join counts the
// caller among those who wait.
func (p *pool) take(join bool) (*member, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if join {
		p.waiting++
	}
	if p.closed {
		return nil, nil, eventstore.ErrClosed
	}
	first := p.next % len(p.places)
	p.next++
	p.fill(first)
	for i := range p.places {
		if m := p.places[(first+i)%len(p.places)].member; m != nil {
			m.users++
			return m, nil, nil
		}
	}
	return nil, p.news, nil
}

// troubledFor is how long there has been no client.
func (p *pool) troubledFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble == nil {
		return 0
	}
	return time.Since(p.since)
}

func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

// without words that there is no client; ended is why nobody waits any longer,
// nil if patience ran out.
func (p *pool) without(ended error) error {
	p.mu.Lock()
	trouble := p.trouble
	p.mu.Unlock()
	if errors.Is(ended, eventstore.ErrClosed) {
		return ended
	}
	err := errNoConnection
	if trouble != nil {
		err = fmt.Errorf("%w: %w", errNoConnection, plain(trouble))
	}
	if ended != nil {
		err = fmt.Errorf("%w (%w)", err, ended)
	}
	return err
}

// fill has a client made for an empty place. It is called under mu.
func (p *pool) fill(at int) {
	here := &p.places[at]
	if here.member == nil && !here.connecting {
		here.connecting = true
		go p.connect(at)
	}
}

// connect makes clients for a place until one is connected, or nobody waits.
func (p *pool) connect(at int) {
	for p.rest(at) {
		m, err := p.dial(at)
		if p.settled(at, m, err) {
			return
		}
	}
}

// rest waits until a client may be made for a place. It is false if the pool is
// closed.
func (p *pool) rest(at int) bool {
	p.mu.Lock()
	here := &p.places[at]
	wait := time.Until(here.made.Add(here.pause))
	p.mu.Unlock()
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.closing:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	here.made, here.pause = time.Now(), min(max(2*here.pause, firstRenewal), lastRenewal)
	return !p.closed
}

// dial makes a client and has it find its server, which it tries once, for as
// long as the timeouts of its configuration say.
func (p *pool) dial(at int) (*member, error) {
	m := &member{pool: p, at: at, over: make(chan struct{})}
	m.leased, m.evict = context.WithCancel(context.Background())
	config := *p.config
	config.Logger = m.listen
	c, err := client.NewClient(&config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	m.Client = c
	if _, err := c.GetServerVersion(); err != nil { // any call would do
		m.shut()
		return nil, err
	}
	return m, nil
}

// settled puts a new client into its place. It is false if there is none and
// somebody waits for one.
func (p *pool) settled(at int, m *member, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		if m != nil {
			m.shut()
		}
		return true
	case err != nil:
		if p.trouble == nil {
			p.since = time.Now()
			go p.report(fmt.Errorf("no connection to the event store: %w", err))
		}
		p.trouble = err
		p.places[at].connecting = p.waiting > 0
		return !p.places[at].connecting
	}
	p.trouble = nil
	p.places[at].member, p.places[at].connecting = m, false
	close(p.news)
	p.news = make(chan struct{})
	return true
}

// succeeded says that the member's connection works.
func (m *member) succeeded() {
	if m.good.Load() || !m.good.CompareAndSwap(false, true) {
		return
	}
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	m.pool.places[m.at].pause = 0
}

// retire takes the member out of the pool, because its connection has failed.
// It is closed behind its last user. Reads and subscriptions that go on, over
// what gRPC has connected again by itself, are told to leave after a while.
func (m *member) retire(why error) {
	p := m.pool
	p.mu.Lock()
	first := m.retired.CompareAndSwap(false, true)
	if here := &p.places[m.at]; here.member == m {
		here.member = nil
		if p.waiting > 0 && !p.closed {
			p.fill(m.at)
		}
	}
	used := m.users > 0
	if first && used && !p.closed {
		p.retired[m] = time.AfterFunc(p.grace, func() { m.evict(); p.throwOut(m) })
	}
	p.mu.Unlock()
	if !first {
		return
	}
	if !used {
		m.shut()
	}
	p.report(fmt.Errorf("a connection to the event store is replaced: %w", why))
}

// hanging is how many times as long a user must have stayed to be held for one
// who hangs in the client, not for one who is slow on a busy machine.
const hanging = 10

// throwOut closes a client, if need be under those who hang in it, by the panic
// of a send on a closed channel, which receive and attempt catch.
func (p *pool) throwOut(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired[m] != nil {
		p.retired[m] = time.AfterFunc(hanging*p.grace, func() { p.forget(m); m.shut() })
	}
}

// forget stops the clock of a retired member.
func (p *pool) forget(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if timer := p.retired[m]; timer != nil {
		timer.Stop()
		delete(p.retired, m)
	}
}

// release gives the member back.
func (m *member) release() {
	m.pool.mu.Lock()
	m.users--
	last := m.users == 0 && m.retired.Load()
	m.pool.mu.Unlock()
	if last {
		m.pool.forget(m)
		m.shut()
	}
}

// shut closes the client, once. It has nothing to tell.
func (m *member) shut() {
	m.once.Do(func() {
		_ = m.Close()
		m.evict()
		close(m.over)
	})
}

// close closes all clients. Appends have ended by then, and reads been told to.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	close(p.closing)
	close(p.news)
	for i := range p.places {
		if m := p.places[i].member; m != nil {
			p.places[i].member = nil
			m.retired.Store(true)
			p.end(m)
		}
	}
	for m, timer := range p.retired {
		timer.Stop()
		delete(p.retired, m)
		p.end(m)
	}
}

// end closes a client at once if nobody uses it, and otherwise behind its last
// user, or under one who hangs: all have been told to go. It is called under mu.
func (p *pool) end(m *member) {
	if m.users == 0 {
		m.shut()
		return
	}
	m.evict()
	time.AfterFunc(hanging*patience, m.shut)
}
