package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// republish wants a beat that asks for everything, or for nothing.
func republish(t *testing.T, what string, b projections.Beat, wanted bool) {
	t.Helper()
	if (b.Republish != "") != wanted || b.Behind || b.Occupied != "" {
		t.Errorf("%s: %+v, want to republish: %t", what, b, wanted)
	}
}

func TestTheHeartbeatTellsHowFar(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	republish(t, "the first beat", beat(t, o, 7), true)
	republish(t, "the second", beat(t, o, 9), false)
	republish(t, "the same again", beat(t, o, 9), false)
	h, err := published.OpenHeartbeat([]byte(c.Get(t.Context(), published.HeartbeatKey).Val()), published.Keys{keyA})
	if err != nil || h.Position != 9 || h.Epoch != epoch || time.Since(h.At).Abs() > time.Minute {
		t.Errorf("readers see %+v, %v", h, err)
	}
	b, err := o.Beat(t.Context(), 8, time.Now())
	if err != nil || !b.Behind || b.Republish != "" {
		t.Errorf("a publisher that is behind: %+v, %v", b, err)
	}
}

func TestAnEmptiedServerIsNoticed(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	beat(t, o, 7)
	c.FlushAll(t.Context())
	republish(t, "emptied", beat(t, o, 7), true)
	republish(t, "told once", beat(t, o, 7), false)
	c.Set(t.Context(), published.HeartbeatKey, "hello", 0)
	republish(t, "foreign", beat(t, o, 7), true)
	c.RPush(t.Context(), "list", "x")
	c.Rename(t.Context(), "list", published.HeartbeatKey)
	if _, err := o.Beat(t.Context(), 7, time.Now()); err == nil || !strings.Contains(err.Error(), published.HeartbeatKey) {
		t.Errorf("a list: %v", err)
	}
}

// A server that comes back, empty or with what it had kept, may lack what was
// published last.
func TestARestartedServerIsNoticed(t *testing.T) {
	for name, opts := range map[string][]redistest.Option{"empty": nil, "with what it kept": {redistest.WithArgs("--appendonly", "yes")}} {
		s, c := server(t, opts...)
		o := open(t, s.URL())
		beat(t, o, 7)
		publish(t, o, publication(t, "team", "basic", 7))
		s.Stop()
		if _, err := o.Beat(t.Context(), 7, time.Now()); !errors.Is(err, projections.ErrOutletAway) {
			t.Errorf("%s: while it is away: %v", name, err)
		}
		s.Start()
		republish(t, name, beat(t, o, 7), true)
		republish(t, name+", told once", beat(t, o, 7), false)
		publish(t, o, publication(t, "team", "premium", 8)) // the script is gone, too
		if got := tier(t, c, "team"); got != "premium" {
			t.Errorf("%s: readers see %s", name, got)
		}
	}
}

