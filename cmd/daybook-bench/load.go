package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// requestTimeout bounds one exchange.
const requestTimeout = 10 * time.Second

// load sends prepared requests over a number of connections.
type load struct {
	addr        string
	connections int
	// rate is in requests per second; 0 means as fast as they are answered.
	rate int
	// until, if set, ends the load early when it is closed.
	until <-chan struct{}
	// sent, if set, is told when a request is due. It must not block.
	sent func(i int, due time.Time)
	// refused says that other answers than 200 are right, too.
	refused bool
}

// outcome is what a load saw.
type outcome struct {
	// latencies are from when a request was due, so that one which waited for a
	// free connection counts its waiting.
	latencies []time.Duration
	took      time.Duration
	// generator is the CPU time that the load itself has used, machine that of
	// everything on the machine; 0 where the system does not tell.
	generator, machine time.Duration
}

func (o *outcome) perSecond() float64 { return float64(len(o.latencies)) / o.took.Seconds() }

// run sends each request once, in their order. Any answer but 200 is an error: a server that
// refuses is not being measured.
func (l load) run(ctx context.Context, requests [][]byte) (*outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	o := &outcome{latencies: make([]time.Duration, len(requests))}
	var next atomic.Int64
	var group sync.WaitGroup
	machine, cpu, began := machineCPU(), ownCPU(), time.Now()
	for _, conn := range conns {
		group.Go(func() {
			defer conn.Close()
			if err := l.drive(ctx, conn, requests, &next, began, o.latencies); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if l.until != nil {
		o.latencies = sentOnly(o.latencies)
	}
	o.took, o.generator, o.machine = time.Since(began), ownCPU()-cpu, machineCPU()-machine
	return o, context.Cause(ctx)
}

// sentOnly drops those of requests that were not sent.
func sentOnly(latencies []time.Duration) []time.Duration {
	return slices.DeleteFunc(latencies, func(d time.Duration) bool { return d == 0 })
}

func (l load) dial(ctx context.Context) ([]net.Conn, error) {
	conns := make([]net.Conn, 0, l.connections)
	for range l.connections {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", l.addr)
		if err != nil {
			for _, c := range conns {
				_ = c.Close() // nothing was sent on it
			}
			return nil, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// drive takes requests, one after the other, until there are none left.
func (l load) drive(ctx context.Context, conn net.Conn, requests [][]byte, next *atomic.Int64, began time.Time, latencies []time.Duration) error {
	answers := bufio.NewReaderSize(conn, 4096)
	for {
		i := int(next.Add(1)) - 1
		if i >= len(requests) || ctx.Err() != nil {
			return nil
		}
		due := time.Now()
		if l.rate > 0 {
			due = began.Add(time.Duration(i) * time.Second / time.Duration(l.rate))
			if err := sleepUntil(ctx, due); err != nil {
				return nil // whoever ended it knows why
			}
		}
		select {
		case <-l.until:
			return nil
		default: // also of a load that nobody ends
		}
		if l.sent != nil {
			l.sent(i, due)
		}
		var refusal *refusal
		if err := exchange(conn, answers, requests[i]); err != nil && (!l.refused || !errors.As(err, &refusal)) {
			return fmt.Errorf("request %d: %w", i, err)
		}
		latencies[i] = time.Since(due)
	}
}

func sleepUntil(ctx context.Context, due time.Time) error {
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal is an answer that is not 200.
type refusal struct{ status, body string }

func (r *refusal) Error() string { return r.status + ": " + r.body }

// exchange sends one request and reads its answer. It knows just enough of
// HTTP/1.1 for servers that send a Content-Length: net/http's client would cost
// as much as the server that it measures.
func exchange(conn net.Conn, answers *bufio.Reader, request []byte) error {
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	status, err := answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	// The slice is good until the next read only.
	refused := ""
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		refused = string(bytes.TrimSpace(status))
	}
	length, err := readHeader(answers)
	if err != nil {
		return err
	}
	if refused != "" {
		body := make([]byte, min(length, 500))
		if _, err := io.ReadFull(answers, body); err != nil {
			return err
		}
		_, err = answers.Discard(length - len(body))
		return errors.Join(&refusal{refused, string(body)}, err)
	}
	_, err = answers.Discard(length)
	return err
}

// readHeader reads to the end of the header, and returns the Content-Length.
func readHeader(answers *bufio.Reader) (length int, err error) {
	length = -1
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("answer without a Content-Length")
	}
	return length, nil
}
