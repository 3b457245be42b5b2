package sqlite

import (
	"errors"
	"fmt"
	"os"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/daybookhq/daybook/eventstore"
)

// What went wrong below the contract. Errors that wrap one of these wrap
// eventstore.ErrUnavailable or eventstore.ErrOutcomeUnknown too; those two say
// whether anything may have been written, these say what to repair. The store
// goes on by itself once the cause is gone.
var (
	// ErrDiskFull: no room for more on the disk.
	ErrDiskFull = errors.New("no room on the disk")
	// ErrLocked: another process holds the file's write lock.
	ErrLocked = errors.New("file locked by another process")
	// ErrReadOnly: the file or its directory cannot be written.
	ErrReadOnly = errors.New("file or directory not writable")
	// ErrIO: reading, writing or flushing the file failed.
	ErrIO = errors.New("disk I/O failed")
	// ErrQueueFull: more appends wait than Options allow.
	ErrQueueFull = errors.New("too many appends waiting")
	// ErrNotStore: the file is not an event store of ours.
	ErrNotStore = errors.New("not a Daybook event store")
)

// InUseError says that another process, or another Store in this one, owns
// the file.
type InUseError struct {
	Path string
	// PID is the owner's process id, 0 if it could not be told.
	PID int
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("event store %s is in use by another process", e.Path)
	}
	return fmt.Sprintf("event store %s is in use by process %d", e.Path, e.PID)
}

// Is makes an InUseError an eventstore.ErrUnavailable.
func (e *InUseError) Is(target error) bool { return target == eventstore.ErrUnavailable }

// CorruptError says that the file's content is damaged. It must be restored
// from a backup; nothing repairs it.
type CorruptError struct {
	Path   string
	Detail string
	Err    error // SQLite's own, if there is one
}

func (e *CorruptError) Error() string {
	text := fmt.Sprintf("event store %s is damaged", e.Path)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is makes a CorruptError an eventstore.ErrUnavailable.
func (e *CorruptError) Is(target error) bool { return target == eventstore.ErrUnavailable }

func (e *CorruptError) Unwrap() error { return e.Err }

// VersionError says that the file's schema is not one this program can use:
// a newer program wrote it, or, for a reader, its owner has not migrated it yet.
type VersionError struct {
	Path         string
	Found, Known int
}

func (e *VersionError) Error() string {
	if e.Found < e.Known {
		return fmt.Sprintf("event store %s has schema %d and must first be opened by its owner, which brings it to %d",
			e.Path, e.Found, e.Known)
	}
	return fmt.Sprintf("event store %s has schema %d, this program knows up to %d: use a newer one",
		e.Path, e.Found, e.Known)
}

// Is makes a VersionError an eventstore.ErrUnavailable.
func (e *VersionError) Is(target error) bool { return target == eventstore.ErrUnavailable }

// unavailable wraps a fault that left the log as it was.
func unavailable(path, doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, eventstore.ErrUnavailable, cause(path, err))
}

// outcomeUnknown wraps a fault of which nobody can say what it left.
func outcomeUnknown(path, doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, eventstore.ErrOutcomeUnknown, cause(path, err))
}

// cause adds our word for what SQLite reports.
func cause(path string, err error) error {
	var fault *sqlite.Error
	if !errors.As(err, &fault) {
		return err
	}
	switch fault.Code() & 0xff {
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrLocked, err)
	case lib.SQLITE_CANTOPEN:
		if _, missing := os.Stat(path); missing != nil {
			return missing
		}
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case lib.SQLITE_IOERR:
		return fmt.Errorf("%w: %w", ErrIO, err)
	case lib.SQLITE_NOTADB:
		return &CorruptError{Path: path, Detail: "its header is not a database's", Err: err}
	case lib.SQLITE_CORRUPT:
		return &CorruptError{Path: path, Err: err}
	}
	return err
}

// isBusy reports whether another connection stood in the way.
func isBusy(err error) bool {
	var fault *sqlite.Error
	return errors.As(err, &fault) && fault.Code()&0xff == lib.SQLITE_BUSY
}
