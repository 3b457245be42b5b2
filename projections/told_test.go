package projections_test

import (
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// TestALogThatLacksWhatWasToldOf: one that ends before that place does, and one
// that has grown past it since, as its events' times tell, or its own writer.
func TestALogThatLacksWhatWasToldOf(t *testing.T) {
	r := newRig(t)
	r.start()
	hour := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) }
	heads := []eventstore.Position{0}
	for n := 1; n <= 3; n++ { // one event at each hour
		r.clock.Set(hour(n))
		r.subscribed("sub_1", "a", aggregate.Active, "price_basic", hour(n))
		head, err := r.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, head)
	}
	opened := func(n int) projections.Opening {
		return projections.Opening{Head: heads[n], At: hour(n).Add(time.Minute)}
	}
	for name, c := range map[string]struct {
		position eventstore.Position
		at       time.Time
		opened   projections.Opening
		lacks    bool
	}{
		"the end, just now":                        {heads[3], hour(3), opened(3), false},
		"the end, by a clock that is behind":       {heads[3], hour(3).Add(-time.Minute), projections.Opening{}, false},
		"an earlier place, since nothing was told": {heads[2], hour(2), opened(3), false},
		"nothing":                                {0, hour(0), opened(3), false},
		"beyond the end":                         {heads[3] + 1, hour(3), opened(3), true},
		"grown past it, long after":              {heads[2], hour(1), projections.Opening{}, true},
		"grown past it at once, by this process": {heads[2], hour(2).Add(-time.Second), projections.Opening{Head: heads[1], At: hour(2)}, true},
		"told by this process":                   {heads[3], hour(3), opened(1), false},
	} {
		told := projections.Told{Epoch: epoch, FoundedAt: begin, Position: c.position, At: c.at}
		if lacks, err := projections.Lacks(t.Context(), r.store, told, c.opened); err != nil || lacks != c.lacks {
			t.Errorf("%s: lacks %t, %v", name, lacks, err)
		}
	}
}
