package posting

// Outcome says what became of one Stripe event that was posted again.
type Outcome string

// The outcomes.
const (
	// OutcomePosted: facts were added, superseded by corrected ones, or retracted.
	OutcomePosted Outcome = "posted"
	// OutcomeUnchanged: everything that it gives is there already.
	OutcomeUnchanged Outcome = "unchanged"
	// OutcomeSkipped: it is not one to post; the reason says why.
	OutcomeSkipped Outcome = "skipped"
	// OutcomeFailed: it cannot be posted; the reason says why.
	OutcomeFailed Outcome = "failed"
	// OutcomeUnknown: it was never recorded.
	OutcomeUnknown Outcome = "unknown"
)

// RepostedEvent is what became of one Stripe event.
type RepostedEvent struct {
	StripeEventID string  `json:"stripe_event_id"`
	EventType     string  `json:"event_type,omitempty"`
	Outcome       Outcome `json:"outcome"`
	// Added counts new facts, Corrected those that took the place of others, and
	// Retracted those that are out of force, because the event does not state them
	// there any more.
	Added     int `json:"added"`
	Corrected int `json:"corrected"`
	Retracted int `json:"retracted"`
	// Repaired says that the event had failed before.
	Repaired bool   `json:"repaired,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Reposted is what became of all.
type Reposted struct {
	// Looked counts the events that were chosen.
	Looked    int64 `json:"looked"`
	Added     int64 `json:"added"`
	Corrected int64 `json:"corrected"`
	Retracted int64 `json:"retracted"`
	Repaired  int64 `json:"repaired"`
	Failed    int64 `json:"failed"`
	// Events are those of which there is something to tell: all that were
	// chosen by id, else what changed or failed, up to a bound. MoreEvents
	// counts the rest.
	Events     []RepostedEvent `json:"events"`
	MoreEvents int64           `json:"more_events,omitempty"`
	// Rehearsed says that nothing was changed.
	Rehearsed bool `json:"dry_run,omitempty"`
}

// maxListedEvents bounds what Reposted lists.
const maxListedEvents = 1000

// tell adds an event to the result.
func (r *repost) tell(e RepostedEvent) {
	sum := &r.result
	sum.Looked++
	sum.Added += int64(e.Added)
	sum.Corrected += int64(e.Corrected)
	sum.Retracted += int64(e.Retracted)
	if e.Repaired {
		sum.Repaired++
	}
	failed := e.Outcome == OutcomeFailed || e.Outcome == OutcomeUnknown
	if failed {
		sum.Failed++
	}
	switch {
	case len(r.plan.Events) == 0 && !failed && !e.Repaired && e.Outcome != OutcomePosted:
	case len(sum.Events) < maxListedEvents:
		sum.Events = append(sum.Events, e)
	default:
		sum.MoreEvents++
	}
}
