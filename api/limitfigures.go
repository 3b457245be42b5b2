package api

// The figures of limits.
var (
	limited     = counter("limited_total", "Requests turned away by a limit, by which.", "limit")
	rateBuckets = gauge("rate_buckets", "Clients whose rate is being watched, by kind of limit.", "limit")
	connections = gauge("connections", "Connections that are open.")
	shunned     = counter("connections_refused_total", "Connections not let in, of addresses with a long line of refusals waiting.")
	evicted     = counter("connections_evicted_total", "Connections cut off to make room for new ones, each having waited for its client the longest.")
)

func (l *limits) emit(e emitter) {
	c := &l.counts
	e.count(limited, c.key.Load(), "key")
	e.count(limited, c.address.Load(), "address")
	e.count(limited, c.webhooks.Load(), "webhooks")
	e.count(limited, c.refusals.Load(), "refusals")
	e.count(limited, c.requestsAtOnce.Load(), "requests_at_once")
	e.count(limited, c.webhooksAtOnce.Load(), "webhooks_at_once")
	e.count(limited, c.bodies.Load(), "large_bodies")
	e.number(rateBuckets, float64(l.keys.len()), "key")
	e.number(rateBuckets, float64(l.addresses.len()), "address")
	e.number(rateBuckets, float64(l.webhooks.len()), "webhooks")
	e.number(rateBuckets, float64(l.refusals.len()), "refusals")
}

func (c *Connections) emit(e emitter) {
	if c == nil {
		return
	}
	open, cut := c.count()
	e.count(shunned, c.shunned.Load())
	e.number(connections, float64(open))
	e.count(evicted, cut)
}
