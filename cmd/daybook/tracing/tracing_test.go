package tracing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/projections"
)

// told runs a Tracing, and returns what it has told at its end.
func told(t *testing.T, share float64, do func(*Tracing)) []tracetest.SpanStub {
	t.Helper()
	exporter := &keeping{}
	tracing, err := startWith(t.Context(), Options{Share: share, MostWaiting: 100_000, Log: logrus.New()}, exporter)
	if err != nil {
		t.Fatal(err)
	}
	do(tracing)
	if err := tracing.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return exporter.spans
}

// keeping is an exporter that keeps what it is given.
type keeping struct{ spans tracetest.SpanStubs }

func (k *keeping) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	k.spans = append(k.spans, tracetest.SpanStubsFromReadOnlySpans(spans)...)
	return nil
}

func (*keeping) Shutdown(context.Context) error { return nil }

func delivered(event string, entry uuid.UUID, status intake.Status) api.WebhookSteps {
	now := time.Unix(1700000000, 0)
	return api.WebhookSteps{Envelope: intake.Envelope{ID: event, Type: "invoice.paid"}, Outcome: intake.Outcome{Status: status, EntryID: entry},
		Arrived: now, Read: now, Checked: now, Recorded: now.Add(time.Millisecond)}
}

func posted(event string, entry uuid.UUID, changes int) posting.Steps {
	now := time.Unix(1700000001, 0)
	return posting.Steps{Entry: eventstore.RecordedEvent{ID: entry, Stream: intake.JournalStream(event), Type: "invoice.paid"},
		Receipt: intake.Receipt{Source: intake.SourceWebhook}, Facts: 1, Changes: changes, Whole: posting.Span{Began: now, Ended: now}}
}

// TestProcessesAgree has every step told by a process of its own: one that
// records, one that posts, and two that post what is posted already.
func TestProcessesAgree(t *testing.T) {
	entry := uuid.New()
	recorded := told(t, 1, func(tr *Tracing) { tr.webhook(delivered("evt_1", entry, intake.Recorded)) })
	again := told(t, 1, func(tr *Tracing) { tr.webhook(delivered("evt_1", entry, intake.Duplicate)) })
	first := told(t, 1, func(tr *Tracing) { tr.posted(posted("evt_1", entry, 1)) })
	known := told(t, 1, func(tr *Tracing) { tr.posted(posted("evt_1", entry, 0)); tr.posted(posted("evt_1", entry, 0)) })
	root := recorded[0].SpanContext
	for _, spans := range [][]tracetest.SpanStub{again, first, known} {
		if got := spans[0].SpanContext; got.TraceID() != root.TraceID() || got.SpanID() == root.SpanID() {
			t.Errorf("%s: %v beside %v", spans[0].Name, got, root)
		}
	}
	for _, spans := range [][]tracetest.SpanStub{first, known} {
		if parent := spans[0].Parent; parent.SpanID() != root.SpanID() {
			t.Errorf("the parent is %v, not %v", parent, root)
		}
	}
	if got := first[0].SpanContext.SpanID(); got != spanOf(postRole, entry) || known[0].SpanContext.SpanID() == got || known[0].SpanContext.SpanID() == known[1].SpanContext.SpanID() {
		t.Error("what changed nothing has the id of what did")
	}
	other := told(t, 1, func(tr *Tracing) { tr.webhook(delivered("evt_2", uuid.New(), intake.Recorded)) })
	if other[0].SpanContext.TraceID() == root.TraceID() {
		t.Error("two events have one trace")
	}
}

// TestAShareIsTheSameEverywhere: of an event, all processes keep everything or
// nothing.
func TestAShareIsTheSameEverywhere(t *testing.T) {
	events := func(spans []tracetest.SpanStub) (ids []string) {
		for _, s := range spans {
			if id := s.SpanContext.TraceID().String(); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	taken := events(told(t, 0.3, func(tr *Tracing) {
		for i := range 200 {
			tr.webhook(delivered(fmt.Sprint("evt_", i), uuid.New(), intake.Recorded))
		}
	}))
	followed := events(told(t, 0.3, func(tr *Tracing) {
		for i := range 200 {
			tr.posted(posted(fmt.Sprint("evt_", i), uuid.New(), 1))
		}
	}))
	if !slices.Equal(taken, followed) || len(taken) < 30 || len(taken) > 90 {
		t.Errorf("%d and %d of 200 events", len(taken), len(followed))
	}
}

// TestPublishedUpTo: only what was folded up to the position that is published,
// and only once.
func TestPublishedUpTo(t *testing.T) {
	names := map[string]int{}
	for _, s := range told(t, 1, func(tr *Tracing) {
		for i := range 3 {
			tr.folded.add(foldedEvent{position: eventstore.Position(10 * (i + 1)), event: fmt.Sprint("evt_", i), span: origin(fmt.Sprint("evt_", i), randomSpan())})
		}
		for _, position := range []eventstore.Position{9, 20, 20, 25} {
			tr.publish(projections.Published{Position: position, Entries: 1})
		}
	}) {
		names[s.Name+" "+s.SpanContext.TraceID().String()]++
	}
	want := map[string]int{"publish " + traceOf("evt_0").String(): 1, "publish " + traceOf("evt_1").String(): 1}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// TestWaitingIsBounded: a node that never publishes forgets the oldest.
func TestWaitingIsBounded(t *testing.T) {
	var w waitingEvents
	for i := range 3 * mostFolded {
		w.add(foldedEvent{position: eventstore.Position(i + 1)})
	}
	left := w.upTo(3 * mostFolded)
	if n := len(left); n == 0 || n > mostFolded || left[n-1].position != 3*mostFolded {
		t.Errorf("%d are left", n)
	}
}

// stuck is an exporter that takes nothing until it is told to fail.
type stuck struct{ fail chan struct{} }

func (s stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-s.fail
	return errors.New("stuck")
}

func (stuck) Shutdown(context.Context) error { return nil }

// TestEverySpanIsCounted: those that wait, those that find no room, and those
// that fail, of which it is told once.
func TestEverySpanIsCounted(t *testing.T) {
	log, hook := logtest.NewNullLogger()
	exporter := stuck{make(chan struct{})}
	tracing, err := startWith(t.Context(), Options{Share: 1, MostWaiting: 10, Log: log}, exporter)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		tracing.publishOne()
	}
	if c := tracing.Counts()(); c != (api.SpanCounts{Dropped: 90}) {
		t.Errorf("while it is stuck: %+v", c)
	}
	close(exporter.fail)
	if err := tracing.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := tracing.Counts()(); c != (api.SpanCounts{Failed: 10, Dropped: 90}) {
		t.Errorf("at the end: %+v", c)
	}
	if n := len(hook.AllEntries()); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func (t *Tracing) publishOne() {
	t.tell(context.Background(), step{name: "a step", began: time.Unix(1, 0), ended: time.Unix(2, 0)})
}

// TestNobodyAsked: the rooms get no hooks, and so do nothing for them.
func TestNobodyAsked(t *testing.T) {
	var tracing *Tracing
	if tracing.Webhooks() != nil || tracing.Posted() != nil || tracing.Folded() != nil || tracing.Published() != nil ||
		tracing.Counts() != nil || tracing.Stop(t.Context()) != nil {
		t.Error("there is something to be told")
	}
}
