package intake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// truthsFolder holds what is true by the facts of the fixtures.
const truthsFolder = "testdata/truths"

// TestTruthsOfFixtures goes on from where TestFactsOfFixtures ends: the facts of
// each API version, and of each history, are gathered by stream, folded, and
// what is then true by the built-in catalog is compared with files that people
// have read.
func TestTruthsOfFixtures(t *testing.T) {
	golden := map[string]map[eventstore.Stream][]aggregate.Fact{}
	for _, f := range append(eventFixtures(t), objectFixtures(t)...) {
		facts, err := translator.Translate(f.kind, f.body)
		if err != nil {
			continue // those are listed with the facts
		}
		version := versionOf(f)
		for i, fact := range facts {
			if golden[version] == nil {
				golden[version] = map[eventstore.Stream][]aggregate.Fact{}
			}
			facts[i].Fact.Key.StripeEventID = sourceOf(f, fact.Fact)
			golden[version][fact.Stream] = append(golden[version][fact.Stream], facts[i].Fact)
		}
	}
	kept, err := filepath.Glob(filepath.Join(truthsFolder, "*.golden"))
	if err != nil || len(kept) > len(golden) {
		t.Errorf("%d golden files for %d versions, %v", len(kept), len(golden), err)
	}
	for version, streams := range golden {
		var b strings.Builder
		for _, stream := range slices.Sorted(maps.Keys(streams)) {
			told := streams[stream]
			truth := truthOf(t, stream, told)
			slices.Reverse(told)
			if again := truthOf(t, stream, told); again != truth {
				t.Errorf("%s of %s: in the other order\n%s\nwant\n%s", stream, version, again, truth)
			}
			fmt.Fprintf(&b, "== %s (facts: %d)\n%s\n", stream, len(told), truth)
		}
		compareGolden(t, filepath.Join(truthsFolder, version+".golden"), b.String())
	}
}

// versionOf is the folder of a fixture: an API version, or a history.
func versionOf(f fixture) string {
	path := strings.TrimPrefix(filepath.ToSlash(f.path), "testdata/fixtures/")
	return strings.Split(path, "/")[1]
}

// sourceOf names a fact's event. Where the payloads of a version were published
// with one and the same id, or have none, the file's name stands in for it.
func sourceOf(f fixture, fact aggregate.Fact) string {
	id := fact.Key.StripeEventID
	if strings.Trim(strings.TrimPrefix(id, "evt_"), "0") != "" && id != "evt_1" {
		return id
	}
	parts := strings.Split(strings.TrimSuffix(filepath.Base(f.path), ".json"), "--")
	return id + " " + parts[0] + " " + parts[len(parts)-1]
}

// truthOf folds one stream's facts, and writes what is true of its object.
func truthOf(t *testing.T, stream eventstore.Stream, facts []aggregate.Fact) string {
	t.Helper()
	set := &aggregate.FactSet{}
	for i := range facts {
		set.Evolve(aggregate.Event{Fact: &facts[i]}, aggregate.Place{})
	}
	var truth any
	switch stream.Category() {
	case "subscription":
		truth = subscriptionTruth(stream.ID(), facts)
	case "payment":
		truth = set.DerivePayment(stream.ID())
	case "invoice":
		truth = set.DeriveBill(stream.ID())
	case "customer":
		truth = set.DeriveCustomer(stream.ID())
	case "clock":
		truth = set.DeriveClock(stream.ID())
	default:
		return "nothing is derived of it"
	}
	text, err := json.MarshalIndent(truth, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// subscriptionTruth folds the facts of one subscription by the built-in catalog.
func subscriptionTruth(id string, facts []aggregate.Fact) aggregate.SubscriptionTruth {
	sub := aggregate.NewSubscription(id)
	for i := range facts {
		sub.Evolve(aggregate.Event{Fact: &facts[i]}, aggregate.Place{})
	}
	catalog := aggregate.BuiltinCatalog()
	return sub.Derive(aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Schema: 1, Hash: catalog.Hash(), Catalog: catalog}))
}
