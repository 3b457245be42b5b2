package eventstoretest

import (
	"errors"
	"fmt"

	"github.com/daybookhq/daybook/eventstore"
)

var closeTests = []test{
	{"a closed store refuses everything", func(s *subject) {
		mixed(s, 3)
		for range 2 {
			if err := s.Close(); err != nil {
				s.Fatal(err)
			}
		}
		_, err := s.Append(s.ctx, "order-1", eventstore.Any, event("late"))
		s.fail(err, eventstore.ErrClosed)
		_, err = s.Head(s.ctx)
		s.fail(err, eventstore.ErrClosed)
		_, err = collect(s.ReadStream(s.ctx, "order-1", 0, eventstore.Forwards, 0))
		s.fail(err, eventstore.ErrClosed)
		_, err = collect(s.ReadAll(s.ctx, 0, eventstore.Forwards, eventstore.Filter{}, 0))
		s.fail(err, eventstore.ErrClosed)
		s.fail(s.follow(0, eventstore.Filter{}).end(), eventstore.ErrClosed)
	}},
	{"a read under way ends with ErrClosed", func(s *subject) {
		fill(s, "order-1", 200)
		var failed error
		seen := 0
		for _, err := range s.ReadStream(s.ctx, "order-1", 0, eventstore.Forwards, 0) {
			if failed = err; err != nil {
				break
			}
			if seen++; seen == 5 {
				if err := s.Close(); err != nil {
					s.Fatal(err)
				}
			}
		}
		s.fail(failed, eventstore.ErrClosed)
	}},
	{"appends in flight end, one way or the other", closeUnderLoad},
}

// closeUnderLoad closes the store while writers append: each append is either
// acknowledged or refused as closed.
func closeUnderLoad(s *subject) {
	const writers = 10
	started := make(chan struct{}, writers)
	acknowledged := make([]int, writers)
	errs := together(writers+1, func(i int) error {
		if i == writers {
			for range writers {
				<-started
			}
			return s.Close()
		}
		stream := eventstore.NewStream("order", fmt.Sprint(i))
		for {
			_, err := s.Append(s.ctx, stream, eventstore.Any, event("load"))
			if errors.Is(err, eventstore.ErrClosed) {
				return nil
			}
			if err != nil {
				started <- struct{}{}
				return err
			}
			if acknowledged[i]++; acknowledged[i] == 3 {
				started <- struct{}{}
			}
		}
	})
	s.none(errs)
}
