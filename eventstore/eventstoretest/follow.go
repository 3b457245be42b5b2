package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// subscription is a Follow under way in a goroutine of its own.
type subscription struct {
	t        testing.TB
	messages chan eventstore.Message
	ended    chan error // has the error with which it ended
	cancel   context.CancelFunc
}

// follow begins a subscription that ends with the test at the latest.
func (s *subject) follow(from eventstore.Position, f eventstore.Filter) *subscription {
	ctx, cancel := context.WithCancel(s.ctx)
	sub := &subscription{t: s.T, messages: make(chan eventstore.Message), ended: make(chan error, 1), cancel: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sub.ended <- sub.run(ctx, s.Follow(ctx, from, f))
	}()
	s.Cleanup(func() {
		cancel()
		<-done
	})
	return sub
}

func (sub *subscription) run(ctx context.Context, follow func(func(eventstore.Message, error) bool)) error {
	failed := errors.New("ended without an error")
	for m, err := range follow {
		if err != nil {
			failed = err
			continue
		}
		select {
		case sub.messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}

// next waits for a message.
func (sub *subscription) next() eventstore.Message {
	sub.t.Helper()
	select {
	case m := <-sub.messages:
		return m
	case err := <-sub.ended:
		sub.t.Fatalf("the subscription ended: %v", err)
		return eventstore.Message{}
	}
}

// until collects the events up to n, and then the CaughtUp behind them, whose
// position it returns.
func (sub *subscription) until(n int) ([]eventstore.RecordedEvent, eventstore.Position) {
	sub.t.Helper()
	var got []eventstore.RecordedEvent
	var last eventstore.Position
	for {
		m := sub.next()
		switch {
		case m.Position < last:
			sub.t.Fatalf("position %d after %d", m.Position, last)
		case m.Event != nil && m.CaughtUp:
			sub.t.Fatal("CaughtUp came with an event")
		case m.Event != nil && m.Event.Position != m.Position:
			sub.t.Fatalf("message at %d with the event of %d", m.Position, m.Event.Position)
		case m.Event != nil && m.Position == last:
			sub.t.Fatalf("position %d came twice", last)
		}
		last = m.Position
		if m.Event != nil {
			got = append(got, *m.Event)
		}
		if len(got) > n {
			sub.t.Fatalf("%d events, want %d", len(got), n)
		}
		if m.CaughtUp && len(got) == n {
			return got, last
		}
	}
}

// end waits for the subscription's error.
func (sub *subscription) end() error {
	for {
		select {
		case <-sub.messages:
		case err := <-sub.ended:
			return err
		}
	}
}

var followTests = []test{
	{"an empty log is caught up with at once", func(s *subject) {
		if got, _ := s.follow(0, eventstore.Filter{Prefixes: []string{"order-"}}).until(0); len(got) != 0 {
			s.Errorf("%d events", len(got))
		}
	}},
	{"history, then what comes, each once and caught up with", func(s *subject) {
		log := mixed(s, 100)
		sub := s.follow(0, eventstore.Filter{})
		got, at := sub.until(100)
		s.equal("history", ids(got), ids(log))
		if at < log[99].Position {
			s.Errorf("caught up at %d, the last event is at %d", at, log[99].Position)
		}
		for i := range 20 {
			e := event(fmt.Sprint(i))
			s.put("order-1", eventstore.Any, e)
			got, _ := sub.until(1)
			s.equal("live", ids(got), []uuid.UUID{e.ID})
			s.same(got[0], e)
		}
	}},
	{"an append of several events arrives whole", func(s *subject) {
		sub := s.follow(0, eventstore.Filter{})
		sub.until(0)
		list := events(30)
		s.put("order-1", eventstore.NoStream, list...)
		got, _ := sub.until(30)
		for i := range got {
			s.same(got[i], list[i])
		}
	}},
	{"every filter, history and live", func(s *subject) {
		log := mixed(s, 200)
		subs := make([]*subscription, len(filters))
		for i, f := range filters {
			subs[i] = s.follow(0, f)
			want := passing(log, f)
			got, _ := subs[i].until(len(want))
			s.equal(fmt.Sprintf("%q history", f.Prefixes), ids(got), want)
		}
		live := mixed(s, 100)
		for i, f := range filters {
			want := passing(live, f)
			if len(want) == 0 {
				continue
			}
			got := make([]eventstore.RecordedEvent, 0, len(want))
			for len(got) < len(want) {
				if m := subs[i].next(); m.Event != nil {
					got = append(got, *m.Event)
				}
			}
			s.equal(fmt.Sprintf("%q live", f.Prefixes), ids(got), want)
		}
	}},
	{"it resumes from every position", func(s *subject) {
		log := mixed(s, 30)
		f := eventstore.Filter{Prefixes: []string{"order-"}}
		for i, e := range log {
			want := passing(log[i+1:], f)
			sub := s.follow(e.Position, f)
			got, _ := sub.until(len(want))
			s.equal("resumed", ids(got), want)
			sub.cancel()
		}
	}},
	{"it resumes from where it was caught up", func(s *subject) {
		f := eventstore.Filter{Prefixes: []string{"invoice-"}}
		log := mixed(s, 60)
		sub := s.follow(0, f)
		_, at := sub.until(len(passing(log, f)))
		sub.cancel()
		more := mixed(s, 60)
		got, _ := s.follow(at, f).until(len(passing(more, f)))
		s.equal("resumed", ids(got), passing(more, f))
	}},
	{"long histories come whole", func(s *subject) {
		list := fill(s, "order-1", longStream)
		fill(s, "invoice-1", longStream)
		got, _ := s.follow(0, eventstore.Filter{Prefixes: []string{"order-"}}).until(longStream)
		s.equal("history", ids(got), list)
	}},
	{"a position beyond the end is refused", func(s *subject) {
		mixed(s, 3)
		head, err := s.Head(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		s.fail(s.follow(head+1_000_000, eventstore.Filter{}).end(), eventstore.ErrPositionBeyondEnd)
		if got, _ := s.follow(head, eventstore.Filter{}).until(0); len(got) != 0 {
			s.Errorf("%d events behind the end", len(got))
		}
	}},
	{"it ends with the context's error", func(s *subject) {
		mixed(s, 3)
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		var failed error
		for m, err := range s.Follow(ctx, 0, eventstore.Filter{}) {
			if failed = err; m.CaughtUp {
				cancel()
			}
		}
		s.fail(failed, context.Canceled)
	}},
	{"it ends with ErrClosed when the store is closed", func(s *subject) {
		mixed(s, 3)
		idle := s.follow(0, eventstore.Filter{})
		idle.until(3)
		quiet := s.follow(0, eventstore.Filter{Prefixes: []string{"nothing-"}})
		quiet.until(0)
		if err := s.Close(); err != nil {
			s.Fatal(err)
		}
		s.fail(idle.end(), eventstore.ErrClosed)
		s.fail(quiet.end(), eventstore.ErrClosed)
	}},
	{"its reader may stop, append and read", func(s *subject) {
		mixed(s, 5)
		seen := 0
		for m, err := range s.Follow(s.ctx, 0, eventstore.Filter{Prefixes: []string{"order-"}}) {
			if err != nil {
				s.Fatal(err)
			}
			if m.Event == nil {
				continue
			}
			if seen++; seen == 50 {
				return
			}
			s.put("order-again", eventstore.Any, event("again"))
			s.stream("order-again")
		}
		s.Error("the subscription ended silently")
	}},
}
