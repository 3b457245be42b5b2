package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/daybookhq/daybook/eventstore"
)

// Copy writes the store at path, as it is at one moment after the call, to a new
// file, whether or not an owner is at work: nobody waits for it. When it returns
// without an error, the copy is on disk, was read from its first event to its
// last, and is a store like any other; it returns the copy's last position. It
// fails as OpenReader does, or with fs.ErrExist, and leaves no file then.
//
// The WAL cannot be started anew while the copy is being written.
func Copy(ctx context.Context, path, target string, tell func(at, head eventstore.Position)) (last eventstore.Position, err error) {
	source, err := OpenReader(ctx, path)
	if err != nil {
		return 0, err
	}
	defer source.Close() //nolint:errcheck // it was only read
	// SQLite writes into an empty file that is there; it would make one that
	// others can read.
	file, err := os.OpenFile(target, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("copy the event store: %w", err)
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			last, err = 0, errors.Join(fmt.Errorf("copy the event store to %s: %w", target, err), os.Remove(target))
		}
	}()
	if err := vacuumInto(ctx, path, target); err != nil {
		return 0, err
	}
	if err := errors.Join(file.Sync(), syncFolder(filepath.Dir(target))); err != nil {
		return 0, err
	}
	return checkCopy(ctx, target, tell)
}

// vacuumInto has SQLite write what one transaction reads. It flushes nothing.
func vacuumInto(ctx context.Context, path, target string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", target)
	return errors.Join(err, db.Close())
}

// syncFolder makes a new name durable, where folders can be flushed.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // a file system that has no such thing
	}
	return errors.Join(err, folder.Close())
}

func checkCopy(ctx context.Context, path string, tell func(at, head eventstore.Position)) (last eventstore.Position, err error) {
	reader, err := OpenReader(ctx, path)
	if err != nil {
		return 0, err
	}
	err = reader.Check(ctx, func(at, head eventstore.Position) {
		last = at
		tell(at, head)
	})
	return last, errors.Join(err, reader.Close())
}
