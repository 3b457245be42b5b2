package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
)

// Silence is for how long a heartbeat keeps a server for its store.
const Silence = 30 * time.Second

// Why everything has to be published again.
const (
	becauseFirst    = "this is the first beat"
	becauseServer   = "the server is another one, or was started again"
	becauseEmptied  = "the server was emptied"
	becauseTaken    = "another publisher fell silent"
	becauseReplaced = "the heartbeat was foreign or forged"
)

// Told implements projections.Outlet.
func (o *Outlet) Told(ctx context.Context) (projections.Told, error) {
	var value []byte
	var wrongType bool
	err := o.do(ctx, func(ctx context.Context) (err error) {
		value, err = o.client.Get(ctx, published.HeartbeatKey).Bytes()
		if wrongType = client.HasErrorPrefix(err, "WRONGTYPE"); wrongType || errors.Is(err, client.Nil) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return projections.Told{}, fmt.Errorf("read the heartbeat: %w", err)
	case wrongType:
		return projections.Told{Ignored: errWrongType.Error()}, nil
	case value == nil:
		return projections.Told{}, nil
	}
	h, err := published.OpenHeartbeat(value, *o.keys.Load())
	if err != nil {
		return projections.Told{Ignored: err.Error()}, nil
	}
	return projections.Told{Epoch: h.Epoch, FoundedAt: h.FoundedAt, Position: eventstore.Position(h.Position), At: h.At}, nil
}

// Beat implements projections.Outlet.
func (o *Outlet) Beat(ctx context.Context, position eventstore.Position, now time.Time) (projections.Beat, error) {
	servers, err := o.askServers(ctx)
	if err != nil {
		return projections.Beat{}, fmt.Errorf("beat: %w", err)
	}
	beat, reason, err := o.beat(ctx, position, now)
	if err != nil {
		return beat, fmt.Errorf("beat: %w", err)
	}
	if beat.Occupied != "" || beat.Skew.Abs() > projections.MaxSkew {
		o.forget() // nothing can be published: once it can, begin anew
		return beat, nil
	}
	if changed := o.remember(servers); changed != "" {
		reason = changed
	}
	beat.Republish = reason
	return beat, nil
}

func (o *Outlet) beat(ctx context.Context, position eventstore.Position, now time.Time) (beat projections.Beat, reason string, err error) {
	h := published.Heartbeat{Position: uint64(position), At: now, Epoch: o.opts.Epoch, FoundedAt: *o.founded.Load()}
	value, err := h.Seal(*o.keys.Load())
	if err != nil {
		return beat, "", err
	}
	c := &call{key: published.HeartbeatKey, args: []any{value, h.Order().String(), h.At.UnixMilli(),
		projections.MaxSkew.Milliseconds(), Silence.Milliseconds(), ""}}
	if err := o.runBeat(ctx, c); err != nil {
		return beat, "", err
	}
	there := c.text(2)
	if word := c.word(); (word == "behind" || word == "occupied") && o.keys.Load().Verify(published.HeartbeatKey, there) != nil {
		c.args[5] = there // nobody has to give way to what is forged
		if err := o.runBeat(ctx, c); err != nil {
			return beat, "", err
		}
	}
	theirs, err := c.number(1)
	if err != nil {
		return beat, "", err
	}
	beat.Skew = now.Sub(time.UnixMilli(theirs))
	switch c.word() {
	case "beaten", "skewed":
	case "first":
		reason = becauseEmptied
	case "replaced":
		reason = becauseReplaced
	case "taken_over":
		reason = becauseTaken
	case "behind":
		beat.Behind = true
	case "occupied":
		beat.Occupied = o.occupant(c.text(2))
	case "wrong_type":
		return beat, "", &fault{kind: errWrongType}
	default:
		return beat, "", errOddReply
	}
	return beat, reason, nil
}

var errWrongType = fmt.Errorf("the key %s holds something that is no string: remove it", published.HeartbeatKey)

// occupant names the store of a heartbeat: ours, too, as it was before it was
// restored.
func (o *Outlet) occupant(value []byte) string {
	h, err := published.OpenHeartbeat(value, nil)
	switch {
	case err != nil:
		return "unknown"
	case h.Epoch == o.opts.Epoch:
		return h.Epoch + ", as it was before it was restored,"
	}
	return h.Epoch
}

func (o *Outlet) runBeat(ctx context.Context, c *call) error {
	return o.do(ctx, func(ctx context.Context) error {
		runAll(ctx, o.client, beatScript, []*call{c})
		return c.err
	})
}

// askServers returns the replication ids of all masters that answer, and whether
// all did. A server has another one after every start and every failover.
func (o *Outlet) askServers(ctx context.Context) (ids map[string]bool, err error) {
	ids = map[string]bool{}
	err = o.do(ctx, func(ctx context.Context) error {
		cluster, ok := o.client.(*client.ClusterClient)
		if !ok {
			id, err := replicationID(ctx, o.client)
			ids[id] = true
			return err
		}
		var mu sync.Mutex
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *client.Client) error {
			id, err := replicationID(ctx, c)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				ids[id] = true
			}
			return err
		})
		if len(ids) > 0 {
			return nil // those that are away are missed by what is written to them
		}
		return err
	})
	return ids, err
}

func replicationID(ctx context.Context, c client.Cmdable) (string, error) {
	info, err := c.Info(ctx, "replication").Result()
	if err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if id, found := strings.CutPrefix(lines.Text(), "master_replid:"); found {
			return id, nil
		}
	}
	return "", fmt.Errorf("%w (INFO replication has no master_replid)", errOddReply)
}

// remember keeps the servers' ids, and tells why everything must be published
// again, if one is new.
func (o *Outlet) remember(ids map[string]bool) (reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.servers == nil {
		o.servers = map[string]bool{}
		reason = becauseFirst
	}
	fresh := false
	for id := range ids {
		if !o.servers[id] {
			fresh = true
		}
	}
	if fresh && reason == "" {
		reason = becauseServer
	}
	if fresh {
		// Those that did not answer are forgotten, and are news when they do.
		o.servers = ids
	}
	return reason
}

func (o *Outlet) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.servers = nil
}
