package posting

// LocateAtOnce makes a Poster look for the facts of so few events at once.
func (p *Poster) LocateAtOnce(events int) { p.locatedAtOnce = events }
