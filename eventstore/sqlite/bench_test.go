package sqlite

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/daybookhq/daybook/eventstore"
)

// The benchmarks of a large file make it first, which takes about a minute:
//
//	go test -run - -bench BigFile -benchtime 1x ./eventstore/sqlite -args -big
var big = flag.Bool("big", false, "run the benchmarks that need a file of 1,000,000 events")

var benchMetadata = []byte(`{"recorded_at":"2026-01-02T03:04:05.678Z","correlation_id":"req_0123456789abcdef","schema":1}`)

func benchEvent(kind string, size int) eventstore.ProposedEvent {
	data := `{"filler":"` + strings.Repeat("x", max(size-13, 0)) + `"}`
	return eventstore.ProposedEvent{ID: uuid.New(), Type: kind, Data: []byte(data), Metadata: benchMetadata}
}

// reportCPU adds the processor time per operation since it was begun.
func reportCPU(b *testing.B) (end func(operations int)) {
	begin := cpuTime(b)
	return func(operations int) {
		used := cpuTime(b) - begin
		b.ReportMetric(float64(used.Microseconds())/float64(operations), "cpu-µs/event")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends single events of 1.5 KB to new streams, named as
// Stripe names its events: growing, with a random end.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint(appenders), func(b *testing.B) {
			s := openTest(b, filepath.Join(b.TempDir(), "events.db"), Options{SkipCheck: true})
			benchAppend(b, s, appenders, func(n int64) (eventstore.Stream, eventstore.ExpectedRevision) {
				return eventstore.NewStream("stripeEvent", fmt.Sprintf("evt_1N%010d%s", n, uuid.NewString()[:12])), eventstore.NoStream
			})
		})
	}
}

// BenchmarkAppendAny appends to the ends of 1000 streams.
func BenchmarkAppendAny(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "events.db"), Options{SkipCheck: true})
	benchAppend(b, s, 64, func(n int64) (eventstore.Stream, eventstore.ExpectedRevision) {
		return eventstore.NewStream("subscription", fmt.Sprintf("sub_%04d", n%1000)), eventstore.Any
	})
}

