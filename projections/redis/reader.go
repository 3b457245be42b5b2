package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/projections/published"
)

// ErrMissing: nothing is published of the account. It is unknown, which is not
// the same as free.
var ErrMissing = errors.New("no entitlement is published of this account")

// Reader reads entitlements as readers outside should. It is an example as much
// as a tool: all it knows of Daybook is package published.
type Reader struct {
	client client.Cmdable
	keys   published.Keys
	now    func() time.Time
}

// NewReader returns a reader that believes only what one of the keys has signed,
// or, without keys, what is there.
func NewReader(c client.Cmdable, keys published.Keys, now func() time.Time) *Reader {
	return &Reader{client: c, keys: keys, now: now}
}

// Entitlement returns what is published of an account. Each error means that
// nothing is known: ErrMissing, one of package published, or the client's.
func (r *Reader) Entitlement(ctx context.Context, account string) (published.Entry, error) {
	value, err := r.client.Get(ctx, published.Key(account)).Bytes()
	if errors.Is(err, client.Nil) {
		return published.Entry{}, ErrMissing
	}
	if err != nil {
		return published.Entry{}, fmt.Errorf("read the entitlement: %w", err)
	}
	return published.Open(account, value, r.keys, r.now())
}
