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

// mostLocated bounds the events whose facts are looked for at once: some tens of
// megabytes.
const mostLocated = 100_000

// postAll posts Stripe events by their ids, in batches, once it is known where
// they have facts.
func (r *repost) postAll(ctx context.Context, ids []string) error {
	for part := range slices.Chunk(ids, mostLocated) {
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

// scan posts the events of the journal that the plan chooses, part by part: it
// gathers as many ids as may be located at once, and posts these.
func (r *repost) scan(ctx context.Context) error {
	r.expect(int64(r.head))
	for from := eventstore.Position(0); from < r.head; {
		ids, to, err := r.gather(ctx, from)
		if err != nil {
			return err
		}
		r.finished(int64(to - from))
		if err := r.postAll(ctx, ids); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// gather goes over the journal behind a place, and lists the events that the plan
// chooses, up to a bound; to is the place up to which it got.
func (r *repost) gather(ctx context.Context, from eventstore.Position) (ids []string, to eventstore.Position, err error) {
	var batch []eventstore.RecordedEvent
	flush := func() error {
		more, err := r.worthPosting(ctx, batch)
		ids, batch = append(ids, more...), batch[:0]
		return err
	}
	filter := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	for e, err := range r.Store.ReadAll(ctx, from, eventstore.Forwards, filter, 0) {
		if err != nil {
			return nil, from, fmt.Errorf("read the journal: %w", err)
		}
		if e.Position > r.head {
			break
		}
		chosen, err := r.chooses(ctx, e)
		if err != nil {
			return nil, from, err
		}
		if chosen {
			batch = append(batch, e)
		}
		if len(batch) < batchSize {
			continue
		}
		if err := flush(); err != nil {
			return nil, from, err
		}
		if r.progress(int64(e.Position - from)); len(ids) > mostLocated-batchSize {
			return ids, e.Position, nil
		}
	}
	return ids, r.head, flush()
}

// worthPosting lists the Stripe events of entries that were chosen. Of those that
// are chosen for being unposted, it leaves out the many of which everything is
// there, and counts them.
func (r *repost) worthPosting(ctx context.Context, entries []eventstore.RecordedEvent) ([]string, error) {
	wanted := make([]bool, len(entries))
	err := share(ctx, len(entries), func(ctx context.Context, i int) (err error) {
		wanted[i] = true
		if r.plan.Unposted {
			wanted[i], err = r.lacks(ctx, entries[i])
		}
		return err
	})
	var ids []string
	for i := range entries {
		if wanted[i] {
			ids = append(ids, entries[i].Stream.ID())
		} else {
			r.result.Looked++
		}
	}
	return ids, err
}

// lacks reports whether a fact that an entry gives is not where this build puts
// it, or the entry cannot be read.
func (r *repost) lacks(ctx context.Context, entry eventstore.RecordedEvent) (bool, error) {
	var read reading
	var told RepostedEvent
	r.readAgain(entry, &read, &told)
	if read.failure != nil {
		return true, nil
	}
	for _, f := range read.facts {
		to, err := r.cache.load(ctx, f.Stream)
		if isUnpostable(err) {
			return true, nil // which is then told
		}
		if err != nil {
			return false, err
		}
		if _, there := to.Held(f.Fact.Key); !there {
			return true, nil
		}
	}
	return false, nil
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
	_, posted, err := r.isPosted(ctx, e)
	return posted, err
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
	return r.postFacts(ctx, r.cache, readings, jobs)
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
			read.failure = err
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
