package posting

import (
	"slices"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// Span is the time that a piece of work took.
type Span struct{ Began, Ended time.Time }

// Steps tells how an entry of the journal was posted, for traces.
type Steps struct {
	Entry   eventstore.RecordedEvent
	Receipt intake.Receipt
	// Failure is why it could not be posted, nil if it could.
	Failure error
	// Facts counts what it states, and Changes those of them that were not in
	// force before: posting may be repeated.
	Facts, Changes int
	// Whole is the time from when the entry's batch was begun until all of the
	// batch was durable, Translated that in which the entry was read.
	Whole, Translated Span
	// Streams are those that the entry gave facts to.
	Streams []StreamSteps
}

// StreamSteps tells how the facts of a batch came into one stream.
type StreamSteps struct {
	Stream eventstore.Stream
	// Appended is zero where there was nothing to append.
	Decided, Appended Span
	// Events counts what was appended: facts, and the notes that follow from them.
	Events int
}

// clock is the present, where somebody wants to know it.
func (p *Poster) clock() time.Time {
	if p.OnPosted == nil {
		return time.Time{}
	}
	return p.Now()
}

// tell tells of the entries of a batch.
func (p *Poster) tell(readings []reading, jobs []*job, began time.Time) {
	if p.OnPosted == nil {
		return
	}
	whole := Span{began, p.clock()}
	for i := range readings {
		r := &readings[i]
		steps := Steps{Entry: r.entry, Receipt: r.receipt, Failure: r.failure, Facts: len(r.facts), Whole: whole, Translated: r.translated}
		for _, j := range jobs {
			if !slices.Contains(j.sources, r) && !slices.Contains(j.swept, r) {
				continue
			}
			for _, c := range j.changes {
				if c.source == r {
					steps.Changes++
				}
			}
			steps.Streams = append(steps.Streams, StreamSteps{Stream: j.stream, Decided: j.took, Appended: j.appended, Events: len(j.proposed)})
		}
		p.OnPosted(steps)
	}
}
