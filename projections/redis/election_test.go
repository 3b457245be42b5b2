package redis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// term is short, so that tests are.
const term = time.Second

// electorURL makes this binary a process that takes part in an election.
const electorURL = "REDIS_TEST_ELECTOR_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(electorURL); url != "" {
		elector(url)
	}
	os.Exit(m.Run())
}

// elector takes part until it is killed. It says "leads" when it leads, and, as
// soon as it is asked by a line, whether it still does.
func elector(url string) {
	o, err := redis.Open(url, options())
	if err != nil {
		panic(err)
	}
	asked := make(chan struct{})
	go func() { // it ends with the process
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			asked <- struct{}{}
		}
		os.Exit(0)
	}()
	election := redis.NewElection(o, fmt.Sprint("process ", os.Getpid()), term, func(error) {})
	_ = election.Lead(context.Background(), func(ctx context.Context, lead projections.Term) error {
		if lead.Elected() {
			fmt.Println("leads")
		} else {
			fmt.Println("stands in")
		}
		for {
			select {
			case <-asked:
				fmt.Println("held", lead.Held())
			case <-ctx.Done():
				fmt.Println("resigns")
				return nil
			}
		}
	})
}

// candidate is a process that takes part.
type candidate struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	ask   func()
}

func newCandidate(t *testing.T, url string) *candidate {
	t.Helper()
	c := &candidate{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan string, 100)}
	c.cmd.Env = append(os.Environ(), electorURL+"="+url)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.ask = func() { _, _ = fmt.Fprintln(stdin) }
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(c.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			c.lines <- lines.Text()
		}
	})
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		reading.Wait()
		_ = c.cmd.Wait()
	})
	return c
}

// says waits for what the process says next.
func (c *candidate) says(want string) {
	c.t.Helper()
	select {
	case line := <-c.lines:
		if line != want {
			c.t.Errorf("it says %q, want %q", line, want)
		}
	case <-time.After(20 * time.Second):
		c.t.Fatalf("it does not say %q", want)
	}
}

func (c *candidate) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

func TestAnotherTakesOverFromAKilledLeader(t *testing.T) {
	s, c := server(t)
	first := newCandidate(t, s.URL())
	first.says("leads")
	second := newCandidate(t, s.URL())
	if holder := c.Get(t.Context(), redis.LeaderKey).Val(); !strings.HasPrefix(holder, fmt.Sprint("process ", first.cmd.Process.Pid, "/")) {
		t.Errorf("the lease is held by %q", holder)
	}
	first.signal(syscall.SIGKILL)
	second.says("leads")
}

// A leader that was stopped, and goes on when another leads, knows at once.
func TestAPausedLeaderNoticesBeforeItActs(t *testing.T) {
	s, _ := server(t)
	first := newCandidate(t, s.URL())
	first.says("leads")
	first.ask()
	first.says("held true")
	second := newCandidate(t, s.URL())
	first.signal(syscall.SIGSTOP)
	second.says("leads")
	first.ask() // it finds the question, and the clock, when it goes on
	first.signal(syscall.SIGCONT)
	switch line := <-first.lines; line {
	case "held false":
		first.says("resigns")
	case "resigns":
	default:
		t.Errorf("it says %q", line)
	}
	second.ask()
	second.says("held true")
}

// A leader that is cut off resigns before another can lead.
func TestACutOffLeaderResigns(t *testing.T) {
	s, _ := server(t)
	for name, cut := range map[string]func(*redistest.Proxy){
		"half-open": func(p *redistest.Proxy) { p.Break(redistest.Silent) },
		"refused":   func(p *redistest.Proxy) { p.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			p := redistest.NewProxy(t, s)
			first := newCandidate(t, p.URL())
			first.says("leads")
			cut(p)
			first.says("resigns")
			second := newCandidate(t, s.URL())
			second.says("leads")
			second.signal(syscall.SIGKILL)
		})
	}
}

// The work is not left undone for want of a server: everybody does it, until one
// is elected again.
func TestWithoutAServerEverybodyLeads(t *testing.T) {
	s, _ := server(t)
	p := redistest.NewProxy(t, s)
	first, second := newCandidate(t, p.URL()), newCandidate(t, p.URL())
	leader, other := first, second
	select {
	case line := <-first.lines:
		first.lines <- line
	case line := <-second.lines:
		second.lines <- line
		leader, other = second, first
	}
	leader.says("leads")
	p.Cut()
	leader.says("resigns")
	leader.says("stands in")
	other.says("stands in")
	leader.ask()
	leader.says("held true")
	p.Join()
	leader.says("resigns")
	other.says("resigns")
	select {
	case line := <-first.lines:
		if line != "leads" {
			t.Errorf("it says %q", line)
		}
		first.ask()
		first.says("held true")
	case line := <-second.lines:
		if line != "leads" {
			t.Errorf("it says %q", line)
		}
		second.ask()
		second.says("held true")
	case <-time.After(20 * time.Second):
		t.Fatal("nobody leads")
	}
}

// Of many, one leads at a time, and each that is asked to stop hands over.
func TestOneLeadsAtATime(t *testing.T) {
	s, _ := server(t)
	var mu sync.Mutex
	leading, terms := 0, 0
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var all sync.WaitGroup
	for range 5 {
		o := open(t, s.URL())
		all.Go(func() {
			election := redis.NewElection(o, "x", term, func(err error) {
				if ctx.Err() == nil {
					t.Error(err)
				}
			})
			err := election.Lead(ctx, func(ctx context.Context, lead projections.Term) error {
				mu.Lock()
				leading++
				if terms++; leading > 1 {
					t.Errorf("%d lead", leading)
				}
				if terms >= 6 {
					stop()
				}
				mu.Unlock()
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					leading--
				}()
				if !lead.Held() || !lead.Elected() {
					t.Error("it leads, and does not hold the lease")
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if terms < 6 {
		t.Errorf("%d terms", terms)
	}
}

// A lease that somebody else has taken is neither renewed nor given back.
func TestFault12ALostLeaseIsLeftAlone(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_ = redis.NewElection(o, "x", term, func(error) {}).Lead(ctx, func(leading context.Context, lead projections.Term) error {
		c.Set(ctx, redis.LeaderKey, "somebody else", 0)
		<-leading.Done()
		if lead.Held() {
			t.Error("it holds what it has lost")
		}
		stop()
		return nil
	})
	if holder := c.Get(t.Context(), redis.LeaderKey).Val(); holder != "somebody else" {
		t.Errorf("the lease is held by %q", holder)
	}
}

// The lease outlasts the work of a leader who renews it, and an error of the
// work is told.
func TestALeaseIsRenewed(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := errors.New("the work failed")
	_ = redis.NewElection(o, "x", term, func(err error) {
		if !errors.Is(err, told) {
			t.Error(err)
		}
		stop()
	}).Lead(ctx, func(_ context.Context, lead projections.Term) error {
		token := c.Get(ctx, redis.LeaderKey).Val()
		began := time.Now()
		until(t, "three terms have passed", func() bool {
			if !lead.Held() {
				t.Fatal("the lease was lost")
			}
			return time.Since(began) > 3*term
		})
		if now := c.Get(ctx, redis.LeaderKey).Val(); now != token {
			t.Errorf("held by %q, was %q", now, token)
		}
		return told
	})
}
