package aggregate

// DeriveClock says what is true of the test clock of that id, whose stream the
// set was gathered from: a pure function of the facts. A test clock only ever
// advances, so its time is the latest that was told; a clock that was deleted
// stays so, and keeps its time.
func (s *FactSet) DeriveClock(id string) ClockTruth {
	t := ClockTruth{ID: id, Position: s.position}
	for _, f := range s.facts {
		if f.Clock == nil {
			continue // a repudiated fact has none
		}
		t.Deleted = t.Deleted || f.Clock.Deleted
		if f.Clock.FrozenAt.After(t.Now) {
			t.Now = f.Clock.FrozenAt
		}
	}
	return t
}
