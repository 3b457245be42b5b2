package esdb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// The benchmarks compare the store with the client that it stands on, over the
// test server: BenchmarkAppend at 64 callers, BenchmarkCatchUp in events read.

const benchCallers = 64

// bareClient is the unmodified client.
func bareClient(b testing.TB, url string) *client.Client {
	b.Helper()
	config, err := client.ParseConnectionString(url)
	if err != nil {
		b.Fatal(err)
	}
	config.Logger = client.NoopLogging()
	c, err := client.NewClient(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() }) // it has nothing to tell
	return c
}

// inParallel makes calls from so many callers as the issue of speed is about.
func inParallel(b *testing.B, call func(ctx context.Context, stream string) error) {
	b.Helper()
	var n atomic.Int64
	b.SetParallelism(benchCallers / 2) // times the processors, of which two are usual
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(b.Context(), fmt.Sprintf("order-%d", n.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		c := bareClient(b, esdbtest.Start(b).URL())
		inParallel(b, func(ctx context.Context, stream string) error {
			e := event()
			_, err := c.AppendToStream(ctx, stream, client.AppendToStreamOptions{ExpectedRevision: client.NoStream{}},
				client.EventData{EventID: e.ID, EventType: e.Type, Data: e.Data, Metadata: e.Metadata})
			return err
		})
	})
	b.Run("store", func(b *testing.B) {
		s := open(b, esdbtest.Start(b), esdb.Options{})
		inParallel(b, func(ctx context.Context, stream string) error {
			_, err := s.Append(ctx, eventstore.Stream(stream), eventstore.NoStream, event())
			return err
		})
	})
}

// history puts n events into a server's log.
func history(b *testing.B, server *esdbtest.Server, n int) {
	b.Helper()
	s := open(b, server, esdb.Options{})
	for range n / 100 {
		batch := make([]eventstore.ProposedEvent, 100)
		for i := range batch {
			batch[i] = event()
		}
		if _, err := s.Append(b.Context(), eventstore.Stream("order-"+uuid.NewString()), eventstore.NoStream, batch...); err != nil {
			b.Fatal(err)
		}
	}
}

const historyEvents = 20_000

func BenchmarkCatchUp(b *testing.B) {
	server := esdbtest.Start(b)
	history(b, server, historyEvents)
	perSecond := func(b *testing.B) {
		b.Helper()
		b.ReportMetric(float64(historyEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("bare", func(b *testing.B) {
		c := bareClient(b, server.URL())
		for b.Loop() {
			if err := readBare(b.Context(), c, historyEvents); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b)
	})
	b.Run("store", func(b *testing.B) {
		s := open(b, server, esdb.Options{})
		for b.Loop() {
			n := 0
			for m, err := range s.Follow(b.Context(), 0, eventstore.Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
				if m.Event != nil {
					n++
				}
				if n == historyEvents {
					break
				}
			}
		}
		perSecond(b)
	})
}

// readBare subscribes and receives so many events.
func readBare(ctx context.Context, c *client.Client, n int) error {
	s, err := c.SubscribeToAll(ctx, client.SubscribeToAllOptions{From: client.Start{}, Filter: client.ExcludeSystemEventsFilter()})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // it has nothing to tell
	for n > 0 {
		switch e := s.Recv(); {
		case e.SubscriptionDropped != nil:
			return errors.Join(io.ErrUnexpectedEOF, e.SubscriptionDropped.Error)
		case e.EventAppeared != nil:
			n--
		}
	}
	return nil
}
