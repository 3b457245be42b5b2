package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// report prints measurements as they are made, and the verdicts.
type report struct {
	w       io.Writer
	missed  int
	targets int
}

func newReport(w io.Writer) *report { return &report{w: w} }

func (r *report) section(title string) { fmt.Fprintf(r.w, "\n%s\n", title) }

func (r *report) line(format string, args ...any) { fmt.Fprintf(r.w, "  "+format+"\n", args...) }

// target prints a measurement beside what it should be.
func (r *report) target(met bool, what, measured, wanted string) {
	verdict := "ok"
	if !met {
		verdict = "MISSED"
		r.missed++
	}
	r.targets++
	fmt.Fprintf(r.w, "  %-6s %s: %s (target: %s)\n", verdict, what, measured, wanted)
}

// finish prints the sum, and returns how many targets were missed.
func (r *report) finish() int {
	fmt.Fprintf(r.w, "\n%d of %d targets met\n", r.targets-r.missed, r.targets)
	return r.missed
}

// percentile sorts times, and returns the one below which p percent lie.
func percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	i := int(float64(len(times))*p/100+0.5) - 1
	return times[min(max(i, 0), len(times)-1)]
}

// rounds are the times of one figure in several rounds. The median round counts:
// now and then a shared disk stands still for long enough to spoil one.
type rounds []time.Duration

func (r rounds) median() time.Duration { return percentile(slices.Clone(r), 50) }

func (r rounds) String() string {
	return fmt.Sprintf("%s (rounds: %s to %s)", millis(r.median()), millis(slices.Min(r)), millis(slices.Max(r)))
}

// median sorts values, and returns the middle one.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return "unknown (no /proc)"
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}
