package posting

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// tally counts what became of the entries of a batch.
type tally struct {
	posted, skipped, failed int64
	// receivedAt is when the last entry was received.
	receivedAt time.Time
}

// reading is a journal entry, read: its facts, or why it has none.
type reading struct {
	entry   eventstore.RecordedEvent
	receipt intake.Receipt
	facts   []intake.StreamFact
	// before are the streams to which the event gave facts when it was read
	// otherwise, or from an earlier entry. It may give them none now.
	before []eventstore.Stream
	// showed is what earlier entries of the event show of prices.
	showed []aggregate.Sighting
	// failure says why the entry cannot be posted; nil if it can.
	failure error
	// translated is when it was read; see Poster.clock.
	translated Span
}

// stripeEventID is the Stripe event of the entry.
func (r *reading) stripeEventID() string { return r.entry.Stream.ID() }

// post takes in journal entries, and returns when all they lead to is durable.
func (p *Poster) post(ctx context.Context, batch []eventstore.RecordedEvent) (tally, error) {
	began := p.clock()
	readings, err := p.readAll(ctx, batch)
	if err != nil {
		return tally{}, err
	}
	jobs := jobsOf(readings)
	if err := p.postFacts(ctx, p.ledgers, readings, jobs, received); err != nil {
		return tally{}, err
	}
	done, err := p.settle(ctx, readings)
	if err == nil {
		p.tell(readings, jobs, began)
	}
	return done, err
}

// postFacts runs the jobs that readings led to, and settles what they show of
// prices before. If mappings were recorded or withdrawn meanwhile, that is done
// again once the facts are in: a mapping that was withdrawn while they were on
// their way may make room for one of theirs, for whoever withdrew it may have looked
// for such facts before they were in; and of two that post readings of one event,
// the one that posts an earlier one may have been the last to record a mapping.
//
// A node that lags behind the record of mappings may find nothing to record of a
// batch, where in truth what it takes to stand is withdrawn. Whoever withdrew it
// knows, and finds the batch's facts: in the log, or as it posts the journal itself,
// as every node does. Only if that one ends first, and begins anew behind the batch
// for the sake of the lagging one's checkpoint, nobody does; the price then maps as
// the next event shows it, or as a repost of this one does.
func (p *Poster) postFacts(ctx context.Context, cache *ledgers, readings []reading, jobs []*job, manner manner) error {
	prices := &pricing{Poster: p, readings: readings, manner: manner, remapped: map[vacancy]bool{}}
	catalog := p.Catalogs().Current()
	if err := prices.settle(ctx); err != nil {
		return err
	}
	if err := p.runJobs(ctx, cache, jobs); err != nil {
		return err
	}
	if p.Catalogs().Current() == catalog {
		return nil
	}
	return prices.settle(ctx)
}

// passFailures fails the entries whose facts found no place.
func passFailures(jobs []*job) {
	for _, j := range jobs {
		if j.failure == nil {
			continue
		}
		for _, source := range slices.Concat(j.sources, j.swept) {
			source.failure = j.failure
		}
	}
}

// settle records the failures and counts.
func (p *Poster) settle(ctx context.Context, readings []reading) (tally, error) {
	done := tally{receivedAt: readings[len(readings)-1].receipt.RecordedAt}
	for i := range readings {
		switch r := &readings[i]; {
		case r.failure != nil:
			if err := p.recordFailure(ctx, r); err != nil {
				return tally{}, err
			}
			done.failed++
		case len(r.facts) > 0:
			if p.mayRepair(r) {
				if _, err := p.recordRepair(ctx, r); err != nil {
					return tally{}, err
				}
			}
			done.posted++
		default:
			done.skipped++
		}
	}
	return done, nil
}

// mayRepair reports an entry whose Stripe event may have failed before: an
// earlier variant of it, or the same entry in an earlier build.
func (p *Poster) mayRepair(r *reading) bool {
	return r.entry.Revision > 0 || p.outcomes[r.stripeEventID()] == FailedType
}

