package posting

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// Selection says which Stripe events to post again: by exactly one of its fields.
type Selection struct {
	// Events are Stripe event ids.
	Events []string
	// Failed chooses those that could not be posted.
	Failed bool
	// Unposted chooses those that have facts to give which are not there,
	// because an earlier build did not post their type. What is there stays.
	Unposted bool
	// Type chooses all of a Stripe type, after a fix in how it is read.
	Type string
}

// Check reports a selection that chooses nothing, or in two ways, or a type of
// which there is nothing to post.
func (s Selection) Check() error {
	ways := 0
	for _, way := range []bool{len(s.Events) > 0, s.Failed, s.Unposted, s.Type != ""} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("choose the events to post again in one way: by their ids, those that failed, those that are unposted, or by type")
	}
	if s.Type != "" && !intake.Posted(s.Type) {
		return fmt.Errorf("events of type %q are recorded only: there is nothing to post", s.Type)
	}
	return nil
}

// manner is how the facts of a selection meet those that are there.
func (s Selection) manner() manner {
	if s.Unposted {
		return missing
	}
	return corrected
}

// Outcome says what became of one Stripe event that was posted again.
type Outcome string

// The outcomes.
const (
	// OutcomePosted: facts were added, or superseded by corrected ones.
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
	// Added counts new facts, Corrected those that took the place of others.
	Added     int `json:"added"`
	Corrected int `json:"corrected"`
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

// RepostPlan says what to post again, and how.
type RepostPlan struct {
	Selection
	// Rehearse finds out what would change, and changes nothing.
	Rehearse bool
	// Progress is told how far the work is; nil for not.
	Progress func(done, total int64)
}

// Repost posts journal entries again, each the one of its Stripe event that
// gets posted, as this build reads it. Facts that are not there are added; one
// that says something else than the one there supersedes it; nothing else
// changes, so that it may be repeated, by anyone, any number of times, and
// beside Run. What had failed and now works is recorded as repaired.
func (p *Poster) Repost(ctx context.Context, plan RepostPlan) (Reposted, error) {
	if err := plan.Check(); err != nil {
		return Reposted{}, err
	}
	outcomes, err := p.loadOutcomes(ctx)
	if err != nil {
		return Reposted{}, err
	}
	r := &repost{Poster: p, plan: plan, outcomes: outcomes, cache: newLedgers(p.Store),
		result: Reposted{Events: []RepostedEvent{}, Rehearsed: plan.Rehearse}}
	switch {
	case plan.Type != "" || plan.Unposted:
		err = r.scan(ctx)
	case plan.Failed:
		err = r.postByID(ctx, withOutcome(outcomes, FailedType))
	default:
		err = r.postByID(ctx, unique(plan.Events))
	}
	return r.result, err
}

// repost is one under way.
type repost struct {
	*Poster
	plan     RepostPlan
	outcomes map[string]string
	// cache is its own: that of Run is Run's alone.
	cache  *ledgers
	result Reposted
}

func (r *repost) progress(done, total int64) {
	if r.plan.Progress != nil {
		r.plan.Progress(done, total)
	}
}

// postByID posts events that were named, in batches.
func (r *repost) postByID(ctx context.Context, ids []string) error {
	var batch []eventstore.RecordedEvent
	for i, id := range ids {
		entries, err := r.entriesOf(ctx, id)
		switch {
		case errors.Is(err, ErrUnknownEvent):
			r.tell(RepostedEvent{StripeEventID: id, Outcome: OutcomeUnknown, Reason: ErrUnknownEvent.Error()})
		case err != nil:
			return err
		default:
			chosen, _ := intake.PostedEntry(entries)
			batch = append(batch, entries[chosen])
		}
		if len(batch) == batchSize || i == len(ids)-1 {
			if err := r.post(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
			r.progress(int64(i)+1, int64(len(ids)))
		}
	}
	return nil
}

// unique drops what comes a second time, and keeps the order.
func unique(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// scan posts the entries of the journal that the plan chooses, in batches.
func (r *repost) scan(ctx context.Context) error {
	head, err := r.Store.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the log's end: %w", err)
	}
	var batch []eventstore.RecordedEvent
	filter := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	for e, err := range r.Store.ReadAll(ctx, 0, eventstore.Forwards, filter, 0) {
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if e.Position > head {
			break // what came since is posted as it comes
		}
		chosen, err := r.chooses(ctx, e)
		if err != nil {
			return err
		}
		if chosen {
			batch = append(batch, e)
		}
		if len(batch) == batchSize {
			if err := r.post(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
			r.progress(int64(e.Position), int64(head))
		}
	}
	return r.post(ctx, batch)
}

// chooses reports whether an entry of the journal is one to post again.
func (r *repost) chooses(ctx context.Context, e eventstore.RecordedEvent) (bool, error) {
	if r.plan.Type != "" && e.Type != r.plan.Type || !intake.Posted(e.Type) {
		return false, nil
	}
	receipt, err := intake.DecodeReceipt(e.Metadata)
	if err == nil && e.Revision == 0 && receipt.Signed() {
		return true, nil // the earliest, and signed: no variant takes its place
	}
	return r.isPosted(ctx, e)
}

// post posts a batch again.
func (r *repost) post(ctx context.Context, batch []eventstore.RecordedEvent) error {
	if len(batch) == 0 {
		return nil
	}
	readings := make([]reading, len(batch))
	told := make([]RepostedEvent, len(batch))
	for i, e := range batch {
		told[i] = RepostedEvent{StripeEventID: e.Stream.ID(), EventType: e.Type}
		r.readAgain(e, &readings[i], &told[i])
	}
	if !r.plan.Rehearse {
		if err := r.mapPrices(ctx, readings); err != nil {
			return err
		}
	}
	jobs := jobsOf(readings)
	for _, j := range jobs {
		j.manner, j.rehearsed = r.plan.manner(), r.plan.Rehearse
	}
	if err := r.runJobs(ctx, r.cache, jobs); err != nil {
		return err
	}
	passFailures(jobs)
	added, corrected := changesOf(jobs)
	for i := range readings {
		told[i].Added, told[i].Corrected = added[&readings[i]], corrected[&readings[i]]
		if err := r.settleAgain(ctx, &readings[i], &told[i]); err != nil {
			return err
		}
		r.tell(told[i])
	}
	return nil
}

// changesOf counts the facts that entries brought in.
func changesOf(jobs []*job) (added, corrected map[*reading]int) {
	added, corrected = map[*reading]int{}, map[*reading]int{}
	for _, j := range jobs {
		if j.failure != nil {
			continue
		}
		for _, c := range j.changes {
			if c.corrects {
				corrected[c.source]++
			} else {
				added[c.source]++
			}
		}
	}
	return added, corrected
}

// readAgain reads an entry as this build does, and says why it is skipped, if it is.
func (r *repost) readAgain(entry eventstore.RecordedEvent, into *reading, told *RepostedEvent) {
	into.entry = entry
	receipt, err := intake.DecodeReceipt(entry.Metadata)
	if err != nil {
		into.failure = err
		return
	}
	into.receipt = receipt
	switch {
	case r.isRepudiated(told.StripeEventID):
		told.Outcome, told.Reason = OutcomeSkipped, "it was repudiated"
	case !intake.Posted(entry.Type):
		told.Outcome, told.Reason = OutcomeSkipped, "events of its type are recorded only"
	case !r.concerns(entry, receipt):
		told.Outcome, told.Reason = OutcomeSkipped, "it is of the other mode, or of a connected account that is not configured"
	default:
		into.takeFacts(r.translate(entry))
	}
}

// settleAgain records what became of an entry, and finishes telling it.
func (r *repost) settleAgain(ctx context.Context, read *reading, told *RepostedEvent) error {
	switch {
	case told.Outcome == OutcomeSkipped:
		return nil
	case read.failure != nil:
		told.Outcome, told.Reason = OutcomeFailed, read.failure.Error()
		if r.plan.Rehearse {
			return nil
		}
		return r.recordFailureAgain(ctx, read)
	case told.Added+told.Corrected > 0:
		told.Outcome = OutcomePosted
	default:
		told.Outcome = OutcomeUnchanged
	}
	told.Repaired = r.outcomes[told.StripeEventID] == FailedType
	if !told.Repaired || r.plan.Rehearse {
		return nil
	}
	_, err := r.recordRepair(ctx, read)
	return err
}

// tell adds an event to the result.
func (r *repost) tell(e RepostedEvent) {
	sum := &r.result
	sum.Looked++
	sum.Added += int64(e.Added)
	sum.Corrected += int64(e.Corrected)
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
