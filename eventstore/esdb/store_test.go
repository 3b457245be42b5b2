package esdb_test

import (
	"testing"
	"time"

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
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		return open(t, esdbtest.Start(t), esdb.Options{})
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
			{Kind: esdbtest.PersistThenFail, On: esdbtest.Appends, Times: 3},
			{Kind: esdbtest.Refuse, Everything: true, Times: 2},
			{Kind: esdbtest.PersistThenDrop, On: esdbtest.Appends, Times: 2},
			{Kind: esdbtest.CutRead, On: esdbtest.Reads, After: 3, Times: 5},
			{Kind: esdbtest.CutRead, On: esdbtest.Subscriptions, After: 7, Times: 3},
			{Kind: esdbtest.Delay, Everything: true, Delay: 20 * time.Millisecond, Times: 5},
			{Kind: esdbtest.Abort, On: esdbtest.Appends, Times: 2},
			{Kind: esdbtest.DropConnection, On: esdbtest.Reads, Times: 2},
		} {
			server.Inject(f)
		}
		return open(t, server, esdb.Options{})
	})
}
