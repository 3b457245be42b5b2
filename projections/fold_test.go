package projections

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

func recorded(t *testing.T, revision eventstore.Revision, status aggregate.Status) eventstore.RecordedEvent {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, int(revision), 0, 0, time.UTC)
	e := aggregate.Event{Fact: &aggregate.Fact{
		Type: aggregate.SubscriptionChanged, OccurredAt: at,
		Key:          aggregate.FactKey{StripeEventID: "evt_" + string(rune('a'+revision))},
		Subscription: &aggregate.SubscriptionSnapshot{ID: "sub_1", Account: "a", Status: status},
	}}
	data, err := aggregate.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := json.Marshal(eventstore.Metadata{RecordedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	return eventstore.RecordedEvent{Stream: "subscription-sub_1", Revision: revision,
		Position: eventstore.Position(revision + 10), Type: e.Type(), Data: data, Metadata: meta}
}

func TestEventsThatWereFoldedArePassedOver(t *testing.T) {
	events := []eventstore.RecordedEvent{recorded(t, 0, aggregate.Active), recorded(t, 1, aggregate.Canceled)}
	f := newFolded("subscription-sub_1")
	for range 2 {
		if fault := f.take(events); fault != nil {
			t.Fatal(fault.err)
		}
	}
	if f.events != 2 || f.next != 2 {
		t.Errorf("folded %d events, next %d", f.events, f.next)
	}
}

func TestAFaultLeavesWhatCameBefore(t *testing.T) {
	events := []eventstore.RecordedEvent{recorded(t, 0, aggregate.Active), recorded(t, 1, aggregate.Canceled), recorded(t, 2, aggregate.Active)}
	events[1].Data = []byte(`{`)
	row, fault, err := foldStream(newFolded("subscription-sub_1"), events, OrBuiltin(aggregate.Catalogs{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if fault == nil || fault.revision != 1 || fault.position != 11 {
		t.Errorf("fault %+v", fault)
	}
	if row == nil || row.subscription.Truth.Status != aggregate.Active || row.subscription.Truth.Position != 10 {
		t.Errorf("row %+v", row)
	}
}

// A fault of ours stops one stream, and is looked for event by event, so that
// where it is found does not depend on batches.
func TestAPanicIsAFaultOfOneStream(t *testing.T) {
	events := []eventstore.RecordedEvent{recorded(t, 0, aggregate.Active), recorded(t, 1, aggregate.Canceled)}
	catalogs := OrBuiltin(aggregate.Catalogs{})
	broken := func(next eventstore.Revision) *folded { // its methods panic
		return &folded{next: next, events: int(next)}
	}
	row, fault, err := foldStream(broken(2), events, catalogs,
		func() (*folded, []eventstore.RecordedEvent, error) {
			return newFolded("subscription-sub_1"), events, nil
		})
	if err != nil || fault != nil || row == nil || row.subscription.Truth.Status != aggregate.Canceled {
		t.Errorf("row %+v, fault %+v, %v", row, fault, err)
	}
	row, fault, err = foldStream(broken(2), events, catalogs,
		func() (*folded, []eventstore.RecordedEvent, error) { return broken(0), events, nil })
	if err != nil || row != nil || fault == nil || fault.revision != 0 || !strings.Contains(fault.err.Error(), "panic") {
		t.Errorf("row %+v, fault %+v, %v", row, fault, err)
	}
}

func TestEventsSetAsideComeBackAsTheyWere(t *testing.T) {
	for _, bound := range []int{0, 1 << 20} {
		p := newPartitions(1, nil, bound, t.TempDir())
		want := []eventstore.RecordedEvent{recorded(t, 0, aggregate.Active), recorded(t, 1, aggregate.Canceled)}
		want[1].Data = append(want[1].Data, make([]byte, 3*chunkBytes)...)
		for i := range want {
			if err := p.add(&want[i]); err != nil {
				t.Fatal(err)
			}
		}
		var got []eventstore.RecordedEvent
		var apart sorter
		for i := range p.parts {
			streams, err := p.streams(i, &apart)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range streams {
				if s.stream == "subscription-sub_1" {
					got = append(got, s.events...)
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("bound %d: %d events, want %d", bound, len(got), len(want))
		}
		for i, e := range got {
			w := want[i]
			if e.Stream != w.Stream || e.Revision != w.Revision || e.Position != w.Position || e.Type != w.Type ||
				string(e.Data) != string(w.Data) {
				t.Errorf("bound %d: event %d came back changed", bound, i)
			}
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	c := newFoldedCache(2)
	for _, stream := range []eventstore.Stream{"subscription-a", "subscription-b", "subscription-c"} {
		c.put(stream, newFolded(stream))
	}
	if c.take("subscription-c") == nil || c.take("subscription-a") != nil {
		t.Error("want the latest two kept")
	}
	c.purge()
	if c.take("subscription-b") != nil {
		t.Error("something is kept after a purge")
	}
}

// TestAStreamThatRestsFoldsTheSame folds a stream event by event, with a rest
// after each, and at once.
func TestAStreamThatRestsFoldsTheSame(t *testing.T) {
	catalogs := OrBuiltin(aggregate.Catalogs{})
	for _, stream := range []eventstore.Stream{"subscription-sub_1", "account-team-42", "customer-cus_1", "payment-pi_1"} {
		events := recordedSamples(t, stream)
		atOnce, inSteps := newFolded(stream), newFolded(stream)
		inSteps.rests = true
		var taken []aggregate.Event
		for i := range events {
			inSteps.wake(taken)
			if fault := inSteps.take(events[i : i+1]); fault != nil {
				t.Fatal(fault.err)
			}
			if fault := atOnce.take(events[i : i+1]); fault != nil {
				t.Fatal(fault.err)
			}
			got, err := inSteps.row(catalogs)
			if err != nil {
				t.Fatal(err)
			}
			want, err := atOnce.row(catalogs)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: after %d events, %v: the row is another one", stream, i+1, err)
			}
			taken = append(taken, inSteps.rest()...)
			if len(taken) != i+1 || inSteps.state != nil {
				t.Fatalf("%s: rests with %d events of %d", stream, len(taken), i+1)
			}
		}
	}
}

// recordedSamples are some events of a stream, with places in a log.
func recordedSamples(t *testing.T, stream eventstore.Stream) []eventstore.RecordedEvent {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fact := func(f aggregate.Fact) aggregate.Event {
		at = at.Add(time.Hour)
		f.OccurredAt, f.Key.StripeEventID = at, "evt_"+at.Format("150405")
		return aggregate.Event{Fact: &f}
	}
	var events []aggregate.Event
	switch Kind(stream.Category()) {
	case KindSubscription:
		for _, status := range []aggregate.Status{aggregate.Active, aggregate.PastDue, aggregate.Active} {
			events = append(events, fact(aggregate.Fact{Type: aggregate.SubscriptionChanged, Subscription: &aggregate.SubscriptionSnapshot{
				ID: stream.ID(), Customer: "cus_1", Status: status, Account: "team-42", Items: []aggregate.Item{{Price: "price_basic", Quantity: 1}}}}))
		}
		events = append(events, aggregate.Event{Note: &aggregate.Note{Type: aggregate.GracePeriodExpired, ConcludedAt: at, Anchor: at, Until: at.Add(time.Hour)}})
	case KindAccount:
		for _, d := range []aggregate.Decision{{Type: aggregate.WaiverGranted, Waiver: "w_1", Tier: "premium"}, {Type: aggregate.AccountBlocked}} {
			d.DecidedAt, d.Actor, d.Reason = at, "ops", "because"
			events = append(events, aggregate.Event{Decision: &d})
		}
	case KindCustomer:
		for _, account := range []string{"team-42", ""} {
			events = append(events, fact(aggregate.Fact{Type: aggregate.CustomerUpdated, Customer: &aggregate.CustomerSnapshot{ID: stream.ID(), Account: account}}))
		}
	case KindPayment:
		for _, refunded := range []int64{0, 100} {
			events = append(events, fact(aggregate.Fact{Type: aggregate.ChargeSucceeded, Payment: &aggregate.PaymentSnapshot{
				ID: "ch_1", Intent: stream.ID(), Charge: "ch_1", Status: "succeeded", Currency: "usd", Amount: 2900, AmountReceived: 2900, AmountRefunded: refunded}}))
		}
	}
	recorded := make([]eventstore.RecordedEvent, len(events))
	for i, e := range events {
		data, err := aggregate.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		recorded[i] = eventstore.RecordedEvent{Stream: stream, Revision: eventstore.Revision(i), Position: eventstore.Position(10 * (i + 1)), Type: e.Type(), Data: data}
	}
	return recorded
}
