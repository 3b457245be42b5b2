package posting

import (
	"fmt"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// grown returns a ledger that has folded n events.
func grown(n int) *ledger {
	l := &ledger{decider: &aggregate.FactSet{}}
	for i := range n {
		l.Evolve(aggregate.Event{Fact: &aggregate.Fact{Key: aggregate.FactKey{StripeEventID: fmt.Sprint(i)}}}, aggregate.Place{})
	}
	return l
}

func TestLedgersAreBoundedByTheEventsInThem(t *testing.T) {
	l := newLedgers(nil)
	const each = keptEvents / 10
	for i := range 25 {
		stream := eventstore.NewStream("payment", fmt.Sprint(i))
		l.keep(stream, grown(each))
		if l.weight > keptEvents {
			t.Fatalf("%d events kept, want at most %d", l.weight, keptEvents)
		}
		if l.find(stream) == nil {
			t.Fatalf("%s, the latest, is not kept", stream)
		}
	}
	if l.find("payment-0") != nil || l.kept.Len() != 10 {
		t.Errorf("%d ledgers kept, want the latest 10", l.kept.Len())
	}
}

func TestALedgerThatGrowsIsCountedAnew(t *testing.T) {
	l := newLedgers(nil)
	old, busy := grown(10), grown(10)
	l.keep("payment-old", old)
	l.keep("payment-busy", busy)
	for range keptEvents {
		busy.Evolve(aggregate.Event{}, aggregate.Place{})
	}
	l.keep("payment-busy", busy)
	if l.find("payment-old") != nil || l.find("payment-busy") != busy {
		t.Error("want the busy one kept alone")
	}
	l.forget("payment-busy")
	if l.weight != 0 {
		t.Errorf("%d events counted, none kept", l.weight)
	}
	l.keep("payment-busy", grown(3))
	l.keep("payment-busy", grown(4)) // as read again after a conflict
	if l.weight != 4 {
		t.Errorf("%d events counted, want 4", l.weight)
	}
}
