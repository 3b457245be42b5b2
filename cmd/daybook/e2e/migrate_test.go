package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// onEachCluster runs a test with each cluster there is as its target.
func onEachCluster(t *testing.T, test func(t *testing.T, target cluster)) {
	t.Helper()
	t.Run("esdb", func(t *testing.T) {
		t.Parallel()
		test(t, cluster{esdbtest.Start(t).URL(), "daybook."})
	})
	if url := os.Getenv(serverVariable); url != "" {
		t.Run("server", func(t *testing.T) {
			t.Parallel()
			test(t, cluster{url, "daybook-test-" + uuid.NewString() + "."})
		})
	}
}

// migrate runs the command.
func migrate(t *testing.T, dir string, to cluster, args ...string) outcome {
	t.Helper()
	return command(t, []string{"EVENTSTORE_STREAM_PREFIX=" + to.prefix}, append([]string{"migrate", "--to", to.url, "--data-dir", dir}, args...)...)
}

// migrated is what the tests read of the command's JSON.
type migrated struct {
	Epoch, SHA256   string
	Already         bool
	Events, Streams int
	CopyOf          string `json:"copy_of"`
}

func mustMigrate(t *testing.T, dir string, to cluster) (m migrated) {
	t.Helper()
	o := migrate(t, dir, to, "-o", "json")
	if err := json.Unmarshal([]byte(o.stdout), &m); err != nil || o.code != 0 {
		t.Fatalf("migrate: %v %+v", err, o)
	}
	return m
}

// serveFrom configures a data dir's servers and commands for a cluster.
func serveFrom(t *testing.T, dir string, c cluster) {
	t.Helper()
	clusters.Store(dir, c)
	t.Cleanup(func() { clusters.Delete(dir) })
}

// copiedLog is what of a store a migration copies, positions aside.
func copiedLog(t *testing.T, store storeReader) []eventstore.RecordedEvent {
	t.Helper()
	defer store.Close()
	var all []eventstore.RecordedEvent
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Stream != "store-main" && e.Stream != "checkpoint-posting" {
			e.Position = 0
			all = append(all, e)
		}
	}
	return all
}

