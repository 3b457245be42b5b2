package esdbtest

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// FaultKind is what goes wrong.
type FaultKind int

// The faults.
const (
	// Refuse answers Unavailable; nothing is written.
	Refuse FaultKind = iota + 1
	// Abort answers Aborted; nothing is written.
	Abort
	// Deny answers PermissionDenied.
	Deny
	// Delay waits for the fault's Delay first, then does as asked.
	Delay
	// DropConnection cuts all connections; nothing is written.
	DropConnection
	// PersistThenFail writes, and answers Unavailable.
	PersistThenFail
	// PersistThenDrop writes, and cuts the connection.
	PersistThenDrop
	// ConflictThenLose reports a conflict about a write that is then lost.
	ConflictThenLose
	// NotLeader redirects to the fault's Leader.
	NotLeader
	// BlackHole accepts and never answers.
	BlackHole
	// StaleRead answers reads without the latest Stale events.
	StaleRead
	// CutRead ends a read or subscription with Unavailable after After events.
	CutRead
)

// Call is a kind of call that a fault meets.
type Call int

// The kinds of call.
const (
	// Appends are calls of Append.
	Appends Call = iota
	// Reads are reads of a stream or of the log.
	Reads
	// Subscriptions are catch-up subscriptions.
	Subscriptions
	// Connects are the calls with which a client begins.
	Connects
)

// Fault goes wrong for the next Times calls of its kind.
type Fault struct {
	Kind FaultKind
	// On is the kind of call; Everything is set for all of them.
	On         Call
	Everything bool
	// Stream, if set, is a prefix of the streams that are met.
	Stream string
	// Times is how often it happens; 0 means until Heal.
	Times int
	// Delay is of Delay.
	Delay time.Duration
	// Leader is of NotLeader: host and port.
	Leader string
	// Stale is of StaleRead; After is of CutRead.
	Stale, After int
}

// faults are those in force.
type faults struct {
	mu     sync.Mutex
	active []*Fault
}

// Inject puts a fault in force.
func (s *Server) Inject(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, &f)
}

// Heal ends all faults; calls that a black hole holds stay held.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = nil
}

// next returns the fault that a call meets, nil for none.
func (f *faults) next(on Call, stream string, kinds ...FaultKind) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.active {
		if !fault.Everything && fault.On != on || !strings.HasPrefix(stream, fault.Stream) || !oneOf(fault.Kind, kinds) {
			continue
		}
		met := *fault
		if fault.Times == 1 {
			f.active = append(f.active[:i:i], f.active[i+1:]...)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return &met
	}
	return nil
}

func oneOf(kind FaultKind, kinds []FaultKind) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return len(kinds) == 0
}

// meet lets a call meet a fault that happens before anything is done.
func (n *node) meet(ctx context.Context, on Call, stream string) error {
	f := n.server.faults.next(on, stream, Refuse, Abort, Deny, Delay, DropConnection, NotLeader, BlackHole)
	if f == nil {
		return nil
	}
	switch f.Kind {
	case Delay:
		return n.wait(ctx, f.Delay)
	case BlackHole:
		return n.wait(ctx, 0)
	case DropConnection:
		n.server.Drop()
	case NotLeader:
		return redirect(ctx, f.Leader)
	case Abort:
		return status.Error(codes.Aborted, "aborted on command")
	case Deny:
		return status.Error(codes.PermissionDenied, "denied on command")
	}
	return status.Error(codes.Unavailable, "refused on command")
}

// wait waits for a time, 0 for ever, or until the call or the server ends.
func (n *node) wait(ctx context.Context, d time.Duration) error {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-n.stopped:
		return status.Error(codes.Unavailable, "the server stops")
	}
}

// redirect answers as a follower does that will not forward.
func redirect(ctx context.Context, leader string) error {
	host, port, err := net.SplitHostPort(leader)
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(port); err != nil {
		return err
	}
	trailer := metadata.Pairs("exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port)
	if err := grpc.SetTrailer(ctx, trailer); err != nil {
		return err
	}
	return status.Error(codes.NotFound, "leader info available")
}
