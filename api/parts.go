package api

import "time"

// Parts tell of what not every server has; what is nil is not there. They are
// asked at every scrape, and must answer at once.
type Parts struct {
	Publishing func() Publishing
	Drift      func() DriftFound
	Sweeping   func() Sweeping
	Traces     func() Traces
	// Lacking says that the store is known to lack history, as after a restore.
	Lacking func() bool
	// Silent says that no webhook comes though at these hours there always are
	// some.
	Silent func() bool
}

// Publishing is how the publishing of entitlements to Redis is doing.
type Publishing struct {
	// Trouble says that Redis does not work now.
	Trouble bool
	// Breaker is "closed", "open" or "half-open".
	Breaker string
	// Leading says that this process publishes; LagSeconds is how long the oldest
	// of the Waiting changes has been waiting.
	Leading    bool
	Waiting    int
	LagSeconds float64
	// BeatAt is when the heartbeat was last written, and SkewSeconds how far our
	// clock is ahead of that of Redis.
	BeatAt      time.Time
	SkewSeconds float64
	// Outcomes count publications by what became of them.
	Outcomes map[string]uint64
	// CheckedAt is when what is published was last compared with the read model,
	// zero if never, and Differing how many entries were not as they should be.
	CheckedAt time.Time
	Differing int
}

// DriftFound is what the last comparison of the read model with one folded from
// zero found. At is zero if there was none yet.
type DriftFound struct {
	At          time.Time
	Differences int
	Failed      bool
}

// Sweeping is how the record compares with Stripe's own.
type Sweeping struct {
	// SweptAt is when they were last compared, zero if never; Failing says that
	// the last attempt failed.
	SweptAt time.Time
	Failing bool
	// LastMissed and LastDiffering are what the last sweep found; Missed and
	// Differed sum what all did.
	LastMissed, LastDiffering int64
	Missed, Differed          int64
	// DisabledEndpoints counts those that Stripe has given up.
	DisabledEndpoints int
}

// Traces tells what became of the spans of traces.
type Traces struct {
	// Delivered were taken by the collector, Failed were not; Dropped found no room
	// among those that wait for it.
	Delivered, Failed, Dropped uint64
}

// The figures of parts.
var (
	redisUp          = gauge("redis_up", "1 if Redis works.")
	redisBreaker     = gauge("redis_breaker", "1 for the state that the circuit breaker before Redis is in.", "state")
	publisherLeading = gauge("publisher_leading", "1 if this process publishes entitlements.")
	publisherWaiting = gauge("publisher_waiting", "Changes that are not published yet.")
	publisherLag     = gauge("publisher_lag_seconds", "How long the oldest change has been waiting to be published.")
	publisherBeat    = gauge("publisher_heartbeat_timestamp_seconds", "When the heartbeat in Redis was last written.")
	clockSkew        = gauge("clock_skew_seconds", "How far this machine's clock is ahead of that of Redis.")
	publications     = counter("publications_total", "Entitlements published, by what became of them.", "outcome")
	publishedChecked = gauge("published_check_timestamp_seconds", "When what is in Redis was last compared with the read model.")
	publishedWrong   = gauge("published_differing_entries", "Entries in Redis that were not as they should be at the last comparison.")

	driftChecked = gauge("read_model_check_timestamp_seconds", "When the read model was last compared with one folded from zero.")
	driftFailed  = gauge("read_model_check_failed", "1 if that comparison could not be carried to its end.")
	driftFound   = gauge("read_model_differences", "Differences that it found.")

	sweptAt       = gauge("sweep_timestamp_seconds", "When the record was last compared with Stripe's list of events.")
	sweepFailing  = gauge("sweep_failing", "1 if the last comparison with Stripe failed.")
	sweepMissed   = gauge("sweep_last_missed_events", "Events that no webhook had brought, at the last comparison.")
	sweepDiffer   = gauge("sweep_last_differing_objects", "Objects that were not as Stripe has them, at the last comparison.")
	sweptMissed   = counter("sweep_missed_events_total", "Events that no webhook had brought, of all comparisons.")
	sweptDiffered = counter("sweep_differing_objects_total", "Objects that were not as Stripe has them, of all comparisons.")
	endpointsOff  = gauge("webhook_endpoints_disabled", "Webhook endpoints of ours that Stripe has disabled.")
	historyGone   = gauge("history_lost", "1 while the store is known to lack history that it had, as after a restore from a backup.")
	webhookHush   = gauge("webhooks_silent", "1 if no webhook comes, though in the same hours of every week before there were some.")

	traceSpans = counter("trace_spans_total", "Spans of traces, by what became of them.", "outcome")

	partFigures = []figure{redisUp, redisBreaker, publisherLeading, publisherWaiting, publisherLag, publisherBeat, clockSkew,
		publications, publishedChecked, publishedWrong, driftChecked, driftFailed, driftFound, sweptAt, sweepFailing, sweepMissed,
		sweepDiffer, sweptMissed, sweptDiffered, endpointsOff, historyGone, webhookHush, traceSpans}
)

func (p Parts) emit(e emitter) {
	if p.Publishing != nil {
		p.Publishing().emit(e)
	}
	if p.Drift != nil {
		p.Drift().emit(e)
	}
	if p.Sweeping != nil {
		p.Sweeping().emit(e)
	}
	if p.Lacking != nil {
		e.yes(historyGone, p.Lacking())
	}
	if p.Traces != nil {
		t := p.Traces()
		e.count(traceSpans, t.Delivered, "delivered")
		e.count(traceSpans, t.Failed, "failed")
		e.count(traceSpans, t.Dropped, "dropped")
	}
	if p.Silent != nil {
		e.yes(webhookHush, p.Silent())
	}
}

func (p Publishing) emit(e emitter) {
	e.yes(redisUp, !p.Trouble)
	for _, state := range []string{"closed", "open", "half-open"} {
		e.yes(redisBreaker, p.Breaker == state, state)
	}
	e.yes(publisherLeading, p.Leading)
	e.number(publisherWaiting, float64(p.Waiting))
	e.number(publisherLag, p.LagSeconds)
	e.moment(publisherBeat, p.BeatAt)
	e.number(clockSkew, p.SkewSeconds)
	for outcome, n := range p.Outcomes {
		e.count(publications, n, outcome)
	}
	if e.moment(publishedChecked, p.CheckedAt); !p.CheckedAt.IsZero() {
		e.number(publishedWrong, float64(p.Differing))
	}
}

func (d DriftFound) emit(e emitter) {
	if d.At.IsZero() {
		return
	}
	e.moment(driftChecked, d.At)
	e.yes(driftFailed, d.Failed)
	e.number(driftFound, float64(d.Differences))
}

func (s Sweeping) emit(e emitter) {
	e.moment(sweptAt, s.SweptAt)
	e.yes(sweepFailing, s.Failing)
	e.number(sweepMissed, float64(s.LastMissed))
	e.number(sweepDiffer, float64(s.LastDiffering))
	e.number(sweptMissed, float64(s.Missed))
	e.number(sweptDiffered, float64(s.Differed))
	e.number(endpointsOff, float64(s.DisabledEndpoints))
}
