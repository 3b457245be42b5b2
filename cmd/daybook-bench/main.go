// Command daybook-bench measures the speed and the memory of Daybook against
// their targets.
//
// Servers run as child processes, so that their CPU time and memory are their
// own; the load generator is this process, on the same machine, over loopback.
// The ceiling is a frozen handler that checks signatures and stores nothing.
// Ratios to it are taken within one run, in turns, because absolute figures
// drift with the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the sizes of a run.
type options struct {
	daybook     string
	dir         string
	connections int
	events      int
	rounds      int
	accounts    int

	longEvents                  int
	pacedRate, pacedSeconds     int
	sweepRate, sweepSeconds     int
	visibleRate, visibleSeconds int
	clusterRate, clusterSeconds int
	history, historyAccounts    int
	reads, renewSeconds         int
	featureRate, featureSeconds int
	floodRate, floodSeconds     int
}

// part is one measurement that can be run alone.
type part struct {
	name string
	what string
	run  func(context.Context, *bench) error
}

var parts = []part{
	{"ingest", "durable webhooks per second, as a ratio of the ceiling", measureIngest},
	{"long", "webhooks into ever longer histories, at full speed", measureLong},
	{"paced", "latency at a steady rate", measurePaced},
	{"sweep", "latency at a steady rate beside a comparison with Stripe", measureSweep},
	{"visible", "time from webhook to entitlement", measureVisible},
	{"cluster", "posting on a cluster's protocol", measureCluster},
	{"history", "rebuild of a long history, and opening it", measureHistory},
	{"reads", "entitlements read through the API, as a ratio of a bare handler", measureReads},
	{"feature", "feature checks, with the check of key and limits, as a ratio of a bare handler, and at a steady rate", measureFeature},
	{"flood", "webhooks during a flood of bad signatures", measureFlood},
	{"redis", "entitlements in Redis: visible, published, renewed; needs redis-server", measureRedis},
}

// bench is one run.
type bench struct {
	options
	report *report
	work   string // a folder for the data dirs, removed at the end
}

// children are what this binary serves when it is started by itself.
var children = map[string]func(args []string) error{"ceiling": serveCeiling, "cluster": serveCluster, "stripe": serveStripe, "flood": serveFlood}

func main() {
	if len(os.Args) > 1 {
		if serve, child := children[os.Args[1]]; child {
			exit(serve(os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	exit(err)
}

func exit(err error) {
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "daybook-bench:", err)
	os.Exit(1)
}

func run(ctx context.Context, args []string) (err error) {
	o, chosen, strict, err := parseFlags(args)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(o.dir, "daybook-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the data: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	b := &bench{options: o, report: newReport(os.Stdout), work: work}
	if err := b.describeMachine(); err != nil {
		return err
	}
	for _, p := range chosen {
		b.report.section(p.what)
		if err := p.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if missed := b.report.finish(); missed > 0 && strict {
		return fmt.Errorf("%d targets missed", missed)
	}
	return nil
}

func parseFlags(args []string) (o options, chosen []part, strict bool, err error) {
	fs := flag.NewFlagSet("daybook-bench", flag.ContinueOnError)
	names := make([]string, len(parts))
	usage := "parts to run, comma-separated:"
	for i, p := range parts {
		names[i] = p.name
		usage += "\n" + p.name + ": " + p.what
	}
	only := fs.String("parts", strings.Join(names, ","), usage)
	fs.BoolVar(&strict, "strict", false, "fail if a target is missed")
	fs.StringVar(&o.daybook, "daybook", filepath.Join("bin", "daybook"), "the binary to measure")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "folder for the data, on the disk to measure")
	fs.IntVar(&o.connections, "connections", 64, "connections of the load generator")
	fs.IntVar(&o.events, "events", 30000, "webhooks in a round of ingest")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds of ingest; the median counts")
	fs.IntVar(&o.accounts, "accounts", 2000, "accounts that the webhooks speak of")
	fs.IntVar(&o.longEvents, "long-events", 120000, "webhooks of long, in four stretches")
	fs.IntVar(&o.pacedRate, "paced-rate", 2000, "webhooks per second of paced")
	fs.IntVar(&o.pacedSeconds, "paced-seconds", 5, "how long each round of paced lasts")
	fs.IntVar(&o.sweepRate, "sweep-rate", 1000, "webhooks per second of sweep")
	fs.IntVar(&o.sweepSeconds, "sweep-seconds", 3, "how long sweep runs before the comparison, and again after it")
	fs.IntVar(&o.visibleRate, "visible-rate", 1000, "webhooks per second of visible")
	fs.IntVar(&o.visibleSeconds, "visible-seconds", 10, "how long visible runs")
	fs.IntVar(&o.clusterRate, "cluster-rate", 3000, "webhooks per second of cluster")
	fs.IntVar(&o.clusterSeconds, "cluster-seconds", 10, "how long cluster runs")
	fs.IntVar(&o.history, "history", 1000000, "domain events of history")
	fs.IntVar(&o.historyAccounts, "history-accounts", 100000, "accounts of history")
	fs.IntVar(&o.reads, "reads", 30000, "requests in a round of reads, and of feature")
	fs.IntVar(&o.featureRate, "feature-rate", 10000, "checks per second of feature")
	fs.IntVar(&o.featureSeconds, "feature-seconds", 10, "how long feature keeps that rate")
	fs.IntVar(&o.floodRate, "flood-rate", 500, "good webhooks per second of flood")
	fs.IntVar(&o.floodSeconds, "flood-seconds", 5, "how long each flood lasts")
	fs.IntVar(&o.renewSeconds, "renew-seconds", 30, "how long redis watches what renewing costs")
	if err := fs.Parse(args); err != nil {
		return o, nil, false, err
	}
	for name := range strings.SplitSeq(*only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == strings.TrimSpace(name) })
		if i < 0 {
			return o, nil, false, fmt.Errorf("no part %q: want some of %s", name, strings.Join(names, ","))
		}
		chosen = append(chosen, parts[i])
	}
	for _, n := range []int{o.connections, o.events, o.rounds, o.accounts, o.longEvents, o.pacedRate, o.pacedSeconds, o.sweepRate, o.sweepSeconds, o.visibleRate, o.visibleSeconds,
		o.clusterRate, o.clusterSeconds, o.history, o.historyAccounts, o.reads, o.renewSeconds,
		o.featureRate, o.featureSeconds, o.floodRate, o.floodSeconds} {
		if n < 1 {
			return o, nil, false, errors.New("sizes begin at 1")
		}
	}
	_, err = os.Stat(o.daybook)
	return o, chosen, strict, err
}

// describeMachine says what the figures were taken on: above all what a flush
// of this disk costs, for no durable write can be faster.
func (b *bench) describeMachine() error {
	flush, err := flushCost(b.work)
	if err != nil {
		return err
	}
	b.report.line("%s/%s, %d CPUs, %s; a 4 KiB write and flush takes %s (median)",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), flush.Round(time.Microsecond))
	return nil
}

// flushCost is the median time of a small write that is flushed to disk.
func flushCost(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "flush-")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	times := make([]time.Duration, 50)
	block := make([]byte, 4096)
	for i := range times {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(start)
	}
	return percentile(times, 50), nil
}
