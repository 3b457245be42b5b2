package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// ErrNoFeature is returned for a feature that the catalog in force has not.
var ErrNoFeature = errors.New("the catalog has no such feature")

// Question is what an explanation is asked for.
type Question struct {
	Account string
	// Feature is the one that it is about, empty for all.
	Feature string
	// At asks about the past; the zero Moments about the present.
	At Moments
}

// Explain says why an account may do what it may at now, or could at the moments
// that were asked for: by the read model, or by the record as it was then. The
// evidence is read from the record either way. The error is ErrNoFeature for a
// feature that the catalog in force then had not.
func Explain(ctx context.Context, store eventstore.Reader, model Reader, q Question, now time.Time) (*aggregate.Explanation, error) {
	catalogs, err := catalogsThen(ctx, store, model, q.At)
	if err != nil {
		return nil, err
	}
	record, _, err := AccountThen(ctx, store, model, q.Account, q.At)
	if err != nil {
		return nil, fmt.Errorf("explain %q: %w", q.Account, err)
	}
	record.Account = q.Account
	h := record.held()
	x := aggregate.Explain(q.Account, h.Holding, catalogs, q.At.Now(now))
	x.Flags = h.withFlags(x.Flags)
	if q.Feature != "" && !x.Ask(q.Feature) {
		return nil, fmt.Errorf("%q: %w", q.Feature, ErrNoFeature)
	}
	e := evidence{store: store, at: q.At, record: record, explanation: x}
	if err := e.cite(ctx, x.Needs()); err != nil {
		return nil, fmt.Errorf("explain %q: %w", q.Account, err)
	}
	x.Summarize()
	return x, nil
}

// catalogsThen are the catalogs that the model was folded with, or those of the
// past.
func catalogsThen(ctx context.Context, store eventstore.Reader, model Reader, at Moments) (aggregate.Catalogs, error) {
	if at.Past() {
		return CatalogsAt(ctx, store, at)
	}
	catalogs, err := model.Catalogs(ctx)
	return OrBuiltin(catalogs), err
}

// evidence finds in the record what an explanation rests on.
type evidence struct {
	store       eventstore.Reader
	at          Moments
	record      AccountRecord
	explanation *aggregate.Explanation
}

func (e *evidence) cite(ctx context.Context, n aggregate.Needs) error {
	if n.Subscription != "" {
		if err := e.ofSubscription(ctx, n.Subscription); err != nil {
			return err
		}
	}
	for _, payment := range e.paymentsNeeded(n.Payments) {
		if err := e.ofObject(ctx, KindPayment, payment, func(s *aggregate.FactSet, stream string) {
			e.explanation.CiteFacts(s, stream, "payment", "")
		}); err != nil {
			return err
		}
	}
	if n.Clock != "" {
		if err := e.ofObject(ctx, KindClock, n.Clock, e.explanation.CiteClock); err != nil {
			return err
		}
	}
	if n.Decisions {
		return e.ofDecisions(ctx)
	}
	return nil
}

// ofSubscription cites the subscription's facts that were explained, and no later
// ones: the record may be ahead of the model. Where its customer's metadata put
// it into the account, that is cited too.
func (e *evidence) ofSubscription(ctx context.Context, id string) error {
	upTo := everything
	for _, s := range e.record.Subscriptions {
		if s.ID == id {
			upTo = s.Position
		}
	}
	sub, err := factsAt(ctx, e.store, id, e.at, upTo)
	if err != nil {
		return err
	}
	e.explanation.CiteSubscription(sub, string(eventstore.NewStream(string(KindSubscription), id)))
	for _, l := range e.record.Links {
		if l.Subscription == id && l.Rank == aggregate.LinkCustomer {
			return e.ofObject(ctx, KindCustomer, l.Customer, func(s *aggregate.FactSet, stream string) {
				e.explanation.CiteFacts(s, stream, "account", l.StripeEventID)
			})
		}
	}
	return nil
}

// paymentsNeeded adds to payments the charges whose streams tell of them.
func (e *evidence) paymentsNeeded(ids []string) []string {
	all := slices.Clone(ids)
	for _, p := range e.record.held().payments {
		for _, id := range ids {
			if p.ID != id {
				continue
			}
			for _, charge := range p.Charges {
				if charge != id {
					all = append(all, charge)
				}
			}
		}
	}
	return all
}

func (e *evidence) ofObject(ctx context.Context, kind Kind, id string, cite func(*aggregate.FactSet, string)) error {
	f, known, err := foldedAt(ctx, e.store, kind, id, e.at)
	if err != nil || !known {
		return err
	}
	cite(f.facts, string(eventstore.NewStream(string(kind), id)))
	return nil
}

func (e *evidence) ofDecisions(ctx context.Context) error {
	stream := eventstore.NewStream(string(KindAccount), e.record.Account)
	err := foldKnown(ctx, e.store, stream, e.at.KnownAt, func(event aggregate.Event, place aggregate.Place) {
		if event.Decision != nil && e.at.reach(event.Decision.DecidedAt) {
			e.explanation.CiteDecision(event.Decision, string(stream), place)
		}
	})
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		return nil
	}
	return err
}
