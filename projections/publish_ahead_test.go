package projections_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// gate stands before a real outlet. Once armed, it holds up the next large page.
type gate struct {
	projections.Outlet
	armed    atomic.Bool
	arrived  chan struct{} // gets one for the page that is held up
	released chan struct{} // lets it go on

	mu        sync.Mutex
	withdrawn map[string]bool
	back      []string // those published after they were withdrawn
}

func (g *gate) Publish(ctx context.Context, entries []projections.Publication) ([]projections.Outcome, error) {
	if len(entries) == 500 && g.armed.CompareAndSwap(true, false) {
		g.arrived <- struct{}{}
		<-g.released
	}
	g.mu.Lock()
	for _, e := range entries {
		if g.withdrawn[e.Account] {
			g.back = append(g.back, e.Account)
		}
	}
	g.mu.Unlock()
	return g.Outlet.Publish(ctx, entries)
}

func (g *gate) Withdraw(ctx context.Context, entries []projections.Withdrawal) ([]projections.Outcome, error) {
	g.mu.Lock()
	for _, e := range entries {
		g.withdrawn[e.Account] = true
	}
	g.mu.Unlock()
	return g.Outlet.Withdraw(ctx, entries)
}

func (g *gate) state(account string) (withdrawn bool, back []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.withdrawn[account], g.back
}

// counted counts the pages that were read.
type counted struct {
	projections.Reader
	pages atomic.Int64
}

func (c *counted) EntitlementDocs(ctx context.Context, after string, limit int) ([]projections.EntitlementRow, error) {
	rows, err := c.Reader.EntitlementDocs(ctx, after, limit)
	c.pages.Add(1)
	return rows, err
}

// TestAPageReadAheadBringsNothingBack: an account that lost its last subscription
// while the page that still has it waited to be published stays withdrawn.
func TestAPageReadAheadBringsNothingBack(t *testing.T) {
	const page, accounts = 500, 600
	g := &gate{arrived: make(chan struct{}), released: make(chan struct{}), withdrawn: map[string]bool{}}
	var pages *counted
	r := newPublishingRigWith(t, time.Hour, func(o *projections.PublisherOptions) {
		g.Outlet, pages = o.Outlet, &counted{Reader: o.Model}
		o.Outlet, o.Model, o.PageAccounts = g, pages, page
	})
	for i := range accounts {
		r.subscribed(fmt.Sprintf("sub_%04d", i), fmt.Sprintf("account-%04d", i), aggregate.Active, "price_basic", begin)
	}
	last := fmt.Sprintf("account-%04d", accounts-1)
	r.settle()
	r.awaitTier(last, "basic")

	g.armed.Store(true)
	before := pages.pages.Load()
	round := r.publisher.Republish("the test wants it")
	<-g.arrived
	r.eventually("the next page was read", func() bool { return pages.pages.Load() >= before+2 })
	r.subscribed(fmt.Sprintf("sub_%04d", accounts-1), "team", aggregate.Active, "price_basic", begin.Add(time.Minute))
	r.settle()
	close(g.released)
	r.eventually("the account is withdrawn", func() bool {
		withdrawn, _ := g.state(last)
		return withdrawn
	})
	if done, err := r.publisher.AwaitRound(t.Context(), round); err != nil || !done {
		t.Fatal(done, err)
	}
	r.awaitTier("team", "basic")
	if _, back := g.state(last); len(back) > 0 {
		t.Errorf("withdrawn, and published again: %v", back)
	}
}
