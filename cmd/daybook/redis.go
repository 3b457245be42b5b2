package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
)

// The times of work that several servers share.
const (
	// turnEvery is how often a server looks whether it is its turn to post.
	turnEvery = 200 * time.Millisecond
	// driftEvery is how often, at most, the read model is compared with one that
	// is folded anew.
	driftEvery = 24 * time.Hour
)

// redisNode is what a node has to do with Redis: it publishes entitlements there
// if it is elected, and it posts then, too.
type redisNode struct {
	outlet    *redis.Outlet
	election  *redis.Election
	publisher *projections.Publisher
	leading   atomic.Bool
	// keys are those in force; they are for the one who reloads.
	keys published.Keys
}

// newFeed returns what the projection is to tell the publisher by, nil where
// nothing is published.
func (n *node) newFeed() *projections.Feed {
	if n.cfg.RedisURL == "" {
		return nil
	}
	return projections.NewFeed(systemClock)
}

// newRedis returns nil where nothing is published. It does not connect.
func (n *node) newRedis(feed *projections.Feed) (*redisNode, error) {
	if feed == nil {
		return nil, nil
	}
	outlet, err := redis.Open(n.cfg.RedisURL, redis.Options{
		Epoch: n.about.Epoch, FoundedAt: n.about.FoundedAt, Lease: n.cfg.EntitlementTTL, Keys: n.cfg.EntitlementKeys,
		ConnectTimeout: n.cfg.RedisConnectTimeout, CommandTimeout: n.cfg.RedisCommandTimeout, Now: systemClock,
	})
	if err != nil {
		return nil, err
	}
	r := &redisNode{outlet: outlet, keys: n.cfg.EntitlementKeys}
	r.election = redis.NewElection(outlet, processName(), 0, func(err error) { n.log.WithError(err).Debug("election") })
	r.publisher = projections.NewPublisher(projections.PublisherOptions{
		Outlet: outlet, Model: n.model, Feed: feed, Runner: n.runner, Store: n.store, Vouch: n.vouch, Lease: n.cfg.EntitlementTTL,
		OnPublished: n.tracing.Published(), Now: systemClock, Log: n.log,
	})
	return r, nil
}

// processName tells operators who leads.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// sharedWork is what a server does besides answering and projecting. Where there
// is a Redis, one server of several is elected to do it; they may all do it, and
// waste no more than effort.
func (n *node) sharedWork() (work []func(context.Context) error) {
	work = append(work, func(ctx context.Context) error { return ignoreEnd(ctx, n.runner.WatchDrift(ctx, driftEvery)) })
	if n.redis != nil {
		work = append(work, n.publish)
	}
	if !n.recordsOnly {
		work = append(work, n.postInTurn)
	}
	return work
}

// publish campaigns, and publishes while this process leads.
func (n *node) publish(ctx context.Context) error {
	err := n.redis.election.Lead(ctx, func(ctx context.Context, term projections.Term) error {
		if term.Elected() {
			n.log.Info("this process leads: it posts and publishes")
		} else {
			n.log.Warn("no leader can be elected, for Redis does not answer: this process posts, as every other does")
		}
		n.redis.leading.Store(true)
		defer n.redis.leading.Store(false)
		err := n.redis.publisher.Publish(ctx, term)
		n.log.Info("this process does not lead any more")
		return ignoreEnd(ctx, err)
	})
	return ignoreEnd(ctx, err)
}

// posts reports whether it is this process that should post.
func (n *node) posts() bool { return n.redis == nil || n.redis.leading.Load() }

// postInTurn posts while it is this process's turn.
func (n *node) postInTurn(ctx context.Context) error {
	if n.redis == nil {
		return n.poster.Run(ctx)
	}
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		if n.posts() {
			if err := n.postWhileInTurn(ctx, tick); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *node) postWhileInTurn(ctx context.Context, tick *time.Ticker) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	group.Go(func() error {
		defer stop()
		for n.posts() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	group.Go(func() error {
		defer stop()
		return n.poster.Run(ctx)
	})
	return group.Wait()
}

// publisherStatus tells of the publisher, nil where there is none.
func (n *node) publisherStatus() func() projections.PublisherStatus {
	if n.redis == nil {
		return nil
	}
	return n.redis.publisher.Status
}

// signWith signs what is published by other keys, if they are others.
func (n *node) signWith(keys published.Keys) {
	if n.redis == nil || slices.EqualFunc(keys, n.redis.keys, slices.Equal) {
		return
	}
	n.redis.keys = keys
	n.redis.outlet.SetKeys(keys)
	n.redis.publisher.Republish("the keys that sign were changed")
}

// republishWithin bounds how long a rebuild waits for what it left to publish.
const republishWithin = time.Minute

// republish publishes everything again, and tells what came of it. Where it does
// not come about in time it still will: nothing has to be done over.
func (n *node) republish(ctx context.Context) string {
	if n.redis == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, republishWithin)
	defer cancel()
	round := n.redis.publisher.Republish("the read model was rebuilt")
	done, err := n.redis.publisher.AwaitRound(ctx, round)
	status := n.redis.publisher.Status()
	switch {
	case err != nil:
		return "published: not yet, it will be when it can: " + cmp.Or(status.LastError, "it takes longer")
	case !done:
		return "published: this process does not lead; who does publishes what its own model says"
	}
	c := status.Check
	return fmt.Sprintf("published: %d entries, and %d removed that belong to no account", c.Entries-c.Orphans, c.Orphans)
}
