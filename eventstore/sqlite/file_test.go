package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/eventstore"
)

// proposed is an event with a new ID.
func proposed(data string) eventstore.ProposedEvent {
	return eventstore.ProposedEvent{ID: uuid.New(), Type: "Tested", Data: []byte(data), Metadata: []byte(`{"schema":1}`)}
}

// fillLog appends n events to n/10 streams of two categories.
func fillLog(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		stream := eventstore.NewStream([]string{"order", "invoice"}[i%2], fmt.Sprint(i%max(n/10, 1)))
		if _, err := s.Append(context.Background(), stream, eventstore.Any, proposed(fmt.Sprintf(`{"n":%d}`, i))); err != nil {
			t.Fatal(err)
		}
	}
}

// newFile makes a store of n events and returns its path.
func newFile(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.db")
	s := openTest(t, path, Options{})
	fillLog(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool opens the file as an auditor's tool does, without our settings.
func tool(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func execTool(t testing.TB, db *sql.DB, script string) {
	t.Helper()
	if _, err := db.Exec(script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// count is the answer of a query for one number.
func count(t testing.TB, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestAnAuditorReadsTheFile(t *testing.T) {
	path := newFile(t, 40)
	db := tool(t, path)
	if n := count(t, db, "SELECT count(*) FROM events WHERE json_extract(data, '$.n') = position - 1"); n != 40 {
		t.Errorf("json_extract finds %d of 40", n)
	}
	if n := count(t, db, "SELECT count(*) FROM events WHERE typeof(data) = 'text' AND typeof(metadata) = 'text' AND length(id) = 36"); n != 40 {
		t.Errorf("%d of 40 events are text", n)
	}
	if n := count(t, db, "SELECT count(*) FROM events JOIN categories c ON c.id = category WHERE c.name = 'invoice'"); n != 20 {
		t.Errorf("%d events of the category, want 20", n)
	}
	if n := count(t, db, "PRAGMA application_id"); n != applicationID {
		t.Errorf("application_id %#x", n)
	}
	if n := count(t, db, "PRAGMA user_version"); n != int64(len(migrations)) {
		t.Errorf("user_version %d", n)
	}
}

func TestTheFileIsAppendOnly(t *testing.T) {
	path := newFile(t, 40)
	db := tool(t, path)
	for _, text := range []string{
		"UPDATE events SET data = 'x' WHERE position = 3",
		"UPDATE events SET position = 100 WHERE position = 3",
		"DELETE FROM events WHERE position = 40",
		"DELETE FROM events",
		"UPDATE categories SET name = 'x'",
		"DELETE FROM categories",
	} {
		if _, err := db.Exec(text); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v, want a refusal", text, err)
		}
	}
	const columns = "(position, category, stream, revision, id, type, metadata, data)"
	for _, values := range []string{
		"(3, 1, 'order-new', 0, 'id', 'Forged', '', '')",
		"(41, 1, 'order-0', 0, 'id', 'Forged', '', '')",
		"(-1, 1, 'order-new', 0, 'id', 'Forged', '', '')",
	} {
		_, err := db.Exec("REPLACE INTO events " + columns + " VALUES " + values)
		if err != nil && !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", values, err)
		}
	}
	if n := count(t, db, "SELECT count(*) FROM events WHERE type = 'Forged'"); n != 0 {
		t.Errorf("%d events were replaced", n)
	}
	if n := count(t, db, "SELECT count(*) FROM events"); n != 40 {
		t.Errorf("%d events, want 40", n)
	}
}

func TestReopen(t *testing.T) {
	path := newFile(t, 40)
	findings := make(chan Finding, 1)
	s := openTest(t, path, Options{Report: func(f Finding) { findings <- f }})
	head, err := s.Head(context.Background())
	if err != nil || head != 40 {
		t.Fatalf("the log ends at %d, %v; want 40", head, err)
	}
	r, err := s.Append(context.Background(), "order-x", eventstore.NoStream, proposed("{}"))
	if err != nil || r.Position != 41 {
		t.Fatalf("the next event stands at %+v, %v", r, err)
	}
	if f := <-findings; f.Kind != CheckPassed || f.Position < 40 || f.Bad() {
		t.Errorf("the background found %+v", f)
	}
}

func TestOnlyOneOwner(t *testing.T) {
	path := newFile(t, 1)
	first := openTest(t, path, Options{})
	_, err := Open(context.Background(), path, Options{})
	var used *InUseError
	if !errors.As(err, &used) || used.PID != os.Getpid() || !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatalf("a second owner got %v, want an InUseError of process %d", err, os.Getpid())
	}
	if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("%q does not name process %d", err, os.Getpid())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, path, Options{})
}

func TestAStrangersFileStaysAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	db := tool(t, path)
	execTool(t, db, "CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), path, Options{}); !errors.Is(err, ErrNotStore) {
		t.Errorf("open: %v, want ErrNotStore", err)
	}
	if _, err := OpenReader(context.Background(), path); !errors.Is(err, ErrNotStore) {
		t.Errorf("open for reading: %v, want ErrNotStore", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestANewerFileIsRefused(t *testing.T) {
	path := newFile(t, 1)
	execTool(t, tool(t, path), "PRAGMA user_version = 99")
	for _, open := range []func() error{
		func() error { _, err := Open(context.Background(), path, Options{}); return err },
		func() error { _, err := OpenReader(context.Background(), path); return err },
	} {
		err := open()
		var version *VersionError
		if !errors.As(err, &version) || version.Found != 99 || version.Known != len(migrations) {
			t.Errorf("got %v, want a VersionError", err)
		}
	}
}

func TestMigrations(t *testing.T) {
	path := newFile(t, 10)
	prepare := func(steps []string) error {
		db, err := pool(path, connMode{cacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		c, err := connect(context.Background(), db)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(c.close(), db.Close()); err != nil {
				t.Error(err)
			}
		}()
		return c.hold(func(s session) error { return prepareFile(s, path, steps) })
	}
	next := append(append([]string{}, migrations...), "CREATE TABLE added (x); INSERT INTO added VALUES (1)")
	broken := append(append([]string{}, next...), "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1)")

	if err := prepare(broken); err == nil {
		t.Fatal("a broken step was applied")
	}
	db := tool(t, path)
	if v, n := count(t, db, "PRAGMA user_version"), count(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"); v != int64(len(next)) || n != 0 {
		t.Errorf("after a broken step: schema %d and %d of its tables, want %d and none", v, n, len(next))
	}
	for range 2 {
		if err := prepare(next); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, db, "SELECT sum(x) FROM added"); n != 1 {
		t.Errorf("the step was applied %d times", n)
	}
	if n := count(t, db, "SELECT count(*) FROM events"); n != 10 {
		t.Errorf("%d events, want 10", n)
	}
}

func TestAReaderWaitsForTheOwnersMigration(t *testing.T) {
	path := newFile(t, 1)
	execTool(t, tool(t, path), "PRAGMA user_version = 0")
	_, err := OpenReader(context.Background(), path)
	var version *VersionError
	if !errors.As(err, &version) || version.Found != 0 {
		t.Errorf("got %v, want a VersionError", err)
	}
}

func TestDamagedFiles(t *testing.T) {
	whole := newFile(t, 400)
	for _, c := range []struct {
		name   string
		damage func(b []byte) []byte
	}{
		{"header", func(b []byte) []byte { copy(b, "not a database, surely"); return b }},
		{"truncated", func(b []byte) []byte { return b[:len(b)/2] }},
		{"text", func([]byte) []byte { return []byte(strings.Repeat("hello, this is text\n", 500)) }},
		{"zeros at the end", func(b []byte) []byte { clear(b[len(b)-pageBytes:]); return b }},
		{"first page", func(b []byte) []byte { clear(b[100:pageBytes]); return b }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			b, err := os.ReadFile(whole)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Open(context.Background(), path, Options{})
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Path != path || !errors.Is(err, eventstore.ErrUnavailable) {
				t.Errorf("got %v, want a CorruptError", err)
			}
			// The lock must have been given up: the error is the same again.
			if _, err := Open(context.Background(), path, Options{}); !errors.As(err, &corrupt) {
				t.Errorf("again: %v, want a CorruptError", err)
			}
		})
	}
}

func TestTheBackgroundFindsDamage(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(newFile(t, 1000))
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"an event is gone":         "DROP TRIGGER events_no_delete; DELETE FROM events WHERE position = 910",
		"a revision is gone":       "DROP TRIGGER events_no_update; UPDATE events SET revision = 1000 WHERE position = 20",
		"a stream was renamed":     "DROP TRIGGER events_no_update; UPDATE events SET stream = 'order-other' WHERE position = 600",
		"an index lacks an entry":  withoutIndexed("events_by_stream", "CREATE UNIQUE INDEX events_by_stream ON events (stream, revision)"),
		"the other lacks an entry": withoutIndexed("events_by_category", "CREATE INDEX events_by_category ON events (category, position)"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			execTool(t, tool(t, path), script)
			findings := make(chan Finding, 1)
			openTest(t, path, Options{Report: func(f Finding) { findings <- f }})
			f := <-findings
			var corrupt *CorruptError
			if f.Kind != CheckFailed || !errors.As(f.Err, &corrupt) || !f.Bad() {
				t.Errorf("found %+v, want a failed check", f)
			}
			r := openReader(t, path)
			if err := r.Check(t.Context(), func(eventstore.Position, eventstore.Position) {}); !errors.As(err, &corrupt) || corrupt.Path != path {
				t.Errorf("a reader's check: %v, want a CorruptError", err)
			}
		})
	}
}

func TestAWholeFilePassesTheCheck(t *testing.T) {
	t.Parallel()
	var last, total eventstore.Position
	r := openReader(t, newFile(t, 1000))
	if err := r.Check(t.Context(), func(at, head eventstore.Position) { last, total = at, head }); err != nil || last != 1000 || total != 1000 {
		t.Errorf("came to %d of %d: %v", last, total, err)
	}
}

// withoutIndexed makes an index lack what it should have: it is built over
// fewer events, and then said to be over all.
func withoutIndexed(index, definition string) string {
	return `DROP INDEX ` + index + `; ` + definition + ` WHERE position <> 30;
		PRAGMA writable_schema = 1;
		UPDATE sqlite_schema SET sql = '` + definition + `' WHERE name = '` + index + `';
		PRAGMA writable_schema = 0`
}

// TestTheEndIsCheckedAtOpening damages one of the newest events.
func TestTheEndIsCheckedAtOpening(t *testing.T) {
	path := newFile(t, 100)
	execTool(t, tool(t, path), "DROP TRIGGER events_no_delete; DELETE FROM events WHERE position = 95")
	_, err := Open(context.Background(), path, Options{})
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Path != path {
		t.Errorf("got %v, want a CorruptError", err)
	}
}

func TestNoPlaceForTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(dir, "missing", "events.db"),
		filepath.Join(file, "events.db"),
		dir,
	} {
		if _, err := Open(context.Background(), path, Options{}); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("open %s: %v, want ErrUnavailable", path, err)
		}
		if _, err := OpenReader(context.Background(), path); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("open %s for reading: %v, want ErrUnavailable", path, err)
		}
	}
}

func TestPathsAreTakenLiterally(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b=c.db", "a%20b.db", "a#b.db", "ä&b.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := openTest(t, path, Options{})
		fillLog(t, s, 1)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheWriterFlushes pins the settings that durability rests on.
func TestTheWriterFlushes(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "events.db"), Options{})
	gated(s, func() {
		err := s.writer.conn.hold(func(ses session) error {
			for text, want := range map[string]int64{"PRAGMA synchronous": 2, "PRAGMA wal_autocheckpoint": 0, "PRAGMA page_size": pageBytes} {
				if n, _, err := ses.integer(text); err != nil || n != want {
					t.Errorf("%s is %d, %v; want %d", text, n, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	if mode := ""; tool(t, s.path).QueryRow("PRAGMA journal_mode").Scan(&mode) != nil || mode != "wal" {
		t.Errorf("journal mode %q, want wal", mode)
	}
}
