package sqlite

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// writeBack makes the system begin to write what was changed in a file, and
// does not wait for it. Otherwise all of that gathers until the file is
// flushed, and the flushes of the write-ahead log wait in the same queue.
func writeBack(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	controlled := raw.Control(func(fd uintptr) {
		err = unix.SyncFileRange(int(fd), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	})
	if controlled != nil {
		return controlled
	}
	// Where a file system does not know it, the flush does all the work.
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("write back %s: %w", f.Name(), err)
	}
	return nil
}
