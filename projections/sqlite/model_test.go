package sqlite_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *sqlite.Model {
	t.Helper()
	m, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "model ?#%.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func update(t *testing.T, m projections.Model, fn func(projections.Tx) error) {
	t.Helper()
	if err := m.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func subscription(id, account string, due time.Time) projections.SubscriptionRow {
	return projections.SubscriptionRow{
		Truth: aggregate.SubscriptionTruth{ID: id}, Account: account, Due: due, Doc: []byte(`{"id":"` + id + `"}`),
	}
}

func entitlement(account, tier string, until time.Time) projections.EntitlementRow {
	return projections.EntitlementRow{Account: account, Until: until, Doc: []byte(`{"account":"` + account + `","tier":"` + tier + `"}`)}
}

func TestATransactionIsAllOrNothing(t *testing.T) {
	m := open(t)
	fault := errors.New("a fault in the middle")
	err := m.Update(t.Context(), func(tx projections.Tx) error {
		return errors.Join(
			tx.PutSubscription(subscription("sub_1", "a", time.Time{})),
			tx.PutEntitlement(entitlement("a", "basic", time.Time{})),
			tx.SetCheckpoint(projections.Checkpoint{Position: 7}),
			fault)
	})
	if !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
	if _, known, err := m.Subscription(t.Context(), "sub_1"); known || err != nil {
		t.Errorf("the subscription is there: %v, %v", known, err)
	}
	if cp, err := m.Checkpoint(t.Context()); cp.Position != 0 || err != nil {
		t.Errorf("checkpoint %+v, %v", cp, err)
	}
	update(t, m, func(tx projections.Tx) error { return tx.SetCheckpoint(projections.Checkpoint{Position: 8}) })
	if cp, err := m.Checkpoint(t.Context()); cp.Position != 8 || err != nil {
		t.Errorf("after a good one: checkpoint %+v, %v", cp, err)
	}
}

// What was answered before a change is not answered after it.
func TestAnswersFollowChanges(t *testing.T) {
	m := open(t)
	for _, tier := range []string{"basic", "elite", "premium"} {
		update(t, m, func(tx projections.Tx) error { return tx.PutEntitlement(entitlement("a", tier, noon)) })
		for range 2 { // from the file, and as it was kept
			e, known, err := m.Entitlement(t.Context(), "a")
			if err != nil || !known || e.Tier != tier || !e.Until.Equal(noon) || len(e.JSON) == 0 {
				t.Errorf("want %s, got %+v, %v, %v", tier, e, known, err)
			}
		}
	}
	update(t, m, func(tx projections.Tx) error { return tx.DropEntitlement("a") })
	if _, known, err := m.Entitlement(t.Context(), "a"); known || err != nil {
		t.Errorf("after it was dropped: %v, %v", known, err)
	}
}

func TestDueMoments(t *testing.T) {
	m := open(t)
	update(t, m, func(tx projections.Tx) error {
		return errors.Join(
			tx.PutSubscription(subscription("sub_1", "a", noon)),
			tx.PutSubscription(subscription("sub_2", "b", noon)),
			tx.PutSubscription(subscription("sub_3", "b", noon.Add(time.Hour))),
			tx.PutSubscription(subscription("sub_4", "b", time.Time{})),
			tx.PutEntitlement(entitlement("a", "basic", noon.Add(30*time.Minute))),
			tx.PutEntitlement(entitlement("b", "basic", time.Time{})))
	})
	update(t, m, func(tx projections.Tx) error {
		wantMoment := func(now, want time.Time) {
			t.Helper()
			if due, err := tx.NextDue(now); err != nil || !due.Equal(want) {
				t.Errorf("next due after %s: %s, %v; want %s", now, due, err, want)
			}
		}
		wantMoment(noon.Add(-time.Second), noon)
		wantMoment(noon, noon.Add(30*time.Minute))
		wantMoment(noon.Add(30*time.Minute), noon.Add(time.Hour))
		wantMoment(noon.Add(time.Hour), time.Time{})
		if lapsed, err := tx.Lapsed(noon.Add(29*time.Minute), 9); err != nil || len(lapsed) != 0 {
			t.Errorf("lapsed too early: %v, %v", lapsed, err)
		}
		if lapsed, err := tx.Lapsed(noon.Add(30*time.Minute), 9); err != nil || !slices.Equal(lapsed, []string{"a"}) {
			t.Errorf("lapsed: %v, %v", lapsed, err)
		}
		first, err := tx.Expiries(noon, projections.Expiry{}, 1)
		if err != nil || len(first) != 1 || first[0].Subscription != "sub_1" || first[0].Account != "a" {
			t.Fatalf("first page: %+v, %v", first, err)
		}
		second, err := tx.Expiries(noon, first[0], 9)
		if err != nil || len(second) != 1 || second[0].Subscription != "sub_2" {
			t.Errorf("second page: %+v, %v", second, err)
		}
		if err := tx.Told(first[0]); err != nil {
			t.Fatal(err)
		}
		left, err := tx.Expiries(noon, projections.Expiry{}, 9)
		if err != nil || len(left) != 1 || left[0].Subscription != "sub_2" {
			t.Errorf("once the first was told: %+v, %v", left, err)
		}
		return nil
	})
}

func TestCrowdedAccounts(t *testing.T) {
	m := open(t)
	update(t, m, func(tx projections.Tx) error {
		var err error
		for id, account := range map[string]string{"1": "a", "2": "b", "3": "b", "4": "c", "5": "c", "6": "", "7": ""} {
			err = errors.Join(err, tx.PutSubscription(subscription("sub_"+id, account, time.Time{})))
		}
		return err
	})
	update(t, m, func(tx projections.Tx) error {
		if all, err := tx.Crowded("", 9); err != nil || !slices.Equal(all, []string{"b", "c"}) {
			t.Errorf("crowded: %v, %v", all, err)
		}
		if rest, err := tx.Crowded("b", 9); err != nil || !slices.Equal(rest, []string{"c"}) {
			t.Errorf("behind b: %v, %v", rest, err)
		}
		return nil
	})
}

func TestAdoptReplacesEverythingAtOnce(t *testing.T) {
	m := open(t)
	update(t, m, func(tx projections.Tx) error {
		return errors.Join(
			tx.PutEntitlement(entitlement("old", "basic", time.Time{})),
			tx.PutFailure(projections.Failure{StripeEventID: "evt_1"}),
			tx.Park(projections.Parked{Stream: "subscription-x"}))
	})
	if _, known, err := m.Entitlement(t.Context(), "old"); !known || err != nil {
		t.Fatal(known, err)
	}
	beside, err := m.Beside(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = beside.Load(t.Context(), projections.Rows{
		Subscriptions: []projections.SubscriptionRow{subscription("sub_1", "new", noon)},
		Entitlements:  []projections.EntitlementRow{entitlement("new", "basic", noon), entitlement("new", "elite", noon)},
	})
	if err := errors.Join(err, beside.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := open(t).Adopt(t.Context(), beside); err == nil {
		t.Error("a model beside of another one was adopted")
	}
	if err := m.Adopt(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	if err := beside.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, known, err := m.Entitlement(t.Context(), "old"); known || err != nil {
		t.Errorf("the old one: %v, %v", known, err)
	}
	if e, known, err := m.Entitlement(t.Context(), "new"); !known || err != nil || e.Tier != "elite" {
		t.Errorf("the new one: %+v, %v, %v", e, known, err)
	}
	counts, err := m.Counts(t.Context())
	if err != nil || counts["failures"] != 0 || counts["parked"] != 0 || counts["subscriptions"] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
	update(t, m, func(tx projections.Tx) error { return tx.PutEntitlement(entitlement("new", "basic", noon)) })
	if e, _, err := m.Entitlement(t.Context(), "new"); err != nil || e.Tier != "basic" {
		t.Errorf("after a change: %+v, %v", e, err)
	}
}

// What a caller knows of a row saves work, and changes nothing that is found.
func TestARowIsFoundByItsKeysWhateverIsKnownOfItBefore(t *testing.T) {
	m := open(t)
	versions := []projections.SubscriptionRow{
		{Truth: aggregate.SubscriptionTruth{ID: "sub_1", Customer: "cus_1", Status: "active", Tier: "basic"}, Account: "a"},
		{Truth: aggregate.SubscriptionTruth{ID: "sub_1", Customer: "cus_1", Status: "active", Tier: "elite"}, Account: "a", Due: noon},
		{Truth: aggregate.SubscriptionTruth{ID: "sub_1", Customer: "cus_1", Status: "active", Tier: "elite", Flags: []string{"odd"}}, Account: "a"},
		{Truth: aggregate.SubscriptionTruth{ID: "sub_1", Customer: "cus_2", Status: "past_due", Tier: "elite"}, Account: "b"},
	}
	for i := range versions {
		versions[i].Customer = versions[i].Truth.Customer
	}
	absent := versions[0].Keys() // the model has no such row yet
	before := &absent
	for _, row := range versions {
		doc, err := json.Marshal(row.Truth)
		if err != nil {
			t.Fatal(err)
		}
		row.Doc, row.Before = doc, before
		keys := row.Keys()
		before = &keys
		update(t, m, func(tx projections.Tx) error { return tx.PutSubscription(row) })

		got, err := m.Subscriptions(t.Context(), projections.SubscriptionFilter{
			Account: row.Account, Customer: row.Truth.Customer, Status: row.Truth.Status, Tier: row.Truth.Tier})
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].SubscriptionTruth, row.Truth) {
			t.Errorf("want %+v, got %+v, %v", row.Truth, got, err)
		}
		names, err := m.SubscriptionNames(t.Context(), projections.SubscriptionFilter{Status: row.Truth.Status})
		if want := []projections.SubscriptionName{{ID: row.Truth.ID, Customer: row.Truth.Customer}}; err != nil || !reflect.DeepEqual(names, want) {
			t.Errorf("want %+v, got %+v, %v", want, names, err)
		}
		flagged, err := m.Subscriptions(t.Context(), projections.SubscriptionFilter{Flag: "odd"})
		if err != nil || len(flagged) != len(row.Truth.Flags) {
			t.Errorf("flags %v: found %+v, %v", row.Truth.Flags, flagged, err)
		}
		update(t, m, func(tx projections.Tx) error {
			due, err := tx.NextDue(noon.Add(-time.Hour))
			if !due.Equal(row.Due) {
				t.Errorf("due %v, want %v", due, row.Due)
			}
			return err
		})
	}
}

func TestChargesLeadToTheirPayments(t *testing.T) {
	m := open(t)
	update(t, m, func(tx projections.Tx) error {
		return errors.Join(
			tx.PutCharges([]projections.ChargeRow{{Charge: "ch_1", Payment: "pi_2"}, {Charge: "ch_1", Payment: "ch_1"}, {Charge: "ch_1", Payment: "pi_1"}}),
			tx.PutCharges([]projections.ChargeRow{{Charge: "ch_1", Payment: "pi_1"}, {Charge: "ch_2", Payment: "ch_2"}, {Charge: "ch_3", Payment: "pi_1"}}),
			tx.PutObject(projections.ObjectRow{Kind: projections.KindPayment, ID: "ch_2", Doc: []byte(`{}`)}),
			tx.DropObject(projections.KindPayment, "ch_2"))
	})
	wantCharges := func(shared bool, want ...string) {
		t.Helper()
		update(t, m, func(tx projections.Tx) error {
			got, err := tx.Charges(shared, "", 10)
			if !slices.Equal(got, want) {
				t.Errorf("shared %v: charges %v, want %v", shared, got, want)
			}
			return err
		})
	}
	update(t, m, func(tx projections.Tx) error {
		got, err := tx.PaymentsOf("ch_1")
		if !slices.Equal(got, []string{"ch_1", "pi_1", "pi_2"}) {
			t.Errorf("payments of a charge: %v", got)
		}
		first, errFirst := tx.Charges(false, "", 1)
		rest, errRest := tx.Charges(false, "ch_1", 1)
		if !slices.Equal(append(first, rest...), []string{"ch_1", "ch_2"}) {
			t.Errorf("pages of charges: %v, %v", first, rest)
		}
		_, known, errKnown := tx.Object(projections.KindPayment, "ch_2")
		if known {
			t.Error("an object that was dropped is there")
		}
		return errors.Join(err, errFirst, errRest, errKnown)
	})
	wantCharges(false, "ch_1", "ch_2")
	wantCharges(true, "ch_1")
	update(t, m, func(tx projections.Tx) error {
		return errors.Join(tx.DropCharge(projections.ChargeRow{Charge: "ch_1", Payment: "pi_1"}),
			tx.DropCharge(projections.ChargeRow{Charge: "ch_1", Payment: "pi_2"}))
	})
	wantCharges(true)
}

// TestTheFilesAreTheirOwnersAlone also looks at a model that is made beside.
func TestTheFilesAreTheirOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	m, err := sqlite.Open(t.Context(), filepath.Join(dir, "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // the test is about its files
	update(t, m, func(tx projections.Tx) error { return tx.SetCheckpoint(projections.Checkpoint{Position: 7}) })
	beside, err := m.Beside(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Discard(t.Context()) //nolint:errcheck // as above
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v: want the model, its log, and one beside", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}