// Two stores do not share a server: the first keeps it until it falls silent.
func TestAStoreKeepsTheServerUntilItIsSilent(t *testing.T) {
	s, c := server(t)
	ours := open(t, s.URL())
	other := func(o *redis.Options) { o.Epoch, o.FoundedAt = "epoch-2", founded.Add(time.Hour) }
	theirs := open(t, s.URL(), other)
	beat(t, ours, 7)
	if b := beat(t, theirs, 1); b.Occupied != epoch || b.Republish != "" {
		t.Errorf("while the first beats: %+v", b)
	}
	silent := func(o published.Heartbeat) {
		value, err := o.Seal(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Set(t.Context(), published.HeartbeatKey, value, 0)
	}
	silent(published.Heartbeat{Position: 7, At: time.Now().Add(-redis.Silence - time.Second), Epoch: epoch, FoundedAt: founded})
	republish(t, "after it", beat(t, theirs, 1), true)
	if b := beat(t, ours, 8); b.Occupied != "epoch-2" {
		t.Errorf("the first comes back: %+v", b)
	}
	// One that was restored from a backup has gone back, and may not beat for ever.
	silent(published.Heartbeat{Position: 1000, At: time.Now().Add(-redis.Silence - time.Second), Epoch: "epoch-2", FoundedAt: founded.Add(time.Hour)})
	republish(t, "restored", beat(t, theirs, 2), true)
	// Nor does one from the future keep anybody away.
	silent(published.Heartbeat{Position: 1000, At: time.Now().Add(time.Hour), Epoch: epoch, FoundedAt: founded})
	republish(t, "from the future", beat(t, theirs, 3), true)
}

// Whoever can write to the server cannot keep us away by a heartbeat.
func TestAForgedHeartbeatKeepsNobodyAway(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	beat(t, o, 7)
	for name, h := range map[string]published.Heartbeat{
		"of another store": {Position: 1, At: time.Now(), Epoch: "epoch-2", FoundedAt: founded.Add(time.Hour)},
		"far ahead":        {Position: 1 << 60, At: time.Now(), Epoch: epoch, FoundedAt: founded},
	} {
		value, err := h.Seal(published.Keys{keyB})
		if err != nil {
			t.Fatal(err)
		}
		c.Set(t.Context(), published.HeartbeatKey, value, 0)
		republish(t, name, beat(t, o, 8), true)
		if _, err := published.OpenHeartbeat([]byte(c.Get(t.Context(), published.HeartbeatKey).Val()), published.Keys{keyA}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSkewIsTold(t *testing.T) {
	s, _ := server(t)
	o := open(t, s.URL())
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		b, err := o.Beat(t.Context(), 7, time.Now().Add(ahead))
		if err != nil || (b.Skew-ahead).Abs() > time.Minute || b.Republish != "" {
			t.Errorf("%v ahead: %+v, %v", ahead, b, err)
		}
	}
	b := beat(t, o, 7)
	if b.Skew.Abs() > projections.MaxSkew {
		t.Errorf("skew %v", b.Skew)
	}
	republish(t, "once the clocks agree", b, true)
	if _, err := o.Beat(t.Context(), 7, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	republish(t, "when they agree again, after entries may have lapsed", beat(t, o, 7), true)
}

// What is published before anything was folded is as good as any other.
func TestPositionZero(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	republish(t, "the first beat", beat(t, o, 0), true)
	want(t, "at zero", publish(t, o, publication(t, "team", "basic", 0)), projections.OutcomeWritten)
	want(t, "at the end", publish(t, o, publication(t, "team", "premium", eventstore.Position(1<<64-1))), projections.OutcomeWritten)
	if got := tier(t, c, "team"); got != "premium" {
		t.Errorf("readers see %s", got)
	}
}

// What was told last is read before anything takes its place, and only what is
// known to be ours counts.
func TestWhatWasToldLast(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	told := func() projections.Told {
		t.Helper()
		told, err := o.Told(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	if got := told(); got != (projections.Told{}) {
		t.Errorf("of nothing: %+v", got)
	}
	beat(t, o, 7)
	if got := told(); got.Position != 7 || got.Epoch != epoch || !got.FoundedAt.Equal(founded) || time.Since(got.At).Abs() > time.Minute || got.Ignored != "" {
		t.Errorf("%+v", got)
	}
	unsigned, err := published.Heartbeat{Position: 1 << 40, At: time.Now(), Epoch: epoch, FoundedAt: founded}.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"unsigned": string(unsigned), "garbled": "{", "empty": ""} {
		c.Set(t.Context(), published.HeartbeatKey, value, 0)
		if got := told(); got.Ignored == "" || got.Epoch != "" || got.Position != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	c.Del(t.Context(), published.HeartbeatKey)
	c.RPush(t.Context(), published.HeartbeatKey, "x")
	if got := told(); got.Ignored == "" {
		t.Errorf("a list: %+v", got)
	}
	s.Stop()
	if _, err := o.Told(t.Context()); !errors.Is(err, projections.ErrOutletAway) {
		t.Errorf("of a server that is away: %v", err)
	}
}

// A store whose log has gone back, and that is whole again, wins at once over what
// it published before; what it published before cannot come back.
func TestARestoredStoreIsTheNewer(t *testing.T) {
	s, c := server(t)
	before, after := open(t, s.URL()), open(t, s.URL())
	want(t, "before", publish(t, before, publication(t, "team", "basic", 1000)), projections.OutcomeWritten)
	want(t, "with a log that has gone back", publish(t, after, publication(t, "team", "elite", 7)), projections.OutcomeOlder)
	after.SetFounded(founded.Add(time.Hour))
	want(t, "once it is whole", publish(t, after, publication(t, "team", "elite", 7)), projections.OutcomeWritten)
	want(t, "late, from before", publish(t, before, publication(t, "team", "basic", 1001)), projections.OutcomeOlder)
	if got := tier(t, c, "team"); got != "elite" {
		t.Errorf("readers see %s", got)
	}
	beat(t, before, 1001)
	if b := beat(t, after, 7); !strings.Contains(b.Occupied, epoch+", as it was before") {
		t.Errorf("while what it was still beats: %+v", b)
	}
}
