package redis

import (
	"context"
	"fmt"
	"time"

	client "github.com/redis/go-redis/v9"
)

// tallyKept is how long a sum is kept that nobody adds to.
const tallyKept = 2 * time.Minute

// Tally sums numbers over all servers of one store. It is nothing that must be
// right: a sum that is lost begins anew.
type Tally struct {
	outlet *Outlet
	guard  *guard
}

// Tally returns the tally in the outlet's Redis. Its trouble is its own: it does
// not keep the outlet from publishing.
func (o *Outlet) Tally() *Tally { return &Tally{outlet: o, guard: newGuard(o.opts.Now)} }

// Add adds to the sums of these names, in one round trip to each server, and
// returns what they are then.
func (t *Tally) Add(ctx context.Context, spent map[string]int64) (map[string]int64, error) {
	sums := make(map[string]int64, len(spent))
	err := t.outlet.within(ctx, t.guard, func(ctx context.Context) error {
		pipeline := t.outlet.client.Pipeline()
		replies := make(map[string]*client.IntCmd, len(spent))
		for name, n := range spent {
			key := "daybook:rate:" + t.outlet.opts.Epoch + ":" + name
			replies[name] = pipeline.IncrBy(ctx, key, n)
			pipeline.Expire(ctx, key, tallyKept)
		}
		_, err := pipeline.Exec(ctx)
		for name, reply := range replies {
			if reply.Err() == nil {
				sums[name] = reply.Val()
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("add to the tally: %w", err)
	}
	return sums, nil
}
