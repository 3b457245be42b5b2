package esdb_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
	"github.com/daybookhq/daybook/eventstore/eventstoretest"
)

func open(t testing.TB, server *esdbtest.Server, opts esdb.Options) *esdb.Store {
	t.Helper()
	s, err := esdb.Open(server.URL(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the test looks at errors of its own closing
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("TestServer", func(t *testing.T) {
		eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
			return open(t, esdbtest.Start(t), esdb.Options{})
		})
	})
	if url := os.Getenv(serverVariable); url != "" {
		t.Run("Server", func(t *testing.T) { conform(t, url) })
	}
}

// serverVariable names a server on which the kit is to run besides, in streams
// of its own.
const serverVariable = "EVENTSTORE_TEST_URL"

// conform runs the kit on a server that others use too. Its streams stay there,
// each test's under a prefix that nothing else has.
func conform(t *testing.T, url string) {
	t.Helper()
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		s, err := esdb.Open(url, esdb.Options{Prefix: "daybook-test-" + uuid.NewString() + "."})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() }) // the test looks at errors of its own closing
		return s
	})
}

func TestConformanceUnderAPrefix(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		return open(t, esdbtest.Start(t), esdb.Options{Prefix: "team-a.", Connections: 1})
	})
}

// TestConformanceWithFaults runs the kit while connections are cut, appends
// persist and fail, reads end early and conflicts are about writes that are
// then lost.
func TestConformanceWithFaults(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		server := esdbtest.Start(t)
		for _, f := range []esdbtest.Fault{
			{Kind: esdbtest.PersistThenFail, On: esdbtest.Appends, Times: 2},
			{Kind: esdbtest.Refuse, Everything: true, Times: 2},
			{Kind: esdbtest.PersistThenDrop, On: esdbtest.Appends, Times: 1},
			{Kind: esdbtest.CutRead, On: esdbtest.Reads, After: 3, Times: 5},
			{Kind: esdbtest.CutRead, On: esdbtest.Subscriptions, After: 7, Times: 3},
			{Kind: esdbtest.Delay, Everything: true, Delay: 20 * time.Millisecond, Times: 5},
			{Kind: esdbtest.Abort, On: esdbtest.Appends, Times: 1},
			{Kind: esdbtest.DropConnection, On: esdbtest.Reads, Times: 2},
		} {
			server.Inject(f)
		}
		return open(t, server, esdb.Options{})
	})
}
