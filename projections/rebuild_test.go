package projections_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

// story appends random events.
type story struct {
	*rig
	*rand.Rand
}

func pick[T any](s *story, from ...T) T { return from[s.IntN(len(from))] }

func (s *story) step() {
	if s.IntN(2) == 0 {
		s.object()
		return
	}
	id := fmt.Sprintf("sub_%d", s.IntN(25))
	account := fmt.Sprintf("account-%d", s.IntN(12))
	at := begin.Add(time.Duration(s.IntN(200)-100) * time.Hour)
	switch s.IntN(20) {
	default:
		s.subscribed(id, pick(s, account, account, ""), pick(s, aggregate.Active, aggregate.Trialing, aggregate.PastDue,
			aggregate.Unpaid, aggregate.Active), pick(s, "price_basic", "price_premium", "price_elite", "price_odd", "price_rare"), at)
	case 0, 1, 2, 3:
		s.paymentFailed(id, account, at)
	case 4:
		s.subscribed(id, account, aggregate.Canceled, "price_basic", at)
	case 5, 6:
		s.appendEvent(id, aggregate.Event{Fact: &aggregate.Fact{
			Type: aggregate.CheckoutCompleted, Key: s.key(), OccurredAt: at,
			Checkout: &aggregate.CheckoutSnapshot{ID: "cs_" + id, Subscription: id, Customer: "cus_" + id, Account: account},
		}})
	case 7:
		s.appendEvent(id, aggregate.Event{Note: &aggregate.Note{
			Type: aggregate.GracePeriodExpired, ConcludedAt: s.clock.Now(), Anchor: at, Until: at.Add(24 * time.Hour),
		}})
	case 8:
		s.posting()
	case 9:
		s.clock.Set(s.clock.Now().Add(time.Duration(s.IntN(10)) * time.Hour))
	}
	if s.IntN(100) == 0 {
		s.appendRaw(eventstore.NewStream("subscription", id), "SomethingNewer", []byte(`{}`))
	}
	if s.IntN(100) == 0 {
		catalog := aggregate.BuiltinCatalog()
		catalog.GracePeriod = aggregate.Span(time.Duration(s.IntN(72)) * time.Hour)
		catalog.OnDispute, catalog.OnFullRefund = pick(s, "", aggregate.PolicyDeny), pick(s, "", aggregate.PolicyDeny)
		s.adopt(catalog)
	}
	if s.IntN(40) == 0 {
		s.appendRaw("catalog-main", aggregate.PriceMappedType, fmt.Appendf(nil,
			`{"schema":1,"price":%q,"tier":"elite","lookup_key":"odd","mapped_at":"2026-03-01T12:00:00Z"}`,
			pick(s, "price_odd", "price_rare")))
	}
}