func sameEvents(a, b []eventstore.RecordedEvent) bool {
	return slices.EqualFunc(a, b, func(a, b eventstore.RecordedEvent) bool {
		return a.ID == b.ID && a.Stream == b.Stream && a.Revision == b.Revision && a.Type == b.Type &&
			bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// unposted counts the journal's entries behind the checkpoint of posting.
func unposted(t *testing.T, dir string) int {
	t.Helper()
	store := openReader(t, dir)
	defer store.Close()
	var epoch, at struct {
		Epoch    string
		Position eventstore.Position
	}
	for e, err := range store.ReadStream(t.Context(), "store-main", 0, eventstore.Forwards, 1) {
		if err := errors.Join(err, json.Unmarshal(e.Data, &epoch)); err != nil {
			t.Fatal(err)
		}
	}
	for e, err := range store.ReadStream(t.Context(), "checkpoint-posting", eventstore.LastRevision, eventstore.Backwards, 1) {
		if err := errors.Join(err, json.Unmarshal(e.Data, &at)); err != nil {
			t.Fatal(err)
		}
	}
	if at.Epoch != epoch.Epoch || at.Position == 0 {
		t.Errorf("the checkpoint is %+v, the store's epoch %s", at, epoch.Epoch)
	}
	behind := 0
	for _, err := range store.ReadAll(t.Context(), at.Position, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"stripeEvent-"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		behind++
	}
	return behind
}

// TestAMigratedStoreAnswersTheSame fills an embedded store with all that there
// can be in one, ends its server by SIGKILL, moves to a cluster, and asks again.
func TestAMigratedStoreAnswersTheSame(t *testing.T) {
	t.Parallel()
	onEachCluster(t, migratedStoreAnswersTheSame)
}

func migratedStoreAnswersTheSame(t *testing.T, target cluster) {
	t.Helper()
	s := start(t, development(""))
	run := fillStore(t, s)
	between := time.Now().UTC()
	s.mustDeliver(subscriptionEvent("evt_m2", "customer.subscription.deleted", "sub_m", "movers", "canceled", quietTime(), ""), "recorded")
	s.settle()
	before := everything(t, s, run, between)

	if o := migrate(t, s.dir, target); o.code != 1 || !strings.Contains(o.stderr, fmt.Sprintf("in use by process %d", s.process.Pid)) {
		t.Errorf("migrating what is served: %+v", o)
	}
	s.kill()
	s = start(t, development(s.dir, "--posting=false"))
	s.mustDeliver(customerEvent("evt_unposted"), "recorded")
	s.kill()
	original, behind := copiedLog(t, openReader(t, s.dir)), unposted(t, s.dir)
	m := mustMigrate(t, s.dir, target)
	if again := mustMigrate(t, s.dir, target); m.Already || !again.Already || again.SHA256 != m.SHA256 || again.Epoch != m.Epoch || m.Events != len(original) || m.CopyOf == m.Epoch {
		t.Errorf("migrated %d events: %+v, then %+v", len(original), m, again)
	}
	wantLeft(t, s.dir)
	serveFrom(t, s.dir, target)
	if !sameEvents(original, copiedLog(t, openReader(t, s.dir))) {
		t.Error("the copied log is another one")
	}
	if n := unposted(t, s.dir); n != behind || behind == 0 {
		t.Errorf("%d entries are to be posted yet, before the migration %d", n, behind)
	}

	s = start(t, development(s.dir))
	s.settle()
	if !strings.Contains(s.log.String(), "the model is of another store") {
		t.Error("the old read model was used")
	}
	after := everything(t, s, run, between)
	for what, then := range before {
		if after[what] != then {
			t.Errorf("%s: %.2000s\nbefore the migration it was %.2000s", what, after[what], then)
		}
	}
	for _, d := range run.Deliveries[:50] {
		s.mustDeliver(d.Body, "duplicate")
	}
	wantRebuildEqual(t, s.dir)
	// It lives on.
	s.mustDeliver(subscriptionEvent("evt_m3", "customer.subscription.created", "sub_m3", "movers", "active", time.Now(), ""), "recorded")
	s.settle()
	if e := s.entitlement("movers"); e.Tier != "basic" {
		t.Errorf("what came after the migration: %+v", e)
	}
	s.stop()
	if again := mustMigrate(t, s.dir, target); !again.Already || again.SHA256 != m.SHA256 {
		t.Errorf("compared after it lived on: %+v", again)
	}
}

// fillStore brings into a server's store what a store may hold.
func fillStore(t *testing.T, s *server) *simulate.Run {
	t.Helper()
	run := simulate.Generate(simulate.Options{Seed: 11, Accounts: 80, End: time.Now().UTC().Truncate(time.Second), Duplicates: 0.2, Shuffle: 0.2})
	load := &load{deliveries: run.Deliveries, acked: map[string]bool{}}
	load.sendUntil(s, len(run.Deliveries), 0, func() {})
	for _, body := range [][]byte{
		subscriptionEvent("evt_m1", "customer.subscription.created", "sub_m", "movers", "active", quietTime(), ""),
		bytes.Replace(subscriptionEvent("evt_broken", "customer.subscription.updated", "sub_m", "movers", "active", quietTime(), ""), []byte(`"status":"active"`), []byte(`"status":17`), 1),
		subscriptionEvent("evt_forged", "customer.subscription.created", "sub_f", "forgers", "active", quietTime(), ""),
	} {
		s.mustDeliver(body, "recorded")
	}
	s.settle()
	decide(t, s.dir, "waiver", "grant", "guests", "--tier", "premium", "--reason", why)
	decide(t, s.dir, "block", "blocked", "--reason", why)
	mustRun(t, "repudiate", "evt_forged", "--dev", "--data-dir", s.dir, "--reason", "nobody at Stripe knows of it")
	s.settle()
	return run
}

// everything is what a server and its commands say, places in the log aside.
func everything(t *testing.T, s *server, run *simulate.Run, knownAt time.Time) map[string]string {
	t.Helper()
	said := map[string]string{"truth": string(s.truth())}
	for account := range accountsOf(t, said["truth"], "movers", "guests", "blocked", "forgers") {
		said["account "+account] = withoutPlaces(t, s.ask("/v1/accounts/"+url.PathEscape(account), s.key).body)
	}
	said["failures"] = withoutPlaces(t, []byte(command(t, nil, "failures", "--data-dir", s.dir, "-o", "json").stdout))
	said["known then"] = withoutPlaces(t, []byte(mustRun(t, "show", "subscription", "sub_m", "--data-dir", s.dir, "-o", "json", "--known-at", knownAt.Format(time.RFC3339Nano))))
	if !strings.Contains(said["failures"], "evt_broken") || !strings.Contains(said["known then"], `"active"`) || len(said) < 20 {
		t.Fatalf("too little is said: %.2000s", said)
	}
	wantExpected(t, s, run)
	return said
}

// accountsOf are those that subscriptions belong to, and more.
func accountsOf(t *testing.T, truth string, more ...string) map[string]bool {
	t.Helper()
	var said struct {
		Subscriptions []struct{ Account string }
	}
	if err := json.Unmarshal([]byte(truth), &said); err != nil {
		t.Fatal(err)
	}
	accounts := map[string]bool{}
	for _, s := range said.Subscriptions {
		if s.Account != "" {
			accounts[s.Account] = true
		}
	}
	for _, a := range more {
		accounts[a] = true
	}
	return accounts
}

func withoutPlaces(t *testing.T, doc []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	out, err := json.MarshalIndent(withoutVolatile(v), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// wantLeft wants nobody to write to the store that was left behind, unless its
// note is taken away; it can be read.
func wantLeft(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{
		{"serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", dir},
		{"rebuild", "--dev", "--data-dir", dir},
	} {
		if o := command(t, nil, args...); o.code != 2 || !strings.Contains(o.stderr, "was migrated to esdb://") {
			t.Errorf("%q with a store that was left: %+v", args, o)
		}
	}
	mustRun(t, "events", "--data-dir", dir)
}

// TestMigrateRefuses gives the command what it must not touch.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	target := cluster{esdbtest.Start(t).URL(), "daybook."}
	taken := clusterDir(t, target.url, target.prefix)
	s := start(t, development(taken))
	s.stop()
	s = start(t, development(""))
	s.stop()
	foreign := cluster{target.url, "foreign."}
	store := foreign.open(t)
	defer store.Close()
	if _, err := store.Append(t.Context(), "order-1", eventstore.NoStream, eventstore.ProposedEvent{ID: uuid.New(), Type: "Ordered"}); err != nil {
		t.Fatal(err)
	}
	const password = "unsaid-secret"
	for _, c := range []struct {
		what, dir string
		to        cluster
		code      int
		says      string
	}{
		{"a store of its own", s.dir, target, 1, "it is a store of its own"},
		{"somebody else's streams", s.dir, foreign, 1, "none of ours"},
		{"nothing to copy", t.TempDir(), cluster{target.url, "new."}, 1, "there is no store"},
		{"no connection string", s.dir, cluster{"http://ops:" + password + "@127.0.0.1:1", "new."}, 2, "EVENTSTORE_URL"},
		{"a bad prefix", s.dir, cluster{target.url, "new"}, 2, "EVENTSTORE_STREAM_PREFIX"},
		{"nobody there", s.dir, cluster{"esdb://ops:" + password + "@127.0.0.1:1?tls=false", "new."}, 1, "event store unavailable"},
	} {
		o := migrate(t, c.dir, c.to)
		if o.code != c.code || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: %+v", c.what, o)
		}
		wantNone(t, o.stdout+o.stderr, []string{password})
	}
	if o := command(t, nil, "migrate", "--data-dir", s.dir); o.code != 2 || !strings.Contains(o.stderr, "--to URL") {
		t.Errorf("no target: %+v", o)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "daybook.db.migrated")); err == nil {
		t.Error("a refused migration left its note")
	}
	s = start(t, development(s.dir)) // it is as it was
	s.stop()
}

// TestAKilledMigrationIsGoneOnWith kills the command again and again, and takes
// the cluster away in between. What is there of a copy is of use to nobody else.
func TestAKilledMigrationIsGoneOnWith(t *testing.T) {
	t.Parallel()
	file, run := simulated(t, 150)
	dir := dataDir(t)
	mustRun(t, "ingest", file, "--dev", "--data-dir", dir)
	original := copiedLog(t, openReader(t, dir))
	server := esdbtest.Start(t)
	target := cluster{server.URL(), "daybook."}
	const kills = 8
	for i := range kills {
		cmd := exec.Command(binary, "migrate", "--to", target.url, "--data-dir", dir)
		p := spawnCommand(t, launch{dir: dir, env: []string{"EVENTSTORE_STREAM_PREFIX=" + target.prefix}}, cmd)
		goal := 1 + len(original)*i/kills
		eventually(t, "it gets on", func() bool { return server.Len() >= goal })
		if i%3 == 1 { // it is away for a moment, without a kill
			server.Stop()
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it gets on with the cluster that is back", func() bool { return server.Len() > goal+20 })
		}
		p.kill()
		if code := p.state.ExitCode(); code != -1 {
			t.Fatalf("it ended with %d before it was killed:\n%s", code, p.log)
		}
	}
	elsewhere := clusterDir(t, target.url, target.prefix)
	if o := command(t, nil, "serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", elsewhere); o.code != 1 || !strings.Contains(o.stderr, "is not done") {
		t.Errorf("serving half a copy: %+v", o)
	}
	other := start(t, development(""))
	other.stop()
	if o := migrate(t, other.dir, target); o.code != 1 || !strings.Contains(o.stderr, "a copy of another store") {
		t.Errorf("going on with another store's copy: %+v", o)
	}
	if m := mustMigrate(t, dir, target); m.Already || m.Events != len(original) {
		t.Errorf("%+v: want %d events", m, len(original))
	}
	serveFrom(t, dir, target)
	if !sameEvents(original, copiedLog(t, openReader(t, dir))) {
		t.Error("the copied log is another one")
	}
	if n := unposted(t, dir); n != 0 {
		t.Errorf("%d entries of a store where all were posted are to be posted", n)
	}
	s := start(t, development(dir))
	wantExpected(t, s, run)
	wantRebuildEqual(t, dir)
	s.stop()
}
