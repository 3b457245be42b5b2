package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A read model is found by its path: the file itself, as long as no other took
// its place, and then a link to the one that did, its next generation. So a
// rebuilt model takes over at once and whole, without a page being copied. Who
// has the older file open reads on in it: SQLite names the files that belong to
// one after what a link leads to, so no two generations share any.
//
// A power cut may undo a link that was just made. It then leads to a file that is
// gone, which is an empty model: one that is folded anew.

// resolve returns the file that path leads to, whether it exists or not.
func resolve(path string) (string, error) {
	target, err := os.Readlink(path)
	if err == nil {
		return filepath.Join(filepath.Dir(path), filepath.Base(target)), nil
	}
	if info, missing := os.Lstat(path); missing == nil && info.Mode()&fs.ModeSymlink != 0 {
		return "", err
	}
	return path, nil
}

// generation names the file of a model's generation; 0 is path itself.
func generation(path string, n int) string {
	if n == 0 {
		return path
	}
	extension := filepath.Ext(path)
	return strings.TrimSuffix(path, extension) + "-" + strconv.Itoa(n) + extension
}

// generations lists those of which there are any files, in order.
func generations(path string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	extension := filepath.Ext(path)
	stem := strings.TrimSuffix(filepath.Base(path), extension) + "-"
	var found []int
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), stem)
		number, _, ours2 := strings.Cut(rest, extension)
		if n, err := strconv.Atoi(number); ours && ours2 && err == nil && n > 0 {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// newGeneration makes the empty file of a generation that was not there yet.
func newGeneration(path string) (string, error) {
	found, err := generations(path)
	if err != nil {
		return "", err
	}
	n := 1
	if len(found) > 0 {
		n = found[len(found)-1] + 1
	}
	for ; ; n++ {
		file := generation(path, n)
		if made, err := createPrivate(file); made || err != nil {
			return file, err
		}
	}
}

// removeOthers removes the generations that path does not lead to.
func removeOthers(path, current string) error {
	found, err := generations(path)
	for _, n := range append(found, 0) {
		if file := generation(path, n); file != current {
			err = errors.Join(err, removeGeneration(path, file))
		}
	}
	return err
}

// removeGeneration removes what is left of a file that path does not lead to any
// more. Where the file had the path for its name, the link has it now.
func removeGeneration(path, file string) error {
	if file == path {
		return removeSideFiles(file)
	}
	return removeFiles(file)
}

// point makes path lead to file. Others find what it led to before, or file.
func point(path, file string) error {
	link := path + ".link"
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(file), link); err != nil {
		return err
	}
	return os.Rename(link, path)
}

// replace puts another file, open and safely stored, in the place of the one in
// use. Readers that are under way end with the old one. It is called by the writer.
func (m *Model) replace(ctx context.Context, with *file) error {
	whole := false
	if err := m.use(ctx, func(f *file) error { return f.putTogether(ctx, &whole) }); errors.Is(err, errClosed) {
		return err
	}
	old, err := m.exchange(with)
	if err != nil {
		return err
	}
	m.cache.forgetAll()
	// Nobody needs the old file any more: an error of closing it tells nothing.
	_ = old.close()
	if !whole {
		return nil // the next Open removes it
	}
	return removeGeneration(m.path, old.name)
}

func (m *Model) exchange(with *file) (old *file, err error) {
	m.swap.Lock()
	defer m.swap.Unlock()
	if err := point(m.path, with.name); err != nil {
		return nil, fmt.Errorf("lead to another file: %w", err)
	}
	old, m.file = m.file, with
	return old, nil
}

// putTogether moves what is still in the WAL into the file, and tells whether
// that is all of it. Only then may the files go while another process might just
// be opening them: it would find the one without the other.
func (f *file) putTogether(ctx context.Context, whole *bool) error {
	var busy, frames, moved int
	err := f.write.exec(ctx, "PRAGMA synchronous=OFF") // it will be removed
	if err == nil {
		err = f.write.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	}
	*whole = err == nil && busy == 0
	return err
}

// follow opens a reader's file anew if another one took its place.
func (m *Model) follow(ctx context.Context) error {
	if m.current() {
		return nil
	}
	m.swap.Lock()
	defer m.swap.Unlock()
	if m.file == nil {
		return errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	f, err := openCurrent(ctx, m.path, m.file.name)
	if err != nil || f == nil {
		return err
	}
	err = m.file.close()
	m.file = f
	return err
}

func (m *Model) current() bool {
	m.swap.RLock()
	defer m.swap.RUnlock()
	if m.file == nil {
		return true // closed is found out later
	}
	name, err := resolve(m.path)
	return err == nil && name == m.file.name
}

// openCurrent opens the file that path leads to for reading, if that is another
// one than the caller has.
func openCurrent(ctx context.Context, path, have string) (*file, error) {
	for {
		name, err := resolve(path)
		if err != nil || name == have {
			return nil, err
		}
		f, err := openReadOnly(ctx, name)
		if err == nil {
			return f, nil
		}
		// It may have given way to yet another one, just now.
		if again, gone := resolve(path); gone != nil || again == name {
			return nil, err
		}
	}
}
