package esdbtest

import (
	"cmp"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

type readCall = streams.Streams_ReadServer

// Read implements the protocol's call of that name: reads and subscriptions.
func (n *node) Read(req *streams.ReadReq, call readCall) error {
	o := req.GetOptions()
	_, subscribes := o.GetCountOption().(*streams.ReadReq_Options_Subscription)
	stream := string(o.GetStream().GetStreamIdentifier().GetStreamName())
	if err := n.allow(call.Context(), toRead, cmp.Or(stream, allStream)); err != nil {
		return err
	}
	if subscribes {
		return n.subscribe(o, call)
	}
	if err := n.meet(call.Context(), Reads, stream); err != nil {
		return err
	}
	out := &sender{call: call, node: n, on: Reads, stream: stream}
	if o.GetStream() != nil {
		return n.readStream(o, stream, out)
	}
	records, _ := n.server.log.snapshot()
	return out.sendAll(chooseAll(n.stale(Reads, "", records), o), o.GetCount())
}

// stale leaves out the latest events, where a fault says so.
func (n *node) stale(on Call, stream string, records []*record) []*record {
	if f := n.server.faults.next(on, stream, StaleRead); f != nil {
		return records[:max(0, len(records)-f.Stale)]
	}
	return records
}

func (n *node) readStream(o *streams.ReadReq_Options, name string, out *sender) error {
	records, deleted := n.server.log.stream(name)
	if deleted {
		out.call.SetTrailer(metadata.Pairs("exception", "stream-deleted", "stream-name", name))
		return status.Error(codes.FailedPrecondition, "stream is deleted")
	}
	records = n.stale(Reads, name, records)
	if len(records) == 0 {
		return out.call.Send(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{StreamNotFound: &streams.ReadResp_StreamNotFound{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(name)}}}})
	}
	return out.sendAll(chooseStream(records, o), o.GetCount())
}

// chooseStream picks from a stream, beginning with the revision asked for.
func chooseStream(records []*record, o *streams.ReadReq_Options) []*record {
	backwards := o.GetReadDirection() == streams.ReadReq_Options_Backwards
	at, last := uint64(0), uint64(len(records)-1)
	switch from := o.GetStream().GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Revision:
		at = from.Revision
	case *streams.ReadReq_Options_StreamOptions_End:
		at = last
	}
	if !backwards {
		return records[min(at, last+1):]
	}
	return latest(records[:min(at, last)+1], o.GetCount())
}

// chooseAll picks from the log: forwards the position asked for is included,
// backwards it is not.
func chooseAll(records []*record, o *streams.ReadReq_Options) []*record {
	backwards := o.GetReadDirection() == streams.ReadReq_Options_Backwards
	at := 0
	switch from := o.GetAll().GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		at = sort.Search(len(records), func(i int) bool { return records[i].position >= from.Position.GetCommitPosition() })
	case *streams.ReadReq_Options_AllOptions_End:
		at = len(records)
	}
	if !backwards {
		return records[at:]
	}
	return latest(records[:at], o.GetCount())
}

// latest are the last of records, so many at most, the very last first.
func latest(records []*record, count uint64) []*record {
	chosen := slices.Clone(records[len(records)-int(min(count, uint64(len(records)))):])
	slices.Reverse(chosen)
	return chosen
}

// sender sends events, and meets the faults of their sending.
type sender struct {
	call   readCall
	node   *node
	on     Call
	stream string
	cut    *Fault
	sent   int
}

func (s *sender) sendAll(records []*record, count uint64) error {
	s.cut = s.node.server.faults.next(s.on, s.stream, CutRead)
	for i, r := range records {
		if uint64(i) == count {
			break
		}
		if err := s.send(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) send(r *record) error {
	if s.cut != nil && s.sent == s.cut.After {
		return status.Error(codes.Unavailable, "cut on command")
	}
	s.sent++
	return s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id: wireID(r.id), StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(r.stream)},
			StreamRevision: r.revision, PreparePosition: r.position, CommitPosition: r.position,
			Metadata: r.system, CustomMetadata: r.metadata, Data: r.data,
		},
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.position},
	}}})
}

// subscribe serves a catch-up subscription to the log, until the call ends.
func (n *node) subscribe(o *streams.ReadReq_Options, call readCall) error {
	if err := n.meet(call.Context(), Subscriptions, ""); err != nil {
		return err
	}
	passes, err := filterOf(o.GetFilter())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err := call.Send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()}}}); err != nil {
		return err
	}
	s := &subscription{sender: sender{call: call, node: n, on: Subscriptions}, passes: passes, filtered: o.GetFilter() != nil}
	s.cut = n.server.faults.next(Subscriptions, "", CutRead)
	s.interval = 32 * max(1, int(o.GetFilter().GetCheckpointIntervalMultiplier()))
	return s.run(o)
}

// subscription is one in progress.
type subscription struct {
	sender
	passes     func(stream string) bool
	filtered   bool
	interval   int // events considered between checkpoints
	considered int
}

func (s *subscription) run(o *streams.ReadReq_Options) error {
	at := uint64(0)
	switch from := o.GetAll().GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		at = from.Position.GetCommitPosition()
	case *streams.ReadReq_Options_AllOptions_End:
		records, _ := s.node.server.log.snapshot()
		at = records[len(records)-1].position
	}
	for live := false; ; {
		records, changed := s.node.server.log.snapshot()
		next := sort.Search(len(records), func(i int) bool { return records[i].position > at })
		for _, r := range records[next:] {
			if err := s.consider(r); err != nil {
				return err
			}
			at = r.position
		}
		if !live {
			live = true
			if err := s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-s.call.Context().Done():
			return nil
		case <-s.node.stopped:
			return status.Error(codes.Unavailable, "the server stops")
		}
	}
}

// consider sends an event that passes, and now and then a checkpoint.
func (s *subscription) consider(r *record) error {
	if s.passes(r.stream) {
		if err := s.send(r); err != nil {
			return err
		}
	}
	if s.considered++; !s.filtered || s.considered%s.interval != 0 {
		return nil
	}
	return s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{Checkpoint: &streams.ReadResp_Checkpoint{
		CommitPosition: r.position, PreparePosition: r.position}}})
}

// filterOf understands the filters on stream names.
func filterOf(f *streams.ReadReq_Options_FilterOptions) (func(string) bool, error) {
	by := f.GetStreamIdentifier()
	if by == nil {
		return func(string) bool { return true }, nil
	}
	if by.GetRegex() != "" {
		re, err := regexp.Compile(by.GetRegex())
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	prefixes := by.GetPrefix()
	return func(stream string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(stream, p) })
	}, nil
}
