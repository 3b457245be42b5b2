package api

import (
	"context"
	"time"
)

// Tally sums over all servers of one store what each has spent of its buckets.
type Tally interface {
	// Add adds to the sums of these names, and returns what they are then. A sum
	// that nobody adds to for a minute or more may begin anew.
	Add(ctx context.Context, spent map[string]int64) (sums map[string]int64, err error)
}

// The times and sizes of sharing.
const (
	// shareEvery is how far behind a server is with what others spent.
	shareEvery = 200 * time.Millisecond
	// shareTimeout bounds one exchange. What was given with one that fails is not
	// given again: it may have arrived.
	shareTimeout = 2 * time.Second
	// shareAtOnce bounds the buckets of each kind in one exchange; the others wait.
	shareAtOnce = 1000
)

// ShareLimits tells other servers by way of the tally what was spent here, and
// takes what they spent from the buckets here, until ctx ends. No request waits
// for it: while the tally does not answer, each server limits by itself.
//
// So n servers together let through, besides the rate, at most n bursts and what
// n servers let through in the time of one exchange.
func (s *Server) ShareLimits(ctx context.Context, tally Tally) {
	ticker := time.NewTicker(shareEvery)
	defer ticker.Stop()
	for failing := false; ; {
		err := s.limits.share(ctx, tally, s.now)
		if err != nil && ctx.Err() == nil && !failing {
			s.Log.WithError(err).Warn("rate limits are not shared with other servers: each limits by itself")
		} else if err == nil && failing {
			s.Log.Info("rate limits are shared with other servers again")
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// share makes one exchange.
func (l *limits) share(ctx context.Context, tally Tally, now func() time.Time) error {
	keys, addresses, webhooks := l.keys.unsharedPortions(shareAtOnce), l.addresses.unsharedPortions(shareAtOnce), l.webhooks.unsharedPortions(shareAtOnce)
	spent := make(map[string]int64, len(keys)+len(addresses)+len(webhooks))
	for _, portions := range [][]portion{keys, addresses, webhooks} {
		for _, p := range portions {
			spent[p.name] = p.spent
		}
	}
	if len(spent) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	sums, err := tally.Add(ctx, spent)
	if err != nil {
		l.keys.miss(keys)
		l.addresses.miss(addresses)
		l.webhooks.miss(webhooks)
		return err
	}
	at := now()
	l.keys.settle(keys, sums, at)
	l.addresses.settle(addresses, sums, at)
	l.webhooks.settle(webhooks, sums, at)
	return nil
}
