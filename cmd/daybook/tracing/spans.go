package tracing

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/projections"
)

// The attributes of spans. docs/OPERATIONS.md lists them.
const (
	keyEvent        = attribute.Key("daybook.event.id")
	keyType         = attribute.Key("daybook.event.type")
	keyOutcome      = attribute.Key("daybook.outcome")
	keySource       = attribute.Key("daybook.source")
	keyRequest      = attribute.Key("daybook.request.id")
	keyBytes        = attribute.Key("daybook.event.bytes")
	keyCategory     = attribute.Key("daybook.stream.category")
	keyFacts        = attribute.Key("daybook.facts")
	keyAppended     = attribute.Key("daybook.events.appended")
	keyBatch        = attribute.Key("daybook.batch.events")
	keyEntitlements = attribute.Key("daybook.batch.entitlements")
)

// step is a span to be told.
type step struct {
	name         string
	kind         trace.SpanKind
	began, ended time.Time
	attributes   []attribute.KeyValue
	// failure is the step's status if it is not empty. It must be fit to be shown
	// to anybody.
	failure string
}

// tell tells of a step. In the context are its parent and, if they are planned,
// its ids. It returns the context of what is part of the step.
func (t *Tracing) tell(ctx context.Context, s step) context.Context {
	_, span := t.tracer.Start(ctx, s.name, trace.WithSpanKind(s.kind), trace.WithTimestamp(s.began), trace.WithAttributes(s.attributes...))
	if s.failure != "" {
		span.SetStatus(codes.Error, s.failure)
	}
	span.End(trace.WithTimestamp(s.ended))
	return trace.ContextWithSpanContext(context.Background(), span.SpanContext())
}

// Webhooks is for api.Config.OnWebhook.
func (t *Tracing) Webhooks() func(api.WebhookSteps) {
	if t == nil {
		return nil
	}
	return t.webhook
}

func (t *Tracing) webhook(w api.WebhookSteps) {
	id, status, outcome, failure := randomSpan(), http.StatusOK, string(w.Outcome.Status), ""
	switch {
	case w.Err != nil:
		status, outcome, failure = http.StatusServiceUnavailable, "not_durable", "the event could not be made durable"
	case w.Outcome.Status == intake.Recorded:
		id = spanOf(webhookRole, w.Outcome.EntryID)
	}
	ctx := t.tell(plan(context.Background(), origin(w.Envelope.ID, id)), step{
		name: "POST /webhooks/stripe", kind: trace.SpanKindServer, began: w.Arrived, ended: w.Recorded, failure: failure,
		attributes: []attribute.KeyValue{keyEvent.String(w.Envelope.ID), keyType.String(w.Envelope.Type), keyOutcome.String(outcome),
			keyRequest.String(w.RequestID), keyBytes.Int(w.Bytes), attribute.String("http.request.method", http.MethodPost),
			attribute.String("http.route", "/webhooks/stripe"), attribute.Int("http.response.status_code", status)},
	})
	t.tell(ctx, step{name: "read body", began: w.Arrived, ended: w.Read})
	t.tell(ctx, step{name: "verify", began: w.Read, ended: w.Checked})
	t.tell(ctx, step{name: "append to journal", began: w.Checked, ended: w.Recorded, failure: failure})
}

// Posted is for posting.Config.OnPosted.
func (t *Tracing) Posted() func(posting.Steps) {
	if t == nil {
		return nil
	}
	return t.posted
}

