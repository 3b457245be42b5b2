package posting

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// job is what one stream has to take in from a batch.
type job struct {
	stream  eventstore.Stream
	facts   []aggregate.Fact
	sources []*reading // of each fact
	// swept are the entries beside whose facts nothing of their Stripe events is
	// to stay in force in the stream.
	swept  []*reading
	manner manner
	// why is the reason of a repudiation.
	why aggregate.Repudiation
	// rehearsed says that nothing is to be appended.
	rehearsed bool
	changes   []change
	failure   error

	// decided says that events are what follows from the facts for the stream as
	// it is expected to be, and are yet to be appended: as proposed.
	decided  bool
	expected eventstore.ExpectedRevision
	events   []aggregate.Event
	proposed []eventstore.ProposedEvent

	// took and appended are when it was decided and appended; see Poster.clock.
	took, appended Span
}

// jobList gathers jobs, one for each stream, in the order in which streams turn up.
type jobList struct {
	jobs     []*job
	byStream map[eventstore.Stream]*job
}

// on is the job on a stream.
func (l *jobList) on(stream eventstore.Stream) *job {
	if j := l.byStream[stream]; j != nil {
		return j
	}
	if l.byStream == nil {
		l.byStream = map[eventstore.Stream]*job{}
	}
	j := &job{stream: stream}
	l.byStream[stream] = j
	l.jobs = append(l.jobs, j)
	return j
}

// take adds a fact.
func (j *job) take(f aggregate.Fact, source *reading) {
	j.facts = append(j.facts, f)
	j.sources = append(j.sources, source)
}

// sweep adds an entry beside whose facts nothing is to stay in force.
func (j *job) sweep(source *reading) {
	if !slices.Contains(j.swept, source) {
		j.swept = append(j.swept, source)
	}
}

// jobsOf groups facts by the stream they belong to, in order of the entries.
func jobsOf(readings []reading) []*job {
	var list jobList
	for i := range readings {
		r := &readings[i]
		for _, f := range r.facts {
			list.on(f.Stream).take(f.Fact, r)
		}
		if r.failure != nil {
			continue // what it gave before is better than nothing
		}
		for _, stream := range r.before {
			list.on(stream).sweep(r)
		}
	}
	return list.jobs
}

// appendsAtOnce is how many of a batch's appends are in flight. The store commits
// together what is, and a webhook that comes meanwhile waits for all of that: so
// they are few where there is little to post, and more the more there is.
func appendsAtOnce(jobs int) int { return max(leastAppends, jobs/appendsShare) }

// runJobs posts to many streams at once, to each in order. All is decided
// first, on few goroutines, so that the appends reach the store together and
// are committed together. What can have no place in a stream fails its entries.
func (p *Poster) runJobs(ctx context.Context, cache *ledgers, jobs []*job) error {
	err := share(ctx, len(jobs), func(ctx context.Context, i int) error {
		_, _ = p.decideJob(ctx, cache, jobs[i]) // what fails is tried again, one by one, below
		return nil
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(appendsAtOnce(len(jobs)))
	for _, j := range jobs {
		group.Go(func() error {
			err := p.postTo(ctx, cache, j)
			if isUnpostable(err) {
				j.failure = err
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	passFailures(jobs)
	return nil
}
