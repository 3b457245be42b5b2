package aggregate_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
)

func packed(t interface{ Fatalf(string, ...any) }, events []aggregate.Event) aggregate.Packed {
	var p aggregate.Packed
	for _, e := range events {
		if !p.Add(e) {
			t.Fatalf("%s is not taken", e.Type())
		}
	}
	return p
}

func eventsOf(facts []aggregate.Fact) []aggregate.Event {
	events := make([]aggregate.Event, len(facts))
	for i := range facts {
		events[i] = aggregate.Event{Fact: &facts[i]}
	}
	return events
}

func TestPackedEventsComeOutAsTheyWentIn(t *testing.T) {
	events := samples()
	p := packed(t, events)
	if got := p.Events(p.Len()); !reflect.DeepEqual(got, events) {
		for i := range events {
			if i < len(got) && !reflect.DeepEqual(got[i], events[i]) {
				t.Errorf("%s came back changed", events[i].Type())
			}
		}
		t.Errorf("%d events of %d", len(got), len(events))
	}
}

func TestAnyStoryIsPackedAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := eventsOf(randomStory(t, rapid.IntRange(0, 80).Draw(t, "length")))
		p := packed(t, events)
		n := rapid.IntRange(0, len(events)).Draw(t, "of them")
		if got := p.Events(n); !reflect.DeepEqual(got, events[:n]) {
			t.Fatalf("the first %d of %d came back changed", n, len(events))
		}
	})
}

func TestOddValuesArePackedToo(t *testing.T) {
	events := []aggregate.Event{
		{Fact: &aggregate.Fact{Type: aggregate.InvoiceFinalized, Epoch: aggregate.RepudiatedEpoch, OccurredAt: time.Unix(-5, 999999999).UTC(),
			Key:     aggregate.FactKey{StripeEventID: "evt_1", Ordinal: -1},
			Invoice: &aggregate.InvoiceSnapshot{AmountDue: -1 << 63, AmountPaid: 1<<63 - 1, Flags: []string{"", "ü", ""}}}},
		{Fact: &aggregate.Fact{Type: aggregate.Retracted, Retraction: &aggregate.Retraction{}}},
		{},
	}
	p := packed(t, events)
	if got := p.Events(len(events)); !reflect.DeepEqual(got, events) {
		t.Errorf("came back as %+v", got)
	}
}

func TestAnEmptyListIsPackedAsItIsStored(t *testing.T) {
	p := packed(t, []aggregate.Event{{Fact: &aggregate.Fact{Clock: &aggregate.ClockSnapshot{Flags: []string{}}}}})
	if got := p.Events(1)[0].Fact.Clock; got.Flags != nil {
		t.Error("an empty list came out, where an encoded one is none")
	}
}

func TestWhatWouldComeOutOtherwiseIsNotPacked(t *testing.T) {
	var p aggregate.Packed
	fact := aggregate.Fact{Type: aggregate.ClockTold, Key: aggregate.FactKey{StripeEventID: "evt_1"}, OccurredAt: day0, Clock: &aggregate.ClockSnapshot{ID: "clock_1"}}
	p.Add(aggregate.Event{Fact: &fact})
	odd := fact
	odd.OccurredAt = day0.In(time.FixedZone("elsewhere", 3600))
	if p.Add(aggregate.Event{Fact: &odd}) {
		t.Error("a time of another zone is taken")
	}
	if got := p.Events(2); !reflect.DeepEqual(got, []aggregate.Event{{Fact: &fact}}) {
		t.Errorf("it left %+v", got)
	}
}

// TestACopyIsReadWhileTheOriginalGrows is for the race detector, too.
func TestACopyIsReadWhileTheOriginalGrows(t *testing.T) {
	events := eventsOf(longStory(200).facts)
	var p aggregate.Packed
	var reading sync.WaitGroup
	for i, e := range events {
		if !p.Add(e) {
			t.Fatal("not taken")
		}
		then := p
		reading.Go(func() {
			if got := then.Events(then.Len()); !reflect.DeepEqual(got, events[:i+1]) {
				t.Errorf("the first %d came back changed", i+1)
			}
		})
	}
	reading.Wait()
}

func TestPackedEventsAreSmall(t *testing.T) {
	events := eventsOf(longStory(100).facts)
	p := packed(t, events)
	if each := p.Size() / p.Len(); each > 300 {
		t.Errorf("%d bytes each", each)
	}
	if twice := packed(t, slices.Concat(events, events)); twice.Size() <= p.Size() {
		t.Error("twice as many take no more")
	}
}

// BenchmarkUnpack reads back what is kept of a busy subscription.
func BenchmarkUnpack(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("%d_facts", n), func(b *testing.B) {
			p := packed(b, eventsOf(longStory(n).facts))
			b.ReportAllocs()
			for b.Loop() {
				p.Events(n)
			}
			b.ReportMetric(float64(p.Size())/float64(p.Len()), "kept-B/fact")
		})
	}
}

// BenchmarkPack packs a history.
func BenchmarkPack(b *testing.B) {
	events := eventsOf(longStory(100).facts)
	b.ReportAllocs()
	for b.Loop() {
		packed(b, events)
	}
}
