package aggregate_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

// truths are everything that is derived from a set of facts, whichever streams
// it came from.
type truths struct {
	Subscription aggregate.SubscriptionTruth
	Payment      aggregate.PaymentTruth
	Bill         aggregate.BillTruth
	Customer     aggregate.CustomerTruth
	Clock        aggregate.ClockTruth
}

// derive folds the facts in the order given. Where a fact was recorded follows
// from what it says, so that it is the same in every order.
func derive(facts []aggregate.Fact) truths {
	sub := aggregate.NewSubscription("sub_1")
	for i := range facts {
		f := &facts[i]
		sub.Evolve(aggregate.Event{Fact: f}, aggregate.Place{Position: uint64(len(f.Key.StripeEventID) + f.Epoch)})
	}
	return truths{sub.Derive(builtin()), sub.DerivePayment("pi_1"), sub.DeriveBill("in_1"), sub.DeriveCustomer("cus_1"), sub.DeriveClock("clock_1")}
}

// unplaced leaves out where the facts were recorded.
func (all truths) unplaced() truths {
	for _, position := range []*uint64{&all.Subscription.Position, &all.Payment.Position, &all.Bill.Position, &all.Customer.Position, &all.Clock.Position} {
		*position = 0
	}
	return all
}

func wantSame(t *rapid.T, got, want truths) {
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("another truth:\n got %+v\nwant %+v", got, want)
	}
}

// kinds are the two generators of stories.
var kinds = map[string]func(*rapid.T, int) []aggregate.Fact{"subscription": randomStory, "money": randomMoney}

func forEachKind(t *testing.T, property func(*rapid.T, func(*rapid.T, int) []aggregate.Fact)) {
	for name, draw := range kinds {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { property(t, draw) })
		})
	}
}

func TestAnyOrderWithDuplicatesAndEpochsGivesTheSameTruth(t *testing.T) {
	forEachKind(t, func(t *rapid.T, draw func(*rapid.T, int) []aggregate.Fact) {
		facts := withCorrections(t, draw(t, rapid.IntRange(1, 40).Draw(t, "length")))
		want := derive(facts)
		again := rapid.SliceOf(rapid.SampledFrom(facts)).Draw(t, "duplicates")
		wantSame(t, derive(rapid.Permutation(append(slices.Clone(facts), again...)).Draw(t, "order")), want)
	})
}

func TestAllOrdersOfShortHistoriesGiveTheSameTruth(t *testing.T) {
	forEachKind(t, func(t *rapid.T, draw func(*rapid.T, int) []aggregate.Fact) {
		facts := draw(t, rapid.IntRange(1, 6).Draw(t, "length"))
		want := derive(facts)
		for _, order := range permutations(facts) {
			wantSame(t, derive(order), want)
		}
	})
}

func TestWhatIsRepudiatedOrRetractedNeverHappened(t *testing.T) {
	forEachKind(t, func(t *rapid.T, draw func(*rapid.T, int) []aggregate.Fact) {
		facts := draw(t, rapid.IntRange(1, 20).Draw(t, "length"))
		var kept, all []aggregate.Fact
		for _, f := range facts {
			all = append(all, f)
			switch drawOne(t, "fate", "kept", "repudiated", "retracted") {
			case "repudiated":
				all = append(all, repudiation(f))
			case "retracted":
				all = append(all, retraction(f))
			default:
				kept = append(kept, f)
			}
		}
		wantSame(t, derive(rapid.Permutation(all).Draw(t, "order")).unplaced(), derive(kept).unplaced())
	})
}

func TestARepudiationIsRecordedAtItsOwnPlace(t *testing.T) {
	var s story
	s.started(day0, aggregate.Active, "price_basic")
	sub := fold(s.facts)
	forged := repudiation(s.facts[0])
	sub.Evolve(aggregate.Event{Fact: &forged}, aggregate.Place{Position: 9})
	truth := sub.Derive(builtin())
	want := aggregate.SubscriptionTruth{ID: "sub_1", Flags: []string{aggregate.FlagNoSnapshot}, Position: 9}
	if !reflect.DeepEqual(truth, want) {
		t.Errorf("%+v, want %+v", truth, want)
	}
}

// TestTellingItAgainChangesNoMoney: several events may tell of one object.
func TestTellingItAgainChangesNoMoney(t *testing.T) {
	forEachKind(t, func(t *rapid.T, draw func(*rapid.T, int) []aggregate.Fact) {
		facts := draw(t, rapid.IntRange(1, 20).Draw(t, "length"))
		want := derive(facts)
		for _, f := range facts {
			if rapid.Bool().Draw(t, "told again") {
				f.Key.StripeEventID += "-again" // comes right after it within its second
				facts = append(facts, f)
			}
		}
		got := derive(facts)
		for name, pair := range map[string][2]any{
			"invoices": {got.Subscription.Invoices, want.Subscription.Invoices}, "paid": {got.Subscription.Paid, want.Subscription.Paid},
			"received": {got.Payment.Received, want.Payment.Received}, "refunded": {got.Payment.Refunded, want.Payment.Refunded},
			"lost": {got.Payment.Lost, want.Payment.Lost}, "refunds": {got.Payment.Refunds, want.Payment.Refunds},
			"bill": {got.Bill.Invoice, want.Bill.Invoice}, "credit notes": {got.Bill.CreditNotes, want.Bill.CreditNotes},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Fatalf("%s: %+v, want %+v", name, pair[0], pair[1])
			}
		}
	})
}

