package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/daybookhq/daybook/eventstore"
)

// ownership is the claim of one process to be the file's only writer: a lock
// of the operating system, which ends with the process however it ends, on a
// file that holds the process id for people and for InUseError.
type ownership struct {
	lock *flock.Flock
	path string
}

// takeOwnership claims the store at path, or says who has it.
func takeOwnership(path string) (*ownership, error) {
	lockPath := path + ".lock"
	lock := flock.New(lockPath)
	taken, err := lock.TryLock()
	if err != nil {
		return nil, lockFault(lockPath, err)
	}
	if !taken {
		return nil, &InUseError{Path: path, PID: readPID(lockPath)}
	}
	o := &ownership{lock: lock, path: lockPath}
	if err := os.WriteFile(lockPath, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(lockFault(lockPath, err), lock.Unlock())
	}
	return o, nil
}

// release gives the claim up. The lock's file stays: removing it would let two
// processes lock two different files of that name.
func (o *ownership) release() error {
	if err := os.Truncate(o.path, 0); err != nil {
		return errors.Join(err, o.lock.Unlock())
	}
	return o.lock.Unlock()
}

func lockFault(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", ErrReadOnly, err)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("the directory does not exist: %w", err)
	}
	return fmt.Errorf("lock %s: %w: %w", path, eventstore.ErrUnavailable, err)
}

// readPID waits a little for an owner that has the lock but has not yet
// written its id.
func readPID(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return pid
		}
		select {
		case <-ctx.Done():
			return 0
		case <-tick.C:
		}
	}
}
