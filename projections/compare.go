package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/eventstore"
)

// Difference is one thing that two read models say differently.
type Difference struct {
	// Kind is "checkpoint", "catalogs", "subscription", "entitlement", "counts",
	// "failures", "parked" or "unmapped", or the Kind of an object; Key names the one.
	Kind string `json:"kind"`
	Key  string `json:"key,omitempty"`
	// A and B are what the models say, as JSON, null for nothing.
	A json.RawMessage `json:"a"`
	B json.RawMessage `json:"b"`
}

func (d Difference) String() string {
	return strings.TrimSpace(d.Kind+" "+d.Key) + ":\n  live    " + said(d.A) + "\n  rebuilt " + said(d.B)
}

// said is what a model says, in words where it says nothing.
func said(doc json.RawMessage) string {
	if len(doc) == 0 || string(doc) == "null" {
		return "(nothing)"
	}
	return string(doc)
}

// MaxDifferences bounds what Compare lists: more would tell nobody more.
const MaxDifferences = 1000

// Compare says what two read models of one log say differently at now, nothing
// if they say the same. It is what "rebuild = live" means. It covers the place
// in the log, catalogs, subscriptions, the accounts they belong to, every other
// object, what the accounts may do, failures, parked streams and unmapped prices. It leaves
// aside when rows were written and evaluated, and how long an answer may be
// kept.
func Compare(ctx context.Context, a, b Reader, now time.Time) ([]Difference, error) {
	c := &comparison{a: a, b: b, now: now, accounts: map[string]bool{}}
	for _, step := range []func(context.Context) error{
		c.checkpoints, c.catalogs, c.subscriptions, c.objects, c.entitlements, c.lists, c.counts,
	} {
		if len(c.found) >= MaxDifferences {
			break
		}
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("compare read models: %w", err)
		}
	}
	return c.found[:min(len(c.found), MaxDifferences)], nil
}

type comparison struct {
	a, b     Reader
	now      time.Time
	found    []Difference
	accounts map[string]bool
}

// same notes a difference unless a and b are equal. A nil is nothing.
func (c *comparison) same(kind, key string, a, b any) error {
	if reflect.DeepEqual(a, b) {
		return nil
	}
	d := Difference{Kind: kind, Key: key}
	var err error
	if d.A, err = json.Marshal(a); err != nil {
		return err
	}
	if d.B, err = json.Marshal(b); err != nil {
		return err
	}
	c.found = append(c.found, d)
	return nil
}

// both asks both models the same.
func both[T any](ctx context.Context, a, b Reader, ask func(Reader, context.Context) (T, error)) (x, y T, err error) {
	if x, err = ask(a, ctx); err != nil {
		return x, y, err
	}
	y, err = ask(b, ctx)
	return x, y, err
}

func (c *comparison) checkpoints(ctx context.Context) error {
	x, y, err := both(ctx, c.a, c.b, Reader.Checkpoint)
	if err != nil {
		return err
	}
	x.At, y.At = time.Time{}, time.Time{}
	return c.same("checkpoint", "", x, y)
}

func (c *comparison) catalogs(ctx context.Context) error {
	x, y, err := both(ctx, c.a, c.b, Reader.Catalogs)
	if err != nil || reflect.DeepEqual(x, y) {
		return err
	}
	c.found = append(c.found, Difference{Kind: "catalogs",
		A: json.RawMessage(fmt.Sprintf("%q", x.CurrentHash())), B: json.RawMessage(fmt.Sprintf("%q", y.CurrentHash()))})
	return nil
}

// subscriptions goes through both models in the order of ids.
func (c *comparison) subscriptions(ctx context.Context) error {
	x, y := &pages{model: c.a}, &pages{model: c.b}
	for len(c.found) < MaxDifferences {
		p, err := x.peek(ctx)
		if err != nil {
			return err
		}
		q, err := y.peek(ctx)
		if err != nil {
			return err
		}
		switch {
		case p == nil && q == nil:
			return nil
		case q == nil || p != nil && p.ID < q.ID:
			q = nil
		case p == nil || q.ID < p.ID:
			p = nil
		}
		if err := c.subscription(p, q); err != nil {
			return err
		}
		x.pass(p)
		y.pass(q)
	}
	return nil
}

