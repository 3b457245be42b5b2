package esdbtest

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// maxAppendBytes is the default bound of servers up to 25.0.
const maxAppendBytes = 1 << 20

// node serves the streams while the server runs.
type node struct {
	streams.UnimplementedStreamsServer
	server  *Server
	stopped chan struct{}
}

// Append implements the protocol's call of that name.
func (n *node) Append(call streams.Streams_AppendServer) error {
	options, err := n.receiveOptions(call)
	if err != nil {
		return err
	}
	events, err := receiveEvents(call)
	if err != nil {
		return err
	}
	stream := string(options.GetStreamIdentifier().GetStreamName())
	if err := n.meet(call.Context(), Appends, stream); err != nil {
		return err
	}
	want, revision := expectationOf(options)
	if f := n.server.faults.next(Appends, stream, ConflictThenLose); f != nil {
		return call.SendAndClose(conflict(verdict{current: revision + 1}, want, revision))
	}
	v := n.server.log.append(stream, want, revision, events)
	if f := n.server.faults.next(Appends, stream, PersistThenFail, PersistThenDrop); f != nil {
		if f.Kind == PersistThenDrop {
			n.server.Drop()
		}
		return status.Error(codes.Unavailable, "failed on command, after the write")
	}
	switch {
	case v.deleted:
		call.SetTrailer(metadata.Pairs("exception", "stream-deleted", "stream-name", stream))
		return status.Error(codes.FailedPrecondition, "stream is deleted")
	case v.conflict:
		return call.SendAndClose(conflict(v, want, revision))
	}
	return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: v.last.revision},
		PositionOption: &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{
			CommitPosition: v.last.position, PreparePosition: v.last.position}},
	}}})
}

// receiveOptions reads how an append begins. Whether it may be made is decided
// then, as servers do it: before its events have come.
func (n *node) receiveOptions(call streams.Streams_AppendServer) (*streams.AppendReq_Options, error) {
	first, err := call.Recv()
	if err != nil {
		return nil, err
	}
	options := first.GetOptions()
	if options == nil {
		return nil, status.Error(codes.InvalidArgument, "no options")
	}
	return options, n.allow(call.Context(), toWrite, string(options.GetStreamIdentifier().GetStreamName()))
}

// receiveEvents reads an append to its end, which comes before its answer.
func receiveEvents(call streams.Streams_AppendServer) ([]proposed, error) {
	var events []proposed
	size := 0
	for {
		req, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		m := req.GetProposedMessage()
		if m.GetMetadata()["type"] == "" {
			return nil, status.Error(codes.InvalidArgument, "required metadata property type is missing")
		}
		size += len(m.GetData()) + len(m.GetCustomMetadata()) + 2*len(m.GetMetadata()["type"])
		if size > maxAppendBytes {
			return nil, status.Error(codes.InvalidArgument, "maximum append size exceeded")
		}
		events = append(events, proposed{id: idOf(m.GetId()), system: m.GetMetadata(), metadata: m.GetCustomMetadata(), data: m.GetData()})
	}
}

func expectationOf(o *streams.AppendReq_Options) (expectation, uint64) {
	switch e := o.GetExpectedStreamRevision().(type) {
	case *streams.AppendReq_Options_Revision:
		return expectRevision, e.Revision
	case *streams.AppendReq_Options_NoStream:
		return expectNoStream, 0
	case *streams.AppendReq_Options_StreamExists:
		return expectExists, 0
	}
	return expectAny, 0
}

func conflict(v verdict, want expectation, revision uint64) *streams.AppendResp {
	wrong := &streams.AppendResp_WrongExpectedVersion{}
	if v.noStream {
		wrong.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &shared.Empty{}}
	} else {
		wrong.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: v.current}
	}
	switch want {
	case expectNoStream:
		wrong.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	case expectExists:
		wrong.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &shared.Empty{}}
	default:
		wrong.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: revision}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: wrong}}
}

func idOf(id *shared.UUID) uuid.UUID {
	if s := id.GetStructured(); s != nil {
		var b uuid.UUID
		binary.BigEndian.PutUint64(b[:8], uint64(s.GetMostSignificantBits()))
		binary.BigEndian.PutUint64(b[8:], uint64(s.GetLeastSignificantBits()))
		return b
	}
	parsed, err := uuid.Parse(id.GetString_())
	if err != nil {
		return uuid.Nil
	}
	return parsed
}

func wireID(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}
