package projections_test

import (
	"errors"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// An account that a model cannot know is not a free one.
func TestAModelThatWasNotFoldedAnswersNothing(t *testing.T) {
	r := newRig(t)
	ask := func(epoch string) error {
		_, err := projections.NewAnswers(r.model, epoch, false).Entitlement(t.Context(), "a", begin)
		return err
	}
	if err := ask(epoch); !errors.Is(err, projections.ErrNotFolded) {
		t.Errorf("an empty model: %v", err)
	}
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.start()
	r.settle()
	if err := ask(epoch); err != nil {
		t.Error(err)
	}
	if err := ask("another store"); !errors.Is(err, projections.ErrNotFolded) {
		t.Errorf("a model of another store: %v", err)
	}
}
