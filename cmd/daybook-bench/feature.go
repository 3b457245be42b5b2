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
	total := b.featureRate * b.featureSeconds
	requests := make([][]byte, total)
	for i := range requests {
		requests[i] = q.requests[i%len(q.requests)]
	}
	o, err := load{addr: q.server.addr, connections: b.connections, rate: b.featureRate}.run(ctx, requests)
	if err != nil {
		return err
	}
	p99 := percentile(o.latencies, 99)
	b.report.line("p50 %s, slowest %s; the load generator used %.0f%% of a CPU", millis(percentile(o.latencies, 50)),
		millis(percentile(o.latencies, 100)), 100*o.generator.Seconds()/o.took.Seconds())
	b.report.target(p99 <= targetFeatureP99, fmt.Sprintf("feature checks at %d/s, p99", b.featureRate), millis(p99),
		"at most "+millis(targetFeatureP99)+" on a quiet machine")
	return q.server.stop()
}
