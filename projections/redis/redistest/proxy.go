package redistest

import (
	"context"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Toxic is a fault of the network, as toxiproxy describes it.
type Toxic string

// The faults. They begin with the next byte, on connections that are there too.
const (
	// Silent is a half-open connection: all that is sent vanishes, and no end is told.
	Silent Toxic = `{"name":"silent","type":"timeout","attributes":{"timeout":0}}`
	// Reset ends every connection by a reset, as a host does that was started anew.
	Reset Toxic = `{"name":"reset","type":"reset_peer","attributes":{"timeout":0}}`
	// Late delays every answer by a second.
	Late Toxic = `{"name":"late","type":"latency","attributes":{"latency":1000}}`
	// Trickling cuts answers into single bytes, with a pause behind each.
	Trickling Toxic = `{"name":"trickling","type":"slicer","attributes":{"average_size":1,"size_variation":0,"delay":100}}`
	// Narrow lets 256 KB through to the server in a second.
	Narrow Toxic = `{"name":"narrow","type":"bandwidth","stream":"upstream","attributes":{"rate":256}}`
)

// Proxy stands between a server and those who use its URL.
type Proxy struct {
	t      testing.TB
	server *Server
	proxy  *toxiproxy.Proxy
}

// NewProxy puts a proxy before a server until the test ends.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	metrics := toxiproxy.NewMetricsContainer(prometheus.NewRegistry())
	p := &Proxy{t: t, server: s, proxy: toxiproxy.NewProxy(toxiproxy.NewServer(metrics, zerolog.Nop()), "redis", "127.0.0.1:0", s.Addr())}
	if err := p.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	return p
}

// URL is what connects to the server by way of the proxy.
func (p *Proxy) URL() string { return p.server.urlOf(p.proxy.Listen) }

// Break makes the network faulty.
func (p *Proxy) Break(with Toxic) {
	p.t.Helper()
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(string(with))); err != nil {
		p.t.Fatal(err)
	}
}

// Mend ends all faults.
func (p *Proxy) Mend() { p.proxy.Toxics.ResetToxics(context.Background()) }

// Cut ends every connection and refuses others.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Join ends what Cut began.
func (p *Proxy) Join() {
	p.t.Helper()
	if err := p.proxy.Start(); err != nil {
		p.t.Fatal(err)
	}
}
