package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The targets of redis.
const (
	targetInRedis     = 100 * time.Millisecond
	targetPublish     = 2 * time.Second // of 100,000 accounts
	targetFresh       = 8 * time.Second // of 1,000,000 events
	targetRedisMemory = 1.2 * 1024      // bytes of an account
	targetRenewing    = 0.02            // of a core
	publishedWithin   = 10 * time.Minute
	benchKey          = "YSBrZXkgb2YgYSBtZWFzdXJlbWVudCwgMzIgYnl0ZXM=" // signing is measured, too
	entitlementPrefix = "entitlement:"
	keysBesides       = 2 // the heartbeat, and the lease of the leader
	askRedisEvery     = 2 * time.Millisecond
	// The store checks its file first, which takes a tenth of a core and so long
	// for each event.
	settlingBeforeIdle  = 20 * time.Second
	checkingEachEvent   = 80 * time.Microsecond
	accountsOfTarget    = 100_000
	eventsOfFreshTarget = 1_000_000
)

// measureRedis measures what comes of entitlements in Redis: how soon one
// webhook is seen there, how fast all are published, and what keeping them costs.
func measureRedis(ctx context.Context, b *bench) error {
	if err := b.visibleInRedis(ctx); err != nil {
		return err
	}
	dir := filepath.Join(b.work, "published")
	if err := b.foundStore(ctx, dir); err != nil {
		return fmt.Errorf("found a store: %w", err)
	}
	if err := writeHistory(ctx, dir, b.history, b.historyAccounts); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	redis, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer redis.kill()
	empty, err := redis.memory()
	if err != nil {
		return err
	}
	began := time.Now()
	server, err := b.startPublishing(ctx, dir, redis)
	if err != nil {
		return err
	}
	defer server.kill()
	if _, err := redis.awaitKeys(ctx, b.historyAccounts); err != nil {
		return err
	}
	took := time.Since(began)
	b.report.target(took <= scaled(targetFresh, b.history, eventsOfFreshTarget),
		fmt.Sprintf("%d events of %d accounts into a fresh model and Redis", b.history, b.historyAccounts),
		took.Round(time.Millisecond).String(), fmt.Sprintf("at most %s for %d", targetFresh, eventsOfFreshTarget))
	if err := b.memoryInRedis(redis, empty); err != nil {
		return err
	}
	if err := b.publishAgain(ctx, redis); err != nil {
		return err
	}
	return b.renewing(ctx, server)
}

// scaled is a target for another size than it was set for, if that is larger.
func scaled(target time.Duration, size, of int) time.Duration {
	return time.Duration(float64(target) * max(1, float64(size)/float64(of)))
}

func (b *bench) startPublishing(ctx context.Context, dir string, redis *redisServer) (*child, error) {
	return b.startDaybook(ctx, dir, "--redis-url", redis.url(), "--entitlement-key", benchKey)
}

// visibleInRedis is measureVisible, with readers that ask Redis.
func (b *bench) visibleInRedis(ctx context.Context) error {
	redis, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer redis.kill()
	total := b.visibleRate * b.visibleSeconds
	maker, err := newEventMaker("redis", (total+1)/2, time.Now())
	if err != nil {
		return err
	}
	server, err := b.startPublishing(ctx, filepath.Join(b.work, "redis"), redis)
	if err != nil {
		return err
	}
	defer server.kill()
	if err := awaitLeader(ctx, server); err != nil {
		return err
	}
	w := &watch{known: redis.knows, maker: maker, failed: make(chan error, 1)}
	o, err := load{addr: server.addr, connections: b.connections, rate: b.visibleRate,
		sent: func(i int, due time.Time) { w.start(ctx, i, due) }}.run(ctx, maker.requests(total, time.Now()))
	if err != nil {
		return err
	}
	times, err := w.wait()
	if err != nil {
		return err
	}
	p99 := percentile(times, 99)
	b.report.target(p99 <= targetInRedis, fmt.Sprintf("webhook to Redis at %d/s (%.0f/s reached)", b.visibleRate, o.perSecond()),
		fmt.Sprintf("p50 %s, p99 %s, max %s", millis(percentile(times, 50)), millis(p99), millis(percentile(times, 100))),
		"p99 at most "+millis(targetInRedis))
	return server.stop()
}

