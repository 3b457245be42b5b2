package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// ErrNotFolded is returned while the model has not been folded from this store
// yet. It knows of no account then, which must not be taken for free ones.
var ErrNotFolded = errors.New("the read model has not been folded yet")

// Answers gives entitlements as of a moment. It never serves one that time has
// overtaken, however late the projection is in writing the next.
type Answers struct {
	model    Reader
	epoch    string
	livemode bool
	// anyModel answers from a model that was never folded, too.
	anyModel bool
}

// NewAnswers returns answers from a model. Epoch and livemode are those of the
// store; they stand in every entitlement.
func NewAnswers(model Reader, epoch string, livemode bool) *Answers {
	return &Answers{model: model, epoch: epoch, livemode: livemode}
}

// Entitlement returns what an account may do at now. An account of which
// nothing is known is on the free tier. The error is ErrNotFolded while the
// model cannot tell who is known. Features, limits, items and flags may
// be shared with other callers: leave them as they are.
func (a *Answers) Entitlement(ctx context.Context, account string, now time.Time) (aggregate.Entitlement, error) {
	record, known, err := a.model.Entitlement(ctx, account)
	if err != nil {
		return aggregate.Entitlement{}, err
	}
	if known && !a.anyModel && record.Epoch != a.epoch {
		return aggregate.Entitlement{}, ErrNotFolded // what is there is of another store
	}
	if known && inForce(record.AsOf, record.Until, now) {
		return a.stamp(record.Entitlement), nil
	}
	return a.derive(ctx, account, now)
}

// inForce reports that an entitlement which was evaluated at asOf, and which
// time alone changes at until, is the answer at now.
func inForce(asOf, until, now time.Time) bool {
	return (until.IsZero() || now.Before(until)) && !now.Before(asOf)
}

// derive evaluates what is true of the account's subscriptions at now.
func (a *Answers) derive(ctx context.Context, account string, now time.Time) (aggregate.Entitlement, error) {
	cp, err := a.model.Checkpoint(ctx)
	if err != nil {
		return aggregate.Entitlement{}, fmt.Errorf("evaluate an entitlement: %w", err)
	}
	if !a.anyModel && (cp.Schema != Schema || cp.Epoch != a.epoch) {
		return aggregate.Entitlement{}, ErrNotFolded
	}
	catalogs, err := a.model.Catalogs(ctx)
	if err != nil {
		return aggregate.Entitlement{}, fmt.Errorf("evaluate an entitlement: %w", err)
	}
	record, _, err := a.model.Account(ctx, account)
	if err != nil {
		return aggregate.Entitlement{}, fmt.Errorf("evaluate an entitlement: %w", err)
	}
	return a.stamp(record.Entitle(OrBuiltin(catalogs), now)), nil
}

func (a *Answers) stamp(e aggregate.Entitlement) aggregate.Entitlement {
	e.Epoch, e.Livemode = a.epoch, a.livemode
	return e
}

// OrBuiltin returns the history, or, where no catalog was adopted yet, one of
// the built-in catalog alone: derivation needs one, and that is in force then.
func OrBuiltin(h aggregate.Catalogs) aggregate.Catalogs {
	if h.Current() != nil {
		return h
	}
	builtin := aggregate.BuiltinCatalog()
	return h.With(aggregate.CatalogAdopted{
		Schema: aggregate.Schema, Hash: builtin.Hash(), Catalog: builtin,
	})
}
