// Package tracing shows the way of each Stripe event as an OpenTelemetry trace:
// the webhook that brought it, its posting, the folding of its facts into the
// read model, and the publishing of what follows.
//
// These happen one after the other, perhaps in other processes, and hand over to
// each other nothing but the record. So a trace is not handed over either. Its id
// is the first half of the SHA-256 of the event's id; a step that leaves
// something in the record has a span id made from the id of the journal's entry,
// which stands in the metadata of all that follows from it, and by which the next
// step knows its parent. A step that left nothing new, such as a redelivery or
// posting once more, has a random one.
//
// Spans are told when their work is done, by the rooms' own accounts of it: the
// rooms know nothing of traces. They hold ids, types, counts and outcomes, and
// nothing that a customer has said.
package tracing

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/daybookhq/daybook/api"
)

// flushTimeout bounds how long the end waits for the collector.
const flushTimeout = 5 * time.Second

// Options configures Start.
type Options struct {
	// Share is the part of all events that is traced, from 0 to 1: the same ones
	// in every process with the same share.
	Share float64
	// MostWaiting bounds the spans that wait for the collector.
	MostWaiting int
	// Version is that of the program, and Instance names the process.
	Version, Instance string
	Log               logrus.FieldLogger
}

// Tracing tells of events to a collector. A nil one tells nobody, and its hooks
// are nil.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	delivery *delivery
	folded   waitingEvents
}

// Start makes a Tracing that delivers by OTLP over HTTP, to where the standard
// variables of the environment say. Nobody is asked whether the collector is
// there. Stop it at the end.
func Start(ctx context.Context, o Options) (*Tracing, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.WithError(err).Warn("tracing") }))
	otel.SetLogger(funcr.New(func(_, args string) { o.Log.Debug("tracing: " + args) }, funcr.Options{}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("set traces up: %w", err)
	}
	return startWith(ctx, o, exporter)
}

func startWith(ctx context.Context, o Options, exporter sdktrace.SpanExporter) (*Tracing, error) {
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "daybook"),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Instance),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("set traces up: %w", err)
	}
	t := &Tracing{delivery: newDelivery(exporter, o.MostWaiting, o.Log)}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithSampler(sdktrace.TraceIDRatioBased(o.Share)), sdktrace.WithSpanProcessor(t.delivery))
	t.tracer = t.provider.Tracer("github.com/daybookhq/daybook")
	return t, nil
}

// Stop delivers what waits, for a few seconds at most.
func (t *Tracing) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Counts returns who tells what became of spans since the start.
func (t *Tracing) Counts() func() api.SpanCounts {
	if t == nil {
		return nil
	}
	return t.delivery.counts
}
