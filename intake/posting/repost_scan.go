package posting

import (
	"context"
	"fmt"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

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
		if len(batch) < min(batchSize, r.locatedAtOnce-len(ids)) {
			continue
		}
		if err := flush(); err != nil {
			return nil, from, err
		}
		if r.progress(int64(e.Position - from)); len(ids) == r.locatedAtOnce {
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
