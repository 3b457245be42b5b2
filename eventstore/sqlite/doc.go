// Package sqlite is the embedded event store: one SQLite file in WAL mode,
// one process that owns it and writes, any number that read beside it.
//
// # The file
//
// An auditor opens it with the sqlite3 tool. The table events holds the log,
// one row per event, and is only ever added to:
//
//	position  INTEGER PRIMARY KEY  place in the log, from 1, without gaps
//	category  INTEGER              row of categories: the stream's first part
//	stream    TEXT                 category-id
//	revision  INTEGER              place in the stream, from 0
//	id        TEXT                 the event's UUID
//	type      TEXT                 a stable name
//	metadata  TEXT, or BLOB        as appended
//	data      TEXT, or BLOB        as appended
//
// IDs are text, twenty bytes more than a blob, because people copy them
// between the log, the API and their notes. Metadata and data are stored as
// TEXT where they are UTF-8 without NUL, so that json_extract works on them,
// and otherwise as BLOB; the bytes are the same. data stands last: SQLite
// keeps what does not fit into a page in overflow pages, and a reader that
// passes over an event does not touch those.
//
// The index on (stream, revision) is what makes two writers of one revision
// impossible; the one on (category, position) lets a subscriber follow its
// categories without reading the others' rows. Triggers refuse UPDATE and
// DELETE, and an INSERT that would replace a row. PRAGMA
// application_id is 0x44617962 ("Dayb"), PRAGMA user_version the schema's
// version. Beside the file lie SQLite's -wal and -shm, and a .lock that holds
// the owner's process id.
//
// # Durability
//
// One goroutine writes. It takes all appends that wait, applies them in one
// transaction, commits with synchronous=FULL, which flushes the WAL to disk,
// and only then answers any of them: conflicts and repeated appends too,
// because what they were judged by might have been part of the same batch.
// While several callers append, it leaves a millisecond between commits, so
// that more share one; a single caller is not kept waiting for others.
//
// # Readers
//
// Reads happen in chunks, each in a snapshot of its own that is closed before
// an event is handed to the caller, so that a slow consumer never keeps the
// WAL from being checkpointed. Checkpoints run in the background; see
// Options.WALBound.
package sqlite
