package posting

import (
	"iter"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
)

// steps are the facts that a ledger has to decide on, one by one, each in view of
// what those before it made of the ledger; without any to decide on, one step that
// only concludes.
func (j *job) steps(to *ledger) iter.Seq[[]aggregate.Fact] {
	return func(yield func([]aggregate.Fact) bool) {
		if len(j.facts)+len(j.swept) == 0 {
			yield(nil)
			return
		}
		for i := range j.facts {
			if !yield(j.step(to, j.facts[i:i+1])) {
				return
			}
		}
		for _, f := range j.standIns(to) {
			if !yield(j.step(to, []aggregate.Fact{f})) {
				return
			}
		}
	}
}

// step gives a fact its epoch.
func (j *job) step(to *ledger, fact []aggregate.Fact) []aggregate.Fact {
	f := fact[0]
	if held, found := to.Held(f.Key); found {
		if epoch := j.manner.epoch(f, held); epoch != f.Epoch {
			f.Epoch = epoch
			return []aggregate.Fact{f}
		}
	}
	return fact
}

// standIns take the place of what the Stripe events of swept entries once stated
// in the stream, and do not state there now.
func (j *job) standIns(to *ledger) []aggregate.Fact {
	var facts []aggregate.Fact
	for _, source := range j.swept {
		for _, key := range to.KeysOf(source.stripeEventID()) {
			if held, _ := to.Held(key); !j.gives(source, key) && (j.manner == repudiated || !held.Type.Silent()) {
				facts = append(facts, j.standIn(source, held))
			}
		}
	}
	return facts
}

// gives reports whether an entry gives the stream a fact under a key.
func (j *job) gives(source *reading, key aggregate.FactKey) bool {
	for i := range j.facts {
		if j.facts[i].Key == key && j.sources[i] == source {
			return true
		}
	}
	return false
}

// standIn takes the place of a fact from which nothing is to follow any more.
func (j *job) standIn(source *reading, held aggregate.Fact) aggregate.Fact {
	f := aggregate.Fact{Key: held.Key, OccurredAt: held.OccurredAt}
	if j.manner == repudiated {
		f.Type, f.Epoch, f.Repudiation = aggregate.Repudiated, aggregate.RepudiatedEpoch, &j.why
		return f
	}
	f.Type, f.Epoch, f.Retraction = aggregate.Retracted, int(source.entry.Revision), &aggregate.Retraction{}
	for _, given := range source.facts {
		if stream := string(given.Stream); !slices.Contains(f.Retraction.Streams, stream) {
			f.Retraction.Streams = append(f.Retraction.Streams, stream)
		}
	}
	return f
}

// change is a fact that a job brought into its stream.
type change struct {
	source *reading
	kind   changeKind
}

// changeKind says what a change did to what was there.
type changeKind uint8

const (
	added changeKind = iota
	// superseded: it says something else than the one whose place it took.
	superseded
	// retracted: nothing follows any more from the one whose place it took.
	retracted
)

// count notes what becomes of a step's fact.
func (j *job) count(to *ledger, facts []aggregate.Fact) {
	for _, f := range facts {
		c := change{source: j.sourceOf(f.Key.StripeEventID)}
		if held, found := to.Held(f.Key); found {
			if f.Epoch <= held.Epoch || f.SaysAs(held) {
				continue
			}
			if c.kind = superseded; f.Type.Silent() {
				c.kind = retracted
			}
		}
		j.changes = append(j.changes, c)
	}
}

// sourceOf is the entry that led to what is said of a Stripe event: of several,
// the latest; nil if none did.
func (j *job) sourceOf(stripeEventID string) *reading {
	for _, sources := range [...][]*reading{j.swept, j.sources} {
		for _, source := range slices.Backward(sources) {
			if source.stripeEventID() == stripeEventID {
				return source
			}
		}
	}
	return nil
}
