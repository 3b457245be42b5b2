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

// pacedRounds is how many rounds paced has.
const pacedRounds = 3

// measurePaced measures latency at a rate well below what the server can take,
// with everything running.
func measurePaced(ctx context.Context, b *bench) error {
	server, err := b.startDaybook(ctx, filepath.Join(b.work, "paced"))
	if err != nil {
		return err
	}
	defer server.kill()
	var p99s rounds
	var slowest time.Duration
	for round := range pacedRounds {
		s, err := b.pacedRound(ctx, server, fmt.Sprintf("paced%d", round))
		if err != nil {
			return err
		}
		b.report.line("%s", s.describe("all running"))
		p99s = append(p99s, percentile(s.latencies, 99))
		slowest = max(slowest, percentile(s.latencies, 100))
	}
	what := fmt.Sprintf("webhooks at %d/s", b.pacedRate)
	b.report.target(p99s.median() <= targetPacedP99, what+", p99", p99s.String(), "at most "+millis(targetPacedP99)+" on a quiet machine")
	b.report.target(slowest <= targetPacedMax, what+", slowest of all rounds", millis(slowest), "at most "+millis(targetPacedMax))
	return server.stop()
}

func (b *bench) pacedRound(ctx context.Context, server *child, name string) (*sample, error) {
	maker, err := newEventMaker(name, b.accounts, time.Now())
	if err != nil {
		return nil, err
	}
	before, total := server.cpu(), b.pacedRate*b.pacedSeconds
	o, err := load{addr: server.addr, connections: b.connections, rate: b.pacedRate}.run(ctx, maker.requests(total, time.Now()))
	if err != nil {
		return nil, err
	}
	return &sample{outcome: o, cpu: server.cpu() - before, memory: server.peakMemory(), counted: total}, nil
}
