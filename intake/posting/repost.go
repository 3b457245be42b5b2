package posting

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// Selection says which Stripe events to post again: by exactly one of its fields.
type Selection struct {
	// Events are Stripe event ids.
	Events []string
	// Failed chooses those that could not be posted.
	Failed bool
	// Unposted chooses those that have facts to give which are nowhere, because
	// an earlier build did not post their type. What is there stays.
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

// RepostPlan says what to post again, and how.
type RepostPlan struct {
	Selection
	// Rehearse finds out what would change, and changes nothing.
	Rehearse bool
	// Progress is told how far the work is, in places of the log to look at and
	// events to post; nil for not.
	Progress func(done, total int64)
}

// Repost posts journal entries again, each the one of its Stripe event that
// gets posted, as this build reads it. Facts that are not there are added; one
// that says something else than the one there supersedes it; one that the event
// does not give any more, or gives to another stream, is retracted; nothing else
// changes, so that it may be repeated, by anyone, any number of times, and
// beside Run. What had failed and now works is recorded as repaired. It begins
// with a look through the log for where the events have facts.
func (p *Poster) Repost(ctx context.Context, plan RepostPlan) (Reposted, error) {
	if err := plan.Check(); err != nil {
		return Reposted{}, err
	}
	outcomes, err := p.loadOutcomes(ctx)
	if err != nil {
		return Reposted{}, err
	}
	head, err := p.Store.Head(ctx)
	if err != nil {
		return Reposted{}, fmt.Errorf("read the log's end: %w", err)
	}
	r := &repost{Poster: p, plan: plan, outcomes: outcomes, head: head, cache: newLedgers(p.Store),
		result: Reposted{Events: []RepostedEvent{}, Rehearsed: plan.Rehearse}}
	switch {
	case plan.Type != "" || plan.Unposted:
		err = r.scan(ctx)
	case plan.Failed:
		err = r.postAll(ctx, withOutcome(outcomes, FailedType))
	default:
		err = r.postAll(ctx, unique(plan.Events))
	}
	return r.result, err
}

// repost is one under way.
type repost struct {
	*Poster
	plan     RepostPlan
	outcomes map[string]string
	// head is the log's end when it began: what came since is posted as it comes.
	head eventstore.Position
	// cache is its own: that of Run is Run's alone.
	cache  *ledgers
	result Reposted
	// done of total is how far the work is; total grows as it turns up.
	done, total int64
}

func (r *repost) expect(more int64) { r.total += more }

// progress says that so much is done of the work in hand, which is added to what
// was done before it once that is over.
func (r *repost) progress(of int64) {
	if r.plan.Progress != nil {
		r.plan.Progress(r.done+of, r.total)
	}
}

func (r *repost) finished(work int64) {
	r.progress(work)
	r.done += work
}

// postAll posts Stripe events by their ids, in batches, once it is known where
// they have facts.
func (r *repost) postAll(ctx context.Context, ids []string) error {
	for part := range slices.Chunk(ids, r.locatedAtOnce) {
		r.expect(int64(r.head) + int64(len(part)))
		where, err := r.locate(ctx, part, r.head, func(at eventstore.Position) { r.progress(int64(at)) })
		if err != nil {
			return err
		}
		r.done += int64(r.head)
		for batch := range slices.Chunk(part, batchSize) {
			if err := r.postBatch(ctx, batch, where); err != nil {
				return err
			}
			r.finished(int64(len(batch)))
		}
	}
	return nil
}

// readsAtOnce bounds the streams of the journal that are read at the same time.
const readsAtOnce = 32

// postBatch posts a few Stripe events again.
func (r *repost) postBatch(ctx context.Context, ids []string, where whereabouts) error {
	found := make([]*eventstore.RecordedEvent, len(ids))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			entries, err := r.entriesOf(reading, id)
			if err != nil {
				return ignoreUnknown(err)
			}
			chosen, _ := intake.PostedEntry(entries)
			found[i] = &entries[chosen]
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var batch []eventstore.RecordedEvent
	for i, id := range ids {
		if found[i] == nil {
			r.tell(RepostedEvent{StripeEventID: id, Outcome: OutcomeUnknown, Reason: ErrUnknownEvent.Error()})
		} else {
			batch = append(batch, *found[i])
		}
	}
	return r.post(ctx, batch, where)
}

func ignoreUnknown(err error) error {
	if errors.Is(err, ErrUnknownEvent) {
		return nil
	}
	return err
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

// post posts a batch again.
func (r *repost) post(ctx context.Context, batch []eventstore.RecordedEvent, where whereabouts) error {
	readings := make([]reading, len(batch))
	told := make([]RepostedEvent, len(batch))
	for i, e := range batch {
		told[i] = RepostedEvent{StripeEventID: e.Stream.ID(), EventType: e.Type}
		r.readAgain(e, &readings[i], &told[i])
		if told[i].Outcome == OutcomeSkipped {
			continue // what it gave once is not this command's to judge
		}
		if err := r.meet(ctx, &readings[i], where[told[i].StripeEventID]); err != nil {
			return err
		}
	}
	jobs := jobsOf(readings)
	for _, j := range jobs {
		j.manner, j.rehearsed = r.plan.manner(), r.plan.Rehearse
	}
	if err := r.carryOut(ctx, readings, jobs); err != nil {
		return err
	}
	changes := changesOf(jobs)
	for i := range readings {
		n := changes[&readings[i]]
		told[i].Added, told[i].Corrected, told[i].Retracted = n[added], n[superseded], n[retracted]
		if err := r.settleAgain(ctx, &readings[i], &told[i]); err != nil {
			return err
		}
		r.tell(told[i])
	}
	return nil
}

// carryOut runs the jobs; those of a rehearsal change nothing.
func (r *repost) carryOut(ctx context.Context, readings []reading, jobs []*job) error {
	if r.plan.Rehearse {
		return r.runJobs(ctx, r.cache, jobs)
	}
	return r.postFacts(ctx, r.cache, readings, jobs, r.plan.manner())
}

// meet sees to it that what a Stripe event states counts once, though streams
// have facts of it from before: what this build puts elsewhere, or nowhere, is to
// be retracted. Where what is there stays, it is the new facts that must give way.
func (r *repost) meet(ctx context.Context, read *reading, before []eventstore.Stream) error {
	if !r.plan.Unposted {
		read.before = before
		return nil
	}
	for _, stream := range before {
		if slices.ContainsFunc(read.facts, func(f intake.StreamFact) bool { return f.Stream == stream }) {
			continue
		}
		says, err := r.cache.says(ctx, stream, read.stripeEventID())
		if isUnpostable(err) {
			read.facts, read.failure = nil, err
			return nil
		}
		if err != nil {
			return err
		}
		if says {
			read.facts = nil
			return nil
		}
	}
	return nil
}

// changesOf counts the changes that entries brought about, by kind.
func changesOf(jobs []*job) map[*reading]map[changeKind]int {
	changes := map[*reading]map[changeKind]int{}
	for _, j := range jobs {
		if j.failure != nil {
			continue
		}
		for _, c := range j.changes {
			if changes[c.source] == nil {
				changes[c.source] = map[changeKind]int{}
			}
			changes[c.source][c.kind]++
		}
	}
	return changes
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
	case told.Added+told.Corrected+told.Retracted > 0:
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
