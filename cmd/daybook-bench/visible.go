package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite"
)

// storeFile is the event store in a data dir.
const storeFile = "daybook.db"

// The targets of visible.
const (
	targetVisible = 100 * time.Millisecond
	// sampleEvery n-th new account is watched; asking has a cost of its own.
	sampleEvery = 20
	askEvery    = 2 * time.Millisecond
	giveUpAfter = 10 * time.Second
)

// serverStatus is what this program reads of GET /v1/status.
type serverStatus struct {
	Store struct {
		Head uint64 `json:"head"`
	} `json:"store"`
	Model struct {
		Position uint64 `json:"position"`
	} `json:"model"`
	Followers []struct {
		Name     string `json:"name"`
		Position uint64 `json:"position"`
		CaughtUp bool   `json:"caught_up"`
	} `json:"followers"`
}

// posted reports whether posting is up with the journal.
func (s *serverStatus) posted() bool {
	for _, f := range s.Followers {
		if f.Name == "posting" && f.CaughtUp {
			return true
		}
	}
	return false
}

// reached is how far the read model is, and every is how far all are who follow
// the log.
func (s *serverStatus) reached() (model, every uint64) {
	model, every = s.Model.Position, s.Store.Head
	for _, f := range s.Followers {
		every = min(every, f.Position)
		if f.Name == "projection" {
			model = max(model, f.Position) // the checkpoint on disk may rest while nothing happens
		}
	}
	return model, every
}

// awaitEffects waits until the read model has everything, at most for within,
// and returns how far it came.
func awaitEffects(ctx context.Context, server *child, within time.Duration) (reached uint64, err error) {
	var journal, facts uint64 // where the load's entries end, and then their facts
	for deadline := time.Now().Add(within); ; {
		var status serverStatus
		code, err := server.get(ctx, "/v1/status", &status)
		if err != nil || code != http.StatusOK {
			return 0, fmt.Errorf("ask for the status: %d %w", code, err)
		}
		if time.Now().After(deadline) {
			return reached, nil // what this answer says came too late
		}
		model, every := status.reached()
		reached = model
		if journal == 0 {
			journal = status.Store.Head
		}
		if facts == 0 && every >= journal {
			facts = status.Store.Head
		}
		if facts > 0 && reached >= facts {
			return reached, nil
		}
		if err := sleepUntil(ctx, time.Now().Add(20*time.Millisecond)); err != nil {
			return 0, err
		}
	}
}

// countVisible counts the events of a load whose facts stand at or before a
// position, by reading the store of a server that has ended.
func countVisible(ctx context.Context, dataDir string, reached uint64, maker *eventMaker, sent int) (int, error) {
	store, err := sqlite.Open(ctx, filepath.Join(dataDir, storeFile), sqlite.Options{})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	awaited := make(map[string]bool, sent)
	for i := range sent {
		awaited[maker.eventID(i)] = true
	}
	for e, err := range store.ReadAll(ctx, 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"subscription-"}}, 0) {
		if err != nil {
			return 0, err
		}
		if uint64(e.Position) > reached {
			break
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			return 0, err
		}
		if event.Fact != nil {
			delete(awaited, event.Fact.Key.StripeEventID)
		}
	}
	return sent - len(awaited), nil
}

// measureVisible times new subscriptions from when their webhook was due to the
// first answer that knows their account.
func measureVisible(ctx context.Context, b *bench) error {
	total := b.visibleRate * b.visibleSeconds
	// Half of the events open an account, the others are changes.
	maker, err := newEventMaker("visible", (total+1)/2, time.Now())
	if err != nil {
		return err
	}
	server, err := b.startDaybook(ctx, filepath.Join(b.work, "visible"))
	if err != nil {
		return err
	}
	defer server.kill()
	w := &watch{known: server.knows, maker: maker, failed: make(chan error, 1)}
	before := server.cpu()
	o, err := load{addr: server.addr, connections: b.connections, rate: b.visibleRate,
		sent: func(i int, due time.Time) { w.start(ctx, i, due) }}.run(ctx, maker.requests(total, time.Now()))
	if err != nil {
		return err
	}
	used := server.cpu() - before
	times, err := w.wait()
	if err != nil {
		return err
	}
	b.report.line("%.0f webhooks/s, %d accounts watched, asking every %s; server %.1f cores",
		o.perSecond(), len(times), askEvery, used.Seconds()/o.took.Seconds())
	b.report.line("webhook answered: p50 %s, p99 %s", millis(percentile(o.latencies, 50)), millis(percentile(o.latencies, 99)))
	p99 := percentile(times, 99)
	b.report.target(p99 <= targetVisible, fmt.Sprintf("webhook to visible entitlement at %d/s", b.visibleRate),
		fmt.Sprintf("p50 %s, p99 %s, max %s", millis(percentile(times, 50)), millis(p99), millis(percentile(times, 100))),
		"p99 at most "+millis(targetVisible))
	return server.stop()
}

// watch follows sampled accounts until they are known.
type watch struct {
	// known reports whether an account is, and with which tier.
	known  func(ctx context.Context, account string) (known bool, tier string, err error)
	maker  *eventMaker
	group  sync.WaitGroup
	failed chan error // the first failure

	mu    sync.Mutex
	times []time.Duration
}

// start watches the account of the i-th event, if it is one of the sample.
func (w *watch) start(ctx context.Context, i int, due time.Time) {
	if !w.maker.opens(i) || i%sampleEvery != 0 {
		return
	}
	w.group.Go(func() {
		took, err := w.untilKnown(ctx, w.maker.account(i), due)
		if err != nil {
			select {
			case w.failed <- err:
			default:
			}
			return
		}
		w.mu.Lock()
		w.times = append(w.times, took)
		w.mu.Unlock()
	})
}

func (w *watch) untilKnown(ctx context.Context, account string, due time.Time) (time.Duration, error) {
	for {
		known, tier, err := w.known(ctx, account)
		took := time.Since(due)
		switch {
		case err != nil:
			return 0, fmt.Errorf("entitlement of %s: %w", account, err)
		case known && tier != "basic":
			return 0, fmt.Errorf("entitlement of %s: tier %q, want basic", account, tier)
		case known:
			return took, nil
		case took > giveUpAfter:
			return 0, fmt.Errorf("%s is not known after %s", account, giveUpAfter)
		}
		if err := sleepUntil(ctx, time.Now().Add(askEvery)); err != nil {
			return 0, err
		}
	}
}

// knows asks the API.
func (c *child) knows(ctx context.Context, account string) (known bool, tier string, err error) {
	var entitlement struct {
		Known bool   `json:"known"`
		Tier  string `json:"tier"`
	}
	code, err := c.get(ctx, "/v1/entitlements/"+account, &entitlement)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("answered %d", code)
	}
	return entitlement.Known, entitlement.Tier, err
}

// wait returns the times of all that were watched.
func (w *watch) wait() ([]time.Duration, error) {
	w.group.Wait()
	select {
	case err := <-w.failed:
		return nil, err
	default:
		return w.times, nil
	}
}
