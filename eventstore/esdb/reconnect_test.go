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
	clients     int // of which each has one
	connections int // of gRPC's connections, as many for each that was not closed, in whatever state
	carriers    int // of gRPC's client side else: for what is connected, and for calls
	ours        int // of this package: calls, and the making of clients
}

// count counts all goroutines of this process.
func count() (c census) {
	for _, by := range started() {
		switch {
		case strings.HasPrefix(by, "github.com/EventStore/"):
			c.clients++
		case strings.HasPrefix(by, "github.com/daybookhq/daybook/eventstore/esdb."):
			c.ours++
		case strings.HasSuffix(by, "grpcsync.NewCallbackSerializer"):
			c.connections++
		case strings.HasPrefix(by, "google.golang.org/grpc") && !strings.Contains(by, "Server"):
			c.carriers++
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

// ofOneClient counts the goroutines of a client that is connected. No other may
// be at work.
func ofOneClient(t *testing.T, server *esdbtest.Server) census {
	t.Helper()
	eventually(t, "the clients of other tests are gone", func() bool { return count() == census{} })
	c := bareClient(t, server.URL())
	if _, err := c.GetServerVersion(); err != nil {
		t.Fatal(err)
	}
	one := count()
	if one.clients != 1 || one.connections == 0 || one.carriers == 0 || one.ours != 0 {
		t.Fatalf("counted %+v for one client", one)
	}
	_ = c.Close() // it has nothing to tell
	eventually(t, "a client that was closed is gone", func() bool { return count() == census{} })
	return one
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
			one := ofOneClient(t, server)
			var replaced atomic.Int64
			s := open(t, server, esdb.Options{
				Connections: connections,
				ReadTimeout: patience, // the subscription has to get through between cuts, on a busy machine too
				Report:      func(error) { replaced.Add(1) },
			})
			followed := follow(t, s, 0, eventstore.Filter{})
			underLoad(t, server, s, callers, func(total *atomic.Int64) {
				disturb(t, server, total)
				grows(t, total, 100)
			})
			followed.sees(t, server)
			t.Logf("%d times a client was replaced", replaced.Load())
			leaves(t, one, connections, 1)
		})
	}
}

// leaves waits until there are no more clients than there should be, no more
// connections than clients, and nothing else but subscriptions, which have a
// goroutine here and one of gRPC's.
func leaves(t *testing.T, one census, clients, subscriptions int) {
	t.Helper()
	var left census
	defer func() {
		if t.Failed() {
			t.Logf("left are %+v, a client alone is %+v; all:\n%s", left, one, strings.Join(started(), "\n"))
		}
	}()
	eventually(t, "only the connections in use have goroutines", func() bool {
		left = count()
		return left.clients <= clients &&
			left.connections == left.clients*one.connections &&
			left.carriers <= left.clients*one.carriers+subscriptions &&
			left.ours == subscriptions
	})
}
