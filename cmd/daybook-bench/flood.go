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
	// targetFloodMemory is how much more memory a flood may take than the same good
	// webhooks without one: the connections that are allowed take most of it.
	targetFloodMemory = 64 << 20
	floodRounds       = 5
)

// flooded is one server, and what became of the good webhooks that it was sent.
type flooded struct {
	name string
	// flood is how it is flooded, nil if not at all.
	flood  *flood
	server *child
	// p99s are those of the good webhooks in each round, rates how many bad
	// signatures a second came with them.
	p99s   rounds
	rates  []float64
	memory int64
}

// flood is a kind of flood.
type flood struct {
	name string
	rude bool // hangs up without waiting for the answers
}

// measureFlood sends good webhooks at a steady rate, in turns to a server that has
// nothing else to do, and to two that are flooded with bad signatures: by senders
// who wait for the answers, from the same address, as from behind a proxy; and by
// senders who hang up at once, from an address of their own.
func measureFlood(ctx context.Context, b *bench) error {
	calm := &flooded{name: "calm"}
	polite := &flooded{name: "polite", flood: &flood{name: "flood that waits for answers"}}
	rude := &flooded{name: "rude", flood: &flood{name: "flood that hangs up at once", rude: true}}
	all := []*flooded{calm, polite, rude}
	for _, f := range all {
		var err error
		if f.server, err = b.startDaybook(ctx, filepath.Join(b.work, f.name)); err != nil {
			return err
		}
		defer f.server.kill()
	}
	for round := range floodRounds {
		for _, f := range all {
			if err := b.floodRound(ctx, f, round); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	for _, f := range all {
		f.memory = f.server.peakMemory()
		if err := f.server.stop(); err != nil {
			return err
		}
	}
	b.judgeFlood(calm, polite, rude)
	return nil
}

// floodRound sends good webhooks to one of the servers.
func (b *bench) floodRound(ctx context.Context, f *flooded, round int) error {
	o, sent, err := b.goodDuring(ctx, f.server, fmt.Sprintf("%s%d", f.name, round), f.flood)
	if err != nil {
		return err
	}
	f.p99s = append(f.p99s, percentile(o.latencies, 99))
	f.rates = append(f.rates, float64(sent)/o.took.Seconds())
	return nil
}

func (b *bench) judgeFlood(calm *flooded, floods ...*flooded) {
	what := fmt.Sprintf("good webhooks at %d/s", b.floodRate)
	b.report.line("%s without a flood: p99 %s", what, calm.p99s)
	for _, f := range floods {
		b.report.line("%s: %.0f bad signatures per second", f.flood.name, median(f.rates))
		more := f.memory - calm.memory
		b.report.target(f.p99s.median() <= targetFloodP99, what+" meanwhile, p99", f.p99s.String(), "at most "+millis(targetFloodP99))
		b.report.target(more <= targetFloodMemory, "memory that it takes", mebibytes(max(more, 1)), "at most "+mebibytes(targetFloodMemory))
	}
}

// goodDuring sends good webhooks, during a flood unless that is nil. Each must be
// answered 200.
func (b *bench) goodDuring(ctx context.Context, server *child, name string, f *flood) (o *outcome, sent int, err error) {
	maker, err := newEventMaker(name, b.accounts, time.Now())
	if err != nil {
		return nil, 0, err
	}
	good := maker.requests(b.floodRate*b.floodSeconds, time.Now())
	stop := func() (int, error) { return 0, nil }
	if f != nil {
		if stop, err = b.startFlood(ctx, server.addr, badRequest(string(good[0])), f.rude); err != nil {
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
	send := patientFlood
	if *rude {
		send = hitAndRun
	}
	var sent atomic.Int64
	var flooders sync.WaitGroup
	for range *connections {
		flooders.Go(func() { send(ctx, *addr, request.Bytes(), &sent) })
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
