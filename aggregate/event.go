package aggregate

// Event is one event of a domain stream: a fact, a note, or a decision.
type Event struct {
	Fact     *Fact
	Note     *Note
	Decision *Decision
}

// Type is the stable name under which the event is stored.
func (e Event) Type() string {
	switch {
	case e.Fact != nil:
		return string(e.Fact.Type)
	case e.Note != nil:
		return string(e.Note.Type)
	case e.Decision != nil:
		return string(e.Decision.Type)
	}
	return ""
}

// Place is where an event was recorded.
type Place struct {
	// Position is the event's place in the log of its store.
	Position uint64
}
