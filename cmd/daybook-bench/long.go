package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
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
	// Posting has what webhooks at full speed leave of the processors: what gathers
	// meanwhile is to be done soon after, and is waited for a while longer.
	targetLongDone = 5 * time.Second
	longDoneWithin = 4 * targetLongDone
	longStretches  = 4
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
	costs, done := make([]time.Duration, longStretches), make([]time.Duration, longStretches)
	var reached uint64
	for i := range costs {
		if costs[i], done[i], reached, err = b.longStretch(ctx, server, maker, i, stretch); err != nil {
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
	last := slices.Max(done)
	b.report.target(counted == sent && last <= targetLongDone, fmt.Sprintf("%d of %d webhooks visible", counted, sent),
		millis(last)+" after the end of a stretch", "all, at most "+millis(targetLongDone))
	growth := float64(costs[longStretches-1]) / float64(max(1, costs[0]))
	b.report.target(growth <= targetLongGrowth, "CPU per webhook, in the last stretch",
		fmt.Sprintf("%.1f times that in the first", growth), fmt.Sprintf("at most %.1f", targetLongGrowth))
	b.report.target(memory <= targetLongMemory, "memory with long histories", mebibytes(memory), "at most "+mebibytes(targetLongMemory))
	return nil
}

// longStretch sends one stretch, and returns the CPU time of each webhook in it,
// how long after its end all were visible, and the place up to which the model has
// come.
func (b *bench) longStretch(ctx context.Context, server *child, maker *eventMaker, i, stretch int) (cost, done time.Duration, reached uint64, err error) {
	before := server.cpu()
	o, err := load{addr: server.addr, connections: b.connections}.run(ctx, maker.requestsFrom(i*stretch, stretch, time.Now()))
	if err != nil {
		return 0, 0, 0, err
	}
	ended := time.Now()
	if reached, err = awaitEffects(ctx, server, longDoneWithin); err != nil {
		return 0, 0, 0, err
	}
	done = time.Since(ended)
	s := &sample{outcome: o, cpu: server.cpu() - before, memory: server.peakMemory(), counted: stretch}
	b.report.line("%s, all visible %s after the end; %s", s.figures(fmt.Sprintf("up to %d each", (i+1)*stretch/b.accounts)), millis(done), s.limit())
	return s.cpu / time.Duration(stretch), done, reached, nil
}
