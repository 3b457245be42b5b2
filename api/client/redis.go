package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/projections/published"
)

// Getter reads the string at a key of Redis, with whatever client the program
// has. A key that is not there may be an error or nothing: either way the API is
// asked. It must return when ctx ends.
type Getter interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// redisTimeout bounds a read: one that takes longer than this is of no use, for
// the API would have answered.
const redisTimeout = 100 * time.Millisecond

// published reads the entry of an account. Without an entry that counts it
// returns why; both are nil where no Redis is read.
func (c *Client) published(ctx context.Context, account string) (*Entitlement, error) {
	if c.redis == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	value, err := c.redis.Get(ctx, published.Key(account))
	if err == nil && len(value) == 0 {
		err = errors.New("there is no entry")
	}
	if err != nil {
		return nil, fmt.Errorf("in Redis: %w", err)
	}
	entry, err := published.Open(account, value, c.keys, c.now())
	if err != nil {
		return nil, fmt.Errorf("in Redis: %w", err)
	}
	return &entry.Entitlement, nil
}
