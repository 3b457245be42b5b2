package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
)

// applicationID marks the file as ours: "Dayb".
const applicationID = 0x44617962

// migrations[i] brings a file from schema i to i+1. Each is applied in one
// transaction with the change of user_version, so that a crash leaves the one
// or the other. A step that was released never changes.
//
// The trigger events_no_replace is there because REPLACE does not fire the
// triggers of the rows it removes: an INSERT that does not come behind the
// log's end is refused, one of a revision that is taken does nothing.
var migrations = []string{
	`CREATE TABLE categories (
		id   INTEGER PRIMARY KEY,
		name TEXT NOT NULL UNIQUE
	);
	CREATE TABLE events (
		position INTEGER PRIMARY KEY,
		category INTEGER NOT NULL REFERENCES categories (id),
		stream   TEXT    NOT NULL,
		revision INTEGER NOT NULL,
		id       TEXT    NOT NULL,
		type     TEXT    NOT NULL,
		metadata BLOB    NOT NULL,
		data     BLOB    NOT NULL
	);
	CREATE UNIQUE INDEX events_by_stream ON events (stream, revision);
	CREATE INDEX events_by_category ON events (category, position);
	CREATE TRIGGER events_no_replace BEFORE INSERT ON events
		WHEN EXISTS (SELECT 1 FROM events WHERE stream = NEW.stream AND revision = NEW.revision)
		OR EXISTS (SELECT 1 FROM events WHERE position >= NEW.position)
		BEGIN
			SELECT RAISE(ABORT, 'events are append-only')
				WHERE EXISTS (SELECT 1 FROM events WHERE position >= NEW.position);
			SELECT RAISE(IGNORE);
		END;
	CREATE TRIGGER events_no_update BEFORE UPDATE ON events
		BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
	CREATE TRIGGER events_no_delete BEFORE DELETE ON events
		BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
	CREATE TRIGGER categories_no_update BEFORE UPDATE ON categories
		BEGIN SELECT RAISE(ABORT, 'categories are append-only'); END;
	CREATE TRIGGER categories_no_delete BEFORE DELETE ON categories
		BEGIN SELECT RAISE(ABORT, 'categories are append-only'); END;`,
}

// fileState is what the header says of a file.
type fileState struct {
	application int64
	version     int
	objects     int64 // tables, indexes and triggers
}

func readState(s session) (fileState, error) {
	var st fileState
	for _, field := range []struct {
		text string
		set  func(int64)
	}{
		{"PRAGMA application_id", func(n int64) { st.application = n }},
		{"PRAGMA user_version", func(n int64) { st.version = int(n) }},
		{"SELECT count(*) FROM sqlite_schema", func(n int64) { st.objects = n }},
	} {
		n, _, err := s.integer(field.text)
		if err != nil {
			return st, err
		}
		field.set(n)
	}
	return st, nil
}

// fresh reports a file that nobody has written to.
func (st fileState) fresh() bool {
	return st.application == 0 && st.version == 0 && st.objects == 0
}

// check refuses a file that is not a store, or not one of a schema up to known.
func (st fileState) check(path string, known int) error {
	if st.application != applicationID {
		return fmt.Errorf("%s: %w (application_id %#x)", path, ErrNotStore, uint32(st.application))
	}
	if st.version > known {
		return &VersionError{Path: path, Found: st.version, Known: known}
	}
	return nil
}

// prepareFile makes a fresh file a store, and an older store a current one.
func prepareFile(s session, path string, steps []string) error {
	st, err := readState(s)
	if err != nil {
		return err
	}
	if !st.fresh() {
		if err := st.check(path, len(steps)); err != nil {
			return err
		}
	}
	// Only now: a stranger's file is left as it was.
	if err := useWAL(s); err != nil {
		return err
	}
	for v := st.version; v < len(steps); v++ {
		if err := migrate(s, steps[v], v+1); err != nil {
			return fmt.Errorf("bring the schema to %d: %w", v+1, err)
		}
	}
	return nil
}

func useWAL(s session) error {
	var mode string
	err := s.query("PRAGMA journal_mode = WAL", nil, func(row []driver.Value) (bool, error) {
		mode, _ = row[0].(string)
		return false, nil
	})
	if err == nil && mode != "wal" {
		err = fmt.Errorf("the file system does not allow WAL mode (journal mode stays %q)", mode)
	}
	return err
}

// migrate applies one step and its version, or nothing.
func migrate(s session, step string, version int) error {
	if _, err := s.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, text := range []string{
		step,
		"PRAGMA application_id = " + strconv.Itoa(applicationID),
		"PRAGMA user_version = " + strconv.Itoa(version),
		"COMMIT",
	} {
		if err := s.run(text); err != nil {
			_, undo := s.exec("ROLLBACK")
			return errors.Join(err, undo)
		}
	}
	return nil
}
