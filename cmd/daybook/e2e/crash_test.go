package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
)

// Twenty lives end by SIGKILL; the last one ends the work.
const (
	crashes      = 20
	crashSenders = 12
)

// TestKilledUnderLoadLosesNothing kills the server with SIGKILL twenty times
// while webhooks pour in, and starts it again on the same data dir. The sender
// does as Stripe does: what was not answered 200 it sends again, to the next
// server. After each kill, before anybody repairs anything, every event that
// was ever answered 200 must be in the journal exactly once.
func TestKilledUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	onEachStore(t, killedUnderLoadLosesNothing)
}

func killedUnderLoadLosesNothing(t *testing.T, dir string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	end := time.Now().UTC().Truncate(time.Second)
	run := simulate.Generate(simulate.Options{Seed: seed, Accounts: 400, End: end, Shuffle: 0.3, Duplicates: 0.2})
	load := &load{deliveries: run.Deliveries, acked: map[string]bool{}}
	for range crashes {
		s := start(t, development(dir))
		// Zero is a kill while the server catches up with what the last one left.
		acks := rng.IntN(2*len(run.Deliveries)/(crashes+2) + 1)
		load.sendUntil(s, acks, time.Duration(rng.IntN(15_000))*time.Microsecond, s.kill)
		wantOnce(t, journal(t, dir), load.acked)
	}
	s := start(t, development(dir))
	load.sendUntil(s, len(run.Deliveries), 0, func() {})
	t.Logf("%d deliveries, %d attempts without a 200", len(run.Deliveries), load.failed)
	if load.failed == 0 {
		t.Error("no kill met a request under way: the test proves nothing")
	}
	report, err := simulate.Check(t.Context(), simulate.CheckOptions{URL: s.base, APIKey: devKey, Timeout: patience}, run, end)
	if err != nil || !report.OK() {
		t.Fatalf("%v %.4000s", err, report)
	}
	wantOnce(t, journal(t, dir), load.acked)
	if n := len(journal(t, dir)); n != run.Events || len(load.acked) != run.Events {
		t.Errorf("%d events in the journal, %d acknowledged: want %d", n, len(load.acked), run.Events)
	}
	wantRebuildEqual(t, dir)
	s.stop()
}

// load is what there is to send, and what was answered 200.
type load struct {
	deliveries []simulate.Delivery
	next       int

	mu sync.Mutex
	// again are deliveries that got no 200.
	again []simulate.Delivery
	acked map[string]bool
	// acks of this life, failed attempts of all.
	acks, failed int
}

// sendUntil sends to one server until it has acknowledged so many, ends it with
// stop a moment later, and returns when every sender has noticed.
func (l *load) sendUntil(s *server, acks int, moment time.Duration, stop func()) {
	l.mu.Lock()
	l.acks = 0
	l.mu.Unlock()
	reached, stopped := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var senders sync.WaitGroup
	for range crashSenders {
		senders.Go(func() {
			for l.sendOne(s, stopped) {
				if l.count() >= acks {
					once.Do(func() { close(reached) })
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { senders.Wait(); close(ended) }()
	if acks > 0 {
		select {
		case <-reached:
		case <-ended: // there was nothing more to send
		}
	}
	<-time.After(moment) // the moment is drawn, not waited for
	stop()
	close(stopped)
	<-ended
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks
}

// sendOne sends the next delivery. It tells whether to go on: not when there is
// none left, and not when the server is gone.
func (l *load) sendOne(s *server, stopped <-chan struct{}) bool {
	d, ok := l.take()
	if !ok {
		return false
	}
	a, err := s.deliver(d.Body)
	l.note(d, a, err)
	select {
	case <-stopped:
		return false
	default:
		return err == nil
	}
}

// note takes down what a delivery was answered.
func (l *load) note(d simulate.Delivery, a answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && a.status == http.StatusOK {
		l.acked[d.EventID] = true
		l.acks++
	} else {
		l.failed++
		l.again = append(l.again, d)
	}
}

func (l *load) take() (simulate.Delivery, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.again); n > 0 {
		d := l.again[n-1]
		l.again = l.again[:n-1]
		return d, true
	}
	if l.next == len(l.deliveries) {
		return simulate.Delivery{}, false
	}
	l.next++
	return l.deliveries[l.next-1], true
}
