package projections

import (
	"context"
	"math/rand/v2"
	"time"
)

// DriftCheck is what came of comparing the live model with one folded anew.
type DriftCheck struct {
	At          time.Time `json:"at"`
	TookSeconds float64   `json:"took_seconds"`
	// Position is the place in the log at which both were compared.
	Position uint64 `json:"position"`
	// Compared says that there was something to compare.
	Compared bool `json:"compared"`
	// Differences is how many there were; `daybook rebuild --dry-run` lists them.
	Differences int `json:"differences"`
	// Error is why it was not carried to its end, empty if it was.
	Error string `json:"error,omitempty"`
}

// WatchDrift folds the log from zero every so often, without haste, and compares
// the live model with that, until ctx ends. A difference is told, and nothing is
// changed: it is somebody's mistake, and should be seen before it is mended.
func (r *Runner) WatchDrift(ctx context.Context, every time.Duration) error {
	for {
		// Nodes that were started together do not all fold at once.
		if err := sleep(ctx, every-rand.N(every/4+1)); err != nil {
			return err
		}
		r.checkDrift(ctx)
	}
}

func (r *Runner) checkDrift(ctx context.Context) {
	check := &DriftCheck{At: r.opts.Now().UTC()}
	result, err := r.Rebuild(ctx, RebuildPlan{Compare: true, Keep: true, Gentle: true})
	if ctx.Err() != nil {
		return
	}
	check.TookSeconds = r.opts.Now().Sub(check.At).Seconds()
	check.Position, check.Compared, check.Differences = uint64(result.Checkpoint.Position), result.Compared, len(result.Differences)
	log := r.opts.Log.WithField("differences", check.Differences)
	switch {
	case err != nil:
		check.Error = err.Error()
		log.WithError(err).Warn("projection: the read model could not be compared with one folded anew")
	case check.Differences > 0:
		log.Error("projection: the read model has drifted from the log: daybook rebuild --dry-run lists the differences, and without it mends them")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drift = check
}

// Drift tells what the last check found, nil if there was none yet.
func (r *Runner) Drift() *DriftCheck {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drift
}
