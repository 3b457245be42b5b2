package posting

import (
	"context"
	"errors"
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
	// failure says why the entry cannot be posted; nil if it can.
	failure error
}

// post takes in journal entries, and returns when all they lead to is durable.
func (p *Poster) post(ctx context.Context, batch []eventstore.RecordedEvent) (tally, error) {
	readings, err := p.readAll(ctx, batch)
	if err != nil {
		return tally{}, err
	}
	if err := p.mapPrices(ctx, readings); err != nil {
		return tally{}, err
	}
	jobs := jobsOf(readings)
	if err := p.runJobs(ctx, p.ledgers, jobs); err != nil {
		return tally{}, err
	}
	passFailures(jobs)
	return p.settle(ctx, readings)
}

// passFailures fails the entries whose facts found no place.
func passFailures(jobs []*job) {
	for _, j := range jobs {
		for _, source := range j.sources {
			if j.failure != nil {
				source.failure = j.failure
			}
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
	return r.entry.Revision > 0 || p.outcomes[r.entry.Stream.ID()] == FailedType
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
	if !p.concerns(entry, receipt) || p.isRepudiated(entry.Stream.ID()) {
		return nil
	}
	if entry.Revision > 0 {
		chosen, err := p.isPosted(ctx, entry)
		if err != nil || !chosen {
			return err
		}
	}
	r.takeFacts(p.translate(entry))
	return nil
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

// translate guards the flow against a bug in reading one payload: the entry
// fails, visibly, and the others go on.
func (p *Poster) translate(entry eventstore.RecordedEvent) (facts []intake.StreamFact, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			facts, err = nil, fmt.Errorf("internal error in translation: %T", caught)
		}
	}()
	return p.Translator.Translate(entry.Type, entry.Data)
}

// isPosted reports whether a later entry of a journal stream is the one that
// gets posted.
func (p *Poster) isPosted(ctx context.Context, entry eventstore.RecordedEvent) (bool, error) {
	var entries []eventstore.RecordedEvent
	for e, err := range p.Store.ReadStream(ctx, entry.Stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			return false, fmt.Errorf("read the variants of %s: %w", entry.Stream, err)
		}
		entries = append(entries, e)
	}
	chosen, found := intake.PostedEntry(entries)
	return found && entries[chosen].Revision == entry.Revision, nil
}

// job is what one stream has to take in from a batch.
type job struct {
	stream  eventstore.Stream
	facts   []aggregate.Fact
	sources []*reading // of each fact
	manner  manner
	// rehearsed says that nothing is to be appended.
	rehearsed bool
	changes   []change
	failure   error

	// decided says that proposed is what follows from the facts for the ledger
	// to, and is yet to be appended.
	decided  bool
	to       *ledger
	proposed []eventstore.ProposedEvent
}

// change is a fact that a job brought into its stream.
type change struct {
	source *reading
	// corrects says that it took the place of another.
	corrects bool
}

// jobsOf groups facts by the stream they belong to, in order of the entries.
func jobsOf(readings []reading) []*job {
	byStream := map[eventstore.Stream]*job{}
	var jobs []*job
	for i := range readings {
		for _, f := range readings[i].facts {
			j := byStream[f.Stream]
			if j == nil {
				j = &job{stream: f.Stream}
				byStream[f.Stream] = j
				jobs = append(jobs, j)
			}
			j.facts = append(j.facts, f.Fact)
			j.sources = append(j.sources, &readings[i])
		}
	}
	return jobs
}

// runJobs posts to many streams at once, to each in order. All is decided
// first, on few goroutines, so that the appends reach the store together and
// are committed together.
func (p *Poster) runJobs(ctx context.Context, cache *ledgers, jobs []*job) (err error) {
	defer func() {
		if err != nil {
			for _, j := range jobs {
				cache.forget(j.stream) // it may be ahead of the store
			}
		}
	}()
	err = share(ctx, len(jobs), func(ctx context.Context, i int) error {
		// What fails here is tried again, one by one, below.
		if p.decideJob(ctx, cache, jobs[i]) != nil {
			cache.forget(jobs[i].stream)
		}
		return nil
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelStreams)
	for _, j := range jobs {
		group.Go(func() error {
			err := p.postTo(ctx, cache, j)
			var unpostable *unpostableError
			if errors.As(err, &unpostable) {
				j.failure = err
				return nil
			}
			return err
		})
	}
	return group.Wait()
}
