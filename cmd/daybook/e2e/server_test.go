package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What --dev makes known.
const (
	devSecret = "whsec_daybook_dev"
	devKey    = "dev"
)

// patience bounds every wait. Nothing is ever waited for that long unless it
// does not come at all.
const patience = 60 * time.Second

// launch says how a server is started.
type launch struct {
	// dir is the data dir; a fresh one if empty.
	dir string
	// args are added to the command line, env to an otherwise bare environment.
	args, env []string
	// secret and key are what the tests sign and ask with; those of --dev if empty.
	secret, key string
}

// development is a server with --dev on a data dir.
func development(dir string, args ...string) launch {
	return launch{dir: dir, args: append([]string{"--dev"}, args...)}
}

// server is a running daybook serve.
type server struct {
	t           testing.TB
	dir         string
	base        string
	secret, key string
	process     *os.Process
	log         *logBuffer
	// exited is closed when the process has ended, and state is set then.
	exited chan struct{}
	state  *os.ProcessState
}

// start runs a server until it answers. It ends with the test at the latest.
func start(t testing.TB, l launch) *server {
	t.Helper()
	s := spawn(t, l)
	s.connect()
	return s
}

// connect learns the address from the log, and waits until the server answers.
func (s *server) connect() {
	s.t.Helper()
	s.learnAddress("daybook serves")
	eventually(s.t, "the server is ready", func() bool { return s.answers("/readyz") })
}

// learnAddress waits for a message of the log that tells it.
func (s *server) learnAddress(message string) {
	s.t.Helper()
	line, ended := s.log.wait(s.t, message, s.exited)
	if ended {
		s.t.Fatalf("the server ended at its start:\n%s", s.log)
	}
	var said struct{ Addr string }
	if err := json.Unmarshal([]byte(line), &said); err != nil || said.Addr == "" {
		s.t.Fatalf("no address in %q: %v", line, err)
	}
	s.base = "http://" + said.Addr
}

// dataDir makes a data dir whose path is short, for its socket's sake.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "daybook-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// spawn starts the process and waits for nothing.
func spawn(t testing.TB, l launch) *server {
	t.Helper()
	if l.dir == "" {
		l.dir = dataDir(t)
	}
	args := append([]string{"serve", "--addr", "127.0.0.1:0", "--data-dir", l.dir}, l.args...)
	return spawnCommand(t, l, exec.Command(binary, args...))
}

func spawnCommand(t testing.TB, l launch, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, dir: l.dir, secret: or(l.secret, devSecret), key: or(l.key, devKey),
		log: newLogBuffer(), exited: make(chan struct{})}
	cmd.Env = environment(append(storeEnvironment(l.dir), l.env...)...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	overheard.listen(s.log, append(cmd.Env, append(cmd.Args, s.secret, s.key)...))
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the server: %v", err)
	}
	s.process = cmd.Process
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // how it ended is in the state
		s.state = cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = s.process.Kill() // most have ended by then
		<-s.exited
		if t.Failed() {
			t.Logf("log of the server on %s, its end:\n%s", s.dir, s.log.tail(4000))
		}
	})
	return s
}

// environment holds nothing of the tests' own environment that would configure
// a server.
func environment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TMPDIR=" + os.TempDir()}, more...)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// stop ends the server as an operator does, and wants it to end well.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		s.t.Fatalf("the server ended with %d after SIGTERM:\n%s", code, s.log.tail(4000))
	}
}

// kill ends the server without giving it a moment.
func (s *server) kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.wait()
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatalf("signal %v: %v", sig, err)
	}
}

// wait returns the exit code, -1 for one that was killed.
func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.exited:
		return s.state.ExitCode()
	case <-time.After(patience):
		s.t.Fatalf("the server does not end:\n%s", s.log.tail(4000))
		return 0
	}
}

func (s *server) answers(path string) bool {
	resp, err := http.Get(s.base + path)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// eventually asks until it is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if is() {
			return
		}
	}
	t.Fatalf("did not come to pass: %s", what)
}

// logBuffer keeps all that a process writes, and tells of new lines.
type logBuffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	close(b.changed)
	b.changed = make(chan struct{})
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// tail is the last part, for people.
func (b *logBuffer) tail(n int) string {
	text := b.String()
	return text[max(0, len(text)-n):]
}

// find returns the first whole line that contains a text.
func (b *logBuffer) find(text string) (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
			return line, b.changed
		}
	}
	return "", b.changed
}

// wait returns the first line that contains a text, or tells that the process
// ended without one.
func (b *logBuffer) wait(t testing.TB, text string, exited <-chan struct{}) (line string, ended bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		line, changed := b.find(text)
		if line != "" {
			return line, false
		}
		select {
		case <-changed:
		case <-exited:
			line, _ := b.find(text)
			return line, line == ""
		case <-deadline:
			t.Fatalf("no %q in the log:\n%s", text, b.tail(4000))
		}
	}
}

// count tells how often a text was written.
func (b *logBuffer) count(text string) int { return strings.Count(b.String(), text) }
