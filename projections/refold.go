package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/daybookhq/daybook/eventstore"
)

// errCatalogAdopted says that a rebuilt model cannot be brought up with the
// log: a catalog was adopted meanwhile, and it must be folded again.
var errCatalogAdopted = errors.New("a catalog was adopted during the rebuild")

// Rebuilt tells what a rebuild found.
type Rebuilt struct {
	// Checkpoint is the place at which both models were compared.
	Checkpoint Checkpoint
	// Compared says that the models were compared: not where the model was
	// empty, damaged, or of another store, version or catalog than the log's.
	Compared bool
	// Differences are what the model said otherwise than the rebuilt one.
	Differences []Difference
}

// RebuildPlan says what to do with a rebuilt model.
type RebuildPlan struct {
	// Compare lists what the model said otherwise, before it is replaced.
	Compare bool
	// Keep leaves the model as it is: a dry run.
	Keep bool
	// Gentle leaves most processors to others.
	Gentle bool
	// Progress hears how much of the work is done; it may be nil.
	Progress func(done, total uint64)
}

// Rebuild folds the log from zero beside the model, which goes on following and
// answering, and then replaces it at once. It needs no Run beside it.
func (r *Runner) Rebuild(ctx context.Context, plan RebuildPlan) (Rebuilt, error) {
	r.rebuilding.Lock()
	defer r.rebuilding.Unlock()
	r.setRebuilding(true)
	defer r.setRebuilding(false)
	for {
		result, err := r.rebuildOnce(ctx, plan)
		if !errors.Is(err, errCatalogAdopted) {
			return result, err
		}
	}
}

// refold replaces the model by one folded from zero.
func (r *Runner) refold(ctx context.Context) error {
	_, err := r.Rebuild(ctx, RebuildPlan{})
	return err
}

// Rebuilding reports whether the model is being folded from zero.
func (r *Runner) Rebuilding() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status.Rebuilding
}

func (r *Runner) setRebuilding(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Rebuilding = on
}

func (r *Runner) rebuildOnce(ctx context.Context, plan RebuildPlan) (result Rebuilt, err error) {
	beside, err := r.opts.Model.Beside(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, beside.Discard(context.WithoutCancel(ctx))) }()
	source := Source{
		Store: r.opts.Store, Epoch: r.opts.Epoch, Livemode: r.opts.Livemode, Now: r.opts.Now,
		RebuildOptions: r.opts.Rebuild,
	}
	if plan.Gentle {
		source.Readers, source.Folders = min(source.Readers, 1), 1
	}
	if _, err := Rebuild(ctx, source, beside, plan.Progress); err != nil {
		return result, err
	}
	if err := r.load(ctx); err != nil && !r.mends(plan, err) {
		return result, err
	}
	rebuilt := newApplier(r.opts, beside)
	if err := rebuilt.load(ctx); err != nil {
		return result, err
	}
	// Most of what was recorded meanwhile is folded without holding up the live
	// path, the rest with it standing still.
	if err := r.bringUp(ctx, rebuilt, r.checkpoint()); err != nil {
		return result, err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.settle(ctx, plan, rebuilt)
}

// settle compares and replaces. It is called under writing.
func (r *Runner) settle(ctx context.Context, plan RebuildPlan, rebuilt *applier) (result Rebuilt, err error) {
	if err := r.bringUp(ctx, rebuilt, r.live.checkpoint); err != nil {
		return result, err
	}
	if plan.Compare {
		if err := r.compare(ctx, &result, rebuilt); err != nil && !r.mends(plan, err) {
			return result, err
		}
	}
	result.Checkpoint = rebuilt.checkpoint
	if plan.Keep {
		r.moved(false)
		return result, nil
	}
	if err := r.opts.Model.Adopt(ctx, rebuilt.model); err != nil {
		return result, err
	}
	r.replaced(false)
	r.stored = r.opts.Now()
	err = r.live.load(ctx)
	if r.loaded = err == nil; err != nil {
		return result, err
	}
	r.moved(false)
	r.ring()
	r.opts.OnCatalog(0) // there may be more of them than the old model had
	r.opts.Feed.replaced()
	return result, nil
}

// mends reports trouble with a damaged model that the plan replaces.
func (r *Runner) mends(plan RebuildPlan, err error) bool {
	if plan.Keep || !errors.Is(err, ErrModelBroken) {
		return false
	}
	r.opts.Log.WithError(err).Error("projection: the model is damaged; it is replaced by the one folded anew")
	return true
}

// compare brings the model up with the rebuilt one, and compares.
func (r *Runner) compare(ctx context.Context, result *Rebuilt, rebuilt *applier) error {
	if !r.fits(r.live.checkpoint) {
		return nil
	}
	err := r.bringUp(ctx, r.live, rebuilt.checkpoint)
	if errors.Is(err, errCatalogAdopted) {
		return nil
	}
	if err != nil {
		return err
	}
	// Progress without events may not have been written down yet.
	err = r.opts.Model.Update(ctx, func(tx Tx) error { return tx.SetCheckpoint(r.live.checkpoint) })
	if err != nil {
		return err
	}
	result.Differences, err = Compare(ctx, r.opts.Model, rebuilt.model, r.opts.Now())
	result.Compared = err == nil
	return err
}

// fits reports a checkpoint of this store, by these projectors.
func (r *Runner) fits(cp Checkpoint) bool {
	return cp.Epoch == r.opts.Epoch && cp.Schema == Schema && slices.Equal(cp.Filter, Prefixes)
}

// bringUp folds what lies between an applier's model and a checkpoint. One that
// is of another store or version says nothing of this log, and is passed over.
func (r *Runner) bringUp(ctx context.Context, a *applier, to Checkpoint) error {
	if !r.fits(to) || to.Position <= a.checkpoint.Position {
		return nil
	}
	head, err := r.opts.Store.Head(ctx)
	if err != nil {
		return err
	}
	to.Position = min(to.Position, head) // a model may claim more than its log has
	var batch []eventstore.RecordedEvent
	flush := func(upTo eventstore.Position) error {
		_, err := a.apply(ctx, batch, upTo)
		batch = batch[:0]
		return err
	}
	err = eventsBetween(ctx, r.opts.Store, a.checkpoint.Position, to.Position, func(e eventstore.RecordedEvent) error {
		if e.Stream.Category() == "catalog" {
			if len(batch) > 0 {
				if err := flush(batch[len(batch)-1].Position); err != nil {
					return err
				}
			}
			if taken, err := a.takeCatalog(ctx, &e); err != nil || taken {
				return err
			}
		}
		batch = append(batch, e)
		if len(batch) < r.opts.BatchEvents {
			return nil
		}
		return flush(e.Position)
	})
	if err == nil && to.Position > a.checkpoint.Position {
		err = flush(to.Position)
	}
	if err != nil && !errors.Is(err, errCatalogAdopted) {
		return fmt.Errorf("bring a model up with the log: %w", err)
	}
	return err
}
