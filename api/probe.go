package api

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// Probe is a StoreHealth that asks the store itself, now and then.
type Probe struct {
	store eventstore.Reader
	now   func() time.Time
	last  atomic.Pointer[Health]
}

// NewProbe returns a probe of store. Until the first Check it takes the store
// for reachable: it was just opened.
func NewProbe(store eventstore.Reader, now func() time.Time) *Probe {
	p := &Probe{store: store, now: now}
	p.last.Store(&Health{Reachable: true, LastReached: now()})
	return p
}

// StoreHealth returns what the last Check found.
func (p *Probe) StoreHealth() Health { return *p.last.Load() }

// Check asks the store for its head, and remembers whether it answered.
func (p *Probe) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	_, err := p.store.Head(ctx)
	next := Health{Reachable: err == nil, LastReached: p.last.Load().LastReached}
	if err == nil {
		next.LastReached = p.now()
	}
	p.last.Store(&next)
	return err
}

// Run checks every interval until ctx ends.
func (p *Probe) Run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		_ = p.Check(ctx) // StoreHealth tells
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
