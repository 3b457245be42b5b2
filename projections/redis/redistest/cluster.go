package redistest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slots is how many a Cluster has.
const slots = 16384

// Cluster is three masters, without replicas, that share the slots.
type Cluster struct {
	t     testing.TB
	Nodes []*Server
}

// StartCluster runs a Cluster until the test ends.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	buses := []int{freePort(t), freePort(t), freePort(t)}
	for _, bus := range buses {
		c.Nodes = append(c.Nodes, Start(t, WithArgs("--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no", "--cluster-port", fmt.Sprint(bus))))
	}
	share := (slots + len(c.Nodes) - 1) / len(c.Nodes)
	for i, node := range c.Nodes {
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		node.Do("CLUSTER", "ADDSLOTSRANGE", i*share, min((i+1)*share, slots)-1)
		c.Nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", node.port, buses[i])
	}
	for _, node := range c.Nodes {
		node.Until("the cluster is whole", func() bool {
			info, _ := node.Do("CLUSTER", "INFO").(string)
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_slots_assigned:%d", slots)) &&
				strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return c
}

// URL is what connects to the cluster.
func (c *Cluster) URL() string {
	more := url.Values{}
	for _, node := range c.Nodes[1:] {
		more.Add("addr", node.Addr())
	}
	return c.Nodes[0].URL() + "?" + more.Encode()
}

// Sentinels watch a server that has a replica.
type Sentinels struct {
	Master, Replica *Server
	watchers        []*Server
}

// masterName is what sentinels call the server that they watch.
const masterName = "main"

// StartSentinels runs a server, its replica, and two sentinels, which must agree
// to let the replica take over, until the test ends.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	s := &Sentinels{Master: Start(t)}
	s.Replica = Start(t, WithArgs("--replicaof", "127.0.0.1 "+fmt.Sprint(s.Master.port), "--repl-diskless-sync-delay", "0"))
	s.Replica.Until("the replica has caught up", func() bool {
		info, _ := s.Replica.Do("INFO", "replication").(string)
		return strings.Contains(info, "master_link_status:up")
	})
	for range 2 {
		s.watchers = append(s.watchers, startSentinel(t, s.Master))
	}
	for _, w := range s.watchers {
		w.Until("the sentinels know each other and the replica", func() bool {
			info, _ := w.Do("INFO", "sentinel").(string)
			return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=1,sentinels=2")
		})
	}
	return s
}

func startSentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), sentinel: true}
	config := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 2\nsentinel down-after-milliseconds %[1]s 500\n"+
		"sentinel failover-timeout %[1]s 3000\n", masterName, master.port)
	if err := os.WriteFile(filepath.Join(s.dir, "sentinel.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch()
	return s
}

// URL is what connects to the server that the sentinels name.
func (s *Sentinels) URL() string {
	return s.watchers[0].URL() + "?" + url.Values{"addr": {s.watchers[1].Addr()}, "master_name": {masterName}}.Encode()
}

// Until waits for a condition, and fails the test if it takes too long.
func (s *Server) Until(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: it has not come about", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
