package history_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/projections"
)

// begin is when every record of these tests begins.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// owners stands in for a read model: it knows which streams belong to an account,
// and how far it is.
type owners struct {
	projections.Reader
	streams []eventstore.Stream
	upTo    eventstore.Position
	epoch   string
}

func (o *owners) Checkpoint(context.Context) (projections.Checkpoint, error) {
	return projections.Checkpoint{Position: o.upTo, Epoch: o.epoch, Schema: projections.Schema}, nil
}

func (o *owners) Streams(context.Context, projections.Owner) ([]eventstore.Stream, error) {
	return o.streams, nil
}

// rig is a real store, and who owns what of it.
type rig struct {
	*testing.T
	*history.Record
	store eventstore.Store
	model *owners
	n     int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	store := sqlitetest.Open(t)
	model := &owners{upTo: eventstore.End, epoch: "e"}
	return &rig{T: t, store: store, model: model, Record: &history.Record{Store: store, Model: model, Epoch: "e"}}
}

// add records an event that happened some minutes after begin.
func (r *rig) add(stream eventstore.Stream, eventType string, minutes int) eventstore.Position {
	r.Helper()
	r.n++
	meta, _ := json.Marshal(eventstore.Metadata{RecordedAt: begin.Add(time.Duration(r.n) * time.Second)})
	data := fmt.Sprintf(`{"stripe_event_id":"evt_%d","occurred_at":%q}`, r.n, begin.Add(time.Duration(minutes)*time.Minute).Format(time.RFC3339))
	res, err := r.store.Append(r.Context(), stream, eventstore.Any, eventstore.ProposedEvent{ID: uuid.New(), Type: eventType, Data: []byte(data), Metadata: meta})
	if err != nil {
		r.Fatal(err)
	}
	return res.Position
}

// fill records a long stream and short ones of an account, with another's between.
func (r *rig) fill(events int) (owned []eventstore.Position) {
	r.Helper()
	r.model.streams = []eventstore.Stream{"account-a", "subscription-long", "customer-short", "payment-none"}
	for i := range events {
		stream := eventstore.Stream("subscription-long")
		switch i % 7 {
		case 3:
			stream = "customer-short"
		case 5:
			stream = "subscription-other"
		}
		at := r.add(stream, []string{"Odd", "Even"}[i%2], i*31%events) // 31 and the number have no divisor in common
		if stream != "subscription-other" {
			owned = append(owned, at)
		}
	}
	return owned
}

func positions(events []eventstore.RecordedEvent) (all []eventstore.Position) {
	for _, e := range events {
		all = append(all, e.Position)
	}
	return all
}

// all reads page after page.
func (r *rig) all(q history.Query) (all []eventstore.Position) {
	r.Helper()
	for {
		page, err := r.List(r.Context(), q)
		if err != nil {
			r.Fatal(err)
		}
		if all = append(all, positions(page.Events)...); page.Next == nil {
			return all
		}
		q.From = *page.Next
	}
}

// TestPagesOfAnOwnerFitTogether: whatever their size and direction, pages give
// every event once, in order, those of long streams too.
func TestPagesOfAnOwnerFitTogether(t *testing.T) {
	r := newRig(t)
	owned := r.fill(300)
	q := history.Query{Owner: projections.Owner{Account: "a"}}
	for _, limit := range []int{1, 7, 64, 65, 1000} {
		q.Limit, q.Direction = limit, eventstore.Forwards
		if got := r.all(q); !slices.Equal(got, owned) {
			t.Errorf("pages of %d: %v, want %v", limit, got, owned)
		}
		reversed := slices.Clone(owned)
		slices.Reverse(reversed)
		q.Direction = eventstore.Backwards
		if got := r.all(q); !slices.Equal(got, reversed) {
			t.Errorf("pages of %d, backwards: %v, want %v", limit, got, reversed)
		}
	}
	q.Direction, q.Limit = eventstore.Forwards, 3
	for _, from := range []eventstore.Position{1, 100, 250, 299, 300, 5000} {
		q.From = from
		want := slices.DeleteFunc(slices.Clone(owned), func(p eventstore.Position) bool { return p <= from })
		if got := r.all(q); !slices.Equal(got, want) {
			t.Errorf("from %d: %v, want %v", from, got, want)
		}
	}
	listed := 0
	for _, err := range r.Events(t.Context(), history.Query{Owner: q.Owner, Types: []string{"Even"}, Limit: 20}) {
		if err != nil {
			t.Fatal(err)
		}
		listed++
	}
	if listed != 20 {
		t.Errorf("%d events of a type, want 20", listed)
	}
}

// TestAPageGoesNoFurtherThanTheModel: what is recorded behind that may be the
// owner's by a stream that the model does not know of yet.
func TestAPageGoesNoFurtherThanTheModel(t *testing.T) {
	r := newRig(t)
	owned := r.fill(20)
	r.model.upTo = owned[9]
	q := history.Query{Owner: projections.Owner{Account: "a"}, Limit: 100}
	if got := r.all(q); !slices.Equal(got, owned[:10]) {
		t.Errorf("%v, want %v", got, owned[:10])
	}
	q.Direction = eventstore.Backwards
	if got := r.all(q); len(got) != 10 || got[0] != owned[9] {
		t.Errorf("backwards %v", got)
	}
	events, _, err := r.Timeline(t.Context(), history.Query{Owner: q.Owner, Limit: 100}, history.Place{})
	if err != nil || len(events) != 10 {
		t.Errorf("%d in the timeline: %v", len(events), err)
	}
}

