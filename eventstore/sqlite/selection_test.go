package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

func TestMinimal(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"b-", "a-"}, []string{"b-", "a-"}},
		{[]string{"c-", "a-", "a-", "a-b"}, []string{"c-", "a-"}},
		{[]string{"a-b", "a-c"}, []string{"a-b", "a-c"}},
		{[]string{"a-", ""}, nil},
		{[]string{"ab", "a-", "a"}, []string{"a"}},
	} {
		if got := minimal(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestSuccessor(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "order-": "order.", "a\xff": "b", "\xff\xff": "none"} {
		got, ok := successor(in)
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestPlans wants SQLite to read as intended: categories from their index,
// nothing sorted, nothing scanned but along the log.
func TestPlans(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	fillLog(t, s, 100)
	for _, c := range []struct {
		prefixes []string
		uses     string
	}{
		{nil, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{[]string{"order-"}, "events_by_category (category=? AND position>? AND position<?)"},
		{[]string{"order-", "invoice-", "payment-"}, "events_by_category (category=? AND position>? AND position<?)"},
		{[]string{"order-1"}, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{[]string{"order-", "inv"}, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	} {
		sel := newSelection(eventstore.Filter{Prefixes: c.prefixes})
		wantPlan(t, s, sel, c.uses)
		if sel.dense != nil {
			wantPlan(t, s, sel.dense, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)")
		}
	}
}

func wantPlan(t *testing.T, s *Store, sel *selection, uses string) {
	t.Helper()
	for dir, text := range sel.text {
		plan := explain(t, s, text, append([]driver.Value{int64(0), int64(100), int64(10)}, sel.args...))
		if !strings.Contains(plan, uses) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN events") {
			t.Errorf("%q, direction %d: the plan is\n%s", sel.filter.Prefixes, dir, plan)
		}
	}
}

// TestDenseAndSparseStretches goes from stretches in which most events pass to
// such where hardly one does, and back: each is read in its own way.
func TestDenseAndSparseStretches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := openTest(t, path, Options{})
	var want []eventstore.Position
	for _, stretch := range []struct{ orders, others int }{{700, 0}, {0, 3000}, {1, 0}, {0, 3000}, {1500, 1}, {500, 1500}, {10, 90}, {2000, 0}} {
		want = append(want, appendMany(t, s, "order-1", stretch.orders)...)
		appendMany(t, s, "other-1", stretch.others)
	}
	reader, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, dataOnly := range []bool{false, true} {
		f := eventstore.Filter{Prefixes: []string{"order-", "absent-"}, DataOnly: dataOnly}
		if got := positions(t, reader.ReadAll(t.Context(), 0, eventstore.Forwards, f, 0)); !slices.Equal(got, want) {
			t.Errorf("forwards: %d events, want %d", len(got), len(want))
		}
		got := positions(t, reader.ReadAll(t.Context(), eventstore.End, eventstore.Backwards, f, 0))
		if slices.Reverse(got); !slices.Equal(got, want) {
			t.Errorf("backwards: %d events, want %d", len(got), len(want))
		}
	}
}

// TestDataOnlyOfOddNames reads names and data of any bytes as they were appended.
func TestDataOnlyOfOddNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := openTest(t, path, Options{})
	for _, odd := range []string{"", "é", "a\x00b", "\x00", "\xff\xfe", "☃\x00\xff"} {
		for _, data := range []string{odd, "{}", ""} {
			e := eventstore.ProposedEvent{ID: uuid.New(), Type: "T" + odd, Data: []byte(data)}
			if _, err := s.Append(t.Context(), eventstore.Stream("order-1"+odd), eventstore.Any, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	reader, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	whole := eventstore.Filter{Prefixes: []string{"order-"}}
	dataOnly := whole
	dataOnly.DataOnly = true
	var want []eventstore.RecordedEvent
	for e, err := range reader.ReadAll(t.Context(), 0, eventstore.Forwards, whole, 0) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, e)
	}
	for e, err := range reader.ReadAll(t.Context(), 0, eventstore.Forwards, dataOnly, 0) {
		if err != nil {
			t.Fatal(err)
		}
		w := want[0]
		want = want[1:]
		if e.Position != w.Position || e.Revision != w.Revision || e.Stream != w.Stream || e.Type != w.Type || !bytes.Equal(e.Data, w.Data) {
			t.Errorf("got %+v, want %+v", e, w)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d events are missing", len(want))
	}
}

func appendMany(t *testing.T, s *Store, stream eventstore.Stream, n int) (at []eventstore.Position) {
	t.Helper()
	if n == 0 {
		return nil
	}
	events := make([]eventstore.ProposedEvent, n)
	for i := range events {
		events[i] = proposed("{}")
	}
	last, err := s.Append(t.Context(), stream, eventstore.Any, events...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		at = append(at, last.Position-eventstore.Position(n-1-i))
	}
	return at
}

func positions(t *testing.T, read iter.Seq2[eventstore.RecordedEvent, error]) (list []eventstore.Position) {
	t.Helper()
	for e, err := range read {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Position)
	}
	return list
}

func TestBehind(t *testing.T) {
	s := newSelection(eventstore.Filter{Prefixes: []string{"order-"}})
	for _, c := range []struct {
		events  int
		stretch eventstore.Position
		dense   bool
	}{{512, 512, true}, {512, 2048, true}, {512, 2049, false}, {0, 20_000, false}, {1, 1, true}} {
		if got := s.behind(c.events, c.stretch); (got == s.dense) != c.dense || got != s && got != s.dense {
			t.Errorf("behind %d of %d: dense %v", c.events, c.stretch, got == s.dense)
		}
	}
	if s := newSelection(eventstore.Filter{}); s.behind(1, 1) != s {
		t.Error("a selection of everything has another way to read")
	}
}

func explain(t *testing.T, s *Store, text string, args []driver.Value) string {
	t.Helper()
	var plan []string
	err := s.session(context.Background(), func(ses session) error {
		return ses.query("EXPLAIN QUERY PLAN "+text, args, func(row []driver.Value) (bool, error) {
			plan = append(plan, row[3].(string))
			return true, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// TestMoreCategoriesThanAnIndexServes reads with a filter of many categories.
func TestMoreCategoriesThanAnIndexServes(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	var f eventstore.Filter
	for i := range 2 * maxCategories {
		stream := eventstore.NewStream(fmt.Sprintf("category%03d", i), "1")
		if _, err := s.Append(context.Background(), stream, eventstore.NoStream, proposed("{}")); err != nil {
			t.Fatal(err)
		}
		f.Prefixes = append(f.Prefixes, stream.Category()+"-")
	}
	for _, n := range []int{1, maxCategories, maxCategories + 1, 2 * maxCategories} {
		got := 0
		for _, err := range s.ReadAll(context.Background(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: f.Prefixes[:n]}, 0) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got != n {
			t.Errorf("%d events of %d categories", got, n)
		}
	}
}

// TestLargeEventsAreReadInPortions reads more than one query may hold.
func TestLargeEventsAreReadInPortions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := openTest(t, path, Options{})
	payload := strings.Repeat("x", 900_000)
	for i := range 8 {
		if _, err := s.Append(context.Background(), "large-1", eventstore.Any, proposed(fmt.Sprint(i, payload))); err != nil {
			t.Fatal(err)
		}
	}
	r := openReader(t, path)
	for _, reader := range []eventstore.Reader{s, r} {
		if log := checkLog(t, reader); len(log) != 8 {
			t.Errorf("%d events, want 8", len(log))
		}
		for _, dir := range []eventstore.Direction{eventstore.Forwards, eventstore.Backwards} {
			from, n := eventstore.Revision(0), 0
			if dir == eventstore.Backwards {
				from = eventstore.LastRevision
			}
			for e, err := range reader.ReadStream(context.Background(), "large-1", from, dir, 0) {
				if err != nil || len(e.Data) != len(payload)+1 {
					t.Fatalf("%d bytes, %v", len(e.Data), err)
				}
				n++
			}
			if n != 8 {
				t.Errorf("direction %d: %d events, want 8", dir, n)
			}
		}
	}
}

// TestTail puts events in and looks at what is kept.
func TestTail(t *testing.T) {
	tail := newTail(8, 100)
	tail.reset(10)
	put := func(position eventstore.Position, size int) {
		tail.extend([]eventstore.RecordedEvent{{ID: uuid.New(), Stream: "o-1", Position: position, Data: make([]byte, size)}})
	}
	want := func(what string, from, to, first eventstore.Position, count int) {
		t.Helper()
		events, reached, ok := tail.after(from, to, eventstore.Filter{}, 100)
		if tail.first != first || len(events) != count || ok != (count > 0) || ok && reached != to {
			t.Errorf("%s: %d events up to %d (%v), the tail begins at %d; want %d, begin %d",
				what, len(events), reached, ok, tail.first, count, first)
		}
		for i, e := range events {
			if e.Position != from+eventstore.Position(i)+1 {
				t.Errorf("%s: event %d is at %d", what, i, e.Position)
			}
		}
	}
	put(11, 1)
	want("one", 10, 11, 11, 1)
	want("before it", 9, 11, 11, 0)
	for p := eventstore.Position(12); p <= 30; p++ {
		put(p, 1)
	}
	want("the newest", 22, 30, 23, 8)
	want("more than there are", 21, 30, 23, 0)
	put(31, 80)
	want("with a large one", 26, 31, 27, 5)
	put(32, 300)
	want("with one beyond the bound", 31, 32, 32, 1)
	tail.reset(40)
	want("after a leap", 32, 40, 41, 0)
	put(41, 1)
	want("and on", 40, 41, 41, 1)
}
