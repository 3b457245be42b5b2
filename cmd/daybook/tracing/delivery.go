package tracing

import (
	"context"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/daybookhq/daybook/api"
)

// delivery bounds the spans that wait for the collector, and counts what becomes
// of them: a batch processor's door on the one side, and its exporter on the
// other. Whatever the collector does, nobody who ends a span waits.
type delivery struct {
	trace.SpanProcessor // the batch processor
	trace.SpanExporter  // to the collector

	most    int64
	waiting atomic.Int64

	delivered, failed, dropped atomic.Uint64
	// troubled says that the last attempt failed; it is for ExportSpans.
	troubled bool
	log      logrus.FieldLogger
}

// newDelivery lets no more than most spans wait for the exporter. One that is
// not shut down leaks a goroutine.
func newDelivery(exporter trace.SpanExporter, most int, log logrus.FieldLogger) *delivery {
	d := &delivery{SpanExporter: exporter, most: int64(most), log: log}
	// What is bounded here never finds the processor's own queue full.
	d.SpanProcessor = trace.NewBatchSpanProcessor(exporting{d}, trace.WithMaxQueueSize(most))
	return d
}

// OnEnd takes a span, if there is room.
func (d *delivery) OnEnd(s trace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if d.waiting.Add(1) > d.most {
		d.waiting.Add(-1)
		d.dropped.Add(1)
		return
	}
	d.SpanProcessor.OnEnd(s)
}

// Shutdown is the processor's: it offers what waits, and then shuts the exporter
// down.
func (d *delivery) Shutdown(ctx context.Context) error { return d.SpanProcessor.Shutdown(ctx) }

func (d *delivery) counts() api.SpanCounts {
	return api.SpanCounts{Delivered: d.delivered.Load(), Failed: d.failed.Load(), Dropped: d.dropped.Load()}
}

// exporting is the exporter that the batch processor knows.
type exporting struct{ *delivery }

// ExportSpans implements the SDK's SpanExporter. It is called by one goroutine at
// a time. What fails is told here, once, and is not an error besides.
func (e exporting) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	defer e.waiting.Add(-int64(len(spans)))
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		e.failed.Add(uint64(len(spans)))
		if !e.troubled {
			e.log.WithError(err).Warn("traces cannot be delivered; it is tried on with later ones")
		}
	default:
		e.delivered.Add(uint64(len(spans)))
		if e.troubled {
			e.log.Info("traces are delivered again")
		}
	}
	e.troubled = err != nil
	return nil
}

// Shutdown is the exporter's.
func (e exporting) Shutdown(ctx context.Context) error { return e.SpanExporter.Shutdown(ctx) }
