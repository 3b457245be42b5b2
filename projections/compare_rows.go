package projections

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Two models that say the same hold, but for when rows were evaluated, the same
// documents byte for byte. So the documents are compared as they are stored, and
// only those that differ are read for what they say.

// subscriptions goes through both models in the order of ids.
func (c *comparison) subscriptions(ctx context.Context) error {
	id := func(d *SubscriptionDoc) string { return d.ID }
	return merge(ctx, newPages(c.a.SubscriptionDocs, id), newPages(c.b.SubscriptionDocs, id), func(p, q *SubscriptionDoc) (more bool, err error) {
		for _, d := range []*SubscriptionDoc{p, q} {
			if d != nil && d.Account != "" {
				c.accounts[d.Account] = true
			}
		}
		if p != nil && q != nil && p.Account == q.Account && bytes.Equal(p.Doc, q.Doc) {
			return true, nil
		}
		err = c.subscription(p, q)
		return len(c.found) < MaxDifferences, err
	})
}

func (c *comparison) subscription(p, q *SubscriptionDoc) error {
	x, err := p.record()
	if err != nil {
		return err
	}
	y, err := q.record()
	if err != nil {
		return err
	}
	return c.same("subscription", cmp.Or(p, q).ID, x, y)
}

// record reads a document; nil of nil.
func (d *SubscriptionDoc) record() (*SubscriptionRecord, error) {
	if d == nil {
		return nil, nil
	}
	r := &SubscriptionRecord{Account: d.Account}
	return r, json.Unmarshal(d.Doc, &r.SubscriptionTruth)
}

// entitlements compares what both models answer at one now for every account
// that a subscription belongs to. An account is asked for only where the stored
// documents leave the answer open.
func (c *comparison) entitlements(ctx context.Context) error {
	account := func(e *EntitlementRow) string { return e.Account }
	alike := alikeAt{now: c.now}
	err := merge(ctx, newPages(c.a.EntitlementDocs, account), newPages(c.b.EntitlementDocs, account), func(p, q *EntitlementRow) (more bool, err error) {
		if p != nil && q != nil && alike.compare(p, q) {
			delete(c.accounts, p.Account)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	return c.answers(ctx, slices.Sorted(maps.Keys(c.accounts)))
}

// alikeAt compares the stored forms of entitlements for a now.
type alikeAt struct {
	now time.Time
	// asOf is the text of the time that was read last, at what it says, known
	// whether it says anything: rows are often evaluated together.
	asOf  string
	at    time.Time
	known bool
}

// asOfMark begins the field of an entitlement that tells when it was evaluated.
// It stands behind everything that others named, and in none of the strings: a
// quotation mark in a string has a backslash before it.
var asOfMark = []byte(`,"as_of":"`)

// compare reports that both rows are in force at now, and say the same but for
// when they were evaluated. A no may only mean that it takes more to find out.
func (a *alikeAt) compare(p, q *EntitlementRow) bool {
	x, y := bytes.LastIndex(p.Doc, asOfMark), bytes.LastIndex(q.Doc, asOfMark)
	if x < 0 || y < 0 || !bytes.Equal(p.Doc[:x], q.Doc[:y]) {
		return false
	}
	asOfX, restX, _ := bytes.Cut(p.Doc[x+len(asOfMark):], []byte{'"'})
	asOfY, restY, _ := bytes.Cut(q.Doc[y+len(asOfMark):], []byte{'"'})
	return bytes.Equal(restX, restY) && a.inForce(p, asOfX) && a.inForce(q, asOfY)
}

func (a *alikeAt) inForce(e *EntitlementRow, asOf []byte) bool {
	if a.asOf != string(asOf) {
		at, err := time.Parse(time.RFC3339Nano, string(asOf))
		a.asOf, a.known, a.at = string(asOf), err == nil, at
	}
	return a.known && inForce(a.at, e.Until, a.now)
}

// answers compares what both models answer for accounts, a share of them on
// each processor.
func (c *comparison) answers(ctx context.Context, accounts []string) error {
	if len(accounts) == 0 {
		return nil
	}
	processors := runtime.GOMAXPROCS(0)
	shares := slices.Collect(slices.Chunk(accounts, (len(accounts)+processors-1)/processors))
	parts := make([]comparison, len(shares))
	group, ctx := errgroup.WithContext(ctx)
	for i, share := range shares {
		parts[i] = comparison{a: c.a, b: c.b, now: c.now}
		group.Go(func() error { return parts[i].answersOf(ctx, share) })
	}
	err := group.Wait()
	for _, part := range parts {
		c.found = append(c.found, part.found...)
	}
	return err
}

func (c *comparison) answersOf(ctx context.Context, accounts []string) error {
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

// merge goes through the rows of two models in the order of their keys. Each
// gets the rows of one key: nil for a model that has none.
func merge[T any](ctx context.Context, a, b *pages[T], each func(p, q *T) (more bool, err error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer b.wait()
	defer a.wait()
	defer stop()
	for {
		p, err := a.peek(ctx)
		if err != nil {
			return err
		}
		q, err := b.peek(ctx)
		if err != nil {
			return err
		}
		switch {
		case p == nil && q == nil:
			return nil
		case q == nil || p != nil && a.key(p) < b.key(q):
			q = nil
		case p == nil || b.key(q) < a.key(p):
			p = nil
		}
		if more, err := each(p, q); err != nil || !more {
			return err
		}
		a.pass(p)
		b.pass(q)
	}
}

// pages goes through the rows of a model's table in the order of their keys.
// While one page is looked at, the next is being read.
type pages[T any] struct {
	read  func(ctx context.Context, after string, limit int) ([]T, error)
	key   func(*T) string
	page  []T
	ahead chan readPage[T] // nil while nothing is being read
	ended bool
}

type readPage[T any] struct {
	rows []T
	err  error
}

// pageRows are read at a time: a few MB.
const pageRows = 2000

func newPages[T any](read func(context.Context, string, int) ([]T, error), key func(*T) string) *pages[T] {
	return &pages[T]{read: read, key: key}
}

// peek returns the next row, nil behind the last.
func (p *pages[T]) peek(ctx context.Context) (*T, error) {
	if len(p.page) == 0 && !p.ended {
		if p.ahead == nil {
			p.fetch(ctx, "")
		}
		next := <-p.ahead
		p.ahead = nil
		if next.err != nil {
			return nil, next.err
		}
		p.page, p.ended = next.rows, len(next.rows) < pageRows
		if !p.ended {
			p.fetch(ctx, p.key(&p.page[len(p.page)-1]))
		}
	}
	if len(p.page) == 0 {
		return nil, nil
	}
	return &p.page[0], nil
}

func (p *pages[T]) fetch(ctx context.Context, after string) {
	ahead := make(chan readPage[T], 1)
	p.ahead = ahead
	go func() {
		rows, err := p.read(ctx, after, pageRows)
		ahead <- readPage[T]{rows, err}
	}()
}

// pass goes behind what peek returned, nil for not at all.
func (p *pages[T]) pass(row *T) {
	if row != nil {
		p.page = p.page[1:]
	}
}

// wait returns once nothing is being read any more.
func (p *pages[T]) wait() {
	if p.ahead != nil {
		<-p.ahead
		p.ahead = nil
	}
}