// object tells something of a customer, a payment, a bill, a clock, or of what
// an operator decided. Few names make for many joins.
func (s *story) object() {
	subscription := fmt.Sprintf("sub_%d", s.IntN(25))
	account := fmt.Sprintf("account-%d", s.IntN(12))
	payment, invoice := fmt.Sprintf("pi_%d", s.IntN(20)), fmt.Sprintf("in_%d", s.IntN(20))
	clock := fmt.Sprintf("clock_%d", s.IntN(3))
	at := begin.Add(time.Duration(s.IntN(200)-100) * time.Hour)
	switch s.IntN(16) {
	case 0, 1:
		s.customer("cus_"+subscription, pick(s, account, account, ""), at)
	case 2:
		s.fact(projections.KindCustomer, "cus_"+subscription, aggregate.Fact{Type: aggregate.CustomerDeleted, OccurredAt: at,
			Customer: &aggregate.CustomerSnapshot{ID: "cus_" + subscription, Deleted: true}})
	case 3, 4:
		s.invoicePaid(subscription, invoice, at)
	case 5:
		s.charged(payment, pick(s, "cus_"+subscription, ""), pick(s, invoice, ""), 2900, at)
	case 6:
		s.paysFor(payment, invoice, at)
	case 7:
		s.disputed(payment, pick(s, "needs_response", "won", "lost"), at)
	case 8:
		s.refunded(payment, pick[int64](s, 100, 2900, 9900, -5), at)
	case 9:
		s.frozen(clock, at, at)
	case 10:
		s.onClock(subscription, account, clock, pick(s, aggregate.Active, aggregate.PastDue), at)
	case 11:
		s.decided(account, pick(s,
			aggregate.Decision{Type: aggregate.WaiverGranted, Waiver: fmt.Sprint("wv_", s.IntN(3)), Tier: "elite", Until: at},
			aggregate.Decision{Type: aggregate.WaiverRevoked, Waiver: fmt.Sprint("wv_", s.IntN(3))},
			aggregate.Decision{Type: aggregate.AccountBlocked}, aggregate.Decision{Type: aggregate.AccountUnblocked},
			aggregate.Decision{Type: aggregate.GraceExtended, Until: at}))
	case 12:
		s.fact(projections.KindBill, invoice, aggregate.Fact{Type: aggregate.CreditNoteIssued, OccurredAt: at,
			CreditNote: &aggregate.CreditNoteSnapshot{ID: "cn_" + invoice, Invoice: invoice, Customer: "cus_" + subscription,
				Status: "issued", Currency: pick(s, "usd", "gold"), Amount: 100, CreatedAt: at}})
	case 13:
		s.chargeRefunded("ch_"+payment, pick(s, "re_"+payment, "re_other"), pick[int64](s, 100, 2900), at)
	case 14:
		s.chargeDisputed("ch_"+payment, "dp_"+payment, pick(s, "needs_response", "won", "lost"), at)
	case 15:
		s.intentSucceeded(payment, pick(s, "ch_"+payment, "ch_"+payment, fmt.Sprintf("ch_pi_%d", s.IntN(20))),
			pick(s, "cus_"+subscription, ""), pick(s, invoice, ""), at)
	}
	if s.IntN(100) == 0 {
		s.appendRaw(pick(s, eventstore.NewStream("customer", "cus_"+subscription), eventstore.NewStream("payment", payment),
			eventstore.NewStream("payment", "ch_"+payment), eventstore.NewStream("account", account)), "SomethingNewer", []byte(`{}`))
	}
}

func (s *story) posting() {
	stream := eventstore.NewStream("posting", fmt.Sprintf("evt_%d", s.IntN(5)))
	data, err := json.Marshal(map[string]any{"schema": 1, "reason": "odd", "failed_at": s.clock.Now()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.appendRaw(stream, pick(s, "PostingFailed", "PostingRepaired"), data)
}

func TestRebuildIsLive(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := newRig(t)
			s := &story{rig: r, Rand: rand.New(rand.NewPCG(seed, 0))}
			r.start()
			for i := range 250 {
				s.step()
				switch {
				case i%100 == 99:
					r.settle()
					r.sameAsRebuilt()
				case i%70 == 69:
					r.start() // as after a crash: whatever was under way is lost
				}
			}
			r.settle()
			r.sameAsRebuilt()
			before, charges := r.entitlement("account-1"), r.charges()
			if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{}); err != nil {
				t.Fatal(err)
			}
			if after := r.entitlement("account-1"); after.Tier != before.Tier || after.Position != before.Position {
				t.Errorf("the rebuilt model answers %+v, before %+v", after, before)
			}
			if rebuilt := r.charges(); !maps.EqualFunc(charges, rebuilt, slices.Equal) {
				t.Errorf("charges of payments %v, rebuilt %v", charges, rebuilt)
			}
			// The model that took the other's place goes on from there.
			for range 50 {
				s.step()
			}
			r.settle()
			r.sameAsRebuilt()
		})
	}
}

