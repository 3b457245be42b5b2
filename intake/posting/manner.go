package posting

import (
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
