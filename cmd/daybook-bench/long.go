package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// The targets of long.
const (
	// A webhook is worked on beside all that came before it of its subscription,
	// so it costs more, the more that is: but gently.
	targetLongGrowth = 3.0
	// A transaction of the read model holds half a second's subscriptions, each with
	// all its invoices.
	targetLongMemory = 240 << 20
	longStretches    = 4
)

// measureLong measures what webhooks cost as the histories of few accounts grow
// long, at full speed: the same load in stretches, one after the other, each of
// which adds as much to every history.
func measureLong(ctx context.Context, b *bench) error {
	maker, err := newEventMaker("long", b.accounts, time.Now())
	if err != nil {
		return err
	}
	dir := filepath.Join(b.work, "long")
	server, err := b.startDaybook(ctx, dir)
	if err != nil {
		return err
	}
	defer server.kill()
	stretch := max(1, b.longEvents/longStretches)
	costs := make([]time.Duration, longStretches)
	var reached uint64
	for i := range costs {
		if costs[i], reached, err = b.longStretch(ctx, server, maker, i, stretch); err != nil {
			return err
		}
	}
	memory := server.peakMemory()
	if err := server.stop(); err != nil {
		return err
	}
	sent := longStretches * stretch
	counted, err := countVisible(ctx, dir, reached, maker, sent)
	if err != nil {
		return err
	}
	b.report.target(counted == sent, "webhooks that count 2 s after the end", fmt.Sprint(counted), fmt.Sprintf("all %d", sent))
	growth := float64(costs[longStretches-1]) / float64(max(1, costs[0]))
	b.report.target(growth <= targetLongGrowth, "CPU per webhook, in the last stretch",
		fmt.Sprintf("%.1f times that in the first", growth), fmt.Sprintf("at most %.1f", targetLongGrowth))
	b.report.target(memory <= targetLongMemory, "memory with long histories", mebibytes(memory), "at most "+mebibytes(targetLongMemory))
	return nil
}

// longStretch sends one stretch, and returns the CPU time of each webhook in it
// and the place up to which the model has come.
func (b *bench) longStretch(ctx context.Context, server *child, maker *eventMaker, i, stretch int) (cost time.Duration, reached uint64, err error) {
	before := server.cpu()
	o, err := load{addr: server.addr, connections: b.connections}.run(ctx, maker.requestsFrom(i*stretch, stretch, time.Now()))
	if err != nil {
		return 0, 0, err
	}
	if reached, err = awaitEffects(ctx, server, visibleWithin); err != nil {
		return 0, 0, err
	}
	s := &sample{outcome: o, cpu: server.cpu() - before, memory: server.peakMemory(), counted: stretch}
	b.report.line("%s; %s", s.figures(fmt.Sprintf("up to %d each", (i+1)*stretch/b.accounts)), s.limit())
	return s.cpu / time.Duration(stretch), reached, nil
}