// readAll translates entries, and keeps their order.
func (p *Poster) readAll(ctx context.Context, batch []eventstore.RecordedEvent) ([]reading, error) {
	readings := make([]reading, len(batch))
	err := share(ctx, len(batch), func(ctx context.Context, i int) error {
		return p.read(ctx, batch[i], &readings[i])
	})
	return readings, err
}

// piecesEach is how much work is worth another goroutine. What gathers in a few
// milliseconds is done by one: the other processors are for the webhooks that
// come in meanwhile, which somebody is waiting for.
const piecesEach = 256

// share spreads n pieces of work over the processors, if it is much, until one
// piece fails.
func share(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), 1+n/piecesEach) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := work(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// read turns one entry into facts. What cannot be read is a failure of the
// entry; the returned error is the store's.
func (p *Poster) read(ctx context.Context, entry eventstore.RecordedEvent, r *reading) error {
	r.entry = entry
	receipt, err := intake.DecodeReceipt(entry.Metadata)
	if err != nil {
		r.failure = err
		return nil
	}
	r.receipt = receipt
	if p.isRepudiated(entry.Stream.ID()) {
		return nil
	}
	if entry.Revision > 0 {
		earlier, chosen, err := p.isPosted(ctx, entry)
		if err != nil || !chosen {
			return err
		}
		r.takeEarlier(p.factsOf(slices.DeleteFunc(earlier, p.ignores)))
	}
	if p.concerns(entry, receipt) {
		began := p.clock()
		r.takeFacts(p.translate(entry))
		r.translated = Span{began, p.clock()}
	}
	return nil
}

// takeEarlier takes what earlier entries gave, whether or not this one, which is
// posted in their place, gives anything.
func (r *reading) takeEarlier(facts []intake.StreamFact) {
	for _, f := range facts {
		r.before = append(r.before, f.Stream)
		r.showed = append(r.showed, f.Fact.Sightings(string(f.Stream))...)
	}
}

// takeFacts takes what an entry was translated to. A later entry supersedes
// what an earlier one of the same Stripe event said.
func (r *reading) takeFacts(facts []intake.StreamFact, failure error) {
	r.facts, r.failure = facts, failure
	for i := range r.facts {
		r.facts[i].Fact.Epoch = int(r.entry.Revision)
	}
}

// concerns reports whether an entry is one to post: of the store's mode, of our
// own Stripe account or a listed one, and of a type with a meaning to us.
func (p *Poster) concerns(entry eventstore.RecordedEvent, receipt intake.Receipt) bool {
	return receipt.Livemode == p.Livemode && intake.Posted(entry.Type) &&
		(receipt.Account == "" || slices.Contains(p.ConnectAccounts, receipt.Account))
}

// ignores reports an entry that is not one to post.
func (p *Poster) ignores(entry eventstore.RecordedEvent) bool {
	receipt, err := intake.DecodeReceipt(entry.Metadata)
	return err != nil || !p.concerns(entry, receipt)
}

// translate guards the flow against a bug in reading one payload: the entry
// fails, visibly, and the others go on.
func (p *Poster) translate(entry eventstore.RecordedEvent) (facts []intake.StreamFact, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			facts, err = nil, fmt.Errorf("internal error in translation: %T", caught)
		}
	}()
	return p.Translator.TranslateEntry(entry)
}

// isPosted reports whether a later entry of a journal stream is the one that
// gets posted, and returns those before it.
func (p *Poster) isPosted(ctx context.Context, entry eventstore.RecordedEvent) (earlier []eventstore.RecordedEvent, posted bool, err error) {
	var entries []eventstore.RecordedEvent
	for e, err := range p.Store.ReadStream(ctx, entry.Stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			return nil, false, fmt.Errorf("read the variants of %s: %w", entry.Stream, err)
		}
		entries = append(entries, e)
	}
	chosen, found := intake.PostedEntry(entries)
	if !found || entries[chosen].Revision != entry.Revision {
		return nil, false, nil
	}
	return entries[:chosen], true, nil
}
