// Package esdbtest is a server of EventStoreDB's gRPC protocol for tests: the
// Streams, Gossip and ServerFeatures services, over the client's own generated
// stubs, with the server's rules of idempotency, in memory, and with faults on
// command. A secure one has TLS, knows users, and enforces the default ACL.
//
// It is our reading of the protocol, checked against the server's source. What
// passes here still has to pass against a real server; see EVENTSTORE_TEST_URL
// in the README.
package esdbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/projections"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// version is what the server says it is.
const version = "24.10.0"

// Server is a test server. Its log outlives Stop and Start.
type Server struct {
	log    *log
	faults *faults
	addr   string
	// guard knows users and enforces ACLs; nil for a server that does not.
	guard *guard
	// standard are the server's own projections that run; nil for a server
	// without projections.
	standard []string

	mu      sync.Mutex
	grpc    *grpc.Server
	conns   *connections
	stopped chan struct{}
	serving sync.WaitGroup
}

// Start runs a server on a free port of the loopback, until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Serve runs a server at an address, until Stop.
func Serve(addr string) (*Server, error) {
	s := &Server{log: newLog(), faults: &faults{}, addr: addr}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is the connection string of the server; on a secure one, of its admin.
func (s *Server) URL() string {
	if s.guard != nil {
		return s.URLOf(adminUser)
	}
	return "esdb://" + s.addr + "?tls=false"
}

// Addr is the server's host and port.
func (s *Server) Addr() string { return s.addr }

// Start runs the server again, where it was, with what it held.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grpc != nil {
		return errors.New("the server runs already")
	}
	listener, err := listen(s.addr)
	if err != nil {
		return fmt.Errorf("start the test server: %w", err)
	}
	s.addr = listener.Addr().String()
	s.conns = &connections{Listener: listener}
	s.stopped = make(chan struct{})
	options := []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(17 << 20),
		grpc.MaxConcurrentStreams(100),
		grpc.NumStreamWorkers(uint32(runtime.NumCPU())), // whose stacks have grown already
	}
	if s.guard != nil {
		options = append(options, grpc.Creds(s.guard.transport))
	}
	s.grpc = grpc.NewServer(options...)
	node := &node{server: s, stopped: s.stopped}
	streams.RegisterStreamsServer(s.grpc, node)
	gossip.RegisterGossipServer(s.grpc, gossipService{server: s})
	serverfeatures.RegisterServerFeaturesServer(s.grpc, features{node: node})
	if s.standard != nil {
		projections.RegisterProjectionsServer(s.grpc, projectionService{node: node})
	}
	server, conns := s.grpc, s.conns
	s.serving.Go(func() { _ = server.Serve(conns) }) // it ends by Stop
	return nil
}

// listen takes a port, again if need be: the system may hold on to one for a
// moment after its server has gone.
func listen(addr string) (net.Listener, error) {
	var config net.ListenConfig
	for attempt := 0; ; attempt++ {
		l, err := config.Listen(context.Background(), "tcp", addr)
		if err == nil || attempt == 100 {
			return l, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Stop ends the server at once, as a crash would: calls under way fail. What
// it holds stays.
func (s *Server) Stop() {
	s.mu.Lock()
	server, stopped := s.grpc, s.stopped
	s.grpc = nil
	s.mu.Unlock()
	if server == nil {
		return
	}
	close(stopped)
	server.Stop()
	s.serving.Wait()
	s.log.forgetRecent()
}

// Drop cuts every connection; the server goes on.
func (s *Server) Drop() {
	s.mu.Lock()
	conns := s.conns
	s.mu.Unlock()
	conns.drop()
}

// Tombstone deletes a stream for ever, as an operator might.
func (s *Server) Tombstone(stream string) { s.log.tombstone(stream) }

// Cut loses everything behind a position, as a restored backup has.
func (s *Server) Cut(position uint64) { s.log.cut(position) }

// Len is how many events the log holds, the server's own not counted.
func (s *Server) Len() int {
	records, _ := s.log.snapshot()
	return len(records) - systemEvents
}

// Streams returns the IDs of all events, in the order of each stream, the
// server's own not included.
func (s *Server) Streams() map[string][]uuid.UUID {
	records, _ := s.log.snapshot()
	ids := map[string][]uuid.UUID{}
	for _, r := range records[systemEvents:] {
		ids[r.stream] = append(ids[r.stream], r.id)
	}
	return ids
}

// connections are those that a listener has accepted, to be cut on command.
type connections struct {
	net.Listener

	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *connections) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close() // it may be gone already
	}
	c.open = nil
}

// gossipService tells of one node, the leader.
type gossipService struct {
	gossip.UnimplementedGossipServer
	server *Server
}

func (g gossipService) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	host, port, err := net.SplitHostPort(g.server.addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		State: gossip.MemberInfo_Leader, IsAlive: true,
		HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(number)},
	}}}, nil
}

// features tells the version.
type features struct {
	serverfeatures.UnimplementedServerFeaturesServer
	node *node
}

func (f features) GetSupportedMethods(ctx context.Context, _ *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	if err := f.node.meet(ctx, Connects, ""); err != nil {
		return nil, err
	}
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: version}, nil
}