// TestPaidIsWhatTheInvoicesBroughtIn: each invoice once, and the most that was
// told of it.
func TestPaidIsWhatTheInvoicesBroughtIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := randomStory(t, rapid.IntRange(1, 30).Draw(t, "length"))
		told := map[string]int64{}
		for _, f := range facts {
			if f.Invoice == nil {
				continue
			}
			f.Invoice.Currency = "usd"
			if f.Type == aggregate.PaymentSucceeded || f.Type == aggregate.InvoiceOverpaid || f.Invoice.Status == "paid" {
				told[f.Invoice.ID] = max(told[f.Invoice.ID], f.Invoice.AmountPaid)
			}
		}
		truth := derive(facts).Subscription
		sum := int64(0)
		for _, in := range truth.Invoices {
			if in.Paid != told[in.ID] {
				t.Fatalf("%s paid %d, want %d", in.ID, in.Paid, told[in.ID])
			}
			sum += in.Paid
		}
		if got := truth.Paid; sum > 0 && !slices.Equal(got, []aggregate.Money{{Amount: sum, Currency: "usd"}}) || sum == 0 && got != nil {
			t.Fatalf("paid %v, want %d usd", got, sum)
		}
	})
}

func TestTerminalStaysTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sub := fold(randomStory(t, rapid.IntRange(1, 20).Draw(t, "length")))
		var ended aggregate.Status
		for i := range 6 {
			truth := sub.AsOf(at(time.Duration(i) * day)).Derive(builtin())
			if ended != "" && truth.Status != ended {
				t.Fatalf("%s became %s on day %d", ended, truth.Status, i)
			}
			if truth.Status.Terminal() {
				ended = truth.Status
				if truth.Access(at(time.Duration(i)*day)).Granted || truth.Delinquency != nil {
					t.Fatalf("%s grants: %+v", ended, truth)
				}
			}
		}
	})
}

// TestARetryNeverMovesGraceLater: neither a further attempt on the invoice that
// is owed, nor the failure of another.
func TestARetryNeverMovesGraceLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := story{facts: randomStory(t, rapid.IntRange(1, 20).Draw(t, "length"))}
		before := s.truth().Delinquency
		if before == nil || before.Invoice == "" {
			return
		}
		created := map[string]time.Time{}
		last := day0
		for _, f := range s.facts {
			if f.Invoice != nil {
				created[f.Invoice.ID] = f.Invoice.CreatedAt
			}
			if f.OccurredAt.After(last) {
				last = f.OccurredAt
			}
		}
		ids := slices.Sorted(maps.Keys(created))
		for i := range rapid.IntRange(1, 3).Draw(t, "retries") {
			id := drawOne(t, "invoice", append(ids, before.Invoice)...)
			s.failed(last.Add(time.Duration(1+i)*time.Hour), id, created[id]).AttemptCount = int64(2 + i)
		}
		if after := s.truth().Delinquency; after == nil || after.GraceUntil.After(before.GraceUntil) {
			t.Fatalf("grace until %s became %+v", before.GraceUntil, after)
		}
	})
}

// TestNotesTellWhatIsDerived holds what Decide concludes against what is derived
// before and after, fact by fact.
func TestNotesTellWhatIsDerived(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := randomStory(t, rapid.IntRange(1, 12).Draw(t, "length"))
		if rapid.Bool().Draw(t, "in order") {
			slices.SortStableFunc(facts, func(a, b aggregate.Fact) int { return a.OccurredAt.Compare(b.OccurredAt) })
		}
		sub, catalogs := aggregate.NewSubscription("sub_1"), builtin()
		var grace []time.Time
		for i := range facts {
			before := sub.Derive(catalogs)
			events := sub.Decide(facts[i:i+1], catalogs, at(100*day))
			for _, e := range events {
				sub.Evolve(e, aggregate.Place{})
			}
			after := sub.Derive(catalogs)
			changed := false
			for _, e := range events {
				switch n := e.Note; {
				case n == nil:
				case n.Type == aggregate.TierChanged:
					changed = n.FromTier == before.Tier && n.ToTier == after.Tier
				case n.Type == aggregate.GracePeriodStarted:
					grace = append(grace, n.Anchor)
				case n.Type == aggregate.SubscriptionRestated && (n.FromStatus != before.Status || n.ToStatus != after.Status):
					t.Fatalf("from %s to %s is told as %+v", before.Status, after.Status, n)
				}
			}
			if changed != (before.Tier != after.Tier) {
				t.Fatalf("from tier %q to %q: %d events", before.Tier, after.Tier, len(events))
			}
			if d := after.Delinquency; d != nil && !slices.ContainsFunc(grace, d.Anchor.Equal) {
				t.Fatalf("nothing tells of the delinquency since %s", d.Anchor)
			}
		}
	})
}
