package main

import (
	"context"
	"fmt"
	"time"
)

// The targets of feature.
const (
	targetFeature    = 0.6
	targetFeatureP99 = 5 * time.Millisecond
)

// measureFeature asks whether accounts have a feature: as fast as it is answered,
// beside a bare handler, and at a steady rate.
func measureFeature(ctx context.Context, b *bench) error {
	q, err := b.prepareQuestions(ctx, "feature", "/features/custom_nym")
	if err != nil {
		return err
	}
	defer q.kill()
	if err := q.compare(ctx, b, targetFeature, "feature checks"); err != nil {
		return err
	}
	o, err := q.steadily(ctx, b, q.server)
	if err != nil {
		return err
	}
	floor, err := q.steadily(ctx, b, q.bare)
	if err != nil {
		return err
	}
	p99 := percentile(o.latencies, 99)
	b.report.line("p50 %s, slowest %s; of a bare handler p50 %s, p99 %s, slowest %s: that is what load generator and machine make of it",
		millis(percentile(o.latencies, 50)), millis(percentile(o.latencies, 100)), millis(percentile(floor.latencies, 50)),
		millis(percentile(floor.latencies, 99)), millis(percentile(floor.latencies, 100)))
	b.report.target(p99 <= targetFeatureP99, fmt.Sprintf("feature checks at %d/s, p99", b.featureRate), millis(p99),
		"at most "+millis(targetFeatureP99)+" on a quiet machine")
	return q.server.stop()
}

// steadily asks one of the two at the steady rate.
func (q *questions) steadily(ctx context.Context, b *bench, of *child) (*outcome, error) {
	requests := make([][]byte, b.featureRate*b.featureSeconds)
	for i := range requests {
		requests[i] = q.requests[i%len(q.requests)]
	}
	return load{addr: of.addr, connections: b.connections, rate: b.featureRate}.run(ctx, requests)
}
