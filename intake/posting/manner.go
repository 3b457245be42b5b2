package posting

import (
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
	// place, though both come from one entry.
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

// steps are the facts that a ledger has to decide on, one by one; without any,
// one step that only concludes.
func (j *job) steps(to *ledger) [][]aggregate.Fact {
	facts := j.facts
	switch {
	case len(facts) == 0:
		return [][]aggregate.Fact{nil}
	case j.manner == repudiated:
		facts = repudiate(facts, to)
	}
	steps := make([][]aggregate.Fact, len(facts))
	for i, f := range facts {
		steps[i] = facts[i : i+1]
		if held, found := to.Held(f.Key); found {
			if epoch := j.manner.epoch(f, held); epoch != f.Epoch {
				f.Epoch = epoch
				steps[i] = []aggregate.Fact{f}
			}
		}
	}
	return steps
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

// repudiate adds to repudiations of the facts that an event gives now those of
// the facts that it once gave to the same stream.
func repudiate(facts []aggregate.Fact, to *ledger) []aggregate.Fact {
	all := slices.Clone(facts)
	for _, key := range to.KeysOf(facts[0].Key.StripeEventID) {
		if !slices.ContainsFunc(all, func(f aggregate.Fact) bool { return f.Key == key }) {
			held, _ := to.Held(key)
			more := facts[0]
			more.Key, more.OccurredAt = key, held.OccurredAt
			all = append(all, more)
		}
	}
	return all
}

// count notes what becomes of a step's fact.
func (j *job) count(to *ledger, facts []aggregate.Fact) {
	for _, f := range facts {
		if held, found := to.Held(f.Key); !found {
			j.changes = append(j.changes, change{source: j.sourceOf(f)})
		} else if f.Epoch > held.Epoch && !f.SaysAs(held) {
			j.changes = append(j.changes, change{source: j.sourceOf(f), corrects: true})
		}
	}
}

// sourceOf is the entry that led to a fact.
func (j *job) sourceOf(f aggregate.Fact) *reading {
	for i := range j.facts {
		if j.facts[i].Key.StripeEventID == f.Key.StripeEventID {
			return j.sources[i]
		}
	}
	return nil
}
