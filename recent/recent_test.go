package recent_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/recent"
)

const sub eventstore.Stream = "subscription-sub_1"

// counting counts how often streams are read.
type counting struct {
	eventstore.Store
	reads atomic.Int64
}

func (c *counting) ReadStream(ctx context.Context, stream eventstore.Stream, from eventstore.Revision, dir eventstore.Direction, limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	c.reads.Add(1)
	return c.Store.ReadStream(ctx, stream, from, dir, limit)
}

func (c *counting) wantReads(t *testing.T, want int64) {
	t.Helper()
	if got := c.reads.Load(); got != want {
		t.Errorf("streams were read %d times, want %d", got, want)
	}
}

func newStore(t *testing.T) *counting { return &counting{Store: sqlitetest.Open(t)} }

// told is the n-th fact of a subscription.
func told(n int) aggregate.Event {
	at := time.Date(2026, 3, 1, 12, n, 0, 0, time.UTC)
	return aggregate.Event{Fact: &aggregate.Fact{Type: aggregate.SubscriptionChanged, OccurredAt: at,
		Key: aggregate.FactKey{StripeEventID: fmt.Sprintf("evt_%d", n)},
		Subscription: &aggregate.SubscriptionSnapshot{ID: "sub_1", Status: aggregate.Active,
			Items: []aggregate.Item{{Price: "price_basic", Quantity: int64(n), PeriodEnd: at}}}}}
}

// events are the facts from one number up to another.
func events(from, to int) []aggregate.Event {
	var all []aggregate.Event
	for n := from; n < to; n++ {
		all = append(all, told(n))
	}
	return all
}

func appendTo(t *testing.T, store eventstore.Store, stream eventstore.Stream, events ...aggregate.Event) {
	t.Helper()
	for _, e := range events {
		data, err := aggregate.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		p := eventstore.ProposedEvent{ID: uuid.New(), Type: e.Type(), Data: data, Metadata: []byte(`{}`)}
		if _, err := store.Append(t.Context(), stream, eventstore.Any, p); err != nil {
			t.Fatal(err)
		}
	}
}

func wantAll(t *testing.T, s *recent.Streams, stream eventstore.Stream, want []aggregate.Event) {
	t.Helper()
	got, expected, err := s.All(t.Context(), stream)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%d events, %v: want %d", len(got), err, len(want))
	}
	if wanted := eventstore.Exactly(eventstore.Revision(len(want) - 1)); expected != wanted {
		t.Errorf("expects %v, want %v", expected, wanted)
	}
}

func TestAStreamIsReadOnce(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, events(0, 5)...)
	s := recent.New(store, 0)
	wantAll(t, s, sub, events(0, 5))
	wantAll(t, s, sub, events(0, 5))
	store.wantReads(t, 1)
	s.Add(sub, 5, events(5, 7)...)
	wantAll(t, s, sub, events(0, 7))
	store.wantReads(t, 1)
}

func TestAStreamThatIsNotThereMayBegin(t *testing.T) {
	store := newStore(t)
	s := recent.New(store, 0)
	got, expected, err := s.All(t.Context(), sub)
	if err != nil || len(got) != 0 || expected != eventstore.NoStream {
		t.Fatalf("%d events, expects %v, %v", len(got), expected, err)
	}
	s.Add(sub, 0, told(0))
	wantAll(t, s, sub, events(0, 1))
	store.wantReads(t, 1)
}

func TestWhatIsForgottenIsReadAgain(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, told(0))
	s := recent.New(store, 0)
	wantAll(t, s, sub, events(0, 1))
	appendTo(t, store, sub, told(1)) // by somebody else
	wantAll(t, s, sub, events(0, 1))
	s.Forget(sub)
	wantAll(t, s, sub, events(0, 2))
}

// TestBeforeNeverTellsMore is what a model that has a place in the log needs.
func TestBeforeNeverTellsMore(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, events(0, 6)...)
	s := recent.New(store, 0)
	for range 2 { // first from the store, then from memory
		for n := range 7 {
			got, err := s.Before(t.Context(), sub, eventstore.Revision(n))
			if err != nil || !reflect.DeepEqual(got, events(0, n)) {
				t.Errorf("before %d: %d events, %v", n, len(got), err)
			}
		}
	}
	store.wantReads(t, 1)
	wantAll(t, s, sub, events(0, 6))
	store.wantReads(t, 1)
}

func TestBeforeReadsWhatIsMissing(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, events(0, 2)...)
	s := recent.New(store, 0)
	wantAll(t, s, sub, events(0, 2))
	appendTo(t, store, sub, told(2))
	got, err := s.Before(t.Context(), sub, 3)
	if err != nil || !reflect.DeepEqual(got, events(0, 3)) {
		t.Errorf("%d events, %v: want 3", len(got), err)
	}
}

