package aggregate

import (
	"cmp"
	"slices"
	"strings"
)

// Stripe promises no order of delivery, and its times are whole seconds. What
// is derived here is the order in which Stripe made the events, as a function
// of the set of facts alone:
//
//   - by Stripe's time;
//   - within one second: a subscription's creation first, its deletion last;
//   - between them, the chain that previous_attributes tells: a change's old
//     values are its predecessor's values;
//   - where that chain has no single end, by status rank and event id, and the
//     facts are marked ambiguous.

// held is a fact in force, with where it was recorded.
type held struct {
	*Fact
	Place
	// ambiguous says that within its second the order is a convention.
	ambiguous bool
}

// inStripesOrder sorts facts; the argument is left as it is.
func inStripesOrder(facts []held) []held {
	sorted := slices.Clone(facts)
	slices.SortFunc(sorted, compareFacts)
	var before *SubscriptionSnapshot // the latest snapshot so far
	for start := 0; start < len(sorted); {
		end := start + 1
		for end < len(sorted) && sameSecondChange(sorted[start], sorted[end]) {
			end++
		}
		if end-start > 1 {
			orderChanges(sorted[start:end], before)
		}
		if s := sorted[end-1].Subscription; s != nil {
			before = s
		}
		start = end
	}
	return sorted
}

func sameSecondChange(a, b held) bool {
	return a.Type == SubscriptionChanged && b.Type == SubscriptionChanged && a.OccurredAt.Equal(b.OccurredAt)
}

// compareFacts orders by time, then by what must come first within a second,
// then by event id, so that the order never depends on arrival.
func compareFacts(a, b held) int {
	return cmp.Or(
		a.OccurredAt.Compare(b.OccurredAt),
		cmp.Compare(placeInSecond(a.Type), placeInSecond(b.Type)),
		strings.Compare(a.Key.StripeEventID, b.Key.StripeEventID),
		cmp.Compare(a.Key.Ordinal, b.Key.Ordinal),
	)
}

// placeInSecond ranks the types within one second: an invoice's failure comes
// before its payment, and both before the status that follows from them.
func placeInSecond(t FactType) int {
	switch t {
	case SubscriptionStarted:
		return 0
	case CheckoutCompleted:
		return 1
	case PaymentFailed:
		return 2
	case PaymentSucceeded:
		return 3
	case SubscriptionCanceled:
		return 5
	default:
		return 4
	}
}

// orderChanges orders the changes of one second in place. before is the snapshot
// that precedes them, nil if there is none.
func orderChanges(changes []held, before *SubscriptionSnapshot) {
	chain := newChain(changes)
	end, unique := chain.end(before)
	if !unique {
		slices.SortFunc(changes, func(a, b held) int {
			return cmp.Or(
				cmp.Compare(statusRank(a.Subscription.Status), statusRank(b.Subscription.Status)),
				compareFacts(a, b))
		})
		for i := range changes {
			changes[i].ambiguous = true
		}
		return
	}
	copy(changes, chain.walkBack(end))
}

// statusRank puts the more final status later.
func statusRank(s Status) int {
	return slices.Index([]Status{Incomplete, Trialing, Active, PastDue, Paused, Unpaid, IncompleteExpired, Canceled}, s)
}

// chain is the changes of one second as a graph: each change leads from the
// digest of the snapshot before it to the digest of its own.
type chain struct {
	changes []held
	digests []string
}

func newChain(changes []held) chain {
	c := chain{changes: slices.Clone(changes), digests: make([]string, len(changes))}
	for i, f := range c.changes {
		c.digests[i] = f.Subscription.Digest()
	}
	return c
}

// end finds the snapshot in which the path through all changes ends, and
// whether there is exactly one. Two events may describe one change, and count
// once.
func (c chain) end(before *SubscriptionSnapshot) (string, bool) {
	if !slices.ContainsFunc(c.digests, func(d string) bool { return d != c.digests[0] }) {
		return c.digests[0], true
	}
	balance := map[string]int{}
	seen := map[[2]string]bool{}
	for i, f := range c.changes {
		edge := [2]string{f.Subscription.Before, c.digests[i]}
		if edge[0] == "" || edge[0] == edge[1] || seen[edge] {
			continue
		}
		seen[edge] = true
		balance[edge[0]]--
		balance[edge[1]]++
	}
	ends := []string{}
	for digest, n := range balance {
		if n > 0 {
			ends = append(ends, digest)
		}
	}
	switch {
	case !c.connected(seen):
		return "", false
	case len(ends) == 1 && balance[ends[0]] == 1:
		return ends[0], true
	case len(ends) == 0 && before != nil:
		// A round trip: it ends where it began.
		began := before.Digest()
		return began, slices.Contains(c.digests, began)
	}
	return "", false
}

// connected reports whether every snapshot of the second hangs on one path.
func (c chain) connected(edges map[[2]string]bool) bool {
	reached := map[string]bool{c.digests[0]: true}
	for grew := true; grew; {
		grew = false
		for e := range edges {
			if reached[e[0]] != reached[e[1]] {
				reached[e[0]], reached[e[1]] = true, true
				grew = true
			}
		}
	}
	return !slices.ContainsFunc(c.digests, func(d string) bool { return !reached[d] })
}

// walkBack orders the changes from the end of the path to its beginning, and
// returns them in order. Those that the path does not need, second tellings of
// one change, go first.
func (c chain) walkBack(end string) []held {
	var path []int
	used := make([]bool, len(c.changes))
	for at := end; ; {
		next := -1
		for i, digest := range c.digests {
			if !used[i] && digest == at && (next < 0 || c.changes[i].Subscription.Before != at) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		used[next] = true
		path = append(path, next)
		at = c.changes[next].Subscription.Before
	}
	ordered := make([]held, 0, len(c.changes))
	for i, f := range c.changes {
		if !used[i] {
			ordered = append(ordered, f)
		}
	}
	for _, i := range slices.Backward(path) {
		ordered = append(ordered, c.changes[i])
	}
	return ordered
}
