package esdb_test

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// once wants a stream to hold one event, with this ID.
func once(t *testing.T, server *esdbtest.Server, stream string, id uuid.UUID) {
	t.Helper()
	if got := server.Streams()[stream]; len(got) != 1 || got[0] != id {
		t.Errorf("%s holds %v: want %v", stream, got, id)
	}
}

func TestAnAppendThatFailedAfterTheWriteIsDone(t *testing.T) {
	t.Parallel()
	for _, kind := range []esdbtest.FaultKind{esdbtest.PersistThenFail, esdbtest.PersistThenDrop} {
		server := esdbtest.Start(t)
		s := open(t, server, esdb.Options{})
		server.Inject(esdbtest.Fault{Kind: kind, On: esdbtest.Appends, Times: 3})
		e := event()
		r, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e)
		if err != nil || r.Revision != 0 {
			t.Errorf("got %+v, %v", r, err)
		}
		once(t, server, "order-1", e.ID)
	}
}

func TestAnOutcomeThatStaysUnknownIsSaid(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{AppendTimeout: 300 * time.Millisecond})
	server.Inject(esdbtest.Fault{Kind: esdbtest.PersistThenFail, On: esdbtest.Appends})
	e := event()
	_, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e)
	if !errors.Is(err, eventstore.ErrOutcomeUnknown) || errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("got %v, want ErrOutcomeUnknown", err)
	}
	server.Heal()
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e); err != nil {
		t.Errorf("asked again: %v", err)
	}
	once(t, server, "order-1", e.ID)
}

func TestAConflictIsBelievedOnlyOnceSeen(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	server.Inject(esdbtest.Fault{Kind: esdbtest.ConflictThenLose, On: esdbtest.Appends, Times: 3})
	e := event()
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e); err != nil {
		t.Fatalf("a conflict about a write that was lost: %v", err)
	}
	once(t, server, "order-1", e.ID)
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, event()); !eventstore.IsConflict(err) {
		t.Errorf("a conflict: %v", err)
	}
}

// TestAConflictSeenLateIsStillOne has the read that looks for it answered by a
// node that lags behind.
func TestAConflictSeenLateIsStillOne(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	fill(t, s, "order-1", 1)
	server.Inject(esdbtest.Fault{Kind: esdbtest.StaleRead, On: esdbtest.Reads, Stale: 1, Times: 2})
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, event()); !eventstore.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestAFollowerSendsToTheLeader(t *testing.T) {
	t.Parallel()
	leader, follower := esdbtest.Start(t), esdbtest.Start(t)
	follower.Inject(esdbtest.Fault{Kind: esdbtest.NotLeader, On: esdbtest.Appends, Leader: leader.Addr()})
	s := open(t, follower, esdb.Options{})
	e := event()
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e); err != nil {
		t.Fatal(err)
	}
	once(t, leader, "order-1", e.ID)
	if follower.Len() != 0 {
		t.Error("the follower has it too")
	}
}

func TestADeletedStreamSaysSo(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{Prefix: "team."})
	fill(t, s, "order-1", 2)
	server.Tombstone("team.order-1")
	if _, err := s.Append(bounded(t), "order-1", eventstore.Any, event()); !errors.Is(err, eventstore.ErrStreamDeleted) {
		t.Errorf("append: %v", err)
	}
	for _, err := range s.ReadStream(bounded(t), "order-1", 0, eventstore.Forwards, 0) {
		if !errors.Is(err, eventstore.ErrStreamDeleted) {
			t.Errorf("read: %v", err)
		}
	}
}

func TestDenialIsSaidInWords(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	server.Inject(esdbtest.Fault{Kind: esdbtest.Deny, On: esdbtest.Appends})
	server.Inject(esdbtest.Fault{Kind: esdbtest.Deny, On: esdbtest.Reads})
	server.Inject(esdbtest.Fault{Kind: esdbtest.Deny, On: esdbtest.Subscriptions})
	_, appended := s.Append(bounded(t), "order-1", eventstore.NoStream, event())
	_, read := s.Head(bounded(t))
	f := follow(t, s, 0, eventstore.Filter{})
	<-f.ended
	for what, err := range map[string]error{"append": appended, "read": read, "follow": f.fault()} {
		if !errors.Is(err, eventstore.ErrUnavailable) || !strings.Contains(err.Error(), "denied") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSizesAreCheckedBeforeSending(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	s := open(t, server, esdb.Options{})
	e := event()
	e.Data = bytes.Repeat([]byte("x"), eventstore.MaxAppendBytes-len(e.Metadata)-2*len(e.Type))
	if _, err := s.Append(bounded(t), "order-1", eventstore.NoStream, e); err != nil {
		t.Errorf("what just fits: %v", err)
	}
	e.ID, e.Data = uuid.New(), append(e.Data, 'x')
	if _, err := s.Append(bounded(t), "order-2", eventstore.NoStream, e); !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestConnectionStrings(t *testing.T) {
	t.Parallel()
	for url, right := range map[string]bool{
		"esdb://localhost:2113?tls=false":                         true,
		"esdb://app:hunter2@node1:2113,node2:2113,node3:2113":     true,
		"esdb+discover://app:hunter2@cluster.example:2113":        true,
		"esdb+discover://app:hunter2@cluster?tlsVerifyCert=false": true,
		"kurrentdb://app:hunter2@node1:2113":                      false,
		"http://app:hunter2@node1:2113":                           false,
		"esdb://app:hunter2@node1:port":                           false,
		"esdb://app:hunter2@node1:2113?tls=hunter2":               false,
		"esdb://app:hunter2@":                                     false,
		"esdb://":                                                 false,
		"":                                                        false,
		"app:hunter2":                                             false,
		"esdb://app:hun%ter2@node1:2113":                          false,
	} {
		err := esdb.Validate(url)
		if (err == nil) != right {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hun") {
			t.Errorf("the fault quotes the password: %v", err)
		}
	}
}

// TestALeaderThatIsGoneLeavesNothingBehind has a follower name a leader that
// does not answer, until a client was replaced for it ten times.
func TestALeaderThatIsGoneLeavesNothingBehind(t *testing.T) {
	leader, follower := esdbtest.Start(t), esdbtest.Start(t)
	one := ofOneClient(t, leader)
	leader.Stop()
	follower.Inject(esdbtest.Fault{Kind: esdbtest.NotLeader, On: esdbtest.Appends, Leader: leader.Addr()})
	var replaced atomic.Int64
	s := open(t, follower, esdb.Options{
		Connections:   1,
		AppendTimeout: 8 * time.Millisecond, // so short that none is tried again
		Report: func(err error) {
			if strings.Contains(err.Error(), "the leader") {
				replaced.Add(1)
			}
		},
	})
	ctx := bounded(t)
	for replaced.Load() < 10 {
		if _, err := s.Append(ctx, "order-1", eventstore.Any, event()); err == nil {
			t.Fatal("an append without a leader")
		} else if ctx.Err() != nil {
			t.Fatalf("a client was replaced %d times", replaced.Load())
		}
		leaves(t, one, 1, 0)
	}
}