func (c *comparison) subscription(p, q *SubscriptionRecord) error {
	id := ""
	for _, r := range []*SubscriptionRecord{p, q} {
		if r == nil {
			continue
		}
		id = r.ID
		if r.Account != "" {
			c.accounts[r.Account] = true
		}
	}
	return c.same("subscription", id, p, q)
}

// pages goes through a model's subscriptions.
type pages struct {
	model Reader
	page  []SubscriptionRecord
	after string
	ended bool
}

// peek returns the next subscription, nil behind the last.
func (p *pages) peek(ctx context.Context) (*SubscriptionRecord, error) {
	const size = 1000
	if len(p.page) == 0 && !p.ended {
		page, err := p.model.Subscriptions(ctx, SubscriptionFilter{After: p.after, Limit: size})
		if err != nil {
			return nil, err
		}
		p.page, p.ended = page, len(page) < size
	}
	if len(p.page) == 0 {
		return nil, nil
	}
	return &p.page[0], nil
}

// pass goes behind what peek returned, nil for not at all.
func (p *pages) pass(r *SubscriptionRecord) {
	if r != nil {
		p.after = r.ID
		p.page = p.page[1:]
	}
}

// entitlements compares what both models answer for every account at one now,
// a share of the accounts on each processor.
func (c *comparison) entitlements(ctx context.Context) error {
	accounts := slices.Sorted(maps.Keys(c.accounts))
	if len(accounts) == 0 {
		return nil
	}
	processors := runtime.GOMAXPROCS(0)
	shares := slices.Collect(slices.Chunk(accounts, (len(accounts)+processors-1)/processors))
	parts := make([]comparison, len(shares))
	group, ctx := errgroup.WithContext(ctx)
	for i, share := range shares {
		parts[i] = comparison{a: c.a, b: c.b, now: c.now}
		group.Go(func() error { return parts[i].entitlementsOf(ctx, share) })
	}
	err := group.Wait()
	for _, part := range parts {
		c.found = append(c.found, part.found...)
	}
	return err
}

func (c *comparison) entitlementsOf(ctx context.Context, accounts []string) error {
	a, b := &Answers{model: c.a, anyModel: true}, &Answers{model: c.b, anyModel: true}
	for _, account := range accounts {
		x, err := a.Entitlement(ctx, account, c.now)
		if err != nil {
			return err
		}
		y, err := b.Entitlement(ctx, account, c.now)
		if err != nil {
			return err
		}
		x.AsOf, y.AsOf, x.ValidUntil, y.ValidUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		if err := c.same("entitlement", account, x, y); err != nil || len(c.found) >= MaxDifferences {
			return err
		}
	}
	return nil
}

func (c *comparison) lists(ctx context.Context) error {
	failuresA, failuresB, err := both(ctx, c.a, c.b, Reader.Failures)
	if err != nil {
		return err
	}
	parkedA, parkedB, err := both(ctx, c.a, c.b, parkedAlike)
	if err != nil {
		return err
	}
	unmappedA, unmappedB, err := both(ctx, c.a, c.b, Reader.Unmapped)
	if err != nil {
		return err
	}
	if err := c.same("failures", "", failuresA, failuresB); err != nil {
		return err
	}
	if err := c.same("parked", "", parkedA, parkedB); err != nil {
		return err
	}
	return c.same("unmapped", "", unmappedA, unmappedB)
}

// parkedAlike lists the parked streams without when they were parked.
func parkedAlike(r Reader, ctx context.Context) ([]Parked, error) {
	parked, err := r.Parked(ctx)
	for i := range parked {
		parked[i].ParkedAt = time.Time{}
	}
	slices.SortFunc(parked, func(x, y Parked) int { return strings.Compare(string(x.Stream), string(y.Stream)) })
	return parked, err
}

// counts finds what the lists above cannot: entitlements of accounts to which
// nothing belongs.
func (c *comparison) counts(ctx context.Context) error {
	x, y, err := both(ctx, c.a, c.b, Reader.Counts)
	if err != nil {
		return err
	}
	return c.same("counts", "", x, y)
}

// eventsBetween reads the log behind from up to and with to.
func eventsBetween(ctx context.Context, store eventstore.Reader, from, to eventstore.Position, yield func(eventstore.RecordedEvent) error) error {
	for e, err := range store.ReadAll(ctx, from, eventstore.Forwards, filter(), 0) {
		if err != nil {
			return err
		}
		if e.Position > to {
			return nil
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}
