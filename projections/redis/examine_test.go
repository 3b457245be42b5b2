package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

func examined(t *testing.T, url string) redis.Examination {
	t.Helper()
	e, err := redis.Examine(t.Context(), url, redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestExamine asks servers of each kind, with no more rights than docs/REDIS.md
// gives to a publisher.
func TestExamine(t *testing.T) {
	server := redistest.Start(t, redistest.WithArgs("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru", "--enable-protected-configs", "yes"))
	server.Do("SET", "entitlement:a", "x")
	server.Do("SET", "daybook:heartbeat", "what is not ours")
	e := examined(t, server.URL())
	if len(e.Servers) != 1 || e.Ours != 2 || e.Foreign != 0 || !e.Whole || e.Heartbeat.Epoch != "" || e.Skew.Abs() > time.Second {
		t.Errorf("%+v", e)
	}
	if s := e.Servers[0]; s.Eviction != "allkeys-lru" || s.Limit != 3<<20 || s.Used == 0 || s.Replica || s.SaveFailed || s.Before(6, 2) || !s.Before(99, 0) {
		t.Errorf("%+v", s)
	}
	server.Do("SET", "session:1", "x")
	if e := examined(t, server.URL()); e.Foreign != 1 || e.Example != "session:1" {
		t.Errorf("%+v", e)
	}
	server.Do("CONFIG", "SET", "dir", "/proc") // where nothing can be saved
	server.Do("BGSAVE")
	for !examined(t, server.URL()).Servers[0].SaveFailed {
		if t.Context().Err() != nil {
			t.Fatal("a save that failed is not told")
		}
	}
}

func TestExamineACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	e := examined(t, cluster.URL())
	if len(e.Servers) < 3 {
		t.Errorf("%+v", e)
	}
}

func TestExamineWhatIsAway(t *testing.T) {
	server := redistest.Start(t, redistest.WithPassword())
	if _, err := redis.Examine(t.Context(), "redis://"+server.Addr(), redis.Options{}); !errors.Is(err, projections.ErrOutletDenied) {
		t.Errorf("without the password: %v", err)
	}
	server.Kill()
	if _, err := redis.Examine(t.Context(), server.URL(), redis.Options{ConnectTimeout: time.Second}); !errors.Is(err, projections.ErrOutletAway) {
		t.Errorf("while it is away: %v", err)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for version, before := range map[string]bool{"6.2.0": false, "6.0.9": true, "7.0.15": false, "10.1": false, "5": true, "": true, "x.y.z": true} {
		if got := (redis.ServerFacts{Version: version}).Before(6, 2); got != before {
			t.Errorf("%q before 6.2: %v", version, got)
		}
	}
}
