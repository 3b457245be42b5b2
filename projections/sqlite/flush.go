package sqlite

import (
	"context"
	"errors"
	"os"
)

// flushing brings a file that was written without syncs onto the disk, while it is
// read and written already. It keeps its descriptor until SQLite has closed the
// file: closing any descriptor of a file lets go of all locks that the process has
// on it.
type flushing struct {
	file *os.File
	done chan struct{}
	err  error // once done is closed
}

func startFlush(path string) (*flushing, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	flush := &flushing{file: f, done: make(chan struct{})}
	go func() {
		flush.err = f.Sync()
		close(flush.done)
	}()
	return flush, nil
}

// wait returns when all is on the disk that was written before the flush began.
func (f *flushing) wait(ctx context.Context) error {
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *flushing) close() error {
	if f == nil {
		return nil
	}
	<-f.done
	return errors.Join(f.err, f.file.Close())
}
