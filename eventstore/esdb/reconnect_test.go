package esdb_test

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// census counts goroutines by what started them.
type census struct {
	clients int // of which each has one
	grpc    int // of gRPC's client side: connections, and calls in progress
	ours    int // of this package: calls, and the making of clients
}

// count counts all goroutines of this process.
func count() (c census) {
	for _, started := range started() {
		switch {
		case strings.HasPrefix(started, "github.com/EventStore/"):
			c.clients++
		case strings.HasPrefix(started, "google.golang.org/grpc"):
			if !strings.Contains(started, "Server") {
				c.grpc++
			}
		case strings.HasPrefix(started, "github.com/daybookhq/daybook/eventstore/esdb."):
			c.ours++
		}
	}
	return c
}

// started names the function that started each goroutine.
func started() (functions []string) {
	stacks := make([]byte, 1<<20)
	n := runtime.Stack(stacks, true)
	for ; n == len(stacks); n = runtime.Stack(stacks, true) {
		stacks = make([]byte, 2*n)
	}
	for stack := range strings.SplitSeq(string(stacks[:n]), "\n\n") {
		if _, by, ok := strings.Cut(stack, "\ncreated by "); ok {
			function, _, _ := strings.Cut(by, " in goroutine ")
			functions = append(functions, function)
		}
	}
	return functions
}

// goroutinesOfOne is how many goroutines of gRPC's a client has that is
// connected and idle. No other client may be at work.
func goroutinesOfOne(t *testing.T, server *esdbtest.Server) int {
	t.Helper()
	eventually(t, "the clients of other tests are gone", func() bool { return count() == census{} })
	c := bareClient(t, server.URL())
	if _, err := c.GetServerVersion(); err != nil {
		t.Fatal(err)
	}
	one := count()
	if one.clients != 1 || one.grpc < 3 {
		t.Fatalf("counted %+v for one client", one)
	}
	_ = c.Close() // it has nothing to tell
	eventually(t, "a client that was closed is gone", func() bool { return count() == census{} })
	return one.grpc
}

// TestReconnectsLeaveNothingBehind breaks connections under callers and a
// subscription, again and again, and counts the goroutines that are left: those
// of the connections in use, and not one more.
func TestReconnectsLeaveNothingBehind(t *testing.T) {
	const callers, connections = 64, 4
	for name, disturb := range map[string]func(t *testing.T, server *esdbtest.Server, total *atomic.Int64){
		"a thousand cuts": func(t *testing.T, server *esdbtest.Server, total *atomic.Int64) {
			for range 1000 {
				server.Drop()
				grows(t, total, 1+rand.Int64N(40)) // so that cuts meet calls at any stage
			}
		},
		"fifty restarts": func(t *testing.T, server *esdbtest.Server, total *atomic.Int64) {
			for range 50 {
				server.Stop()
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
				grows(t, total, 1+rand.Int64N(40))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := esdbtest.Start(t)
			each := goroutinesOfOne(t, server)
			var replaced atomic.Int64
			s := open(t, server, esdb.Options{Connections: connections, Report: func(error) { replaced.Add(1) }})
			followed := follow(t, s, 0, eventstore.Filter{})
			underLoad(t, server, s, callers, func(total *atomic.Int64) {
				disturb(t, server, total)
				grows(t, total, 100)
			})
			followed.sees(t, server)
			t.Logf("%d times a client was replaced", replaced.Load())
			var left census
			defer func() {
				if t.Failed() {
					t.Logf("of gRPC %d goroutines, %d for each of %d clients, and of ours %d", left.grpc, each, left.clients, left.ours)
				}
			}()
			eventually(t, "only the connections in use have goroutines", func() bool {
				left = count()
				// Beyond them there is the subscription, one goroutine here and one of gRPC's.
				return left.clients <= connections && left.grpc == left.clients*each+1 && left.ours == 1
			})
		})
	}
}
