package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// What a server in development mode accepts.
const (
	devSecret = "whsec_daybook_dev"
	devKey    = "dev"
)

// The bounds of waiting for a child.
const (
	readyWithin = 60 * time.Second
	stopWithin  = 30 * time.Second
)

// child is a server process under measurement.
type child struct {
	addr string
	cmd  *exec.Cmd
	// log is what it wrote, bounded.
	log    *tail
	exited chan struct{}
	err    error // of Wait; read it after exited
	// ready is how long it took from start to the first answer of /readyz.
	ready time.Duration
}

// startCeiling starts this binary as the ceiling.
func (b *bench) startCeiling(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, append([]string{"ceiling"}, args...)...)
}

// startDaybook serves a data dir.
func (b *bench) startDaybook(ctx context.Context, dataDir string, args ...string) (*child, error) {
	return start(ctx, b.daybook, append([]string{"serve", "--dev", "--data-dir", dataDir, "--log-level", "warning"}, args...)...)
}

// start runs a server and waits until it is ready.
func start(ctx context.Context, binary string, args ...string) (*child, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	c := &child{addr: addr, log: &tail{}, exited: make(chan struct{})}
	c.cmd = exec.CommandContext(ctx, binary, append(args, "--addr", addr)...)
	c.cmd.Env = cleanEnviron()
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.err = c.cmd.Wait(); close(c.exited) }()
	if err := c.waitReady(ctx); err != nil {
		c.kill()
		return nil, fmt.Errorf("%s %s: %w\n%s", binary, strings.Join(args, " "), err, c.log)
	}
	c.ready = time.Since(began)
	return c, nil
}

// cleanEnviron keeps settings of the caller's own daybook out of the measurement.
func cleanEnviron() []string {
	var environ []string
	for _, entry := range os.Environ() {
		ours := false
		for _, prefix := range []string{"DAYBOOK_", "STRIPE_", "REDIS_", "EVENTSTORE_"} {
			ours = ours || strings.HasPrefix(entry, prefix)
		}
		if !ours {
			environ = append(environ, entry)
		}
	}
	return environ
}

// freeAddr finds a port that nobody listens on.
func freeAddr(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (c *child) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		if status, err := c.get(ctx, "/readyz", nil); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("ended at once: %w", c.err)
		case <-ctx.Done():
			return fmt.Errorf("not ready within %s", readyWithin)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// get asks for a path and decodes the answer, if one is wanted.
func (c *child) get(ctx context.Context, path string, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+devKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if into != nil && resp.StatusCode == http.StatusOK {
		return resp.StatusCode, json.NewDecoder(resp.Body).Decode(into)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// stop ends the server as an operator would.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.exited:
	case <-time.After(stopWithin):
		c.kill()
		return fmt.Errorf("did not stop within %s\n%s", stopWithin, c.log)
	}
	if c.err != nil {
		return fmt.Errorf("ended with a fault: %w\n%s", c.err, c.log)
	}
	return nil
}

// kill ends it without ceremony. A second kill does nothing.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be gone already
	<-c.exited
}

// tail keeps the last of what a child wrote. Its writer is one goroutine, and
// it is read only after the child has ended.
type tail struct{ kept []byte }

const maxTail = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxTail; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