// TestAModelOfAnotherStoreKnowsNobody: that an owner has nothing, only a model of
// this store can tell.
func TestAModelOfAnotherStoreKnowsNobody(t *testing.T) {
	r := newRig(t)
	r.fill(10)
	r.model.epoch = "another"
	q := history.Query{Owner: projections.Owner{Account: "a"}, Limit: 10}
	_, listed := r.List(t.Context(), q)
	_, _, ordered := r.Timeline(t.Context(), q, history.Place{})
	_, counted := r.Count(t.Context(), q, time.Minute)
	for _, err := range []error{listed, ordered, counted} {
		if !errors.Is(err, projections.ErrNotFolded) {
			t.Errorf("%v, want that the model is not folded", err)
		}
	}
}

// TestATimelineIsOrderedByWhenThingsHappened, in pages of every size.
func TestATimelineIsOrderedByWhenThingsHappened(t *testing.T) {
	r := newRig(t)
	owned := r.fill(100)
	for _, direction := range []eventstore.Direction{eventstore.Forwards, eventstore.Backwards} {
		var whole []eventstore.Position
		for _, limit := range []int{1000, 1, 9} {
			q := history.Query{Owner: projections.Owner{Account: "a"}, Direction: direction, Limit: limit}
			var got []eventstore.Position
			last := time.Time{}
			for place := (&history.Place{}); place != nil; {
				events, next, err := r.Timeline(t.Context(), q, *place)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					at := history.ToldBy(&e).OccurredAt
					if !last.IsZero() && (direction == eventstore.Forwards) != last.Before(at) {
						t.Fatalf("%s comes behind %s", at, last)
					}
					last = at
				}
				got, place = append(got, positions(events)...), next
			}
			if whole == nil {
				whole = got
			}
			if len(got) != len(owned) || !slices.Equal(got, whole) {
				t.Errorf("pages of %d: %v, want %v", limit, got, whole)
			}
		}
	}
}

// TestScansAndCounts: what is counted is what is listed, in either direction.
func TestScansAndCounts(t *testing.T) {
	r := newRig(t)
	owned := r.fill(140)
	r.add("stripeEvent-evt_1", "invoice.paid", 0)
	r.add("checkpoint-posting", "Checkpoint", 0)
	for name, c := range map[string]struct {
		query history.Query
		want  int
	}{
		"everything but checkpoints": {history.Query{}, 141},
		"a checkpoint by name":       {history.Query{Stream: "checkpoint-"}, 1},
		"Stripe's type":              {history.Query{Types: []string{"invoice.paid"}}, 1},
		"types of both":              {history.Query{Types: []string{"invoice.paid", "Odd"}}, 71},
		"a stream":                   {history.Query{Stream: "customer-"}, 20},
		"since":                      {history.Query{Since: begin.Add(131 * time.Second)}, 11},
		"until":                      {history.Query{Until: begin.Add(131 * time.Second)}, 130},
		"an owner":                   {history.Query{Owner: projections.Owner{Account: "a"}}, len(owned)},
		"an owner's type":            {history.Query{Owner: projections.Owner{Account: "a"}, Types: []string{"Odd"}}, 60},
		"an owner's stream":          {history.Query{Owner: projections.Owner{Account: "a"}, Stream: "customer-"}, 20},
	} {
		s, err := r.Count(t.Context(), c.query, time.Minute)
		if err != nil || s.Events != int64(c.want) || !s.Complete {
			t.Errorf("%s: counted %d (complete %v), want %d: %v", name, s.Events, s.Complete, c.want, err)
		}
		c.query.Limit = 13
		if got := r.all(c.query); len(got) != c.want {
			t.Errorf("%s: listed %d, want %d", name, len(got), c.want)
		}
		c.query.Direction = eventstore.Backwards
		if got := r.all(c.query); len(got) != c.want {
			t.Errorf("%s: listed %d backwards, want %d", name, len(got), c.want)
		}
	}
	s, err := r.Count(t.Context(), history.Query{}, 0)
	if err != nil || s.Complete || s.Events != 0 {
		t.Errorf("without patience: %+v, %v", s, err)
	}
}

// TestTotalsGoOnWhereTheyWere counts a record as it grows.
func TestTotalsGoOnWhereTheyWere(t *testing.T) {
	r := newRig(t)
	var totals history.Totals
	for want := int64(0); want < 30; want += 10 {
		s, err := totals.Count(t.Context(), r.Record, time.Minute)
		if err != nil || s.Events != want || !s.Complete {
			t.Fatalf("%+v, want %d: %v", s, want, err)
		}
		r.fill(10)
	}
}

// TestFollowingAnOwnerWaitsForTheModel: an event is judged by a model that knows
// whose it is.
func TestFollowingAnOwnerWaitsForTheModel(t *testing.T) {
	r := newRig(t)
	r.model.upTo = 0
	r.model.streams = nil
	first := r.add("subscription-new", "Odd", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	learns := &learning{owners: r.model, streams: []eventstore.Stream{"subscription-new"}, upTo: first}
	record := &history.Record{Store: r.store, Model: learns, Epoch: "e"}
	for m, err := range record.Follow(ctx, history.Query{Owner: projections.Owner{Account: "a"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Event == nil {
			continue
		}
		if m.Position != first || learns.asked < 3 {
			t.Errorf("gave %d after the model was asked %d times", m.Position, learns.asked)
		}
		return
	}
}

// learning is a model that comes to know a stream when it is asked a third time.
type learning struct {
	*owners
	streams []eventstore.Stream
	upTo    eventstore.Position
	asked   int
}

func (l *learning) Checkpoint(ctx context.Context) (projections.Checkpoint, error) {
	if l.asked++; l.asked == 3 {
		l.owners.streams, l.owners.upTo = l.streams, l.upTo
	}
	return l.owners.Checkpoint(ctx)
}
