package sqlite

import (
	"context"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"

	"github.com/daybookhq/daybook/projections"
)

// Suffix is what a model made by Beside adds to the file's name.
const Suffix = ".rebuild"

// pagesAtOnce are copied between two looks at the context: 4 MB.
const pagesAtOnce = 1024

// Beside implements projections.Model. The file is written without a journal
// and without syncs: if it does not get as far as Adopt, it is thrown away.
func (m *Model) Beside(ctx context.Context) (projections.Model, error) {
	select {
	case m.building <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b := &Model{path: m.path + Suffix, cache: newCache(), writing: make(chan struct{}, 1), besideOf: m}
	if err := b.makeBeside(ctx); err != nil {
		<-m.building
		return nil, wrap("make a read model beside", err)
	}
	return b, nil
}

func (m *Model) makeBeside(ctx context.Context) error {
	if err := errors.Join(removeFiles(m.path), createPrivate(m.path)); err != nil {
		return err
	}
	w, err := openWriter(ctx, dsn(m.path, "rwc", "_journal_mode=OFF", "_pragma=synchronous(OFF)",
		"_pragma=locking_mode(EXCLUSIVE)", "_pragma=cache_size(-32768)"))
	if err != nil {
		return err
	}
	m.file = &file{write: w}
	if err = w.create(ctx); err == nil {
		_, err = w.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	}
	if err != nil {
		return errors.Join(err, w.close())
	}
	return nil
}

// Seal implements projections.Model.
func (m *Model) Seal(ctx context.Context) error {
	m.swap.Lock()
	defer m.swap.Unlock()
	w := m.file.write
	if _, err := w.conn.ExecContext(ctx, "COMMIT;"); err != nil {
		return wrap("seal the read model", err)
	}
	m.file = nil
	if err := w.close(); err != nil {
		return wrap("seal the read model", err)
	}
	f, err := openFile(ctx, m.path)
	m.file = f
	return wrap("seal the read model", err)
}

// Adopt implements projections.Model. The pages are copied into this model's
// file by one transaction of SQLite's own: a crash leaves the old content, and
// other processes need not open the file again.
func (m *Model) Adopt(ctx context.Context, beside projections.Model) error {
	from, ours := beside.(*Model)
	if !ours || from.besideOf != m {
		return errors.New("adopt a read model: want one made beside it")
	}
	select {
	case m.writing <- struct{}{}:
		defer func() { <-m.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := m.use(func(f *file) error {
		return f.write.conn.Raw(func(conn any) error { return restore(ctx, conn, from.path) })
	})
	if err != nil {
		return wrap("adopt the rebuilt read model", err)
	}
	m.cache.forgetAll()
	return nil
}

func restore(ctx context.Context, conn any, path string) error {
	restorer, able := conn.(interface {
		NewRestore(source string) (*driver.Backup, error)
	})
	if !able {
		return fmt.Errorf("the driver's %T cannot restore", conn)
	}
	backup, err := restorer.NewRestore(dsn(path, "rw"))
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if err = ctx.Err(); err == nil {
			more, err = backup.Step(pagesAtOnce)
		}
	}
	return errors.Join(err, backup.Finish())
}

// Discard implements projections.Model.
func (m *Model) Discard(ctx context.Context) error {
	m.swap.Lock()
	defer m.swap.Unlock()
	if m.file != nil {
		// The content is given up: an error of closing it tells nothing more.
		_ = m.file.close()
		m.file = nil
	}
	err := removeFiles(m.path)
	if m.besideOf != nil && !m.gone {
		m.gone = true
		<-m.besideOf.building
	}
	if err != nil || m.gone {
		return err
	}
	m.file, err = openFile(ctx, m.path)
	m.cache.forgetAll()
	return wrap("start an empty read model", err)
}
