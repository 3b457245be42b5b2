package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
	"github.com/daybookhq/daybook/eventstore/sqlite"
)

// cluster is where the events of a data dir are, if they are not in it.
type cluster struct{ url, prefix string }

// clusters are known by the data dirs that belong to them, so that every server
// and every command on such a data dir is configured for its store.
var clusters sync.Map

func clusterOf(dir string) (cluster, bool) {
	c, found := clusters.Load(dir)
	if !found {
		return cluster{}, false
	}
	return c.(cluster), true
}

// storeEnvironment configures the store of a data dir.
func storeEnvironment(dir string) []string {
	c, found := clusterOf(dir)
	if !found {
		return nil
	}
	return []string{"EVENTSTORE_URL=" + c.url, "EVENTSTORE_STREAM_PREFIX=" + c.prefix}
}

// dirOf is the data dir that a command line names.
func dirOf(args []string) string {
	at := slices.Index(args, "--data-dir")
	if at < 0 || at+1 == len(args) {
		return ""
	}
	return args[at+1]
}

// serverVariable names a server on which the tests are to run besides.
const serverVariable = "EVENTSTORE_TEST_URL"

// onEachStore runs a test on the embedded store, on a test server of
// EventStoreDB's protocol as a user who can only read and append, and, if one is
// named, on a real server. The data dir that it gets need not exist yet.
func onEachStore(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, dataDir(t))
	})
	t.Run("esdb", func(t *testing.T) {
		t.Parallel()
		test(t, clusterDir(t, limited(t), "daybook."))
	})
	if url := os.Getenv(serverVariable); url != "" {
		t.Run("server", func(t *testing.T) {
			t.Parallel()
			test(t, clusterDir(t, url, "daybook-test-"+uuid.NewString()+"."))
		})
	}
}

// limited is the connection string of a user of a secure server who has the
// rights of a ledger and no others.
func limited(t testing.TB) string {
	t.Helper()
	server := esdbtest.StartSecure(t, esdbtest.User{Name: "daybook", Password: "s3cret"})
	o := command(t, []string{"EVENTSTORE_URL=" + server.URL()}, "init-store", "--user", "daybook")
	if o.code != 0 {
		t.Fatalf("init-store: %+v", o)
	}
	return server.URLOf("daybook")
}

// clusterDir makes a data dir whose events are on a cluster.
func clusterDir(t testing.TB, url, prefix string) string {
	t.Helper()
	dir := dataDir(t)
	clusters.Store(dir, cluster{url, prefix})
	t.Cleanup(func() { clusters.Delete(dir) })
	return dir
}

// below is a data dir in another one, of the same store.
func below(t testing.TB, dir string) string {
	t.Helper()
	inner := filepath.Join(dir, "new", "data")
	if c, found := clusterOf(dir); found {
		clusters.Store(inner, c)
		t.Cleanup(func() { clusters.Delete(inner) })
	}
	return inner
}

// storeReader is a store opened for reading.
type storeReader interface {
	eventstore.Reader
	Close() error
}

// openReader opens the store of a data dir, whether or not a server is at work
// there.
func openReader(t testing.TB, dir string) storeReader {
	t.Helper()
	if c, found := clusterOf(dir); found {
		return c.open(t)
	}
	store, err := sqlite.OpenReader(t.Context(), filepath.Join(dir, "daybook.db"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// openStore opens the store of a data dir that nobody owns.
func openStore(t testing.TB, dir string) eventstore.Store {
	t.Helper()
	if c, found := clusterOf(dir); found {
		return c.open(t)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "daybook.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (c cluster) open(t testing.TB) *esdb.Store {
	t.Helper()
	store, err := esdb.Open(c.url, esdb.Options{Prefix: c.prefix})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestAClusterThatIsAwayAtTheStart starts a server whose store is not there,
// and lets the store come, go and come back.
func TestAClusterThatIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	store := esdbtest.Start(t)
	store.Stop()
	dir := clusterDir(t, store.URL(), "")
	s := spawn(t, development(dir))
	s.learnAddress("waiting for the event store")
	if a := s.ask("/livez", ""); a.status != 200 {
		t.Errorf("livez: %d %s", a.status, a.body)
	}
	wantTurnedAway(t, s)
	wantHealth(t, s, 0, 1)
	if err := store.Start(); err != nil {
		t.Fatal(err)
	}
	s.connect()
	wantHealth(t, s, 0, 0)
	s.mustDeliver(customerEvent("evt_here"), "recorded")
	var status struct{ Store struct{ Kind string } }
	if s.get("/v1/status", &status); status.Store.Kind != "eventstoredb" {
		t.Errorf("the store is said to be of kind %q", status.Store.Kind)
	}
	store.Stop()
	eventually(t, "the server is not ready", func() bool { return !s.answers("/readyz") })
	wantTurnedAway(t, s)
	if err := store.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is ready again", func() bool { return s.answers("/readyz") })
	s.mustDeliver(customerEvent("evt_here"), "duplicate")
	s.settle()
	s.stop()
	wantHealth(t, s, 1, 1)
}

// wantHealth asks by the command that health checks use.
func wantHealth(t *testing.T, s *server, alive, ready int) {
	t.Helper()
	addr := "DAYBOOK_ADDR=" + strings.TrimPrefix(s.base, "http://")
	if o := command(t, []string{addr}, "health"); o.code != alive {
		t.Errorf("health: %+v, want exit %d", o, alive)
	}
	if o := command(t, []string{addr}, "health", "--ready"); o.code != ready {
		t.Errorf("health --ready: %+v, want exit %d", o, ready)
	}
}

// wantTurnedAway wants webhooks answered 503, and the reason told.
func wantTurnedAway(t *testing.T, s *server) {
	t.Helper()
	a, err := s.deliver(customerEvent("evt_away"))
	if err != nil || a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("a webhook without a store: %d %s %v", a.status, a.body, err)
	}
	if a := s.ask("/readyz", ""); a.status != 503 || !strings.Contains(string(a.body), "event store") {
		t.Errorf("readyz without a store: %d %s", a.status, a.body)
	}
}

// TestTermWhileWaitingForACluster ends a server that has not begun.
func TestTermWhileWaitingForACluster(t *testing.T) {
	t.Parallel()
	store := esdbtest.Start(t)
	store.Stop()
	s := spawn(t, development(clusterDir(t, store.URL(), "")))
	s.learnAddress("waiting for the event store")
	s.stop()
}
