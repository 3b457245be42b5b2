package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
)

// pageOfKeys is about how many keys a server looks at for one page.
const pageOfKeys = 500

// Walk implements projections.Outlet.
func (o *Outlet) Walk(ctx context.Context, fn func([]projections.PublishedEntry) error) error {
	masters, err := o.masters(ctx)
	for i := 0; err == nil && i < len(masters); i++ {
		err = o.walk(ctx, masters[i], fn)
	}
	if err != nil {
		return fmt.Errorf("list what is published: %w", err)
	}
	return nil
}

// masters are the servers that have keys.
func (o *Outlet) masters(ctx context.Context) (masters []client.Cmdable, err error) {
	cluster, ok := o.client.(*client.ClusterClient)
	if !ok {
		return []client.Cmdable{o.client}, nil
	}
	err = o.do(ctx, func(ctx context.Context) error {
		var mu sync.Mutex
		masters = nil
		return cluster.ForEachMaster(ctx, func(_ context.Context, c *client.Client) error {
			mu.Lock()
			defer mu.Unlock()
			masters = append(masters, c)
			return nil
		})
	})
	return masters, err
}

func (o *Outlet) walk(ctx context.Context, server client.Cmdable, fn func([]projections.PublishedEntry) error) error {
	for cursor := uint64(0); ; {
		var keys []string
		err := o.do(ctx, func(ctx context.Context) (err error) {
			keys, cursor, err = server.Scan(ctx, cursor, published.Prefix+"*", pageOfKeys).Result()
			return err
		})
		if err != nil {
			return err
		}
		page, err := o.read(ctx, keys)
		if err == nil && len(page) > 0 {
			err = fn(page)
		}
		if err != nil || cursor == 0 {
			return err
		}
	}
}

// read gets the values of keys. Those that are gone, or that are no strings, are
// left out, and so are keys that no account can have.
func (o *Outlet) read(ctx context.Context, keys []string) (page []projections.PublishedEntry, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	err = o.do(ctx, func(ctx context.Context) error {
		page = page[:0]
		pipeline := o.client.Pipeline()
		for _, key := range keys {
			pipeline.Get(ctx, key)
		}
		commands, _ := pipeline.Exec(ctx) // each command has its own error
		for i, command := range commands {
			value, err := command.(*client.StringCmd).Bytes()
			account, ours := published.AccountOf(keys[i])
			switch {
			case errors.Is(err, client.Nil), client.HasErrorPrefix(err, "WRONGTYPE"):
			case err != nil:
				return err
			case ours:
				page = append(page, projections.PublishedEntry{Account: account, Value: value})
			}
		}
		return nil
	})
	return page, err
}