func TestAddKeepsOnlyWhatFollows(t *testing.T) {
	for name, c := range map[string]struct {
		first eventstore.Revision
		added []aggregate.Event
		want  int
	}{
		"more":              {3, events(3, 5), 5},
		"there already":     {1, events(1, 3), 3},
		"more, and overlap": {2, events(2, 5), 5},
		"behind a gap":      {4, events(4, 5), 3},
		"nothing":           {3, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := recent.New(newStore(t), 0)
			s.Add(sub, 0, events(0, 3)...)
			s.Add(sub, c.first, c.added...)
			wantAll(t, s, sub, events(0, c.want))
		})
	}
	store := newStore(t)
	s := recent.New(store, 0)
	s.Add(sub, 1, told(1)) // what came before it is not known
	if got, _, err := s.All(t.Context(), sub); err != nil || len(got) != 0 {
		t.Errorf("%d events, %v: none are in the store", len(got), err)
	}
}

func TestWhatCannotBePackedIsReadEachTime(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, events(0, 2)...)
	s := recent.New(store, 0)
	s.Add(sub, 0, told(0))
	odd := told(1)
	odd.Fact.OccurredAt = odd.Fact.OccurredAt.In(time.FixedZone("elsewhere", 3600))
	s.Add(sub, 1, odd)
	wantAll(t, s, sub, events(0, 2))
	store.wantReads(t, 1)
}

func TestAnEventOfALaterBuildIsNamed(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, told(0))
	future := eventstore.ProposedEvent{ID: uuid.New(), Type: "FromTheFuture", Data: []byte(`{}`), Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), sub, eventstore.Any, future); err != nil {
		t.Fatal(err)
	}
	s := recent.New(store, 0)
	for range 2 {
		_, _, err := s.All(t.Context(), sub)
		var undecodable *recent.UndecodableError
		if !errors.As(err, &undecodable) || undecodable.Revision != 1 || !errors.Is(err, aggregate.ErrUnknownType) {
			t.Errorf("error %v", err)
		}
	}
}

func TestBeforeAnEventOfALaterBuildAllIsWell(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, events(0, 3)...)
	future := eventstore.ProposedEvent{ID: uuid.New(), Type: "FromTheFuture", Data: []byte(`{}`), Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), sub, eventstore.Any, future); err != nil {
		t.Fatal(err)
	}
	s := recent.New(store, 0)
	for _, n := range []int{3, 2} {
		if got, err := s.Before(t.Context(), sub, eventstore.Revision(n)); err != nil || !reflect.DeepEqual(got, events(0, n)) {
			t.Errorf("before %d: %d events, %v", n, len(got), err)
		}
	}
	var undecodable *recent.UndecodableError
	if _, err := s.Before(t.Context(), sub, 4); !errors.As(err, &undecodable) {
		t.Errorf("before 4: %v", err)
	}
}

func TestTroubleWithTheStoreIsTold(t *testing.T) {
	store := newStore(t)
	appendTo(t, store, sub, told(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := recent.New(store, 0)
	if _, _, err := s.All(ctx, sub); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Before(ctx, sub, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	wantAll(t, s, sub, events(0, 1))
}

// TestStreamsThatTakeTurnsAreFound goes through more streams than there is room
// for, again and again: a part of them must be found each time.
func TestStreamsThatTakeTurnsAreFound(t *testing.T) {
	const streams, each, rounds = 60, 10, 10
	measure := recent.New(nil, 0)
	measure.Add(sub, 0, events(0, each)...)
	store := newStore(t)
	s := recent.New(store, measure.Bytes()*streams*2/3)
	names := make([]eventstore.Stream, streams)
	for i := range names {
		names[i] = eventstore.NewStream("subscription", fmt.Sprint(i))
		appendTo(t, store, names[i], events(0, each)...)
	}
	for range rounds {
		for _, name := range names {
			wantAll(t, s, name, events(0, each))
			if s.Bytes() > measure.Bytes()*streams*2/3 {
				t.Fatalf("%d bytes are kept", s.Bytes())
			}
		}
	}
	if reads := store.reads.Load(); reads > streams*rounds*9/10 {
		t.Errorf("%d reads of %d found nothing", reads, streams*rounds)
	}
	for _, name := range names {
		s.Forget(name)
	}
	if s.Bytes() != 0 {
		t.Errorf("%d bytes of nothing", s.Bytes())
	}
}

// TestManyUseOneStream is for the race detector, too.
func TestManyUseOneStream(t *testing.T) {
	store := newStore(t)
	s := recent.New(store, 0)
	var readers sync.WaitGroup
	for n, e := range events(0, 50) {
		appendTo(t, store, sub, e)
		s.Add(sub, eventstore.Revision(n), e)
		readers.Go(func() {
			got, err := s.Before(t.Context(), sub, eventstore.Revision(n+1))
			if err != nil || !reflect.DeepEqual(got, events(0, n+1)) {
				t.Errorf("before %d: %d events, %v", n+1, len(got), err)
			}
		})
		if n%10 == 9 {
			readers.Go(func() { s.Forget(sub) })
		}
	}
	readers.Wait()
}
