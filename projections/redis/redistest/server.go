// Package redistest runs real servers of Redis for tests: redis-server processes
// on free ports of the loopback, each in a folder of its own, alone, as a
// Cluster, or watched by sentinels, and proxies before them that break the
// network. Nothing outlives the test.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Password is that of servers that have one.
const Password = "a password, with spaces & signs"

// patience bounds the wait for what a server does by itself.
const patience = 30 * time.Second

// Server is a redis-server process.
type Server struct {
	t    testing.TB
	dir  string
	port int
	args []string
	tls  *authority // nil without TLS
	// password is empty where none is asked for.
	password string
	sentinel bool

	mu      sync.Mutex
	command *exec.Cmd
	output  *bytes.Buffer
	ended   chan struct{}
}

// Option changes a server before it starts.
type Option func(*Server)

// WithArgs gives the server settings, as on its command line: "--maxmemory", "2mb".
func WithArgs(args ...string) Option { return func(s *Server) { s.args = append(s.args, args...) } }

// WithPassword makes the server ask for Password.
func WithPassword() Option {
	return func(s *Server) { s.password = Password }
}

// WithTLS makes the server speak nothing but TLS, with a certificate for
// 127.0.0.1 and localhost that CertPool vouches for.
func WithTLS() Option { return func(s *Server) { s.tls = newAuthority(s.t, s.dir) } }

// Start runs a server until the test ends. It keeps nothing on disk.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	for _, option := range options {
		option(s)
	}
	s.launch()
	return s
}

// launch starts the server on a port of its own choice.
func (s *Server) launch() {
	s.t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		s.t.Fatal("redis-server is not installed, and tests on Redis use a real one: run scripts/install-tools")
	}
	quiet()
	s.t.Cleanup(s.Kill)
	var err error
	for range 5 { // somebody else may take a port that was free
		s.port = freePort(s.t)
		if err = s.start(); err == nil {
			return
		}
	}
	s.t.Fatal(err)
}

// quiet turns off the client's own log: servers that start and end are no news.
var quiet = sync.OnceFunc(func() { client.SetLogger(&logging.VoidLogger{}) })

// freePort finds one that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Start runs the server again, where it was. It has what it kept on disk.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) start() error {
	command := exec.CommandContext(context.Background(), "redis-server", s.arguments()...) // Kill ends it
	command.Dir = s.dir
	output := &bytes.Buffer{}
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	ended := make(chan struct{})
	go func() { // it ends with the process, which Kill ends
		_ = command.Wait()
		close(ended)
	}()
	s.mu.Lock()
	s.command, s.output, s.ended = command, output, ended
	s.mu.Unlock()
	if err := s.ready(ended); err != nil {
		s.Kill()
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

func (s *Server) arguments() []string {
	port := strconv.Itoa(s.port)
	if s.sentinel {
		return []string{filepath.Join(s.dir, "sentinel.conf"), "--sentinel", "--port", port, "--bind", "127.0.0.1"}
	}
	args := []string{"--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no"}
	if s.tls != nil {
		args = append(args, "--port", "0", "--tls-port", port, "--tls-cert-file", s.tls.cert, "--tls-key-file", s.tls.key,
			"--tls-ca-cert-file", s.tls.cert, "--tls-auth-clients", "no")
	} else {
		args = append(args, "--port", port)
	}
	if s.password != "" {
		args = append(args, "--requirepass", s.password)
	}
	return append(args, s.args...)
}

// ready waits until the very process that was started answers.
func (s *Server) ready(ended <-chan struct{}) error {
	c := s.newClient()
	defer c.Close()
	pid := fmt.Sprintf("process_id:%d\r", s.command.Process.Pid)
	for deadline := time.Now().Add(patience); ; {
		info, err := c.Info(context.Background(), "server").Result()
		switch {
		case err == nil && strings.Contains(info, pid):
			return nil
		case err == nil:
			return errors.New("another server has the port")
		case time.Now().After(deadline):
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
		select {
		case <-ended:
			return errors.New("redis-server has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Addr is the server's host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is what connects to the server.
func (s *Server) URL() string { return s.urlOf(s.Addr()) }

// urlOf connects to the server by another address, as that of a proxy.
func (s *Server) urlOf(addr string) string {
	u := url.URL{Scheme: "redis", Host: addr}
	if s.tls != nil {
		u.Scheme = "rediss"
	}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

func (s *Server) newClient() *client.Client {
	o := &client.Options{Addr: s.Addr(), Password: s.password, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true}
	if s.tls != nil {
		o.TLSConfig = s.tls.config()
	}
	return client.NewClient(o)
}

// Client returns a client of the server, which is closed when the test ends.
func (s *Server) Client() *client.Client {
	c := s.newClient()
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Do runs one command, and fails the test if that fails.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := s.newClient()
	defer c.Close()
	result, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return result
}

// Pause stops the process, as SIGSTOP does: connections stay, nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Stop ends the server in peace: it saves first what it keeps on disk.
func (s *Server) Stop() {
	s.signal(syscall.SIGTERM)
	s.gone()
}

// Kill ends the server at once, if it runs.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	s.gone()
}

func (s *Server) signal(signal os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command != nil {
		_ = s.command.Process.Signal(signal) // it may have ended
	}
}

func (s *Server) gone() {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
