package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The targets of flood.
const (
	targetFloodP99 = 50 * time.Millisecond
	// targetFloodMemory is how much more memory floods may take than the same good
	// webhooks without one: the connections that are allowed take most of it.
	targetFloodMemory = 64 << 20
	floodRounds       = 3
)

// measureFlood sends good webhooks at a steady rate, to a server that has nothing
// else to do, and to two that are flooded with bad signatures: by senders who wait
// for the answers, from the same address, as from behind a proxy; and by senders
// who hang up at once, from an address of their own.
func measureFlood(ctx context.Context, b *bench) error {
	calm, err := b.floodServer(ctx, "calm", nil)
	if err != nil {
		return err
	}
	polite, rude := false, true
	flooded, err := b.floodServer(ctx, "polite", &polite)
	if err != nil {
		return err
	}
	b.report.line("good webhooks at %d/s without a flood: p99 %s", b.floodRate, millis(percentile(calm.latencies, 99)))
	p99, more := percentile(flooded.latencies, 99), flooded.memory-calm.memory
	b.report.target(p99 <= targetFloodP99, fmt.Sprintf("good webhooks at %d/s during a flood, p99", b.floodRate), millis(p99), "at most "+millis(targetFloodP99))
	b.report.target(more <= targetFloodMemory, "memory that floods take", mebibytes(max(more, 1)), "at most "+mebibytes(targetFloodMemory))
	worse, err := b.floodServer(ctx, "rude", &rude)
	if err != nil {
		return err
	}
	b.report.line("during one that hangs up at once: p99 %s, %s more; without a target, for most of it is the work of making connections, on this machine",
		millis(percentile(worse.latencies, 99)), mebibytes(max(worse.memory-calm.memory, 1)))
	return nil
}

// floodServer sends good webhooks to a server of its own, several times, during
// floods unless rude is nil.
func (b *bench) floodServer(ctx context.Context, name string, rude *bool) (*sample, error) {
	server, err := b.startDaybook(ctx, filepath.Join(b.work, name))
	if err != nil {
		return nil, err
	}
	defer server.kill()
	all := &sample{outcome: &outcome{}}
	for round := range floodRounds {
		o, sent, err := b.goodDuring(ctx, server, fmt.Sprintf("%s%d", name, round), rude)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if rude != nil {
			b.report.line("%s: %.0f bad signatures per second", floodName(*rude), float64(sent)/o.took.Seconds())
		}
		all.latencies = append(all.latencies, o.latencies...)
	}
	all.memory = server.peakMemory()
	return all, server.stop()
}

func floodName(rude bool) string {
	if rude {
		return "flood that hangs up at once"
	}
	return "flood that waits for answers"
}

// goodDuring sends good webhooks, during a flood unless rude is nil. Each must be
// answered 200.
func (b *bench) goodDuring(ctx context.Context, server *child, name string, rude *bool) (o *outcome, sent int, err error) {
	maker, err := newEventMaker(name, b.accounts, time.Now())
	if err != nil {
		return nil, 0, err
	}
	good := maker.requests(b.floodRate*b.floodSeconds, time.Now())
	stop := func() (int, error) { return 0, nil }
	if rude != nil {
		if stop, err = b.startFlood(ctx, server.addr, badRequest(string(good[0])), *rude); err != nil {
			return nil, 0, err
		}
	}
	o, err = load{addr: server.addr, connections: b.connections, rate: b.floodRate}.run(ctx, good)
	sent, stopErr := stop()
	return o, sent, errors.Join(err, stopErr)
}

// badRequest is a signed request whose signature is somebody else's.
func badRequest(signed string) []byte {
	before, after, _ := strings.Cut(signed, ",v1=")
	forged := strings.Repeat("0123456789abcdef", 4)
	return []byte(before + ",v1=" + forged + after[len(forged):])
}

// startFlood floods from a process of its own. stop ends it, and returns how many
// it has sent.
func (b *bench) startFlood(ctx context.Context, addr string, request []byte, rude bool) (stop func() (int, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", floodNiceness, self, "flood", "-addr", addr, "-connections", strconv.Itoa(b.connections), fmt.Sprintf("-rude=%t", rude))
	var counted bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &counted, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (int, error) {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return 0, err
		}
		if err := cmd.Wait(); err != nil {
			return 0, fmt.Errorf("flood: %w", err)
		}
		return strconv.Atoi(strings.TrimSpace(counted.String()))
	}, nil
}

// floodNiceness leaves the processors to the server and the good webhooks: in
// earnest a flood is made elsewhere.
const floodNiceness = "10"

// serveFlood is the child process that floods with what it reads, until it is
// told to end, and prints how many it has sent.
func serveFlood(args []string) error {
	fs := flag.NewFlagSet("flood", flag.ContinueOnError)
	addr := fs.String("addr", "", "whom to flood")
	connections := fs.Int("connections", 64, "how many connections at once")
	rude := fs.Bool("rude", false, "hang up without waiting for the answer")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var request bytes.Buffer
	if _, err := request.ReadFrom(os.Stdin); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	flood := patientFlood
	if *rude {
		flood = hitAndRun
	}
	var sent atomic.Int64
	var flooders sync.WaitGroup
	for range *connections {
		flooders.Go(func() { flood(ctx, *addr, request.Bytes(), &sent) })
	}
	flooders.Wait()
	fmt.Println(sent.Load())
	return nil
}

// patientFlood sends the next as soon as the last one was answered.
func patientFlood(ctx context.Context, addr string, request []byte, sent *atomic.Int64) {
	for ctx.Err() == nil {
		l := load{addr: addr, connections: 1, refused: true, sent: func(int, time.Time) { sent.Add(1) }}
		_, _ = l.run(ctx, [][]byte{request, request, request, request, request, request, request, request}) // whatever comes of it
	}
}

// hitAndRun hangs up as soon as it has sent.
func hitAndRun(ctx context.Context, addr string, request []byte, sent *atomic.Int64) {
	for ctx.Err() == nil {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		if _, err := conn.Write(request); err == nil {
			sent.Add(1)
		}
		_ = conn.Close() // nobody waits for the answer
	}
}
