package projections

import (
	"sync"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// mostFed bounds the entitlements that wait in a Feed: about 10 MB.
const mostFed = 10_000

// Feed hands the entitlements that a runner writes to whoever publishes them. It
// is bounded: when more has changed than it holds, it lets go of all, and says
// that the whole model is to be read instead. Of one account it has the latest
// only. A nil Feed takes what it is given, and forgets it.
type Feed struct {
	now  func() time.Time
	woke chan struct{} // has a token when there may be something to take

	mu   sync.Mutex
	open bool
	fed  fed
}

// fed is what has changed since the last time.
type fed struct {
	rows map[string]fedRow
	// all says that anything may have changed, and why.
	all string
	// position is the place up to which the log has been folded.
	position eventstore.Position
	// since is when the oldest change was fed, zero if there is none.
	since time.Time
}

// fedRow is an entitlement, and the place up to which the log had been folded
// when it was evaluated.
type fedRow struct {
	EntitlementRow
	position eventstore.Position
}

// Why the whole model is to be read.
const (
	becauseFull     = "more has changed at once than is kept count of"
	becauseReplaced = "the read model was folded anew"
)

// NewFeed returns a feed that nobody takes from.
func NewFeed(now func() time.Time) *Feed {
	return &Feed{now: now, woke: make(chan struct{}, 1)}
}

// put tells of entitlements that were written when the log had been folded up to
// a position. Those without a Doc were dropped.
func (f *Feed) put(rows []EntitlementRow, position eventstore.Position) {
	if f == nil || len(rows) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open {
		return
	}
	f.begun()
	for _, row := range rows {
		f.fed.rows[row.Account] = fedRow{row, position}
	}
	f.bound()
}

// listens reports whether changes are kept, and will be published.
func (f *Feed) listens() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// putBack returns what could not be published, as far as nothing newer is there.
func (f *Feed) putBack(rows map[string]fedRow, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for account, row := range rows {
		if _, newer := f.fed.rows[account]; !newer {
			f.fed.rows[account] = row
		}
	}
	if f.fed.since.IsZero() || since.Before(f.fed.since) {
		f.fed.since = since
	}
	f.bound()
}

// bound lets go of what is too much. It is called under mu.
func (f *Feed) bound() {
	if len(f.fed.rows) > mostFed {
		f.fed.rows, f.fed.all = map[string]fedRow{}, becauseFull
	}
}

// begun notes that there is something to take. It is called under mu.
func (f *Feed) begun() {
	if f.fed.since.IsZero() {
		f.fed.since = f.now()
	}
	signal(f.woke)
}

// replaced tells that the model's whole content is another one.
func (f *Feed) replaced() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open {
		f.fed.rows, f.fed.all = map[string]fedRow{}, becauseReplaced
		f.begun()
	}
}

// reached tells how far the log has been folded. It wakes nobody.
func (f *Feed) reached(position eventstore.Position) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fed.position = position
}

// take returns what has changed, and begins anew.
func (f *Feed) take() fed {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.fed
	f.fed = fed{rows: map[string]fedRow{}, position: got.position}
	return got
}

// waiting tells how many changes there are to take, and since when.
func (f *Feed) waiting() (n int, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.fed.rows), f.fed.since
}

// holds reports whether an entitlement waits to be published.
func (f *Feed) holds(account string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, waits := f.fed.rows[account]
	return waits
}

// listen begins, or ends, that changes are kept.
func (f *Feed) listen(open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = open
	f.fed = fed{rows: map[string]fedRow{}, position: f.fed.position}
}
