package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// The targets of paced.
const (
	targetPacedP99 = 10 * time.Millisecond
	// The store checkpoints its write-ahead log many times meanwhile.
	targetPacedMax = 100 * time.Millisecond
)

// measurePaced measures latency at a rate well below what the server can take,
// with everything running.
func measurePaced(ctx context.Context, b *bench) error {
	total := b.pacedRate * b.pacedSeconds
	maker, err := newEventMaker("paced", b.accounts, time.Now())
	if err != nil {
		return err
	}
	server, err := b.startDaybook(ctx, filepath.Join(b.work, "paced"))
	if err != nil {
		return err
	}
	defer server.kill()
	before := server.cpu()
	o, err := load{addr: server.addr, connections: b.connections, rate: b.pacedRate}.run(ctx, maker.requests(total, time.Now()))
	if err != nil {
		return err
	}
	s := &sample{outcome: o, cpu: server.cpu() - before, memory: server.peakMemory(), counted: total}
	b.report.line("%s", s.describe("all running"))
	p99, slowest := percentile(o.latencies, 99), percentile(o.latencies, 100)
	what := fmt.Sprintf("webhooks at %d/s", b.pacedRate)
	b.report.target(p99 <= targetPacedP99, what+", p99", millis(p99), "at most "+millis(targetPacedP99)+" on a quiet machine")
	b.report.target(slowest <= targetPacedMax, what+", slowest", millis(slowest), "at most "+millis(targetPacedMax))
	return server.stop()
}
