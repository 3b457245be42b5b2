package sqlite

import "time"

// The bounds of gathering.
const (
	// commitEvery is the least time from the beginning of one commit to that of
	// the next while appends come from several callers. A commit costs much the
	// same for one append as for twenty, and most of that is paid in CPU time.
	commitEvery = time.Millisecond
	// gathered is how many waiting appends are worth a commit of their own.
	gathered = 64
	// longestRest bounds how many commits pass between two attempts to gather
	// for a single caller.
	longestRest = 256
)

// gatherer lets appends gather before a commit, for as long as that brings
// any: a single caller, who waits for each answer before the next append, must
// not be kept waiting for others.
type gatherer struct {
	began  time.Time // the last commit
	waited bool      // before the batch in hand
	rest   int       // commits until the next attempt
	lean   int       // how long the next rest is
	pause  func(time.Duration)
}

// wait returns when the next commit may begin.
func (g *gatherer) wait(waiting int) {
	g.waited = false
	if g.rest > 0 {
		g.rest--
		return
	}
	if left := commitEvery - time.Since(g.began); left > 0 && waiting < gathered {
		g.waited = true
		g.pause(left)
	}
}

// begin tells of a commit of that many appends. One that brought a single
// append though it was waited for means that nobody else was there.
func (g *gatherer) begin(appends int) {
	g.began = time.Now()
	switch {
	case appends > 1:
		g.lean = 0
	case g.waited:
		g.lean = min(max(4, 2*g.lean), longestRest)
		g.rest = g.lean
	}
}
