package projections

import (
	"math"
	"time"
)

// The accounts of the spans that a page with more behind it is cut into, and of
// a page: a span may double before it is cut. Where everything is published, a
// page is larger, so that the outlet seldom has to wait for the next.
const (
	spanOfRenewals = 500
	pageOfRenewals = 2 * spanOfRenewals
	pageOfAll      = 8 * spanOfRenewals
)

// renewals plan when which part of the model is published again. They part the
// accounts, in the order of their names, into spans, each with the moment at
// which it is due. No count of accounts is needed, and accounts that come or go
// change nothing for others: every span is gone over once in a cycle, whatever
// is in it by then. It is for one goroutine.
type renewals struct {
	cycle time.Duration
	// pageOfAll is how many accounts a page has where everything is published.
	pageOfAll int
	// spans are in the order of their names; the last reaches to the end.
	spans []span
	// cuts counts those that were made, to spread them.
	cuts int
}

// span is the accounts behind the span before, up to and with a name.
type span struct {
	upTo string
	due  time.Time
	// owed says that it was not published since everything has to be.
	owed bool
}

// everything makes all accounts due at now.
func (r *renewals) everything(now time.Time) { r.spans = []span{{due: now, owed: true}} }

// owes reports whether something is left of what everything made due.
func (r *renewals) owes() bool {
	for i := range r.spans {
		if r.spans[i].owed {
			return true
		}
	}
	return false
}

// next is the span to go over first, and when; what is owed comes before what is
// due. False if there is none.
func (r *renewals) next() (i int, at time.Time, found bool) {
	for k := range r.spans {
		s, best := &r.spans[k], &r.spans[i]
		if s.owed != best.owed {
			if s.owed {
				i = k
			}
		} else if s.due.Before(best.due) {
			i = k
		}
	}
	if len(r.spans) == 0 {
		return 0, at, false
	}
	return i, r.spans[i].due, true
}

// after is the name behind which a span begins.
func (r *renewals) after(i int) string {
	if i == 0 {
		return ""
	}
	return r.spans[i-1].upTo
}

// page is how many rows to read of a span.
func (r *renewals) page(i int) int {
	if r.spans[i].owed {
		return r.pageOfAll
	}
	return pageOfRenewals
}

// within cuts off the rows of a page that lie behind the span, and reports
// whether the span may have more than is on the page.
func (r *renewals) within(i int, page []EntitlementRow) (rows []EntitlementRow, more bool) {
	last := i == len(r.spans)-1
	for n := range page {
		if !last && page[n].Account > r.spans[i].upTo {
			return page[:n], false
		}
	}
	return page, len(page) == r.page(i)
}

// renewed puts down that the rows of a span were published at a moment. With
// more, they are all that a page holds, and the rest of the span stays due.
func (r *renewals) renewed(i int, rows []EntitlementRow, more bool, at time.Time) {
	if !more {
		s := &r.spans[i]
		if s.owed {
			s.due, s.owed = at.Add(r.spread()), false
		} else {
			s.due = at.Add(r.cycle)
		}
		return
	}
	var cut []span
	for n := spanOfRenewals; n <= len(rows); n += spanOfRenewals {
		cut = append(cut, span{upTo: rows[n-1].Account, due: at.Add(r.spread())})
	}
	rest := append(cut, r.spans[i:]...)
	r.spans = append(r.spans[:i:i], rest...)
}

// spread is a part of a cycle, so that spans that were published together are
// renewed one by one: multiples of the golden ratio fill it evenly, however many
// there are.
func (r *renewals) spread() time.Duration {
	r.cuts++
	_, part := math.Modf(float64(r.cuts) * math.Phi)
	return time.Duration(part * float64(r.cycle))
}
