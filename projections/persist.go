package projections

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The pauses between attempts.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// newPauses returns pauses that grow up to lastPause and differ by up to a half
// between those who wait, and of which there is no last.
func newPauses() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = firstPause, lastPause, 2, 0.5
	b.Reset()
	return b
}

// Persist does work again and again until ctx ends, and never gives up: at once
// after a success, and after a failure when a pause is over that grows with each
// in a row. Work that went well for long before it failed counts as a success.
// Report is told of each failure, and of the pause behind it.
func Persist(ctx context.Context, report func(err error, pause time.Duration), work func(context.Context) error) error {
	pauses := newPauses()
	for {
		started := time.Now()
		err := work(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || time.Since(started) > lastPause {
			pauses.Reset()
		}
		if err == nil {
			continue
		}
		pause := pauses.NextBackOff()
		report(err, pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}
