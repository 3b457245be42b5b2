package redis_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

func TestTheTallySumsOverServers(t *testing.T) {
	s := redistest.Start(t)
	tallySums(t, func() *redis.Tally { return open(t, s.URL()).Tally() })
}

func TestTheTallyOfACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	tallySums(t, func() *redis.Tally { return open(t, cluster.URL()).Tally() })
}

func tallySums(t *testing.T, server func() *redis.Tally) {
	t.Helper()
	one, other := server(), server()
	for i, step := range []struct {
		by         *redis.Tally
		give, want map[string]int64
	}{
		{one, map[string]int64{"a": 3, "b": 1}, map[string]int64{"a": 3, "b": 1}},
		{other, map[string]int64{"a": 4, "c": 9}, map[string]int64{"a": 7, "c": 9}},
		{one, map[string]int64{"a": 1}, map[string]int64{"a": 8}},
	} {
		if got, err := step.by.Add(t.Context(), step.give); err != nil || !maps.Equal(got, step.want) {
			t.Errorf("step %d: %v, %v: want %v", i, got, err, step.want)
		}
	}
}

// TestTroubleWithTheTallyIsItsOwn: publishing goes on where counting is refused.
func TestTroubleWithTheTallyIsItsOwn(t *testing.T) {
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "daybook", "on", ">secret", "~entitlement:*", "~daybook:heartbeat", "~daybook:leader", "+@all")
	o := open(t, "redis://daybook:secret@"+s.Addr())
	tally := o.Tally()
	for range 10 {
		if _, err := tally.Add(t.Context(), map[string]int64{"a": 1}); !errors.Is(err, projections.ErrOutletDenied) && !errors.Is(err, projections.ErrOutletResting) {
			t.Errorf("refused with %v", err)
		}
	}
	if got := publish(t, o, publication(t, "team-1", "basic", 3)); got != projections.OutcomeWritten {
		t.Errorf("published: %v", got)
	}
	if h := o.Health(); h.LastError != "" {
		t.Errorf("the outlet is blamed: %+v", h)
	}
}
