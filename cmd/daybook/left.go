package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// A data dir whose store was migrated keeps a note of it beside the store, so
// that a server which is started without EVENTSTORE_URL, by mistake, does not go
// on with the store that was left behind.

// leave writes the note.
func leave(dir string, to *moved) error {
	note, err := json.Marshal(to)
	if err != nil {
		return fmt.Errorf("note the migration: %w", err)
	}
	if err := os.WriteFile(leftPath(dir), append(note, '\n'), 0o600); err != nil {
		return fmt.Errorf("note the migration in the data dir: %w", err)
	}
	return nil
}

// leftError says that an embedded store was migrated, and is written to no more.
type leftError struct {
	to   moved
	path string
}

func (e *leftError) Error() string {
	return fmt.Sprintf("the store of this data dir was migrated to %s, prefix %q, at %s: set EVENTSTORE_URL, or remove %s to go on with what was left here",
		e.to.To, e.to.Prefix, moment(e.to.MigratedAt), e.path)
}

// refuseLeft refuses an embedded store that was left behind.
func refuseLeft(dir string) error {
	note, err := os.ReadFile(leftPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	left := &leftError{path: leftPath(dir)}
	if err == nil {
		err = json.Unmarshal(note, &left.to)
	}
	if err != nil {
		return fmt.Errorf("read the note of a migration: %w", err)
	}
	return left
}
