package projections_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

// countingModel counts how often it was folded anew.
type countingModel struct {
	*sqlite.Model
	refolds atomic.Int32
}

func (m *countingModel) Beside(ctx context.Context) (projections.Model, error) {
	m.refolds.Add(1)
	return m.Model.Beside(ctx)
}

// A model that lacks most of the log is folded anew when a server starts, one
// that lacks little is followed up; both say the same in the end.
func TestAModelFarBehindIsFoldedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		before, after int // events while the model follows, and while nobody does
		refoldFrom    int
		refolds       int32
	}{
		"it lacks most, and much":     {before: 5, after: 40, refoldFrom: 40, refolds: 1},
		"it lacks most, but little":   {before: 5, after: 40, refoldFrom: 41},
		"it lacks much, but not most": {before: 50, after: 40, refoldFrom: 10},
		"it lacks nothing":            {before: 50, refoldFrom: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			model := &countingModel{Model: r.model}
			opts := r.options()
			opts.Model, opts.RefoldFrom = model, c.refoldFrom
			r.startWith(opts) // folds the empty log
			r.settle()
			for i := range c.before + c.after {
				if i == c.before {
					r.settle()
					r.stop()
					model.refolds.Store(0)
				}
				r.subscribed(fmt.Sprintf("sub_%d", i%7), "a", aggregate.Active, "price_basic", begin)
			}
			if c.after == 0 {
				r.settle()
				r.stop()
				model.refolds.Store(0)
			}
			r.startWith(opts)
			r.settle()
			if got := model.refolds.Load(); got != c.refolds {
				t.Errorf("folded anew %d times, want %d", got, c.refolds)
			}
			r.sameAsRebuilt()
		})
	}
}
