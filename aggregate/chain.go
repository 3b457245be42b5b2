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
// digest of the snapshot before it to the digest of its own.
type chain struct {
	changes []held
	digests []string
	// steps are the changes that lead from one snapshot to another, each once;
	// again are further tellings of a step.
	steps, again []int
}

func newChain(changes []held) chain {
	c := chain{changes: slices.Clone(changes), digests: make([]string, len(changes))}
	seen := map[[2]string]bool{}
	for i, f := range c.changes {
		c.digests[i] = f.Subscription.Digest()
		step := [2]string{f.Subscription.Before, c.digests[i]}
		switch {
		case step[0] == "" || step[0] == step[1]:
		case seen[step]:
			c.again = append(c.again, i)
		default:
			seen[step] = true
			c.steps = append(c.steps, i)
		}
	}
	return c
}

func (c chain) from(step int) string { return c.changes[step].Subscription.Before }

// end finds the snapshot in which the path through all changes ends, and
// whether there is exactly one. Two events may describe one change, and count
// once; but if they may as well be two changes, with another between them, and
// the end depends on it, there is none.
func (c chain) end(before *SubscriptionSnapshot) (string, bool) {
	if !slices.ContainsFunc(c.digests, func(d string) bool { return d != c.digests[0] }) {
		return c.digests[0], true
	}
	if !c.connected() {
		return "", false
	}
	end, unique := c.endOf(c.steps, before)
	if unique && len(c.again) > 0 {
		other, possible := c.endOf(append(slices.Clone(c.steps), c.again...), before)
		unique = !possible || other == end
	}
	return end, unique
}

// endOf finds the end of the path that takes each of the steps once.
func (c chain) endOf(steps []int, before *SubscriptionSnapshot) (string, bool) {
	balance := map[string]int{}
	for _, i := range steps {
		balance[c.from(i)]--
		balance[c.digests[i]]++
	}
	end, ends := "", 0
	for digest, n := range balance {
		if n > 0 {
			end, ends = digest, ends+n
		}
	}
	switch {
	case ends == 1:
		return end, true
	case ends == 0 && before != nil:
		// A round trip: it ends where it began.
		began := before.Digest()
		return began, slices.Contains(c.digests, began)
	}
	return "", false
}

// connected reports whether every snapshot of the second hangs on one path.
func (c chain) connected() bool {
	beside := map[string][]string{}
	for _, i := range c.steps {
		beside[c.from(i)] = append(beside[c.from(i)], c.digests[i])
		beside[c.digests[i]] = append(beside[c.digests[i]], c.from(i))
	}
	reached := map[string]bool{c.digests[0]: true}
	for next := []string{c.digests[0]}; len(next) > 0; {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		for _, d := range beside[at] {
			if !reached[d] {
				reached[d] = true
				next = append(next, d)
			}
		}
	}
	return !slices.ContainsFunc(c.digests, func(d string) bool { return !reached[d] })
}

// upTo returns the changes in the order of the path that ends there. A change
// that is no step of it, because it tells a snapshot again, follows the step
// that led to that snapshot, or comes first.
func (c chain) upTo(end string) []held {
	onPath := make([]bool, len(c.changes))
	for _, i := range c.steps {
		onPath[i] = true
	}
	retold := map[string][]held{}
	path := c.path(end)
	leadTo := map[string]bool{}
	for _, i := range path {
		leadTo[c.digests[i]] = true
	}
	ordered := make([]held, 0, len(c.changes))
	for i, f := range c.changes {
		switch {
		case onPath[i]:
		case leadTo[c.digests[i]]:
			retold[c.digests[i]] = append(retold[c.digests[i]], f)
		default:
			ordered = append(ordered, f)
		}
	}
	for _, i := range path {
		ordered = append(ordered, c.changes[i])
		ordered = append(ordered, retold[c.digests[i]]...)
		delete(retold, c.digests[i])
	}
	return ordered
}

// path puts the steps in order: it walks back from the end, takes each step
// once, and where a walk gets stuck early, inserts the rest as a detour
// (Hierholzer's algorithm).
func (c chain) path(end string) []int {
	into := map[string][]int{}
	for _, i := range c.steps {
		into[c.digests[i]] = append(into[c.digests[i]], i)
	}
	type visit struct {
		snapshot string
		by       int // the step that led on from it, -1 at the end
	}
	var path []int
	for stack := []visit{{end, -1}}; len(stack) > 0; {
		top := stack[len(stack)-1]
		if steps := into[top.snapshot]; len(steps) > 0 {
			into[top.snapshot] = steps[1:]
			stack = append(stack, visit{c.from(steps[0]), steps[0]})
			continue
		}
		stack = stack[:len(stack)-1]
		if top.by >= 0 {
			path = append(path, top.by)
		}
	}
	return path
}
