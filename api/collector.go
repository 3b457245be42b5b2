package api

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybookhq/daybook/aggregate"
)

// The figures of every server. docs/OPERATIONS.md lists them, and a test holds
// the two together.
var (
	buildInfo     = gauge("build_info", "Always 1: the version that runs, and the Go that built it.", "version", "go_version")
	livemode      = gauge("livemode", "1 if events of live mode are posted, 0 if those of test mode are.")
	webhooks      = counter("webhooks_total", "Signed events by type and by what became of them.", "type", "outcome")
	signedBy      = counter("webhooks_signed_total", "Webhooks answered 200 by the fingerprint of the secret that signed them, as daybook config shows it.", "signer")
	variants      = counter("webhook_variants_dropped_total", "Events acknowledged as duplicates whose new content found no room.")
	signatures    = counter("webhook_signature_failures_total", "Webhooks refused for their signature, by what was wrong with it.", "fault")
	oversized     = counter("webhook_oversized_total", "Webhooks refused for their size.")
	refused       = counter("webhook_refused_total", "Webhooks refused for another reason.", "reason")
	lastEvent     = gauge("last_event_timestamp_seconds", "When a webhook was last recorded; missing if none is known.")
	storeUp       = gauge("store_up", "1 if the event store answers.")
	storeReached  = gauge("store_last_reached_timestamp_seconds", "When the event store last answered.")
	followerLag   = gauge("follower_lag_seconds", "How old the oldest event is that a follower of the log has not done.", "follower")
	followerStuck = gauge("follower_failing", "1 while a follower of the log does not go on.", "follower")
	modelUp       = gauge("read_model_up", "1 if the read model answers.")
	modelRebuild  = gauge("read_model_rebuilding", "1 while the read model is folded from zero.")
	postingFailed = gauge("posting_failures", "Events that are recorded but could not be posted.")
	parkedStreams = gauge("parked_streams", "Streams that the read model could not go on with; their accounts keep their last state.")
	accounts      = gauge("accounts", "Accounts in the read model.")
	subscriptions = gauge("subscriptions", "Subscriptions in the read model, by status.", "status")
	diskFree      = gauge("disk_free_bytes", "Room for the data dir; missing where it cannot be learnt.")
)

// collector reads the figures at each scrape from where the status reads them,
// so that the two never disagree.
type collector struct{ *Server }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range declared {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	e, st := emitter(to), c.processStatus(ctx)
	e.number(buildInfo, 1, st.Version, runtime.Version())
	e.yes(livemode, c.Livemode)
	c.webhooks(e, st.Webhooks)
	e.moment(lastEvent, st.LastEventAt)
	e.yes(storeUp, st.Store.Reachable)
	e.moment(storeReached, st.Store.LastReachedAt)
	for _, f := range st.Followers {
		e.number(followerLag, f.LagSeconds, f.Name)
		e.yes(followerStuck, f.Error != "", f.Name)
	}
	e.yes(modelRebuild, st.Rebuilding)
	if st.DiskFreeBytes != nil {
		e.count(diskFree, *st.DiskFreeBytes)
	}
	c.limits.emit(e)
	c.Connections.emit(e)
	c.model(ctx, e)
	c.work(e, st)
}

func (c collector) webhooks(e emitter, w WebhookCounts) {
	for name, n := range c.counters.events {
		e.count(webhooks, n.recorded.Load(), name, "recorded")
		e.count(webhooks, n.duplicate.Load(), name, "duplicate")
		e.count(webhooks, n.notDurable.Load(), name, "not_durable")
	}
	for _, fingerprint := range c.Verifier.Fingerprints() {
		c.counters.signedBy(fingerprint) // one that signs nothing is told, too
	}
	c.counters.signed.Range(func(fingerprint, n any) bool {
		e.count(signedBy, n.(*atomic.Uint64).Load(), fingerprint.(string))
		return true
	})
	e.count(variants, w.DroppedVariants)
	e.count(oversized, w.TooLarge)
	e.count(refused, w.NotAnEvent, "not_an_event")
	e.count(refused, w.Encoded, "encoded")
	e.count(refused, w.Unreadable, "unreadable")
	e.count(signatures, w.Signature.Missing, "missing")
	e.count(signatures, w.Signature.Malformed, "malformed")
	e.count(signatures, w.Signature.Mismatch, "mismatch")
	e.count(signatures, w.Signature.Stale, "stale")
	e.count(signatures, w.Signature.Future, "future")
}

// model tells what the read model counts: nothing, if it does not answer.
func (c collector) model(ctx context.Context, e emitter) {
	counts, err := c.Model.Counts(ctx)
	e.yes(modelUp, err == nil)
	if err != nil {
		c.Log.WithError(err).Warn("metrics: the read model does not answer")
		return
	}
	e.number(postingFailed, float64(counts["failures"]))
	e.number(parkedStreams, float64(counts["parked"]))
	e.number(accounts, float64(counts["accounts"]))
	others := counts["subscriptions"]
	for _, status := range []aggregate.Status{aggregate.Incomplete, aggregate.IncompleteExpired, aggregate.Trialing, aggregate.Active,
		aggregate.PastDue, aggregate.Unpaid, aggregate.Paused, aggregate.Canceled} {
		n := counts["subscriptions."+string(status)]
		others -= n
		e.number(subscriptions, float64(n), string(status))
	}
	e.number(subscriptions, float64(others), "other")
}
