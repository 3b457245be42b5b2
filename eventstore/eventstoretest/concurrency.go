package eventstoretest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

const racers = 20

var concurrencyTests = []test{
	{"of racing writers of a new stream one wins", func(s *subject) {
		race(s, "order-1", eventstore.NoStream, 0)
	}},
	{"of racing writers of one revision one wins", func(s *subject) {
		for round := range 10 {
			s.put("order-1", eventstore.Any, event(fmt.Sprint(round)))
			at := eventstore.Revision(2 * round)
			race(s, "order-1", eventstore.Exactly(at), at+1)
		}
	}},
	{"of racing writers of several events one wins whole", func(s *subject) {
		lists := make([][]eventstore.ProposedEvent, racers)
		errs := together(racers, func(i int) error {
			lists[i] = events(3)
			_, err := s.Append(s.ctx, "order-1", eventstore.NoStream, lists[i]...)
			return err
		})
		s.holds("order-1", lists[winner(s, errs)]...)
	}},
	{"the same append, racing, happens once", func(s *subject) {
		list := events(2)
		results := make([]eventstore.AppendResult, racers)
		errs := together(racers, func(i int) (err error) {
			results[i], err = s.Append(s.ctx, "order-1", eventstore.NoStream, list...)
			return err
		})
		for i, err := range errs {
			if err != nil || results[i] != results[0] {
				s.Errorf("writer %d: %+v, %v; want %+v", i, results[i], err, results[0])
			}
		}
		s.holds("order-1", list...)
	}},
	{"writers that reload on conflict lose nothing", func(s *subject) {
		const each = 10
		errs := together(racers, func(i int) error {
			for range each {
				if err := insist(s, "order-1", event(fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		})
		s.none(errs)
		if n := len(s.stream("order-1")); n != racers*each {
			s.Errorf("%d events, want %d", n, racers*each)
		}
	}},
	{"a stream appears whole or not at all", func(s *subject) {
		for round := range 30 {
			stream := eventstore.NewStream("order", fmt.Sprint(round))
			s.none(together(4, func(i int) error {
				if i == 0 {
					_, err := s.Append(s.ctx, stream, eventstore.NoStream, events(3)...)
					return err
				}
				return appears(s, stream, 3)
			}))
		}
	}},
	{"many streams while subscribers follow", manyStreams},
}

// together runs n functions behind a start gate and returns their errors once
// all have ended.
func together(n int, run func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var ended sync.WaitGroup
	for i := range n {
		ended.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	ended.Wait()
	return errs
}

func (s *subject) none(errs []error) {
	s.Helper()
	for i, err := range errs {
		if err != nil {
			s.Errorf("goroutine %d: %v", i, err)
		}
	}
}

// race lets writers of different events meet: one succeeds, at the given
// revision, and the others conflict.
func race(s *subject, stream eventstore.Stream, expected eventstore.ExpectedRevision, at eventstore.Revision) {
	s.Helper()
	list := events(racers)
	results := make([]eventstore.AppendResult, racers)
	errs := together(racers, func(i int) (err error) {
		results[i], err = s.Append(s.ctx, stream, expected, list[i])
		return err
	})
	w := winner(s, errs)
	got := s.stream(stream)
	if results[w].Revision != at || len(got) != int(at)+1 {
		s.Fatalf("the winner stands at %+v in %d events, want revision %d", results[w], len(got), at)
	}
	s.same(got[at], list[w])
}

// winner is the one without an error; all others must have met a conflict.
func winner(s *subject, errs []error) int {
	s.Helper()
	found := -1
	for i, err := range errs {
		switch {
		case err == nil && found >= 0:
			s.Fatalf("writers %d and %d both won", found, i)
		case err == nil:
			found = i
		case !eventstore.IsConflict(err):
			s.Errorf("writer %d: %v, want a conflict", i, err)
		}
	}
	if found < 0 {
		s.Fatal("nobody won")
	}
	return found
}

// insist appends at the stream's end, wherever it has got to.
func insist(s *subject, stream eventstore.Stream, e eventstore.ProposedEvent) error {
	for {
		expected := eventstore.NoStream
		last, err := collect(s.ReadStream(s.ctx, stream, eventstore.LastRevision, eventstore.Backwards, 1))
		switch {
		case err == nil:
			expected = eventstore.Exactly(last[0].Revision)
		case !errors.Is(err, eventstore.ErrStreamNotFound):
			return err
		}
		if _, err = s.Append(s.ctx, stream, expected, e); !eventstore.IsConflict(err) {
			return err
		}
	}
}

// appears reads a stream until it is there, and wants it to have n events then.
func appears(s *subject, stream eventstore.Stream, n int) error {
	for {
		got, err := collect(s.ReadStream(s.ctx, stream, 0, eventstore.Forwards, 0))
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			continue
		}
		if err == nil && len(got) != n {
			err = fmt.Errorf("%s was seen with %d of %d events", stream, len(got), n)
		}
		return err
	}
}

// manyStreams appends to many streams at once and wants every subscriber,
// early or late, filtered or not, to see the log as it is.
func manyStreams(s *subject) {
	const writers, each = 8, 50
	categories := []string{"order", "invoice", "payment", "orderly"}
	early := make([]*subscription, len(filters))
	for i, f := range filters {
		early[i] = s.follow(0, f)
	}
	seen := make([][]uuid.UUID, len(filters))
	errs := together(writers+len(filters), func(i int) error {
		if i >= writers {
			f := i - writers
			seen[f] = early[f].take(filters[f], writers, each, categories)
			return nil
		}
		for n := range each {
			stream := eventstore.NewStream(categories[n%len(categories)], fmt.Sprintf("%d-%d", i, n/8))
			if _, err := s.Append(s.ctx, stream, eventstore.Any, event(fmt.Sprint(n))); err != nil {
				return err
			}
		}
		return nil
	})
	s.none(errs)
	log := s.all(s.ReadAll(s.ctx, 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"order", "invoice-", "payment-"}}, 0))
	if len(log) != writers*each {
		s.Fatalf("%d events in the log, want %d", len(log), writers*each)
	}
	for i, f := range filters {
		s.equal(fmt.Sprintf("%q", f.Prefixes), seen[i], passing(log, f))
	}
}

// take receives as many events as the writers of manyStreams make for a filter.
func (sub *subscription) take(f eventstore.Filter, writers, each int, categories []string) []uuid.UUID {
	want := 0
	for i := range writers {
		for n := range each {
			if f.Matches(eventstore.NewStream(categories[n%len(categories)], fmt.Sprintf("%d-%d", i, n/8))) {
				want++
			}
		}
	}
	list := []uuid.UUID{}
	for len(list) < want {
		select {
		case m := <-sub.messages:
			if m.Event != nil {
				list = append(list, m.Event.ID)
			}
		case <-sub.ended:
			return list
		}
	}
	return list
}
