package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve serves h as the command does, with so many connections.
func serve(t *testing.T, h http.Handler, most int) (addr string, connections *Connections) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = NewConnections(most)
	server := HTTPServer(h, connections)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(connections.Listen(listener)) })
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	return listener.Addr().String(), connections
}

// dial opens a connection that ends with the test.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// head is an answer but for its body.
type head struct {
	StatusCode int
	Header     http.Header
}

// raw sends bytes as they are, and returns the answer to them.
func raw(t *testing.T, conn net.Conn, request string) (head, string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head{resp.StatusCode, resp.Header}, string(body)
}

// TestSlowClientsKeepNobodyOut has many times more connections than are allowed
// send their requests byte by byte, without an end, while others are answered.
func TestSlowClientsKeepNobodyOut(t *testing.T) {
	r := newRig(t)
	const most = 40
	addr, connections := serve(t, r.server, most)
	event := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	heads := []string{
		"GET /v1/entitlements/team-1 HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n",
		"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n",
		"G",
		"",
	}
	ctx, stop := context.WithCancel(t.Context())
	var dribbling sync.WaitGroup
	defer func() { stop(); dribbling.Wait() }()
	for i := range 10 * most {
		conn := dial(t, addr)
		_, _ = io.WriteString(conn, heads[i%len(heads)]) // it may be cut off already
		dribbling.Go(func() { dribble(ctx, conn, heads[i%len(heads)]) })
		if i%10 != 0 {
			continue
		}
		resp, body := raw(t, dial(t, addr), get("/v1/entitlements/team-1", opsKey))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("after %d slow clients: %d %s", i+1, resp.StatusCode, body)
		}
		header := signed(event, secret, noon).Get("Stripe-Signature")
		resp, body = raw(t, dial(t, addr), fmt.Sprintf("POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: %s\r\nContent-Length: %d\r\n\r\n%s", header, len(event), event))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("webhook after %d slow clients: %d %s", i+1, resp.StatusCode, body)
		}
	}
	open, evicted := connections.count()
	if open > most || evicted < 9*most {
		t.Errorf("%d open, %d cut off", open, evicted)
	}
}

func get(path, key string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, key)
}

// dribble sends a byte now and then, where something was begun, until the server
// hangs up.
func dribble(ctx context.Context, conn net.Conn, head string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if head == "" || head == "G" {
			continue
		}
		if _, err := io.WriteString(conn, "a"); err != nil {
			return
		}
	}
}

// TestAFloodOfConnectionsSparesGoodOnes: a connection that had a good request is
// kept while any number of others come that had none.
func TestAFloodOfConnectionsSparesGoodOnes(t *testing.T) {
	r := newRig(t)
	const most = 16
	addr, connections := serve(t, r.server, most)
	good := dial(t, addr)
	raw(t, good, get("/v1/entitlements/team-1", opsKey))
	for range 5 * most {
		raw(t, dial(t, addr), get("/v1/entitlements/team-1", "nobody"))
	}
	if resp, body := raw(t, good, get("/v1/entitlements/team-1", opsKey)); resp.StatusCode != http.StatusOK {
		t.Errorf("the good one is answered %d %s", resp.StatusCode, body)
	}
	if open, evicted := connections.count(); open > most || evicted < 4*most {
		t.Errorf("%d open, %d cut off", open, evicted)
	}
}

// TestAFloodGetsNoNewConnections: an address whose refusals have a long line is
// hung up on, until the line is shorter.
func TestAFloodGetsNoNewConnections(t *testing.T) {
	r := newRig(t)
	r.server.limits.refusals = newBuckets[netip.Prefix]("refusals", Rate{PerSecond: 10, Burst: 1})
	addr, connections := serve(t, r.server, 0)
	shuns := func(peer netip.Addr) bool { return r.server.limits.shuns(peer, r.clock.Now()) }
	connections.shuns.Store(&shuns)
	good := dial(t, addr)
	raw(t, good, get("/v1/entitlements/team-1", opsKey))
	client := netip.MustParsePrefix("127.0.0.1/32")
	for range 7 { // the first is free, and five more are half a second
		if _, ok := r.server.limits.refusals.reserve(client, r.clock.Now(), refusalWait); !ok {
			t.Fatal("refused too early")
		}
	}
	shunned := dial(t, addr)
	_, _ = io.WriteString(shunned, get("/livez", ""))
	if err := shunned.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if n, err := shunned.Read(make([]byte, 1)); n > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("one more reads %d bytes, %v", n, err)
	}
	if resp, _ := raw(t, good, get("/v1/entitlements/team-1", opsKey)); resp.StatusCode != http.StatusOK || connections.shunned.Load() != 1 {
		t.Errorf("the one that was there is answered %d, %d shunned", resp.StatusCode, connections.shunned.Load())
	}
	r.clock.Set(noon.Add(time.Second))
	if resp, _ := raw(t, dial(t, addr), get("/livez", "")); resp.StatusCode != http.StatusOK {
		t.Errorf("later it is answered %d", resp.StatusCode)
	}
}

// TestWorkIsNeverCutOff fills every place with requests that are being worked on:
// then the new connection has to go, and those are answered.
func TestWorkIsNeverCutOff(t *testing.T) {
	const most = 16
	begun, finish := make(chan struct{}), make(chan struct{})
	addr, connections := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		working(r.Context())
		begun <- struct{}{}
		<-finish
	}), most)
	var conns []net.Conn
	for range most {
		conn := dial(t, addr)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-begun
		conns = append(conns, conn)
	}
	late := dial(t, addr)
	if err := late.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if n, err := late.Read(make([]byte, 1)); n > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the one too many reads %d bytes, %v", n, err)
	}
	close(finish)
	for _, conn := range conns {
		if resp, _ := raw(t, conn, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("work was answered %d", resp.StatusCode)
		}
	}
	// They wait for their clients now, and give way again, the longest idle first.
	until(t, "all are idle", func() bool {
		connections.mu.Lock()
		defer connections.mu.Unlock()
		return connections.proven.Len() == most
	})
	go func() { <-begun }()
	if resp, _ := raw(t, dial(t, addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); resp.StatusCode != http.StatusOK {
		t.Errorf("a new one is answered %d", resp.StatusCode)
	}
}

func TestConnectionsAreForgottenWhenTheyEnd(t *testing.T) {
	addr, connections := serve(t, http.NotFoundHandler(), 16)
	for range 100 {
		conn := dial(t, addr)
		raw(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = conn.Close()
	}
	until(t, "none is left", func() bool {
		open, _ := connections.count()
		return open == 0
	})
	if _, evicted := connections.count(); evicted > 84 {
		t.Errorf("%d were cut off", evicted)
	}
}

// TestTooLargeAHead: what does not fit is refused, and says so.
func TestTooLargeAHead(t *testing.T) {
	r := newRig(t)
	addr, _ := serve(t, r.server, 0)
	resp, _ := raw(t, dial(t, addr), "GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// TestEveryTimeIsBounded: a server without one of these can be held for ever.
func TestEveryTimeIsBounded(t *testing.T) {
	s := HTTPServer(http.NotFoundHandler(), NewConnections(0))
	for name, d := range map[string]time.Duration{"head": s.ReadHeaderTimeout, "request": s.ReadTimeout, "answer": s.WriteTimeout, "idle": s.IdleTimeout} {
		if d <= 0 {
			t.Errorf("%s: no bound", name)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.WriteTimeout <= s.ReadTimeout+queryTimeout {
		t.Error("a head has no bound, or an answer less time than its request and its query have")
	}
}
