package checkout

import (
	"context"
	"sync"
)

// turns lets one thing at a time be done under each name.
type turns struct {
	mu    sync.Mutex
	taken map[string]*turn
}

// turn is held by one; wanted counts those that wait, too.
type turn struct {
	held   chan struct{}
	wanted int
}

// mostWaiting bounds those that wait under one name.
const mostWaiting = 16

// take waits for the turn of a name, as long as ctx lasts. Who got it must give it
// back by done. The error is ErrBusy if too many wait already.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	of := t.join(name)
	if of == nil {
		return nil, ErrBusy
	}
	select {
	case of.held <- struct{}{}:
		return func() { <-of.held; t.leave(name, of) }, nil
	case <-ctx.Done():
		t.leave(name, of)
		return nil, ctx.Err()
	}
}

// join is nil if too many wait.
func (t *turns) join(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken == nil {
		t.taken = map[string]*turn{}
	}
	of := t.taken[name]
	if of == nil {
		of = &turn{held: make(chan struct{}, 1)}
		t.taken[name] = of
	}
	if of.wanted > mostWaiting {
		return nil
	}
	of.wanted++
	return of
}

func (t *turns) leave(name string, of *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of.wanted--; of.wanted == 0 {
		delete(t.taken, name)
	}
}