func benchAppend(b *testing.B, s *Store, appenders int, where func(n int64) (eventstore.Stream, eventstore.ExpectedRevision)) {
	var next atomic.Int64
	latencies := make([][]time.Duration, appenders)
	end := reportCPU(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range appenders {
		wg.Go(func() {
			e := benchEvent("invoice.paid", 1500)
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				e.ID = uuid.New()
				stream, expected := where(n)
				begin := time.Now()
				if _, err := s.Append(context.Background(), stream, expected, e); err != nil {
					b.Error(err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(begin))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	end(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	reportPercentiles(b, latencies)
}

func reportPercentiles(b *testing.B, latencies [][]time.Duration) {
	var all []time.Duration
	for _, l := range latencies {
		all = append(all, l...)
	}
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "max-ms")
}

// benchFile makes a file of n domain events of 500 bytes, with every third
// event a raw one of 3 KB between them.
func benchFile(b *testing.B, path string, n int) {
	s := openTest(b, path, Options{SkipCheck: true})
	categories := []string{"subscription", "invoice", "payment", "customer", "account", "catalog"}
	var wg sync.WaitGroup
	const writers = 32
	for w := range writers {
		wg.Go(func() {
			small, raw := benchEvent("SubscriptionChanged", 400), benchEvent("customer.subscription.updated", 3000)
			for i := w; i < n; i += writers {
				e, stream := small, eventstore.NewStream(categories[i%len(categories)], fmt.Sprintf("sub_%08d", i/10))
				if i%3 == 2 {
					e, stream = raw, eventstore.NewStream("stripeEvent", fmt.Sprintf("evt_%010d", i))
				}
				e.ID = uuid.New()
				if _, err := s.Append(context.Background(), stream, eventstore.Any, e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

var domainFilter = eventstore.Filter{Prefixes: []string{"subscription-", "invoice-", "payment-", "customer-", "account-", "catalog-"}}

// BenchmarkRead reads a log of 150,000 events, a third of them raw payloads,
// by filter.
func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "events.db")
	benchFile(b, path, 150_000)
	s := openTest(b, path, Options{SkipCheck: true})
	for _, c := range []struct {
		name   string
		filter eventstore.Filter
	}{
		{"everything", eventstore.Filter{}},
		{"six categories", domainFilter},
		{"one category", eventstore.Filter{Prefixes: []string{"invoice-"}}},
		{"a prefix", eventstore.Filter{Prefixes: []string{"invoice-sub_"}}},
	} {
		b.Run(c.name, func(b *testing.B) { benchRead(b, s, c.filter) })
	}
	b.Run("stream of 20", func(b *testing.B) { benchStream(b, s) })
}

func benchRead(b *testing.B, s *Store, filter eventstore.Filter) {
	b.ReportAllocs()
	end := reportCPU(b)
	total := 0
	for b.Loop() {
		for _, err := range s.ReadAll(context.Background(), 0, eventstore.Forwards, filter, 0) {
			if err != nil {
				b.Fatal(err)
			}
			total++
		}
	}
	end(total)
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
}

func benchStream(b *testing.B, s *Store) {
	for i := range 20 {
		if _, err := s.Append(context.Background(), "subscription-twenty", eventstore.Any, benchEvent("SubscriptionChanged", 400+i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range s.ReadStream(context.Background(), "subscription-twenty", 0, eventstore.Forwards, 0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n%20 != 0 {
			b.Fatalf("%d events", n)
		}
	}
}

// BenchmarkFollowLive measures how long after an append's answer a subscriber
// has the event.
func BenchmarkFollowLive(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "events.db"), Options{SkipCheck: true})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := make(chan eventstore.Position, 1)
	go func() {
		for m, err := range s.Follow(ctx, 0, eventstore.Filter{Prefixes: []string{"stripeEvent-"}}) {
			if err != nil {
				return
			}
			if m.Event != nil {
				seen <- m.Position
			}
		}
	}()
	e, n := benchEvent("invoice.paid", 1500), 0
	for b.Loop() {
		n++
		if _, err := s.Append(ctx, eventstore.NewStream("stripeEvent", fmt.Sprint(n)), eventstore.NoStream, e); err != nil {
			b.Fatal(err)
		}
		<-seen
	}
}

// BenchmarkBigFile opens a file of 1,000,000 events, cold in our memory, and
// reads its domain events.
func BenchmarkBigFile(b *testing.B) {
	if !*big {
		b.Log("needs -args -big")
		return
	}
	path := filepath.Join(b.TempDir(), "events.db")
	benchFile(b, path, 1_000_000)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("file of %d MB", info.Size()>>20)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s := openTest(b, path, Options{})
			if _, err := s.Head(context.Background()); err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read domain events", func(b *testing.B) {
		s := openTest(b, path, Options{SkipCheck: true})
		benchRead(b, s, domainFilter)
	})
}

// BenchmarkStored is what the choice between TEXT and BLOB costs.
func BenchmarkStored(b *testing.B) {
	data := bytes.Repeat([]byte(`{"a":1},`), 500)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		stored(data)
	}
}

// BenchmarkPaced appends 4.4 KB events at 2000 per second, whatever the store
// does, with a WAL small enough for several restarts: the latencies include
// checkpoints. Run it with -benchtime 20000x, for ten seconds.
func BenchmarkPaced(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "events.db"), Options{SkipCheck: true, WALBound: 16 << 20})
	latencies := make([][]time.Duration, b.N)
	const interval = time.Second / 2000
	end := reportCPU(b)
	b.ResetTimer()
	begin := time.Now()
	var wg sync.WaitGroup
	for n := range b.N {
		due := begin.Add(time.Duration(n) * interval)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			e := benchEvent("invoice.paid", 4400)
			stream := eventstore.NewStream("stripeEvent", fmt.Sprintf("evt_1N%010d%s", n, e.ID.String()[:12]))
			if _, err := s.Append(context.Background(), stream, eventstore.NoStream, e); err != nil {
				b.Error(err)
			}
			latencies[n] = append(latencies[n], time.Since(due))
		})
	}
	wg.Wait()
	b.StopTimer()
	end(b.N)
	reportPercentiles(b, latencies)
}
