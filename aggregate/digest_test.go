package aggregate_test

import (
	"slices"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
)

// TestDigestsAreTheSameForEver: they are stored with the facts.
func TestDigestsAreTheSameForEver(t *testing.T) {
	snap := *samples()[0].Fact.Subscription
	if got := snap.Digest(); got != "bfed1ef62f4fcdd1" {
		t.Errorf("digest %s", got)
	}
	snap.Items = append(slices.Clone(snap.Items), aggregate.Item{Price: "a\"\n", Quantity: -4}, aggregate.Item{Price: "b\x00é"})
	for _, items := range permutations(snap.Items) {
		snap.Items = items
		if got := snap.Digest(); got != "6b13a44b8d3da862" {
			t.Errorf("digest %s of %+v", got, items)
		}
	}
}
