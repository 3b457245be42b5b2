package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"
)

// The targets of ingest.
const (
	targetPaused  = 0.45
	targetRunning = 0.30
	targetMemory  = 200 << 20
	// visibleWithin is how long after the load's end an effect may take to count.
	visibleWithin = 2 * time.Second
)

// sample is what one server did under one load.
type sample struct {
	*outcome
	cpu    time.Duration
	memory int64
	// counted is how many webhooks count: all, or those with a visible effect.
	counted int
}

func (s *sample) rate() float64 { return float64(s.counted) / s.took.Seconds() }

// contender is one kind of server that ingest compares.
type contender struct {
	name    string
	start   func(ctx context.Context, dataDir string) (*child, error)
	effects bool // count only what has become visible
	samples []*sample
}

// measureIngest compares durable ingest with the ceiling, in turns.
func measureIngest(ctx context.Context, b *bench) error {
	contenders := []*contender{
		{name: "ceiling", start: func(ctx context.Context, _ string) (*child, error) { return b.startCeiling(ctx) }},
		{name: "posting paused", start: func(ctx context.Context, dir string) (*child, error) {
			return b.startDaybook(ctx, dir, "--posting=false")
		}},
		{name: "all running", effects: true, start: func(ctx context.Context, dir string) (*child, error) {
			return b.startDaybook(ctx, dir)
		}},
	}
	maker, err := newEventMaker("ingest", b.accounts, time.Now())
	if err != nil {
		return err
	}
	for round := range b.rounds {
		// Every contender gets the same requests; each begins with an empty store.
		requests := maker.requests(b.events, time.Now())
		for i, c := range contenders {
			dir := filepath.Join(b.work, fmt.Sprintf("ingest-%d-%d", round, i))
			s, err := b.sample(ctx, c, dir, maker, requests)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.samples = append(c.samples, s)
			b.report.line("%s", s.describe(c.name))
		}
	}
	b.judgeIngest(contenders[0], contenders[1], contenders[2])
	return nil
}

// sample runs one load against a fresh server.
func (b *bench) sample(ctx context.Context, c *contender, dir string, maker *eventMaker, requests [][]byte) (*sample, error) {
	server, err := c.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer server.kill()
	before := server.cpu()
	o, err := load{addr: server.addr, connections: b.connections}.run(ctx, requests)
	if err != nil {
		return nil, err
	}
	s := &sample{outcome: o, cpu: server.cpu() - before, counted: len(requests)}
	if !c.effects {
		s.memory = server.peakMemory()
		return s, server.stop()
	}
	reached, err := awaitEffects(ctx, server, visibleWithin)
	if err != nil {
		return nil, err
	}
	// What was done after the load's end belongs to the load.
	s.cpu, s.memory = server.cpu()-before, server.peakMemory()
	if err := server.stop(); err != nil {
		return nil, err
	}
	s.counted, err = countVisible(ctx, dir, reached, maker, len(requests))
	return s, err
}

// describe is one line about a sample.
func (s *sample) describe(name string) string {
	return fmt.Sprintf("%s, %d of %d count; %s", s.figures(name), s.counted, len(s.latencies), s.limit())
}

// figures are what the sample measured.
func (s *sample) figures(name string) string {
	return fmt.Sprintf("%-15s %6.0f webhooks/s, p50 %s, p99 %s, CPU %d µs per webhook, peak memory %s",
		name, s.rate(), millis(percentile(s.latencies, 50)), millis(percentile(s.latencies, 99)),
		(s.cpu / time.Duration(len(s.latencies))).Microseconds(), mebibytes(s.memory))
}

// limit says what held the sample back, as far as CPU time tells.
func (s *sample) limit() string {
	if s.cpu == 0 || s.machine == 0 {
		return "limit unknown (no /proc)"
	}
	cores := func(used time.Duration) float64 { return used.Seconds() / s.took.Seconds() }
	server, generator, all := cores(s.cpu), cores(s.generator), float64(runtime.NumCPU())
	others := max(0, cores(s.machine)-server-generator)
	use := fmt.Sprintf("server %.1f, load generator %.1f, everything else %.1f of %.0f cores", server, generator, others, all)
	switch busy := server + generator + others; {
	case busy > 0.85*all && others > 0.25*all:
		return "limited by CPU that others took: " + use
	case busy > 0.85*all:
		return "limited by CPU: " + use
	default:
		return "limited by waiting, for the disk's flushes or for locks: " + use
	}
}

func (b *bench) judgeIngest(ceiling, paused, running *contender) {
	for _, each := range []struct {
		c      *contender
		wanted float64
	}{{paused, targetPaused}, {running, targetRunning}} {
		ratios := make([]float64, b.rounds)
		for i := range ratios {
			ratios[i] = each.c.samples[i].rate() / ceiling.samples[i].rate()
		}
		ratio := median(ratios)
		b.report.target(ratio >= each.wanted, "durable ingest, "+each.c.name,
			fmt.Sprintf("%.2f of the ceiling", ratio), fmt.Sprintf("at least %.2f", each.wanted))
	}
	var memory int64
	for _, s := range append(paused.samples, running.samples...) {
		memory = max(memory, s.memory)
	}
	b.report.target(memory <= targetMemory, "memory while ingesting", mebibytes(memory), "at most "+mebibytes(targetMemory))
}
