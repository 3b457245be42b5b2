package sqlite

import (
	"context"
	"errors"

	"github.com/daybookhq/daybook/projections"
)

// Beside implements projections.Model. The file is written without a journal
// and without syncs: if it does not get as far as Seal, it is thrown away. Rows come
// in the order of their keys, part by part: a large cache would gain nothing.
func (m *Model) Beside(ctx context.Context) (projections.Model, error) {
	select {
	case m.building <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b := &Model{cache: newCache(), writing: make(chan struct{}, 1), besideOf: m}
	if err := b.makeBeside(ctx); err != nil {
		<-m.building
		return nil, wrap("make a read model beside", err)
	}
	return b, nil
}

func (m *Model) makeBeside(ctx context.Context) (err error) {
	if m.path, err = newGeneration(m.besideOf.path); err != nil {
		return err
	}
	w, err := openWriter(ctx, dsn(m.path, "rwc", "_journal_mode=OFF", "_pragma=synchronous(OFF)",
		"_pragma=locking_mode(EXCLUSIVE)", "_pragma=cache_size(-8192)"))
	if err != nil {
		return errors.Join(err, removeFiles(m.path))
	}
	m.file = &file{name: m.path, write: w}
	if err = w.create(ctx); err == nil {
		_, err = w.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	}
	if err != nil {
		return errors.Join(err, w.close(), removeFiles(m.path))
	}
	return nil
}

// Seal implements projections.Model.
func (m *Model) Seal(ctx context.Context) error {
	m.swap.Lock()
	defer m.swap.Unlock()
	w := m.file.write
	// In WAL mode already, the file is opened without a sync, which would wait for
	// the whole of it.
	if _, err := w.conn.ExecContext(ctx, "COMMIT; PRAGMA journal_mode=WAL;"); err != nil {
		return wrap("seal the read model", err)
	}
	m.file = nil
	if err := w.close(); err != nil {
		return wrap("seal the read model", err)
	}
	flush, err := startFlush(m.path)
	if err != nil {
		return wrap("seal the read model", err)
	}
	f, err := openFile(ctx, m.path)
	if err != nil {
		return wrap("seal the read model", errors.Join(err, flush.close()))
	}
	f.flush, m.file = flush, f
	return nil
}

// Adopt implements projections.Model.
func (m *Model) Adopt(ctx context.Context, beside projections.Model) error {
	from, ours := beside.(*Model)
	if !ours || from.besideOf != m || from.file == nil || from.file.read == nil {
		return errors.New("adopt a read model: want a sealed one made beside it")
	}
	release, err := m.write(ctx)
	if err != nil {
		return err
	}
	defer release()
	from.swap.Lock()
	defer from.swap.Unlock()
	if err := from.file.flush.wait(ctx); err != nil {
		return wrap("flush the rebuilt read model", err)
	}
	if err := m.replace(ctx, from.file); err != nil {
		return wrap("adopt the rebuilt read model", err)
	}
	from.file, from.adopted = nil, true
	return nil
}

// Discard implements projections.Model.
func (m *Model) Discard(ctx context.Context) error {
	if m.besideOf != nil {
		return m.discardBeside()
	}
	release, err := m.write(ctx)
	if err != nil {
		return err
	}
	defer release()
	name, err := newGeneration(m.path)
	if err != nil {
		return wrap("start an empty read model", err)
	}
	empty, err := openFile(ctx, name)
	if err == nil {
		if err = m.replace(ctx, empty); err != nil {
			err = errors.Join(err, empty.close(), removeFiles(name))
		}
	}
	return wrap("start an empty read model", err)
}

func (m *Model) discardBeside() (err error) {
	m.swap.Lock()
	defer m.swap.Unlock()
	if m.gone {
		return nil
	}
	m.gone = true
	if m.file != nil {
		// The content is given up: an error of closing it tells nothing more.
		_ = m.file.close()
		m.file = nil
	}
	if !m.adopted {
		err = removeFiles(m.path)
	}
	<-m.besideOf.building
	return err
}
