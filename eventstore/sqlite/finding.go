package sqlite

import (
	"fmt"

	"github.com/daybookhq/daybook/eventstore"
)

// FindingKind says what a Finding is about.
type FindingKind uint8

// The kinds of findings.
const (
	// CheckPassed: the background check read the whole log and found it whole.
	CheckPassed FindingKind = iota + 1
	// CheckFailed: it found damage. Restore the file from a backup.
	CheckFailed
	// WALPinned: a reader in another process keeps the write-ahead log, now
	// Bytes long, from being restarted. It grows until that reader ends.
	WALPinned
	// WALReleased: the reader of a WALPinned has ended.
	WALReleased
	// CheckpointFailed: moving the write-ahead log into the file failed.
	// Nothing is lost; it is tried again.
	CheckpointFailed
)

func (k FindingKind) String() string {
	switch k {
	case CheckPassed:
		return "check passed"
	case CheckFailed:
		return "check failed"
	case WALPinned:
		return "write-ahead log pinned"
	case WALReleased:
		return "write-ahead log released"
	case CheckpointFailed:
		return "checkpoint failed"
	}
	return fmt.Sprintf("finding %d", uint8(k))
}

// Finding is something that the background found out about the file.
type Finding struct {
	Kind FindingKind
	// Position is up to where a check has read.
	Position eventstore.Position
	// Bytes is the size of the write-ahead log.
	Bytes int64
	// Err says more about a failure.
	Err error
}

// Bad reports whether somebody should look after it.
func (f Finding) Bad() bool { return f.Kind != CheckPassed && f.Kind != WALReleased }
