package main

import "github.com/daybookhq/daybook/api"

// parts are what the metrics tell of this node beyond what every node has.
func (n *node) parts() api.Parts {
	return api.Parts{Publishing: n.publishing(), Drift: n.drift, Sweeping: n.sweeping(), Traces: n.traces(),
		Lacking: func() bool { return n.historyLost() != nil },
		Silent:  func() bool { return n.traffic.Silence() != "" }}
}

// publishing is nil where nothing is published.
func (n *node) publishing() func() api.Publishing {
	if n.redis == nil {
		return nil
	}
	return func() api.Publishing {
		s := n.redis.publisher.Status()
		p := api.Publishing{Trouble: s.Outlet.LastError != "", Breaker: s.Outlet.Breaker, Leading: s.Leading,
			Waiting: s.Waiting, LagSeconds: s.LagSeconds, BeatAt: s.BeatAt,
			SkewSeconds: float64(s.SkewMillis) / 1000, Outcomes: s.Outcomes}
		if c := s.Check; c != nil && c.Error == "" {
			p.CheckedAt, p.Differing = c.At, c.Differing+c.Foreign+c.Orphans
		}
		return p
	}
}

func (n *node) drift() api.DriftFound {
	d := n.runner.Drift()
	if d == nil {
		return api.DriftFound{}
	}
	return api.DriftFound{At: d.At, Differences: d.Differences, Failed: d.Error != ""}
}

// sweeping is nil where Stripe is not asked.
func (n *node) sweeping() func() api.Sweeping {
	if !n.reconciler.Status().Configured {
		return nil
	}
	return func() api.Sweeping {
		s := n.reconciler.Status()
		return api.Sweeping{SweptAt: s.SweptAt, Failing: s.LastError != "", LastMissed: s.LastMissed,
			LastDiffering: s.LastDiffering, Missed: s.Missed, Differed: s.Differed, DisabledEndpoints: s.DisabledEndpoints}
	}
}

// traces is nil where none are delivered.
func (n *node) traces() func() api.Traces {
	if n.tracing == nil {
		return nil
	}
	return func() api.Traces {
		c := n.tracing.Counts()
		return api.Traces{Delivered: c.Delivered, Failed: c.Failed, Dropped: c.Dropped}
	}
}
