package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
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
	accounts map[string]bool // those that subscriptions belong to
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

// both asks both models the same, at the same time.
func both[T any](ctx context.Context, a, b Reader, ask func(Reader, context.Context) (T, error)) (x, y T, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { x, err = ask(a, ctx); return err })
	group.Go(func() (err error) { y, err = ask(b, ctx); return err })
	err = group.Wait()
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
