package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// redisServer is a redis-server process that keeps nothing on disk.
type redisServer struct {
	addr string
	cmd  *exec.Cmd

	mu   sync.Mutex // one question at a time
	conn net.Conn
	in   *bufio.Reader
}

func startRedis(ctx context.Context) (*redisServer, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	r := &redisServer{addr: addr, cmd: exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "")}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server (scripts/install-tools installs it): %w", err)
	}
	for deadline := time.Now().Add(readyWithin); ; {
		var dialer net.Dialer
		if r.conn, err = dialer.DialContext(ctx, "tcp", addr); err == nil {
			r.in = bufio.NewReader(r.conn)
			return r, nil
		}
		if time.Now().After(deadline) {
			r.kill()
			return nil, err
		}
		if err := sleepUntil(ctx, time.Now().Add(10*time.Millisecond)); err != nil {
			r.kill()
			return nil, err
		}
	}
}

func (r *redisServer) url() string { return "redis://" + r.addr }

func (r *redisServer) kill() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
	_ = r.cmd.Process.Kill() // it may be gone already
	_ = r.cmd.Wait()
}

// do runs one command. Its answer is a text, a number in digits, or nothing.
func (r *redisServer) do(args ...string) (answer string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if err := r.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return "", err
	}
	if _, err := r.conn.Write(request); err != nil {
		return "", err
	}
	line, err := r.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimSpace(line[1:])
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		text := make([]byte, n+2)
		_, err = io.ReadFull(r.in, text)
		return string(text[:n]), err
	}
	return rest, nil
}

// number is the answer to a command as a number.
func (r *redisServer) number(args ...string) (int64, error) {
	text, err := r.do(args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// memory is how much the server uses.
func (r *redisServer) memory() (int64, error) {
	info, err := r.do("INFO", "memory")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		if rest, found := strings.CutPrefix(line, "used_memory:"); found {
			return strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	return 0, errors.New("INFO tells no used_memory")
}
