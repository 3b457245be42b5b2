package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// measureCluster measures whether posting keeps up with webhooks on a cluster's
// protocol: spoken by the test server, which keeps everything in memory, on the
// same machine. So the figure is that of our side, and takes in the server's.
func measureCluster(ctx context.Context, b *bench) error {
	cluster, url, err := startCluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.kill()
	total := b.clusterRate * b.clusterSeconds
	maker, err := newEventMaker("cluster", b.accounts, time.Now())
	if err != nil {
		return err
	}
	server, err := b.startDaybook(ctx, filepath.Join(b.work, "cluster"), "--eventstore-url", url)
	if err != nil {
		return err
	}
	defer server.kill()
	before, clusterBefore := server.cpu(), cluster.cpu()
	o, err := load{addr: server.addr, connections: b.connections, rate: b.clusterRate}.run(ctx, maker.requests(total, time.Now()))
	if err != nil {
		return err
	}
	lag, err := awaitNoLag(ctx, server)
	if err != nil {
		return err
	}
	s := &sample{outcome: o, cpu: server.cpu() - before, memory: server.peakMemory(), counted: total}
	b.report.line("%s", s.describe("on a cluster"))
	b.report.line("the test server took %d µs of CPU per webhook", ((cluster.cpu() - clusterBefore) / time.Duration(total)).Microseconds())
	sent := o.perSecond()
	b.report.target(lag <= visibleWithin && sent >= 0.99*float64(b.clusterRate), fmt.Sprintf("posting of %.0f webhooks/s on a cluster", sent),
		fmt.Sprintf("done %s after the load's end", millis(lag)), fmt.Sprintf("at most %s after a load of %d/s", millis(visibleWithin), b.clusterRate))
	return server.stop()
}

// restsAfter is for how long neither the log nor the read model has moved, with
// posting up with the journal, when everything is done.
const restsAfter = 300 * time.Millisecond

// awaitNoLag waits until everything that a load led to is posted and in the read
// model, and returns how long that took. It looks for the end of movement: a
// cluster tells its followers of what they do not follow only every two seconds,
// so that their positions alone would say less.
func awaitNoLag(ctx context.Context, server *child) (time.Duration, error) {
	began := time.Now()
	moved := began
	var head, model uint64
	for {
		var status serverStatus
		if code, err := server.get(ctx, "/v1/status", &status); err != nil || code != http.StatusOK {
			return 0, fmt.Errorf("ask for the status: %d %w", code, err)
		}
		reached, _ := status.reached()
		if status.Store.Head != head || reached != model {
			moved, head, model = time.Now(), status.Store.Head, reached
		}
		if time.Since(moved) > restsAfter && status.posted() || time.Since(began) > giveUpAfter {
			return moved.Sub(began), nil
		}
		if err := sleepUntil(ctx, time.Now().Add(20*time.Millisecond)); err != nil {
			return 0, err
		}
	}
}

// startCluster starts this binary as the test server of the protocol, and returns
// where it is reached.
func startCluster(ctx context.Context) (*child, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, "", err
	}
	c, err := start(ctx, self, "cluster", "--esdb", addr)
	return c, "esdb://" + addr + "?tls=false", err
}

// clusterGarbage is the percentage of garbage in that child: what it keeps is bytes
// for the most part, and only grows.
const clusterGarbage = 300

// serveCluster is the child process that serves the protocol, and tells by HTTP
// that it does.
func serveCluster(args []string) error {
	fs := flag.NewFlagSet("cluster", flag.ContinueOnError)
	addr := fs.String("addr", "127.0.0.1:0", "address for the question whether it is ready")
	esdb := fs.String("esdb", "127.0.0.1:0", "address of the protocol")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	debug.SetGCPercent(clusterGarbage)
	cluster, err := esdbtest.Serve(*esdb)
	if err != nil {
		return err
	}
	defer cluster.Stop()
	return serveUntil(ctx, *addr, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}
