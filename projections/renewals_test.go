package projections

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// walked lets renewals go over accounts as a publisher does, by a clock of its
// own, and tells when each was renewed last.
type walked struct {
	renewals
	now      time.Time
	accounts map[string]bool
	last     map[string]time.Time
	pages    int
	most     int // rows in a page of no round
}

func newWalked(cycle time.Duration) *walked {
	w := &walked{renewals: renewals{cycle: cycle, pageOfAll: pageOfAll}, now: time.Unix(1e9, 0), accounts: map[string]bool{}, last: map[string]time.Time{}}
	w.everything(w.now)
	return w
}

func (w *walked) add(account string) {
	w.accounts[account] = true
	w.last[account] = w.now // what is new is published at once
}

// pageOf reads as the model does.
func (w *walked) pageOf(after string, limit int) (rows []EntitlementRow) {
	for _, account := range slices.Sorted(maps.Keys(w.accounts)) {
		if account > after && len(rows) < limit {
			rows = append(rows, EntitlementRow{Account: account})
		}
	}
	return rows
}

// until does all that is due up to a moment.
func (w *walked) until(end time.Time) {
	for {
		i, at, found := w.next()
		if !found || at.After(end) && !w.spans[i].owed {
			w.now = end
			return
		}
		if at.After(w.now) {
			w.now = at
		}
		owed := w.spans[i].owed
		rows, more := w.within(i, w.pageOf(w.after(i), w.page(i)))
		for _, row := range rows {
			w.last[row.Account] = w.now
		}
		w.pages++
		if !owed {
			w.most = max(w.most, len(rows))
		}
		w.renewed(i, rows, more, w.now)
	}
}

// TestEveryAccountIsRenewedInEveryCycle: whoever comes, goes, and whatever their
// names are, nobody waits longer than a cycle.
func TestEveryAccountIsRenewedInEveryCycle(t *testing.T) {
	const cycle = 100 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		w := newWalked(cycle)
		prefixes := rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,2}`), 1, 4).Draw(t, "prefixes")
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			for range rapid.IntRange(0, 1500).Draw(t, "come") {
				prefix := prefixes[rapid.IntRange(0, len(prefixes)-1).Draw(t, "prefix")]
				w.add(fmt.Sprintf("%s%05d", prefix, len(w.accounts)*7919%100000))
			}
			for account := range w.accounts {
				if len(w.accounts) > 100 && step%4 == 3 {
					delete(w.accounts, account)
				}
			}
			w.until(w.now.Add(time.Duration(rapid.IntRange(1, 150).Draw(t, "seconds")) * time.Second))
			for account := range w.accounts {
				if late := w.now.Sub(w.last[account]); late > cycle {
					t.Fatalf("%q waits for %s, in spans %v", account, late, len(w.spans))
				}
			}
		}
		if w.owes() {
			t.Fatal("something is owed")
		}
	})
}

// TestRenewalIsSpread: what was published at once is renewed little by little.
func TestRenewalIsSpread(t *testing.T) {
	const cycle, n = 200 * time.Second, 20_000
	w := newWalked(cycle)
	for i := range n {
		w.add(fmt.Sprintf("account-%05d", i))
	}
	w.until(w.now)
	if w.owes() || w.pages != n/pageOfAll+1 {
		t.Fatalf("%d pages for all, owing %t", w.pages, w.owes())
	}
	w.until(w.now.Add(cycle)) // the first is early, so that the others are spread
	for range 3 {
		fewest, most := n, 0
		for range 10 {
			before := w.pages
			w.until(w.now.Add(cycle / 10))
			fewest, most = min(fewest, w.pages-before), max(most, w.pages-before)
		}
		if want := n / spanOfRenewals / 10; fewest < want/2 || most > 2*want {
			t.Errorf("between %d and %d pages in a tenth of a cycle, want about %d", fewest, most, want)
		}
	}
	if w.most > pageOfRenewals {
		t.Errorf("a page of %d", w.most)
	}
}

// TestAFullFeedAsksForEverything: it lets go of what it cannot hold, and says so.
func TestAFullFeedAsksForEverything(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := NewFeed(func() time.Time { return now })
	f.put([]EntitlementRow{{Account: "nobody listens"}}, 1)
	f.listen(true)
	f.put([]EntitlementRow{{Account: "a", Doc: []byte("1")}}, 1)
	now = now.Add(time.Second)
	f.put([]EntitlementRow{{Account: "a", Doc: []byte("2")}, {Account: "b"}}, 2)
	f.reached(3)
	got := f.take()
	if len(got.rows) != 2 || string(got.rows["a"].Doc) != "2" || got.rows["b"].position != 2 || got.position != 3 || got.all != "" || !got.since.Equal(time.Unix(1e9, 0)) {
		t.Errorf("took %+v", got)
	}
	f.put([]EntitlementRow{{Account: "a", Doc: []byte("3")}}, 4)
	f.putBack(got.rows, got.since)
	if got = f.take(); string(got.rows["a"].Doc) != "3" || len(got.rows) != 2 {
		t.Errorf("after some were put back: %+v", got)
	}
	for i := range mostFed + 1 {
		f.put([]EntitlementRow{{Account: fmt.Sprint(i)}}, 5)
	}
	if got = f.take(); got.all != becauseFull || len(got.rows) > 0 {
		t.Errorf("of too much: %d rows, %q", len(got.rows), got.all)
	}
	f.put([]EntitlementRow{{Account: "a"}}, 6)
	f.replaced()
	if got = f.take(); got.all != becauseReplaced || len(got.rows) > 0 {
		t.Errorf("of a replaced model: %d rows, %q", len(got.rows), got.all)
	}
	var nobody *Feed
	nobody.put([]EntitlementRow{{}}, 1)
	nobody.reached(1)
	nobody.replaced()
}
