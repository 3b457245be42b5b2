package aggregate

import (
	"cmp"
	"slices"
)

// orderChanges orders the changes of one second in place. before is the snapshot
// that precedes them, nil if there is none.
func orderChanges(changes []held, before *SubscriptionSnapshot) {
	c := newChain(changes)
	if end, unique := c.end(before); unique {
		copy(changes, c.upTo(end))
		return
	}
	slices.SortFunc(changes, func(a, b held) int {
		return cmp.Or(
			cmp.Compare(statusRank(a.Subscription.Status), statusRank(b.Subscription.Status)),
			compareFacts(a, b))
	})
	for i := range changes {
		changes[i].ambiguous = true
	}
}

// chain is the changes of one second as a graph: each change leads from the
// snapshot before it to its own. Snapshots are numbered; what has the same
// digest is the same snapshot.
type chain struct {
	changes []held
	numbers map[string]int
	// from and to are the snapshots that each change leads from, none if it does
	// not tell, and to.
	from, to []int
	// steps are the changes that lead from one snapshot to another, each once;
	// again are further tellings of a step.
	steps, again []int
}

const none = -1

func newChain(changes []held) chain {
	n := len(changes)
	c := chain{changes: slices.Clone(changes), numbers: make(map[string]int, n+1), from: make([]int, n), to: make([]int, n)}
	seen := make(map[[2]int]bool, n)
	for i, f := range c.changes {
		c.from[i], c.to[i] = none, c.number(f.Subscription.Digest())
		if f.Subscription.Before != "" {
			c.from[i] = c.number(f.Subscription.Before)
		}
		step := [2]int{c.from[i], c.to[i]}
		switch {
		case step[0] == none || step[0] == step[1]:
		case seen[step]:
			c.again = append(c.again, i)
		default:
			seen[step] = true
			c.steps = append(c.steps, i)
		}
	}
	return c
}

func (c chain) number(digest string) int {
	n, found := c.numbers[digest]
	if !found {
		n = len(c.numbers)
		c.numbers[digest] = n
	}
	return n
}

// end finds the snapshot in which the path through all changes ends, and
// whether there is exactly one. Two events may describe one change, and count
// once; but if they may as well be two changes, with another between them, and
// the end depends on it, there is none.
func (c chain) end(before *SubscriptionSnapshot) (int, bool) {
	if !slices.ContainsFunc(c.to, func(n int) bool { return n != c.to[0] }) {
		return c.to[0], true
	}
	if !c.connected() {
		return none, false
	}
	end, unique := c.endOf(c.steps, before)
	if unique && len(c.again) > 0 {
		other, possible := c.endOf(append(slices.Clone(c.steps), c.again...), before)
		unique = !possible || other == end
	}
	return end, unique
}

// endOf finds the end of the path that takes each of the steps once.
func (c chain) endOf(steps []int, before *SubscriptionSnapshot) (int, bool) {
	balance := make([]int, len(c.numbers))
	for _, i := range steps {
		balance[c.from[i]]--
		balance[c.to[i]]++
	}
	end, ends := none, 0
	for snapshot, n := range balance {
		if n > 0 {
			end, ends = snapshot, ends+n
		}
	}
	switch {
	case ends == 1:
		return end, true
	case ends == 0 && before != nil:
		// A round trip: it ends where it began.
		began, known := c.numbers[before.Digest()]
		return began, known && slices.Contains(c.to, began)
	}
	return none, false
}

// connected reports whether every snapshot of the second hangs on one path.
func (c chain) connected() bool {
	group := make([]int, len(c.numbers)) // each snapshot leads to another of its group, or to itself
	for n := range group {
		group[n] = n
	}
	find := func(n int) int {
		for group[n] != n {
			group[n] = group[group[n]]
			n = group[n]
		}
		return n
	}
	for _, i := range c.steps {
		group[find(c.from[i])] = find(c.to[i])
	}
	return !slices.ContainsFunc(c.to, func(n int) bool { return find(n) != find(c.to[0]) })
}

// upTo returns the changes in the order of the path that ends there. A change
// that is no step of it, because it tells a snapshot again, follows the step
// that led to that snapshot, or comes first.
func (c chain) upTo(end int) []held {
	tellings := make([][]int, len(c.numbers))
	for i := range c.changes {
		tellings[c.to[i]] = append(tellings[c.to[i]], i)
	}
	isStep := make([]bool, len(c.changes))
	leadTo := make([]bool, len(c.numbers))
	for _, i := range c.steps {
		isStep[i], leadTo[c.to[i]] = true, true
	}
	ordered := make([]held, 0, len(c.changes))
	add := func(changes []int) {
		for _, i := range changes {
			if !isStep[i] {
				ordered = append(ordered, c.changes[i])
			}
		}
	}
	for snapshot, changes := range tellings {
		if !leadTo[snapshot] {
			add(changes)
		}
	}
	for _, i := range c.path(end) {
		ordered = append(ordered, c.changes[i])
		add(tellings[c.to[i]])
		tellings[c.to[i]] = nil
	}
	return ordered
}

// path puts the steps in order: it walks back from the end, takes each step
// once, and where a walk gets stuck early, inserts the rest as a detour
// (Hierholzer's algorithm).
func (c chain) path(end int) []int {
	into := make([][]int, len(c.numbers))
	for _, i := range c.steps {
		into[c.to[i]] = append(into[c.to[i]], i)
	}
	path := make([]int, 0, len(c.steps))
	taken := []int{none} // the steps walked back over; at is where that led
	for at := end; ; {
		if steps := into[at]; len(steps) > 0 {
			into[at] = steps[1:]
			taken = append(taken, steps[0])
			at = c.from[steps[0]]
			continue
		}
		last := taken[len(taken)-1]
		if last == none {
			return path
		}
		taken = taken[:len(taken)-1]
		path = append(path, last)
		at = c.to[last]
	}
}
