package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/projections/published"
)

// Examination is what an examined Redis is like.
type Examination struct {
	// Servers are those that have keys: one or, of a Cluster, each that answers.
	Servers []ServerFacts
	// Ours and Foreign count keys by whether they are Daybook's; Example is a
	// foreign one, empty if there is none. Whole says that all were counted.
	Ours, Foreign int
	Example       string
	Whole         bool
	// Heartbeat is what the latest publisher left, zero if there is none that can
	// be read.
	Heartbeat published.Heartbeat
	// Skew is how far our clock is ahead of that of Redis.
	Skew time.Duration
}

// ServerFacts is what a server tells of itself.
type ServerFacts struct {
	Version string
	// Replica says that it takes no writes, but from its master.
	Replica bool
	// Eviction is the policy of its memory, of which Limit bytes may be Used; 0 is
	// no limit.
	Eviction    string
	Limit, Used int64
	// SaveFailed says that it could not write to its disk what it was told to keep
	// there. It may then refuse to be written to.
	SaveFailed bool
}

// Before reports a version older than another one, of which each is a major and a
// minor number. One that cannot be read is older than any.
func (s ServerFacts) Before(major, minor int) bool {
	parts := strings.SplitN(s.Version, ".", 3)
	if len(parts) < 2 {
		return true
	}
	theirs, err := strconv.Atoi(parts[0])
	also, err2 := strconv.Atoi(parts[1])
	return errors.Join(err, err2) != nil || theirs < major || theirs == major && also < minor
}

// mostCounted bounds the keys that are looked at.
const mostCounted = 100_000

// Examine asks a Redis what it is like, with no more rights than publishing
// takes, and changes nothing. Every question is bounded by the options' timeouts.
func Examine(ctx context.Context, url string, opts Options) (Examination, error) {
	opts.setDefaults()
	connect, err := newClient(url, opts)
	if err != nil {
		return Examination{}, fmt.Errorf("the URL of Redis: %w", err)
	}
	silence()
	o := &Outlet{opts: opts, client: connect(), guard: newGuard(opts.Now)}
	defer o.client.Close()
	masters, err := o.masters(ctx)
	var e Examination
	for i := 0; err == nil && i < len(masters); i++ {
		err = o.examine(ctx, masters[i], &e)
	}
	if err == nil {
		err = o.examineClock(ctx, &e)
	}
	if err != nil {
		return e, fmt.Errorf("examine Redis: %w", err)
	}
	e.Whole = e.Ours+e.Foreign < mostCounted
	return e, nil
}

func (o *Outlet) examine(ctx context.Context, server client.Cmdable, e *Examination) error {
	var info string
	if err := o.do(ctx, func(ctx context.Context) (err error) {
		info, err = server.Info(ctx).Result()
		return err
	}); err != nil {
		return err
	}
	e.Servers = append(e.Servers, serverFacts(info))
	return o.countKeys(ctx, server, e)
}

func serverFacts(info string) (s ServerFacts) {
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "redis_version":
			s.Version = value
		case "role":
			s.Replica = value != "master"
		case "maxmemory_policy":
			s.Eviction = value
		case "maxmemory":
			s.Limit, _ = strconv.ParseInt(value, 10, 64) // 0 is no limit
		case "used_memory":
			s.Used, _ = strconv.ParseInt(value, 10, 64)
		case "rdb_last_bgsave_status", "aof_last_write_status":
			s.SaveFailed = s.SaveFailed || value == "err"
		}
	}
	return s
}

func (o *Outlet) countKeys(ctx context.Context, server client.Cmdable, e *Examination) error {
	for cursor := uint64(0); e.Ours+e.Foreign < mostCounted; {
		var keys []string
		err := o.do(ctx, func(ctx context.Context) (err error) {
			keys, cursor, err = server.Scan(ctx, cursor, "", pageOfKeys).Result()
			return err
		})
		if err != nil {
			return err
		}
		for _, key := range keys {
			if strings.HasPrefix(key, published.Prefix) || strings.HasPrefix(key, "daybook:") {
				e.Ours++
			} else {
				e.Foreign++
				e.Example = key
			}
		}
		if cursor == 0 {
			return nil
		}
	}
	return nil
}

// examineClock reads the time and the heartbeat.
func (o *Outlet) examineClock(ctx context.Context, e *Examination) error {
	return o.do(ctx, func(ctx context.Context) error {
		asked := o.opts.Now()
		theirs, err := o.client.Time(ctx).Result()
		if err != nil {
			return err
		}
		e.Skew = asked.Add(o.opts.Now().Sub(asked) / 2).Sub(theirs)
		value, err := o.client.Get(ctx, published.HeartbeatKey).Bytes()
		switch {
		case errors.Is(err, client.Nil), client.HasErrorPrefix(err, "WRONGTYPE"):
			return nil
		case err != nil:
			return err
		}
		e.Heartbeat, _ = published.OpenHeartbeat(value, o.opts.Keys) // a foreign one tells nothing
		return nil
	})
}
