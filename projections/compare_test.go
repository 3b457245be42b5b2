package projections_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

// stored is an entitlement as a model holds it.
type stored struct {
	aggregate.Entitlement
	until time.Time
}

// Entitlements are compared as answers at one moment: what was stored of them
// when, and for how long, makes no difference as long as it is in force.
func TestCompareLeavesAsideWhenEntitlementsWereEvaluated(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stored)
		same   bool
	}{
		"nothing":                        {func(*stored) {}, true},
		"when it was evaluated":          {func(e *stored) { e.AsOf = begin.Add(-time.Minute) }, true},
		"by the nanosecond":              {func(e *stored) { e.AsOf = begin.Add(-time.Nanosecond) }, true},
		"how long it may be kept":        {func(e *stored) { e.ValidUntil = begin.Add(time.Hour) }, true},
		"until when it is in force":      {func(e *stored) { e.until = begin.Add(time.Hour) }, true},
		"it is not in force any more":    {func(e *stored) { e.until = begin }, false},
		"it is not in force yet":         {func(e *stored) { e.AsOf = begin.Add(time.Nanosecond) }, false},
		"the tier":                       {func(e *stored) { e.Tier = "basic" }, false},
		"the position":                   {func(e *stored) { e.Position++ }, false},
		"the store":                      {func(e *stored) { e.Epoch = "another" }, true}, // the comparison's caller vouches for it
		"what stands behind the time":    {func(e *stored) { e.Schema++ }, false},
		"a flag that looks like a time":  {func(e *stored) { e.Flags = []string{`x,"as_of":"2020"`} }, false},
		"a limit that is called a time":  {func(e *stored) { e.Limits = map[string]aggregate.Limit{"as_of": 2} }, false},
		"another limit called like time": {func(e *stored) { e.Limits = map[string]aggregate.Limit{"a": 1, "as_of": aggregate.Unlimited} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := stored{Entitlement: aggregate.Entitlement{
				Account: "a", Known: true, Tier: "premium", Features: []string{"x"}, Epoch: epoch, Position: 7, AsOf: begin,
				Limits: map[string]aggregate.Limit{"as_of": aggregate.Unlimited}, Flags: []string{`,"as_of":"`}, Schema: aggregate.EntitlementSchema,
			}}
			rebuilt := live
			c.change(&rebuilt)
			found, err := projections.Compare(t.Context(), modelOf(t, live), modelOf(t, rebuilt), begin)
			if err != nil {
				t.Fatal(err)
			}
			if same := len(found) == 0; same != c.same {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// modelOf makes a model of one subscription, and the entitlement of its account.
func modelOf(t *testing.T, e stored) *sqlite.Model {
	t.Helper()
	m, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	doc, err := json.Marshal(e.Entitlement)
	if err != nil {
		t.Fatal(err)
	}
	err = m.Update(t.Context(), func(tx projections.Tx) error {
		truth := aggregate.SubscriptionTruth{ID: "sub_1"}
		if err := tx.PutSubscription(projections.SubscriptionRow{Truth: truth, Account: "a", Doc: []byte(`{"id":"sub_1"}`)}); err != nil {
			return err
		}
		return tx.PutEntitlement(projections.EntitlementRow{Account: "a", Until: e.until, Doc: doc})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Pages end in the middle of a table: what lies on both sides is compared.
func TestCompareGoesThroughEveryPage(t *testing.T) {
	const rows = 4100
	models := [2]*sqlite.Model{modelOf(t, stored{}), modelOf(t, stored{})}
	for i, m := range models {
		err := m.Update(t.Context(), func(tx projections.Tx) error {
			for n := range rows {
				// Each model lacks a row that the other has, and one differs.
				if n == 1500+i || n == rows-1-i {
					continue
				}
				if err := tx.PutSubscription(numbered(t, n, n == 2000 && i == 1)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	found, err := projections.Compare(t.Context(), models[0], models[1], begin)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, d := range found {
		if d.Kind == "subscription" {
			keys[d.Key] = true
		}
	}
	for _, n := range []int{1500, 1501, 2000, rows - 1, rows - 2} {
		if id := numbered(t, n, false).Truth.ID; !keys[id] {
			t.Errorf("%s was not found", id)
		}
	}
	if len(keys) != 5 {
		t.Errorf("%d were found", len(keys))
	}
}

func numbered(t *testing.T, n int, odd bool) projections.SubscriptionRow {
	t.Helper()
	truth := aggregate.SubscriptionTruth{ID: fmt.Sprintf("sub_n%06d", n), CancelAtPeriodEnd: odd}
	doc, err := json.Marshal(truth)
	if err != nil {
		t.Fatal(err)
	}
	return projections.SubscriptionRow{Truth: truth, Doc: doc}
}
