package api

import (
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/projections"
)

// The figures of the work behind the routes. What a server does not do has none,
// and neither has what is not known yet.
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
)

// work tells of the work behind the routes.
func (c collector) work(e emitter, st Status) {
	if st.Publisher != nil {
		e.publisher(*st.Publisher)
	}
	if st.Drift != nil {
		e.moment(driftChecked, st.Drift.At)
		e.yes(driftFailed, st.Drift.Error != "")
		e.number(driftFound, float64(st.Drift.Differences))
	}
	if st.Reconciliation != nil && st.Reconciliation.Configured {
		e.sweeps(*st.Reconciliation)
	}
	if c.HistoryLost != nil {
		e.yes(historyGone, st.HistoryLost != nil)
	}
	if c.Silent != nil {
		e.yes(webhookHush, c.Silent())
	}
	if c.Spans != nil {
		n := c.Spans()
		e.count(traceSpans, n.Delivered, "delivered")
		e.count(traceSpans, n.Failed, "failed")
		e.count(traceSpans, n.Dropped, "dropped")
	}
}

func (e emitter) publisher(p projections.PublisherStatus) {
	e.yes(redisUp, p.Outlet.LastError == "")
	for _, state := range []string{"closed", "open", "half-open"} {
		e.yes(redisBreaker, p.Outlet.Breaker == state, state)
	}
	e.yes(publisherLeading, p.Leading)
	e.number(publisherWaiting, float64(p.Waiting))
	e.number(publisherLag, p.LagSeconds)
	e.moment(publisherBeat, p.BeatAt)
	e.number(clockSkew, float64(p.SkewMillis)/1000)
	for outcome, n := range p.Outcomes {
		e.count(publications, n, outcome)
	}
	if c := p.Check; c != nil && c.Error == "" {
		e.moment(publishedChecked, c.At)
		e.number(publishedWrong, float64(c.Differing+c.Foreign+c.Orphans))
	}
}

func (e emitter) sweeps(s reconcile.Status) {
	e.moment(sweptAt, s.SweptAt)
	e.yes(sweepFailing, s.LastError != "")
	e.number(sweepMissed, float64(s.LastMissed))
	e.number(sweepDiffer, float64(s.LastDiffering))
	e.number(sweptMissed, float64(s.Missed))
	e.number(sweptDiffered, float64(s.Differed))
	e.number(endpointsOff, float64(s.DisabledEndpoints))
}
