package projections

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// feed makes a subscription of what is sent.
func feed(sent <-chan eventstore.Message, end error) func(func(eventstore.Message, error) bool) {
	return func(yield func(eventstore.Message, error) bool) {
		for m := range sent {
			if !yield(m, nil) {
				return
			}
		}
		yield(eventstore.Message{}, end)
	}
}

func eventAt(p eventstore.Position) eventstore.Message {
	return eventstore.Message{Event: &eventstore.RecordedEvent{Position: p}, Position: p}
}

func caughtUpAt(p eventstore.Position) eventstore.Message {
	return eventstore.Message{Position: p, CaughtUp: true}
}

func TestEventsGatherThoughTheLogIsCaughtUpWith(t *testing.T) {
	c := newCollector(3)
	sent := make(chan eventstore.Message)
	go c.run(t.Context(), feed(sent, errors.New("over")))
	go func() {
		for _, m := range []eventstore.Message{eventAt(1), caughtUpAt(2), eventAt(3), caughtUpAt(4), eventAt(5)} {
			sent <- m
		}
	}()
	got, err := c.take(t.Context(), time.Now().Add(time.Hour))
	if err != nil || len(got.events) != 3 || got.position != 5 {
		t.Errorf("got %d events up to %d, %v", len(got.events), got.position, err)
	}
}

func TestProgressAloneIsNotLeftToGather(t *testing.T) {
	c := newCollector(100)
	sent := make(chan eventstore.Message, 1)
	go c.run(t.Context(), feed(sent, errors.New("over")))
	sent <- caughtUpAt(4)
	got, err := c.take(t.Context(), time.Now().Add(time.Hour))
	if err != nil || len(got.events) != 0 || got.position != 4 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAFullCollectorIsTakenAtOnceAndIsBounded(t *testing.T) {
	c := newCollector(2)
	sent := make(chan eventstore.Message)
	go c.run(t.Context(), feed(sent, errors.New("over")))
	go func() {
		for p := range eventstore.Position(5) {
			sent <- eventAt(p + 1)
		}
		sent <- caughtUpAt(5)
	}()
	for _, want := range []struct {
		events   int
		position eventstore.Position
		caughtUp bool
		until    time.Time
	}{{2, 2, false, time.Now().Add(time.Hour)}, {2, 4, false, time.Now().Add(time.Hour)}, {1, 5, true, time.Time{}}} {
		got, err := c.take(t.Context(), want.until)
		if err != nil || len(got.events) != want.events || got.position != want.position || got.caughtUp != want.caughtUp {
			t.Errorf("got %d events up to %d, caught up %v, %v; want %+v", len(got.events), got.position, got.caughtUp, err, want)
		}
	}
}

func TestTheEndOfASubscriptionEndsTheWaiting(t *testing.T) {
	fault := errors.New("the store is gone")
	c := newCollector(100)
	sent := make(chan eventstore.Message, 2)
	sent <- eventAt(1)
	sent <- caughtUpAt(1)
	close(sent)
	go c.run(t.Context(), feed(sent, fault))
	if _, err := c.take(t.Context(), time.Now().Add(time.Hour)); !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newCollector(1).take(ctx, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestGatheringFollowsTheWork(t *testing.T) {
	for _, tt := range []struct {
		events int
		work   time.Duration
		want   time.Duration
	}{
		{1, 0, leastGather},
		{1000, 10 * time.Millisecond, 40 * time.Millisecond},
		{100, time.Minute, 20 * time.Millisecond},
		{1 << 20, time.Minute, mostGather},
	} {
		if got := gatherFor(tt.events, tt.work); got != tt.want {
			t.Errorf("after %v of work on %d events %v, want %v", tt.work, tt.events, got, tt.want)
		}
	}
}
