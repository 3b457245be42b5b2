package reconcile

import (
	"fmt"
	"time"
)

// Status is what there is to know about reconciling, for people and machines.
type Status struct {
	// Configured says that Stripe can be asked.
	Configured bool `json:"configured"`
	// Backfilled says that a backfill was completed, and BackfilledAt when.
	Backfilled   bool      `json:"backfilled"`
	BackfilledAt time.Time `json:"backfilled_at,omitzero"`
	// SweptUntil is Stripe's time up to which no event is missing, SweptAt our
	// clock when that was found out last.
	SweptUntil time.Time `json:"swept_until,omitzero"`
	SweptAt    time.Time `json:"swept_at,omitzero"`
	// Sweeps counts them; Missed sums the events that a webhook should have
	// brought, Differed the objects that were not as Stripe answered.
	Sweeps   int64 `json:"sweeps"`
	Missed   int64 `json:"missed"`
	Differed int64 `json:"differed"`
	// LastMissed and LastDiffering are those of the last sweep of this process.
	LastMissed    int64 `json:"last_missed"`
	LastDiffering int64 `json:"last_differing"`
	// DisabledEndpoints counts the webhook endpoints that Stripe has disabled.
	DisabledEndpoints int `json:"disabled_endpoints"`
	// LastError is why the last sweep of this process failed, empty if it did not.
	LastError string `json:"last_error,omitempty"`
	// Alerts are sentences about what somebody should see to.
	Alerts []string `json:"alerts"`
}

// Status tells how things stand. It answers at once.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	s, last := r.state, r.last
	r.mu.Unlock()
	st := Status{Configured: r.API != nil, Backfilled: !s.BackfilledAt.IsZero(), BackfilledAt: s.BackfilledAt,
		SweptUntil: s.SweptUntil, SweptAt: s.SweptAt, Sweeps: s.Sweeps, Missed: s.Missed, Differed: s.Differed, Alerts: []string{}}
	if last.report != nil {
		st.LastMissed, st.LastDiffering = last.report.Missed, last.report.Differing
	}
	if last.err != nil {
		st.LastError = last.err.Error()
	}
	st.Alerts = append(st.Alerts, r.alerts(st)...)
	st.DisabledEndpoints = len(last.disabled)
	for _, url := range last.disabled {
		st.Alerts = append(st.Alerts, "the webhook endpoint "+url+" is disabled: Stripe sends nothing; enable it in Stripe's dashboard")
	}
	if r.Traffic != nil {
		if silence := r.Traffic.Silence(); silence != "" {
			st.Alerts = append(st.Alerts, silence)
		}
	}
	return st
}

func (r *Reconciler) alerts(st Status) []string {
	var alerts []string
	add := func(format string, args ...any) { alerts = append(alerts, fmt.Sprintf(format, args...)) }
	if r.Livemode && !st.Backfilled {
		add("not backfilled: customers from before Daybook look free until their next event; run daybook backfill")
	}
	if behind := r.Now().Sub(st.SweptUntil); !st.SweptUntil.IsZero() && behind > cliff {
		add("events were last compared with Stripe's %d days ago: Stripe lists them for 30 days only; run daybook reconcile", int(behind.Hours()/24))
	}
	if st.LastMissed > 0 {
		add("webhooks are being missed: the last sweep found %d events that none had brought; run daybook endpoint check", st.LastMissed)
	}
	if st.LastError != "" {
		add("the last sweep failed: %s", st.LastError)
	}
	return alerts
}