// charges are those that the model has, with the payments whose streams name them.
func (r *rig) charges() map[string][]string {
	r.t.Helper()
	charges := map[string][]string{}
	err := r.model.Update(r.t.Context(), func(tx projections.Tx) error {
		for i := range 20 {
			charge := fmt.Sprintf("ch_pi_%d", i)
			payments, err := tx.PaymentsOf(charge)
			if err != nil {
				return err
			}
			charges[charge] = payments
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return charges
}

func TestARebuildThatDoesNotFitInMemory(t *testing.T) {
	r := newRig(t)
	s := &story{rig: r, Rand: rand.New(rand.NewPCG(7, 0))}
	for range 400 {
		s.step()
	}
	r.start()
	r.settle()
	for _, options := range []projections.RebuildOptions{
		{MemoryBytes: 1, Dir: r.dir},
		{Readers: 3},
	} {
		beside, err := r.model.Beside(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var last, total uint64
		_, err = projections.Rebuild(t.Context(), projections.Source{
			Store: r.store, Epoch: epoch, Now: r.clock.Now, RebuildOptions: options,
		}, beside, func(d, of uint64) { last, total = d, of })
		if err != nil {
			t.Fatal(err)
		}
		if last != total || total == 0 {
			t.Errorf("progress ended at %d of %d", last, total)
		}
		differences, err := projections.Compare(t.Context(), r.model, beside, r.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range differences {
			t.Errorf("%+v: %s %s\nlive    %s\nrebuilt %s", options, d.Kind, d.Key, d.A, d.B)
		}
		if err := beside.Discard(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, "*rebuild*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// object is a row of a model.
func object(kind projections.Kind, id string) projections.ObjectRow {
	return projections.ObjectRow{Kind: kind, ID: id, Doc: []byte(`{}`)}
}

// The comparison is what every other test of the rebuild rests on: it must find
// each kind of difference.
func TestCompareFindsEveryKindOfDifference(t *testing.T) {
	open := func(name string) *sqlite.Model {
		m, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), name))
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
	row := projections.SubscriptionRow{Truth: aggregate.SubscriptionTruth{ID: "sub_1"}, Account: "a", Doc: []byte(`{"id":"sub_1"}`)}
	for kind, change := range map[string]func(projections.Tx) error{
		"checkpoint":   func(tx projections.Tx) error { return tx.SetCheckpoint(projections.Checkpoint{Position: 9}) },
		"subscription": func(tx projections.Tx) error { return tx.PutSubscription(row) },
		"entitlement": func(tx projections.Tx) error {
			return tx.PutEntitlement(projections.EntitlementRow{Account: "b", Doc: []byte(`{"account":"b","tier":"elite"}`)})
		},
		"counts": func(tx projections.Tx) error {
			return tx.PutEntitlement(projections.EntitlementRow{Account: "z", Doc: []byte(`{"account":"z"}`)})
		},
		"failures": func(tx projections.Tx) error { return tx.PutFailure(projections.Failure{StripeEventID: "evt_1"}) },
		"parked":   func(tx projections.Tx) error { return tx.Park(projections.Parked{Stream: "subscription-x"}) },
		"catalogs": func(tx projections.Tx) error {
			data, err := json.Marshal(aggregate.CatalogAdopted{Schema: 1, Hash: "h", Catalog: aggregate.BuiltinCatalog()})
			if err != nil {
				return err
			}
			return tx.AddCatalog(aggregate.CatalogAdoptedType, data)
		},
		"account":  func(tx projections.Tx) error { return tx.PutObject(object(projections.KindAccount, "a")) },
		"clock":    func(tx projections.Tx) error { return tx.PutObject(object(projections.KindClock, "clock_1")) },
		"customer": func(tx projections.Tx) error { return tx.PutObject(object(projections.KindCustomer, "cus_1")) },
		"invoice":  func(tx projections.Tx) error { return tx.PutObject(object(projections.KindBill, "in_1")) },
		"payment":  func(tx projections.Tx) error { return tx.PutObject(object(projections.KindPayment, "pi_1")) },
		"unmapped": func(tx projections.Tx) error {
			truth := aggregate.SubscriptionTruth{ID: "sub_9", Status: aggregate.Active, Flags: []string{aggregate.FlagUnmappedPrice},
				Items: []aggregate.Item{{Price: "price_odd"}}}
			doc, err := json.Marshal(truth)
			if err != nil {
				return err
			}
			return tx.PutSubscription(projections.SubscriptionRow{Truth: truth, Doc: doc})
		},
	} {
		t.Run(kind, func(t *testing.T) {
			a, b := open("a.db"), open("b.db")
			common := func(tx projections.Tx) error {
				other := row
				other.Account, other.Truth.ID, other.Doc = "b", "sub_2", []byte(`{"id":"sub_2"}`)
				if err := tx.PutObject(object(projections.KindPayment, "pi_0")); err != nil {
					return err
				}
				return tx.PutSubscription(other)
			}
			for _, m := range []*sqlite.Model{a, b} {
				if err := m.Update(t.Context(), common); err != nil {
					t.Fatal(err)
				}
			}
			if same, err := projections.Compare(t.Context(), a, b, begin); err != nil || len(same) != 0 {
				t.Fatalf("two that are the same: %v, %v", same, err)
			}
			if err := b.Update(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			found, err := projections.Compare(t.Context(), a, b, begin)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range found {
				if d.Kind == kind {
					return
				}
			}
			t.Errorf("not found; found %+v", found)
		})
	}
}