// awaitLeader waits until a server publishes.
func awaitLeader(ctx context.Context, server *child) error {
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); {
		var status struct {
			Publisher struct {
				Leading      bool   `json:"leading"`
				Republishing string `json:"republishing"`
				Checking     bool   `json:"checking"`
			} `json:"publisher"`
		}
		if _, err := server.get(ctx, "/v1/status", &status); err != nil {
			return err
		}
		if status.Publisher.Leading && status.Publisher.Republishing == "" && !status.Publisher.Checking {
			return nil
		}
		if err := sleepUntil(ctx, time.Now().Add(10*time.Millisecond)); err != nil {
			return err
		}
	}
	return errors.New("the server does not publish")
}

// knows asks Redis.
func (r *redisServer) knows(_ context.Context, account string) (known bool, tier string, err error) {
	value, err := r.do("GET", entitlementPrefix+account)
	if err != nil || value == "" {
		return false, "", err
	}
	var entitlement struct {
		Known bool   `json:"known"`
		Tier  string `json:"tier"`
	}
	err = json.NewDecoder(strings.NewReader(value)).Decode(&entitlement)
	return entitlement.Known, entitlement.Tier, err
}

// awaitKeys waits until Redis has the entitlements of so many accounts, and
// returns when it had the first.
func (r *redisServer) awaitKeys(ctx context.Context, accounts int) (first time.Time, err error) {
	for deadline := time.Now().Add(publishedWithin); ; {
		n, err := r.number("DBSIZE")
		switch {
		case err != nil:
			return first, err
		case n > keysBesides && first.IsZero():
			first = time.Now()
		case time.Now().After(deadline):
			return first, fmt.Errorf("only %d keys within %s", n, publishedWithin)
		}
		if n >= int64(accounts)+1 { // the leader's lease may be gone
			return first, nil
		}
		if err := sleepUntil(ctx, time.Now().Add(askRedisEvery)); err != nil {
			return first, err
		}
	}
}

func (b *bench) memoryInRedis(redis *redisServer, empty int64) error {
	full, err := redis.memory()
	if err != nil {
		return err
	}
	each := float64(full-empty) / float64(b.historyAccounts)
	b.report.target(each <= targetRedisMemory, "memory of Redis for an account", fmt.Sprintf("%.0f bytes", each), fmt.Sprintf("at most %.0f bytes", targetRedisMemory))
	return nil
}

// publishAgain empties Redis, and times how the keys come back.
func (b *bench) publishAgain(ctx context.Context, redis *redisServer) error {
	if _, err := redis.do("FLUSHALL"); err != nil {
		return err
	}
	emptied := time.Now()
	first, err := redis.awaitKeys(ctx, b.historyAccounts)
	if err != nil {
		return err
	}
	took := time.Since(first)
	b.report.line("Redis was emptied: every key was back after %s", time.Since(emptied).Round(time.Millisecond))
	b.report.target(took <= scaled(targetPublish, b.historyAccounts, accountsOfTarget), fmt.Sprintf("publishing %d accounts", b.historyAccounts),
		took.Round(time.Millisecond).String(), fmt.Sprintf("at most %s for %d", targetPublish, accountsOfTarget))
	return nil
}

// renewing watches a server that has nothing to do but to keep what is published.
func (b *bench) renewing(ctx context.Context, server *child) error {
	if err := sleepUntil(ctx, time.Now().Add(settlingBeforeIdle+time.Duration(b.history)*checkingEachEvent)); err != nil {
		return err
	}
	if err := awaitLeader(ctx, server); err != nil {
		return err
	}
	before, began := server.cpu(), time.Now()
	if err := sleepUntil(ctx, began.Add(time.Duration(b.renewSeconds)*time.Second)); err != nil {
		return err
	}
	share := (server.cpu() - before).Seconds() / time.Since(began).Seconds()
	b.report.target(share <= targetRenewing, fmt.Sprintf("a server that renews the leases of %d accounts every 5 minutes", b.historyAccounts),
		fmt.Sprintf("%.1f %% of a core", 100*share), fmt.Sprintf("at most %.0f %%", 100*targetRenewing))
	return server.stop()
}
