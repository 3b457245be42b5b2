package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

func clusterClient(t *testing.T, c *redistest.Cluster) *client.ClusterClient {
	t.Helper()
	var addrs []string
	for _, node := range c.Nodes {
		addrs = append(addrs, node.Addr())
	}
	cc := client.NewClusterClient(&client.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	c := clusterClient(t, cluster)
	o := open(t, cluster.URL(), signed(keyA))
	republish(t, "the first beat", beat(t, o, 1), true)
	republish(t, "the second", beat(t, o, 1), false)
	accounts := []string{"{a}", "{a}b", "a{b", "{}", "{", "a b", "x:{y}:z"}
	for i := range 2000 {
		accounts = append(accounts, fmt.Sprint("team-", i))
	}
	publishAll := func(tier string, position eventstore.Position) {
		t.Helper()
		var entries []projections.Publication
		for _, account := range accounts {
			entries = append(entries, publication(t, account, tier, position))
		}
		results, err := o.Publish(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r != projections.OutcomeWritten {
				t.Fatalf("%q: %s", accounts[i], r)
			}
		}
	}
	publishAll("basic", 1)
	for _, node := range cluster.Nodes {
		node.Do("SCRIPT", "FLUSH")
	}
	publishAll("premium", 2)
	for _, account := range accounts {
		if got := tier(t, c, account, keyA); got != "premium" {
			t.Fatalf("%q: readers see %s", account, got)
		}
	}
	var seen []string
	if err := o.Walk(t.Context(), func(page []projections.PublishedEntry) error {
		for _, e := range page {
			seen = append(seen, e.Account)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(seen)
	slices.Sort(accounts)
	if !slices.Equal(slices.Compact(seen), accounts) {
		t.Errorf("%d accounts are listed", len(seen))
	}
	shardsFail(t, cluster, o, accounts)
}

// shardsFail: while one server of three is away, the accounts of the others are
// published; when it is back, empty, everything has to be.
func shardsFail(t *testing.T, cluster *redistest.Cluster, o *redis.Outlet, accounts []string) {
	t.Helper()
	lost := cluster.Nodes[2]
	// The node keeps its place in the cluster in a file, its keys nowhere.
	lost.Kill()
	var entries []projections.Publication
	for _, account := range accounts {
		entries = append(entries, publication(t, account, "basic", 3))
	}
	until(t, "the others are published", func() bool {
		results, err := o.Publish(t.Context(), entries)
		if err == nil {
			t.Fatal("all are published without a third of the servers")
		}
		failed := 0
		for _, r := range results {
			if r == projections.OutcomeFailed {
				failed++
			}
		}
		return failed > len(entries)/5 && failed < len(entries)/2
	})
	lost.Start()
	until(t, "it is noticed that a server is back", func() bool {
		b, err := o.Beat(t.Context(), 3, time.Now())
		return err == nil && b.Republish != ""
	})
	until(t, "all are published", func() bool {
		_, err := o.Publish(t.Context(), entries)
		return err == nil
	})
}

// Keys that move to another server while they are written are found there.
func TestClusterMovesSlots(t *testing.T) {
	cluster := redistest.StartCluster(t)
	c := clusterClient(t, cluster)
	o := open(t, cluster.URL())
	account := "team-1"
	key := published.Key(account)
	publish(t, o, publication(t, account, "basic", 1))
	slot := c.ClusterKeySlot(t.Context(), key).Val()
	var from, to *redistest.Server
	for _, node := range cluster.Nodes {
		if n := node.Do("CLUSTER", "COUNTKEYSINSLOT", slot).(int64); n == 1 {
			from = node
		} else if to == nil {
			to = node
		}
	}
	ids := map[*redistest.Server]string{from: from.Do("CLUSTER", "MYID").(string), to: to.Do("CLUSTER", "MYID").(string)}
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
	want(t, "before the key moves", publish(t, o, publication(t, account, "premium", 2)), projections.OutcomeWritten)
	host, port, _ := strings.Cut(to.Addr(), ":")
	from.Do("MIGRATE", host, port, key, 0, 5000)
	want(t, "when it has moved", publish(t, o, publication(t, account, "elite", 3)), projections.OutcomeWritten)
	for _, node := range []*redistest.Server{to, from} {
		node.Do("CLUSTER", "SETSLOT", slot, "NODE", ids[to])
	}
	want(t, "when its slot has", publish(t, o, publication(t, account, "basic", 4)), projections.OutcomeWritten)
	want(t, "an older", publish(t, o, publication(t, account, "premium", 2)), projections.OutcomeOlder)
	if got := tier(t, c, account); got != "basic" {
		t.Errorf("readers see %s", got)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	s := redistest.StartSentinels(t)
	o := open(t, s.URL(), impatient)
	republish(t, "the first beat", beat(t, o, 1), true)
	publish(t, o, publication(t, "team", "basic", 1))
	s.Master.Kill()
	until(t, "the replica has taken over", func() bool {
		b, err := o.Beat(t.Context(), 2, time.Now())
		return err == nil && b.Republish != ""
	})
	until(t, "it is written to", func() bool {
		_, err := o.Publish(t.Context(), []projections.Publication{publication(t, "team", "premium", 2)})
		return err == nil
	})
	if got := tier(t, s.Replica.Client(), "team"); got != "premium" {
		t.Errorf("readers see %s", got)
	}
}

func TestURLs(t *testing.T) {
	for _, url := range []string{"redis://localhost", "redis://user:p%20w@h:6380/3", "rediss://h", "redis://[::1]:6379",
		"redis://a:1?addr=b:2&addr=c:3", "rediss://:pw@a:1?addr=b:2", "redis://s1:26379?addr=s2:26379&master_name=main",
		"redis://s1?master_name=main&username=u&password=p&db=2", "redis://h?client_name=daybook&pool_size=5&protocol=2"} {
		if err := redis.Validate(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for url, want := range map[string]string{
		"":                                      "redis://",
		"localhost:6379":                        "",
		"http://h":                              "redis://",
		"unix:///tmp/redis.sock":                "redis://",
		"redis://":                              "no host",
		"redis://:hunter2@":                     "no host",
		"redis://u:hunter2 %zz@h":               "percent-encode",
		"redis://u:hunter2@h:port":              "percent-encode",
		"redis://u:hunter2@h/one":               "cannot be read",
		"redis://u:hunter2@h?db=hunter2":        "cannot be read",
		"redis://u:hunter2@h?hunter2=1":         "unknown parameter",
		"redis://h?skip_verify=true":            "unknown parameter",
		"redis://h?read_timeout=1s":             "unknown parameter",
		"redis://h?password=hunter2":            "before the host",
		"redis://h?addr=":                       "empty",
		"redis://h?addr=hunter2":                "cannot be read",
		"redis://h/1?addr=b:1":                  "no numbered databases",
		"redis://h?master_name=a&master_name=b": "2 times",
		"redis://h?master_name=a&addr=b":        "cannot be read",
		"redis://h?a=%zz":                       "question mark",
		"redis://h?pool_size=many&password=hunter2&master_name=m": "cannot be read",
	} {
		err := redis.Validate(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want something of %q", url, err, want)
		}
	}
	for url, want := range map[string]string{
		"redis://u:hunter2@h:1/3":                           "redis://h:1/3",
		"rediss://u:hunter2@a:1?addr=b:2&addr=c:3":          "rediss://a:1,b:2,c:3",
		"redis://u:x@s:1?master_name=main&password=hunter2": "redis://s:1 (sentinel of main)",
		"redis://h:%zz": "",
	} {
		if got := redis.Hosts(url); got != want {
			t.Errorf("%s is shown as %q, want %q", url, got, want)
		}
	}
	if _, err := redis.Open("redis://h", redis.Options{}); err == nil {
		t.Error("it publishes without saying of which store")
	}
}

// A cluster's URL that names a server which is none says so.
func TestAServerThatIsNoCluster(t *testing.T) {
	s, _ := server(t)
	o := open(t, s.URL()+"?addr="+s.Addr(), impatient)
	if _, err := o.Beat(t.Context(), 1, time.Now()); !errors.Is(err, projections.ErrOutletAway) {
		t.Errorf("no cluster: %v", err)
	}
}
