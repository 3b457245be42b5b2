package projections

import (
	"context"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// takeCatalog takes in an event of the catalogs' stream, once everything before
// it is in the model, and tells whether it is: one that cannot be read is not.
// The error is errCatalogAdopted where the model must be folded anew, since
// subscriptions were derived that the event means otherwise. A price that is
// mapped before any subscription held it, as posting does it, changes none.
func (a *applier) takeCatalog(ctx context.Context, e *eventstore.RecordedEvent) (taken bool, err error) {
	if _, parked := a.parked[e.Stream]; parked || e.Position <= a.checkpoint.Position {
		return false, nil
	}
	next, err := a.catalogs.Evolve(e.Type, e.Data)
	if err != nil {
		return false, nil // it is parked with its batch
	}
	if a.remeans(e, next) {
		return false, errCatalogAdopted
	}
	to := a.checkpoint
	to.Position, to.At = e.Position, a.opts.Now().UTC()
	err = a.model.Update(ctx, func(tx Tx) error {
		if err := tx.AddCatalog(e.Type, e.Data); err != nil {
			return err
		}
		return tx.SetCheckpoint(to)
	})
	if err != nil {
		return false, err
	}
	a.checkpoint, a.catalogs = to, next
	return true, nil
}

// remeans reports whether an event of the catalogs, which makes them the next
// ones, changes what was derived.
func (a *applier) remeans(e *eventstore.RecordedEvent, next aggregate.Catalogs) bool {
	event, err := aggregate.DecodeCatalogEvent(e.Type, e.Data)
	if err != nil || event.Adopted != nil {
		return true
	}
	was, wasMapped := a.catalogs.MappingOf(event.Price())
	is, isMapped := next.MappingOf(event.Price())
	if wasMapped == isMapped && was.Tier == is.Tier && was.Addon == is.Addon {
		return false
	}
	return a.marks.has(markPrice, event.Price())
}
