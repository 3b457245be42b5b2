package posting

import (
	"iter"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

// manner is how a job's facts meet those that their stream holds already.
type manner uint8

const (
	// received: as the journal brings them. A fact's epoch is the revision of
	// its entry, so that a later entry of the same Stripe event supersedes.
	received manner = iota
	// corrected: a fact that says something else than the one held takes its
	// place, though both come from one entry; so does the retraction of one that
	// the entry does not give any more.
	corrected
	// missing: facts that are held stay, whatever they say.
	missing
	// repudiated: every fact of the Stripe event is taken out of force.
	repudiated
)

// generation is the distance between the epochs of two corrections: within one,
// the revision of the journal's entry orders, as it does at first.
const generation = intake.MaxEntries

// epochOf is the epoch of a fact from an entry with a revision, in the
// generation of a fact that is held, or so many behind it.
func epochOf(held aggregate.Fact, behind, revision int) int {
	return (held.Epoch/generation+behind)*generation + revision
}

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

// epoch is the epoch that a fact, whose own is the revision of its entry, gets
// beside one that is held. One not above that of the held one leaves it in force.
func (m manner) epoch(f, held aggregate.Fact) int {
	revision := f.Epoch
	switch {
	case held.Type == aggregate.Repudiated, m == repudiated,
		m == received && revision <= held.Epoch%generation, f.SaysAs(held):
		return revision
	case m == missing:
		return 0
	case revision > held.Epoch%generation:
		return epochOf(held, 0, revision)
	case m == corrected:
		return epochOf(held, 1, revision)
	}
	return revision
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
	for _, sources := range [...][]*reading{j.sources, j.swept} {
		for _, source := range slices.Backward(sources) {
			if source.stripeEventID() == stripeEventID {
				return source
			}
		}
	}
	return nil
}