func (t *Tracing) posted(p posting.Steps) {
	event, id := p.Entry.Stream.ID(), randomSpan()
	if p.Changes > 0 {
		id = spanOf(postRole, p.Entry.ID)
	}
	ctx := context.Background()
	if p.Receipt.Source == intake.SourceWebhook { // else nobody has told how it came
		ctx = trace.ContextWithRemoteSpanContext(ctx, origin(event, spanOf(webhookRole, p.Entry.ID)))
	}
	outcome, failure := "posted", ""
	switch {
	case p.Failure != nil:
		outcome, failure = "failed", "the event could not be posted: see daybook failures"
	case p.Facts == 0:
		outcome = "recorded_only"
	case p.Changes == 0:
		outcome = "known"
	}
	ctx = t.tell(plan(ctx, origin(event, id)), step{
		name: "post", kind: trace.SpanKindConsumer, began: p.Whole.Began, ended: p.Whole.Ended, failure: failure,
		attributes: []attribute.KeyValue{keyEvent.String(event), keyType.String(p.Entry.Type), keyOutcome.String(outcome),
			keySource.String(p.Receipt.Source), keyFacts.Int(p.Facts)},
	})
	if !p.Translated.Began.IsZero() {
		t.tell(ctx, step{name: "translate", began: p.Translated.Began, ended: p.Translated.Ended})
	}
	for _, s := range p.Streams {
		t.stream(ctx, s)
	}
}

func (t *Tracing) stream(ctx context.Context, s posting.StreamSteps) {
	category := keyCategory.String(s.Stream.Category())
	t.tell(ctx, step{name: "decide", began: s.Decided.Began, ended: s.Decided.Ended, attributes: []attribute.KeyValue{category}})
	if s.Appended.Began.IsZero() {
		return
	}
	t.tell(ctx, step{name: "append", began: s.Appended.Began, ended: s.Appended.Ended,
		attributes: []attribute.KeyValue{category, keyAppended.Int(s.Events)}})
}

// Folded is for projections.Options.OnFolded.
func (t *Tracing) Folded() func(projections.Folded) {
	if t == nil {
		return nil
	}
	return t.fold
}

// fold tells of each Stripe event in a batch once.
func (t *Tracing) fold(f projections.Folded) {
	facts := map[cause]int{}
	var causes []cause // in their order
	for i := range f.Events {
		c, found := causeOf(&f.Events[i])
		if !found {
			continue
		}
		if facts[c]++; facts[c] == 1 {
			causes = append(causes, c)
		}
	}
	for _, c := range causes {
		ctx := trace.ContextWithRemoteSpanContext(context.Background(), origin(c.event, spanOf(postRole, c.entry)))
		ctx = t.tell(ctx, step{name: "project", kind: trace.SpanKindConsumer, began: f.Began, ended: f.Ended,
			attributes: []attribute.KeyValue{keyEvent.String(c.event), keyFacts.Int(facts[c]), keyBatch.Int(len(f.Events)), keyEntitlements.Int(f.Entitlements)}})
		if f.Fed {
			t.folded.add(foldedEvent{f.Position, c.event, trace.SpanContextFromContext(ctx)})
		}
	}
}

// cause is what a fact follows from.
type cause struct {
	event string
	entry uuid.UUID
}

// causeOf finds it; notes and what else is recorded tell of no event's way.
func causeOf(e *eventstore.RecordedEvent) (cause, bool) {
	event, err := aggregate.Decode(e.Type, e.Data)
	if err != nil || event.Fact == nil {
		return cause{}, false
	}
	meta, err := eventstore.DecodeMetadata(e.Metadata)
	if err != nil {
		return cause{}, false
	}
	entry, err := uuid.Parse(meta.CausationID)
	return cause{event.Fact.Key.StripeEventID, entry}, err == nil
}

// Published is for projections.PublisherOptions.OnPublished.
func (t *Tracing) Published() func(projections.Published) {
	if t == nil {
		return nil
	}
	return t.publish
}

func (t *Tracing) publish(p projections.Published) {
	for _, f := range t.folded.upTo(p.Position) {
		t.tell(trace.ContextWithSpanContext(context.Background(), f.span), step{
			name: "publish", kind: trace.SpanKindClient, began: p.Began, ended: p.Ended,
			attributes: []attribute.KeyValue{keyEvent.String(f.event), keyEntitlements.Int(p.Entries)}})
	}
}
