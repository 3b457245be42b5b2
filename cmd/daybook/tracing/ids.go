package tracing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
)

// The steps that leave something in the record for others to go on with.
const (
	webhookRole = "webhook"
	postRole    = "post"
)

// traceOf is the trace of a Stripe event: the first half of its id's SHA-256.
func traceOf(stripeEventID string) (id trace.TraceID) {
	sum := sha256.Sum256([]byte(stripeEventID))
	copy(id[:], sum[:])
	return id
}

// spanOf is the span of a step that recorded a journal's entry, or posted it. As
// the entry's id stands in the metadata of all that followed, whoever goes on
// knows its parent.
func spanOf(role string, entry uuid.UUID) (id trace.SpanID) {
	sum := sha256.Sum256(append([]byte(role), entry[:]...))
	copy(id[:], sum[:])
	return id
}

func randomSpan() (id trace.SpanID) {
	_, _ = rand.Read(id[:]) // it never fails
	return id
}

// origin is the context of a span that may have been told by another process.
func origin(stripeEventID string, span trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceOf(stripeEventID), SpanID: span,
		TraceFlags: trace.FlagsSampled, Remote: true})
}

type plannedKey struct{}

// plan is the context in which a span gets the ids that a SpanContext has. The
// span's parent is another matter.
func plan(ctx context.Context, as trace.SpanContext) context.Context {
	return context.WithValue(ctx, plannedKey{}, as)
}

// ids gives spans the ids that were planned, or random ones. It implements the
// SDK's IDGenerator.
type ids struct{}

// NewIDs is asked for a span without a parent.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if as, planned := ctx.Value(plannedKey{}).(trace.SpanContext); planned {
		return as.TraceID(), as.SpanID()
	}
	var id trace.TraceID
	_, _ = rand.Read(id[:]) // it never fails
	return id, randomSpan()
}

// NewSpanID is asked for a span with a parent.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if as, planned := ctx.Value(plannedKey{}).(trace.SpanContext); planned {
		return as.SpanID()
	}
	return randomSpan()
}
