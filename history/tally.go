package history

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// Statistics are events, counted.
type Statistics struct {
	Events int64 `json:"events"`
	// Types are counted by category and type, in that order.
	Types []TypeCount `json:"types"`
	// FirstRecordedAt and LastRecordedAt are the earliest and the latest of our
	// clock, missing if there are no events.
	FirstRecordedAt time.Time `json:"first_recorded_at,omitzero"`
	LastRecordedAt  time.Time `json:"last_recorded_at,omitzero"`
	// Position is up to where the log was counted.
	Position eventstore.Position `json:"position"`
	// Complete says that nothing was left uncounted. Where it is false the time
	// ran out: what is counted is all up to Position.
	Complete bool `json:"complete"`
}

// TypeCount counts the events of one type.
type TypeCount struct {
	// Category is that of the streams: "stripeEvent" is the journal.
	Category string `json:"category"`
	Type     string `json:"type"`
	Events   int64  `json:"events"`
	Bytes    int64  `json:"bytes"`
	// FirstRecordedAt and LastRecordedAt are as in Statistics.
	FirstRecordedAt time.Time           `json:"first_recorded_at,omitzero"`
	LastRecordedAt  time.Time           `json:"last_recorded_at,omitzero"`
	LastPosition    eventstore.Position `json:"last_position"`
}

// Count counts what a query chooses, for as long as patience lasts.
func (r *Record) Count(ctx context.Context, q Query, patience time.Duration) (Statistics, error) {
	q.Direction, q.Limit = eventstore.Forwards, 0
	t := tally{upTo: q.From}
	err := t.count(ctx, r, q, patience)
	return t.statistics(), err
}

// Totals counts the whole record, and goes on where it was when it was last
// asked: a log only grows.
type Totals struct {
	mu    sync.Mutex
	tally tally
}

// Count counts what is new, for as long as patience lasts.
func (t *Totals) Count(ctx context.Context, r *Record, patience time.Duration) (Statistics, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.tally.count(ctx, r, Query{From: t.tally.upTo}, patience)
	return t.tally.statistics(), err
}

// tally is a count in the making.
type tally struct {
	types    map[countKey]*TypeCount
	upTo     eventstore.Position
	complete bool
}

type countKey struct{ category, eventType string }

// count adds what a query chooses behind what was counted before.
func (t *tally) count(ctx context.Context, r *Record, q Query, patience time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t.complete = false
	head, err := r.Store.Head(ctx)
	if err != nil {
		return err
	}
	events := r.Store.ReadAll(bounded, q.start(), eventstore.Forwards, q.filter(), 0)
	if q.owned() {
		events = r.pages(bounded, q)
	}
	for ev, err := range events {
		if err != nil && bounded.Err() != nil && ctx.Err() == nil {
			return nil // what was counted is right as far as it goes
		}
		if err != nil {
			return err
		}
		t.upTo = max(t.upTo, ev.Position)
		if q.matches(&ev) {
			t.add(&ev)
		}
	}
	t.upTo, t.complete = max(t.upTo, head), true
	return nil
}

func (t *tally) add(ev *eventstore.RecordedEvent) {
	if t.types == nil {
		t.types = map[countKey]*TypeCount{}
	}
	key := countKey{ev.Stream.Category(), ev.Type}
	c := t.types[key]
	if c == nil {
		c = &TypeCount{Category: key.category, Type: key.eventType}
		t.types[key] = c
	}
	c.Events++
	c.Bytes += int64(len(ev.Data))
	c.LastPosition = max(c.LastPosition, ev.Position)
	if at, read := eventstore.RecordedAt(ev.Metadata); read {
		c.FirstRecordedAt = earliest(c.FirstRecordedAt, at)
		c.LastRecordedAt = latest(c.LastRecordedAt, at)
	}
}

func (t *tally) statistics() Statistics {
	s := Statistics{Types: make([]TypeCount, 0, len(t.types)), Position: t.upTo, Complete: t.complete}
	for _, c := range t.types {
		s.Types = append(s.Types, *c)
		s.Events += c.Events
		s.FirstRecordedAt = earliest(s.FirstRecordedAt, c.FirstRecordedAt)
		s.LastRecordedAt = latest(s.LastRecordedAt, c.LastRecordedAt)
	}
	slices.SortFunc(s.Types, func(a, b TypeCount) int {
		return strings.Compare(a.Category+"\x00"+a.Type, b.Category+"\x00"+b.Type)
	})
	return s
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
